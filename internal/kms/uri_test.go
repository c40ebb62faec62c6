package kms

import (
	"strings"
	"testing"

	"github.com/consign-dev/consign/internal/reason"
)

const uuidSample = "1234abcd-12ab-34cd-56ef-1234567890ab"

// samples has every form of a URI that is read.
var samples = []string{
	"awskms:///" + uuidSample, "awskms://localhost:4566/mrk-1234abcd12ab34cd56ef1234567890ab",
	"awskms:///alias/acme/releases_1", "awskms:///arn:aws:kms:eu-central-1:111122223333:key/" + uuidSample,
	"awskms://kms.example/arn:aws-us-gov:kms:us-gov-west-1:111122223333:alias/releases",
	"azurekms://acme.vault.azure.net/releases", "azurekms://acme.vault.azure.net/releases/0123456789abcdef0123456789abcdef",
	"gcpkms://projects/acme.example:plant-1/locations/global/keyRings/releases/cryptoKeys/line_monitor",
	"gcpkms://projects/acme/locations/europe-west3/keyRings/r/cryptoKeys/k/cryptoKeyVersions/2",
	"gcpkms://projects/acme/locations/europe-west3/keyRings/r/cryptoKeys/k/versions/2",
	"hashivault://releases", "hashivault://a.b-c_d",
}

func TestURIs(t *testing.T) {
	for _, uri := range samples {
		s, err := parse(uri)
		if err != nil || !IsURI(uri) || !strings.HasPrefix(uri, s.scheme) {
			t.Errorf("%s: %q, %v", uri, s.scheme, err)
		}
	}
	for _, name := range []string{"signing.pem", "./awskms://x", "pkcs11:token=a", "kms://a", "openpgp://a", ""} {
		if _, err := parse(name); IsURI(name) || !reason.Is(err, reason.Malformed) {
			t.Errorf("%q is taken for a key in a KMS: %v", name, err)
		}
	}
	for name, uri := range map[string]string{
		"no key":                    "hashivault://",
		"a path":                    "hashivault://../../sys/raw",
		"an escape":                 "hashivault://a%2fb",
		"a query":                   "hashivault://releases?token=s.123",
		"a second line":             "hashivault://releases\n",
		"a password":                "azurekms://user:pass@acme.vault.azure.net/releases",
		"half a path":               "gcpkms://projects/acme/locations/global/keyRings/r",
		"an alias without its name": "awskms:///alias/",
		"no slash before the key":   "awskms://" + uuidSample,
		"longer than it may be":     "hashivault://" + strings.Repeat("a", maxURI),
	} {
		_, err := parse(uri)
		scheme, _, _ := strings.Cut(uri, "://")
		if !IsURI(uri) || !reason.Is(err, reason.Malformed) || !strings.Contains(err.Error(), "want "+scheme+"://") {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// FuzzURI: what is read is plain, so that it can stand in a path and in a message.
func FuzzURI(f *testing.F) {
	for _, uri := range samples {
		f.Add(uri)
	}
	f.Fuzz(func(t *testing.T, text string) {
		_, err := parse(text)
		if err != nil && !reason.Is(err, reason.Malformed) {
			t.Errorf("reason %s: %v", reason.Of(err), err)
		}
		if err == nil && (!IsURI(text) || strings.ContainsAny(text, "%?#@\\\"' \n") || strings.Contains(text, "/../")) {
			t.Errorf("%q is read", text)
		}
	})
}
