package pkcs11

import (
	"strings"
	"testing"

	"github.com/consign-dev/consign/internal/reason"
)

const sample = "pkcs11:token=acme%20plant;object=releases?module-path=/usr/lib/softhsm/libsofthsm2.so&pin-source=file:/etc/consign/pin"

func TestParseURI(t *testing.T) {
	got, err := ParseURI(sample)
	want := Key{Token: "acme plant", Object: "releases", Module: "/usr/lib/softhsm/libsofthsm2.so", PINFile: "/etc/consign/pin"}
	if err != nil || got != want {
		t.Errorf("%+v, %v", got, err)
	}
	for name, c := range map[string]struct{ old, new, says string }{
		"a file":             {"pkcs11:", "", "no URI"},
		"no token":           {"token=acme%20plant;", "", "token is missing"},
		"no object":          {"object=releases", "", "object is missing"},
		"no module":          {"module-path=/usr/lib/softhsm/libsofthsm2.so&", "", "module-path is missing"},
		"no PIN":             {"&pin-source=file:/etc/consign/pin", "", "pin-source is missing"},
		"the PIN itself":     {"pin-source=file:/etc/consign/pin", "pin-value=1234", "pin-value"},
		"a part of others":   {"object=releases", "object=releases;serial=1", "serial"},
		"two objects":        {"object=releases", "object=a;object=b", "twice"},
		"a broken escape":    {"%20", "%2", "escape"},
		"a query in a path":  {"token=", "module-path=", "module-path"},
		"longer than it may": {"releases", strings.Repeat("r", 5000), "too long"},
	} {
		if _, err := ParseURI(strings.Replace(sample, c.old, c.new, 1)); !reason.Is(err, reason.Malformed) || !strings.Contains(err.Error(), c.says) {
			t.Errorf("%s: %v, want %q", name, err, c.says)
		}
	}
}

func FuzzParseURI(f *testing.F) {
	f.Add(sample)
	f.Fuzz(func(t *testing.T, text string) {
		k, err := ParseURI(text)
		if err != nil && !reason.Is(err, reason.Malformed) || err == nil && (k.Token == "" || k.Object == "" || k.Module == "" || k.PINFile == "") {
			t.Errorf("%+v, %v", k, err)
		}
	})
}
