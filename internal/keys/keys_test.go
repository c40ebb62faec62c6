package keys_test

import (
	"bytes"
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/base64"
	"encoding/hex"
	"encoding/pem"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/consign-dev/consign/internal/keys"
	"github.com/consign-dev/consign/internal/reason"
)

var phrase = []byte("correct horse")

func generate(t testing.TB) crypto.Signer {
	t.Helper()
	s, err := keys.Generate()
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func must[T any](v T, err error) T {
	if err != nil {
		panic(err)
	}
	return v
}

func TestSavedKeyIsTheKeyThatWasSaved(t *testing.T) {
	s := generate(t)
	path := filepath.Join(t.TempDir(), "signing.pem")
	if err := keys.Save(path, s, phrase, keys.Standard); err != nil {
		t.Fatal(err)
	}
	asked := 0
	got, err := keys.Load(path, func() ([]byte, error) { asked++; return phrase, nil })
	if err != nil {
		t.Fatal(err)
	}
	if !got.(*ecdsa.PrivateKey).Equal(s) || asked != 1 {
		t.Errorf("another key, or the passphrase was asked %d times", asked)
	}
	pub, err := keys.LoadPublic(path + keys.PublicSuffix)
	if err != nil {
		t.Fatal(err)
	}
	if !s.Public().(*ecdsa.PublicKey).Equal(pub) {
		t.Error("another public key")
	}
	for name, want := range map[string]fs.FileMode{path: 0o600, path + ".pub": 0o644} {
		if info := must(os.Stat(name)); info.Mode() != want {
			t.Errorf("%s has mode %v, want %v", name, info.Mode(), want)
		}
	}
	if bytes.Contains(must(os.ReadFile(path)), must(x509.MarshalPKCS8PrivateKey(s))) {
		t.Error("the file holds the plain key")
	}
}

func TestSaveNeverOverwrites(t *testing.T) {
	s := generate(t)
	for _, there := range []string{"k.pem", "k.pem.pub"} {
		dir := t.TempDir()
		if err := os.WriteFile(filepath.Join(dir, there), []byte("mine"), 0o600); err != nil {
			t.Fatal(err)
		}
		if err := keys.Save(filepath.Join(dir, "k.pem"), s, phrase, keys.Standard); !errors.Is(err, fs.ErrExist) {
			t.Errorf("with %s there: %v, want fs.ErrExist", there, err)
		}
		if entries := must(os.ReadDir(dir)); len(entries) != 1 || string(must(os.ReadFile(filepath.Join(dir, there)))) != "mine" {
			t.Errorf("with %s there: the directory changed", there)
		}
	}
}

func TestLoadRefusesWithAdvice(t *testing.T) {
	s := generate(t)
	dir := t.TempDir()
	good := must(keys.Marshal(s, phrase, keys.Standard))
	write := func(name string, data []byte, mode fs.FileMode) string {
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, data, mode); err != nil {
			t.Fatal(err)
		}
		if err := os.Chmod(path, mode); err != nil {
			t.Fatal(err)
		}
		return path
	}
	link := filepath.Join(dir, "link.pem")
	if err := os.Symlink(write("real.pem", good, 0o600), link); err != nil {
		t.Fatal(err)
	}
	plain := pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: must(x509.MarshalPKCS8PrivateKey(s))})
	sec1 := pem.EncodeToMemory(&pem.Block{Type: "EC PRIVATE KEY", Bytes: must(x509.MarshalECPrivateKey(s.(*ecdsa.PrivateKey)))})
	for name, c := range map[string]struct{ path, want string }{
		"plain PKCS#8":   {write("plain.pem", plain, 0o600), "openssl pkcs8 -topk8 -scrypt"},
		"SEC 1":          {write("sec1.pem", sec1, 0o600), "openssl pkcs8 -topk8 -scrypt"},
		"public key":     {write("pub.pem", must(keys.MarshalPublic(s.Public())), 0o600), "this is a public key"},
		"group readable": {write("wide.pem", good, 0o640), "chmod 600"},
		"executable":     {write("exec.pem", good, 0o700), "chmod 600"},
		"two keys":       {write("two.pem", append(bytes.Clone(good), good...), 0o600), "more than one"},
		"text before":    {write("before.pem", append([]byte("note\n"), good...), 0o600), "not a PEM file"},
		"huge":           {write("huge.pem", bytes.Repeat([]byte("x"), keys.MaxBytes+1), 0o600), "longer than"},
		"missing":        {filepath.Join(dir, "none.pem"), "no such file"},
		"symbolic link":  {link, "symbolic link"},
		"directory":      {dir, "not a regular file"},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := keys.Load(c.path, func() ([]byte, error) {
				t.Error("the passphrase was asked for")
				return phrase, nil
			})
			if err == nil || !strings.Contains(err.Error(), c.want) || !strings.Contains(err.Error(), c.path) {
				t.Errorf("error %v, want it to name %s and say %q", err, c.path, c.want)
			}
		})
	}
}

func TestWrongPassphraseNamesTheFile(t *testing.T) {
	path := filepath.Join(t.TempDir(), "k.pem")
	if err := keys.Save(path, generate(t), phrase, keys.Standard); err != nil {
		t.Fatal(err)
	}
	for _, p := range []string{"", "wrong"} {
		_, err := keys.Load(path, func() ([]byte, error) { return []byte(p), nil })
		if !errors.Is(err, keys.ErrPassphrase) || !strings.Contains(err.Error(), path) {
			t.Errorf("passphrase %q: %v", p, err)
		}
	}
	prompt := errors.New("no terminal")
	if _, err := keys.Load(path, func() ([]byte, error) { return nil, prompt }); !errors.Is(err, prompt) {
		t.Errorf("a failed prompt gives %v", err)
	}
	if _, err := keys.Marshal(generate(t), nil, keys.Standard); err == nil {
		t.Error("a key was written without a passphrase")
	}
}

func TestAlgorithms(t *testing.T) {
	_, ed, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	for name, c := range map[string]struct {
		key crypto.Signer
		ok  bool
	}{
		"P-256":    {generate(t), true},
		"P-384":    {must(ecdsa.GenerateKey(elliptic.P384(), rand.Reader)), true},
		"P-521":    {must(ecdsa.GenerateKey(elliptic.P521(), rand.Reader)), false},
		"Ed25519":  {ed, true},
		"RSA 2048": {must(rsa.GenerateKey(rand.Reader, 2048)), false},
		"RSA 3072": {must(rsa.GenerateKey(rand.Reader, 3072)), true},
	} {
		t.Run(name, func(t *testing.T) {
			der := must(x509.MarshalPKIXPublicKey(c.key.Public()))
			_, err := keys.ParsePublic(pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: der}))
			if c.ok != (err == nil) || (err != nil && !reason.Is(err, reason.Malformed)) {
				t.Fatalf("ParsePublic: %v", err)
			}
			data, err := keys.Marshal(c.key, phrase, keys.Standard)
			if c.ok != (err == nil) {
				t.Fatalf("Marshal: %v", err)
			}
			if !c.ok {
				return
			}
			back, err := keys.Unmarshal(data, phrase)
			if err != nil {
				t.Fatal(err)
			}
			if !back.(interface{ Equal(crypto.PrivateKey) bool }).Equal(c.key) {
				t.Error("another key came back")
			}
		})
	}
}

// One key in two spellings must not count as two (attack T12).
func TestIDDependsOnTheKeyAndNotOnItsText(t *testing.T) {
	s := generate(t)
	text := must(keys.MarshalPublic(s.Public()))
	folded := strings.ReplaceAll(string(text), "\n", "\r\n") + "\n\n"
	a, b := must(keys.ParsePublic(text)), must(keys.ParsePublic([]byte(folded)))
	ida, idb := must(keys.ID(a)), must(keys.ID(b))
	if ida != idb || len(ida) != len("sha256:")+64 {
		t.Errorf("ids %q and %q", ida, idb)
	}
	sum := must(base64.StdEncoding.DecodeString(must(keys.Hint(a))))
	if "sha256:"+hex.EncodeToString(sum) != ida {
		t.Error("hint and id are not the same digest")
	}
}

func FuzzUnmarshal(f *testing.F) {
	s := generate(f)
	good := must(keys.Marshal(s, phrase, keys.Standard))
	f.Add(good)
	f.Add(must(keys.MarshalPublic(s.Public())))
	block, _ := pem.Decode(good)
	for _, at := range []int{2, 30, 60, len(block.Bytes) / 2} {
		bad := bytes.Clone(block.Bytes)
		bad[at] ^= 1
		f.Add(pem.EncodeToMemory(&pem.Block{Type: block.Type, Bytes: bad}))
	}
	f.Add(pem.EncodeToMemory(&pem.Block{Type: block.Type, Bytes: block.Bytes[:len(block.Bytes)-1]}))
	f.Fuzz(func(t *testing.T, data []byte) {
		if got, err := keys.Unmarshal(data, []byte("another")); err == nil {
			t.Errorf("opened %T with a wrong passphrase", got)
		}
	})
}

func FuzzParsePublic(f *testing.F) {
	f.Add(must(keys.MarshalPublic(generate(f).Public())))
	f.Add([]byte("-----BEGIN PUBLIC KEY-----\nAAAA\n-----END PUBLIC KEY-----\n"))
	f.Fuzz(func(t *testing.T, data []byte) {
		pub, err := keys.ParsePublic(data)
		if err != nil {
			return
		}
		again, err := keys.ParsePublic(must(keys.MarshalPublic(pub)))
		if err != nil || must(keys.ID(again)) != must(keys.ID(pub)) {
			t.Errorf("a key does not survive: %v", err)
		}
	})
}
