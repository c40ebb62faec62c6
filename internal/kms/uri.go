// Package kms signs with keys that lie in a key management service: the private
// half never leaves it. A key is named by its URI, as cosign names it, which is
// given in the place of a key file:
//
//	awskms://[ENDPOINT]/KEY-ID, /alias/NAME or their ARNs
//	azurekms://VAULT-HOST/KEY[/VERSION]
//	gcpkms://projects/P/locations/L/keyRings/R/cryptoKeys/K[/cryptoKeyVersions/N]
//	hashivault://KEY
//
// The clients of the services are Sigstore's providers. This package imports none:
// cmd/publisher-kms, a module of its own, does, and a build without them says so.
// Who asks, and at which address, the environment says, in the service's own
// variables; the URI has no secrets.
package kms

import (
	"fmt"
	"strings"

	"github.com/consign-dev/consign/internal/lazyregexp"
	"github.com/consign-dev/consign/internal/reason"
)

// maxURI bounds a URI; the longest ARN has some 350 bytes.
const maxURI = 1024

// service is one kind of key management service.
type service struct {
	// scheme begins the URIs of its keys, and is the name of its provider.
	scheme string
	// form is what follows, as people write it; rest matches it.
	form string
	rest *lazyregexp.Regexp
	// look names the variables of the environment that say where it is and who asks.
	look string
	// ed25519 says that its provider signs with such keys.
	ed25519 bool
}

const (
	host  = `[A-Za-z0-9][A-Za-z0-9.-]*(:[0-9]{1,5})?`
	word  = `[A-Za-z0-9_-]+`
	uuid  = `(mrk-)?[A-Fa-f0-9-]{32,36}`
	alias = `alias/[A-Za-z0-9/_-]+`
)

var services = []service{
	{
		scheme: "awskms://", form: "[ENDPOINT]/KEY-ID, /alias/NAME or their ARNs", look: "AWS_REGION, AWS_PROFILE or AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY",
		rest: whole(`(` + host + `)?/(` + uuid + `|` + alias + `|arn:aws[a-z-]*:kms:[a-z0-9-]+:[0-9]{12}:(key/` + uuid + `|` + alias + `))`),
	},
	{
		scheme: "azurekms://", form: "VAULT-HOST/KEY[/VERSION]", look: "AZURE_TENANT_ID, AZURE_CLIENT_ID and AZURE_CLIENT_SECRET, or the login of az",
		rest: whole(host + `/[A-Za-z0-9-]+(/[a-z0-9]+)?`),
	},
	{
		scheme: "gcpkms://", form: "projects/P/locations/L/keyRings/R/cryptoKeys/K[/cryptoKeyVersions/N]",
		look: "GOOGLE_APPLICATION_CREDENTIALS, or the login of gcloud",
		rest: whole(`projects/[a-z0-9.:-]+/locations/[a-z0-9-]+/keyRings/` + word + `/cryptoKeys/` + word + `(/(cryptoKeyVersions|versions)/[0-9]+)?`),
	},
	{
		scheme: "hashivault://", form: "KEY", look: "VAULT_ADDR, VAULT_TOKEN and TRANSIT_SECRET_ENGINE_PATH",
		rest: whole(`[A-Za-z0-9_]([A-Za-z0-9_.-]*[A-Za-z0-9_])?`), ed25519: true,
	},
}

func whole(pattern string) *lazyregexp.Regexp { return lazyregexp.New(`^(` + pattern + `)$`) }

// IsURI reports whether a key is named by such a URI, and not by a file.
func IsURI(name string) bool {
	_, ok := serviceOf(name)
	return ok
}

func serviceOf(name string) (service, bool) {
	for _, s := range services {
		if strings.HasPrefix(name, s.scheme) {
			return s, true
		}
	}
	return service{}, false
}

// parse finds the service of a URI and checks the whole of it. Nothing is
// unescaped: what a service reads is what stands there.
func parse(uri string) (service, error) {
	s, ok := serviceOf(uri)
	if !ok {
		return s, reason.Wrap(reason.Malformed, fmt.Errorf("%.100q is no URI of a key in a KMS", uri))
	}
	if rest := uri[len(s.scheme):]; len(uri) > maxURI || !s.rest.MatchString(rest) {
		return s, reason.Wrap(reason.Malformed, fmt.Errorf("key %.100q: want %s%s, of at most %d bytes", uri, s.scheme, s.form, maxURI))
	}
	return s, nil
}
