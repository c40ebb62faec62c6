//go:build pkcs11

package pkcs11

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/ThalesGroup/crypto11"
)

// module is where Debian's softhsm2 has it; "make test" installs that.
const module = "/usr/lib/softhsm/libsofthsm2.so"

// softHSM makes a token with one key pair in it, and returns its URI.
func softHSM(t *testing.T, generate func(*crypto11.Context) error) string {
	t.Helper()
	if _, err := os.Stat(module); err != nil {
		t.Fatalf("%v: run this with make pkcs11, which installs softhsm2", err)
	}
	dir := t.TempDir()
	config, pin := filepath.Join(dir, "softhsm2.conf"), filepath.Join(dir, "pin")
	for file, text := range map[string]string{config: "directories.tokendir = " + dir + "\nobjectstore.backend = file\nlog.level = ERROR\n", pin: "5678\n"} {
		if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	t.Setenv("SOFTHSM2_CONF", config)
	if out, err := exec.Command("softhsm2-util", "--init-token", "--free", "--label", "lab", "--so-pin", "1234", "--pin", "5678").CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	token, err := crypto11.Configure(&crypto11.Config{Path: module, TokenLabel: "lab", Pin: "5678"})
	if err != nil {
		t.Fatal(err)
	}
	if err := generate(token); err != nil {
		t.Fatal(err)
	}
	if err := token.Close(); err != nil {
		t.Fatal(err)
	}
	return fmt.Sprintf("pkcs11:token=lab;object=releases?module-path=%s&pin-source=%s", module, pin)
}

// TestKeyInAToken: what a key in a real module signs, its public half verifies; no
// other label, PIN or curve will do.
func TestKeyInAToken(t *testing.T) {
	uri := softHSM(t, func(c *crypto11.Context) error {
		_, err := c.GenerateECDSAKeyPairWithLabel([]byte{1}, []byte("releases"), elliptic.P256())
		if err == nil {
			_, err = c.GenerateECDSAKeyPairWithLabel([]byte{2}, []byte("odd"), elliptic.P224())
		}
		return err
	})
	k, err := ParseURI(uri)
	if err != nil {
		t.Fatal(err)
	}
	writePIN(t, k, "0000", 0o600)
	if _, err := Open(uri); err == nil {
		t.Error("a wrong PIN opens the token")
	}
	writePIN(t, k, "5678\n", 0o644)
	if _, err := Open(uri); err == nil || !strings.Contains(err.Error(), "chmod 600") {
		t.Errorf("a PIN that all can read: %v", err)
	}
	writePIN(t, k, "5678\n", 0o600)
	signer, err := Open(uri)
	if err != nil {
		t.Fatal(err)
	}
	sum := sha256.Sum256([]byte("a bundle"))
	sig, err := signer.Sign(rand.Reader, sum[:], crypto.SHA256)
	if err != nil {
		t.Fatal(err)
	}
	if pub, ok := signer.Public().(*ecdsa.PublicKey); !ok || !ecdsa.VerifyASN1(pub, sum[:], sig) {
		t.Errorf("the signature of %T does not verify", signer.Public())
	}
	for name, c := range map[string]struct{ old, new, says string }{
		"another key":         {"object=releases", "object=other", `key "other"`},
		"another curve":       {"object=releases", "object=odd", "P-224"},
		"another token":       {"token=lab", "token=labs", `token "labs"`},
		"a library of nobody": {module, "/usr/lib/no.so", "/usr/lib/no.so"},
		"no file":             {k.PINFile, k.PINFile + "x", "pin-source"},
	} {
		if _, err := Open(strings.Replace(uri, c.old, c.new, 1)); err == nil || !strings.Contains(err.Error(), c.says) {
			t.Errorf("%s: %v, want %q", name, err, c.says)
		}
	}
}

func writePIN(t *testing.T, k Key, pin string, mode os.FileMode) {
	t.Helper()
	if err := os.WriteFile(k.PINFile, []byte(pin), mode); err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod(k.PINFile, mode); err != nil {
		t.Fatal(err)
	}
}
