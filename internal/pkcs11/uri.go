// Package pkcs11 signs with keys that lie in a token: a smart card, an HSM, or a
// service that looks like one. A key is named by its URI (RFC 7512),
//
//	pkcs11:token=acme;object=releases?module-path=/usr/lib/softhsm/libsofthsm2.so&pin-source=/etc/consign/pin
//
// which is given in the place of a key file. The module is a shared library of the
// token's vendor, so only a build with cgo and the tag pkcs11 can load one; others
// say so.
package pkcs11

import (
	"fmt"
	"net/url"
	"strings"

	"github.com/consign-dev/consign/internal/reason"
)

// scheme begins the URI of a key in a token.
const scheme = "pkcs11:"

// maxURI bounds a URI.
const maxURI = 4096

// IsURI reports whether a key is named by such a URI, and not by a file.
func IsURI(name string) bool { return strings.HasPrefix(name, scheme) }

// Key names a key pair in a token.
type Key struct {
	// Token and Object are the labels of the token and of the key.
	Token, Object string
	// Module is the path of the shared library, PINFile that of the file that holds
	// the PIN.
	Module, PINFile string
}

// ParseURI reads the URI of a key. All four parts are needed, and nothing else may
// stand there: a part that is not understood might name another key. A PIN in the
// URI itself is refused: every user of the machine could read it.
func ParseURI(text string) (Key, error) {
	rest, ok := strings.CutPrefix(text, scheme)
	if !ok || len(text) > maxURI {
		return Key{}, malformed("%.100q is no URI of a key (pkcs11:token=LABEL;object=LABEL?module-path=FILE&pin-source=FILE), or too long", text)
	}
	path, query, _ := strings.Cut(rest, "?")
	var k Key
	if err := read(path, ";", map[string]*string{"token": &k.Token, "object": &k.Object}); err != nil {
		return Key{}, err
	}
	if err := read(query, "&", map[string]*string{"module-path": &k.Module, "pin-source": &k.PINFile}); err != nil {
		return Key{}, err
	}
	k.PINFile = strings.TrimPrefix(k.PINFile, "file:")
	for _, part := range []struct{ name, value string }{{"token", k.Token}, {"object", k.Object}, {"module-path", k.Module}, {"pin-source", k.PINFile}} {
		if part.value == "" {
			return Key{}, malformed("%s is missing", part.name)
		}
	}
	return k, nil
}

// read fills the attributes of one half of a URI.
func read(text, separator string, into map[string]*string) error {
	for _, attribute := range strings.Split(text, separator) {
		if attribute == "" {
			continue
		}
		name, value, _ := strings.Cut(attribute, "=")
		to, known := into[name]
		switch {
		case name == "pin-value":
			return malformed("pin-value: every user of this machine could read it; name a file with pin-source")
		case !known:
			return malformed("attribute %.40q is not read, only token, object, module-path and pin-source", name)
		case *to != "":
			return malformed("%s is given twice", name)
		}
		decoded, err := url.PathUnescape(value)
		if err != nil {
			return malformed("%s: %w", name, err)
		}
		*to = decoded
	}
	return nil
}

func malformed(format string, args ...any) error {
	return reason.Wrap(reason.Malformed, fmt.Errorf("key in a token: "+format, args...))
}
