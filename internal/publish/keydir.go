package publish

import (
	"cmp"
	"context"
	"crypto"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"sort"
	"strings"

	"github.com/consign-dev/consign/internal/keys"
	"github.com/consign-dev/consign/internal/kms"
	"github.com/consign-dev/consign/internal/pkcs11"
)

// KeyDir is a directory with the keys of one channel.
//
//	<role>.pem, <role>-2.pem ...   encrypted private keys, one per TUF role and holder
//	signing.pem                    the key that signs bundles (release channels)
//	*.pub                          the public halves
//	root.json                      the channel's first root: what readers pin
//	state/                         the newest trusted metadata this publisher has seen
//	commits.json                   what was signed here last, until it is known to stay
//	lock                           held while a command changes the channel
type KeyDir struct {
	Path string
	// Passphrase is asked at most once per command; it is not called when no
	// private key is needed.
	Passphrase func() ([]byte, error)
	// Opened holds the keys that were opened before, by path or URI: to derive a key
	// from a passphrase is slow by design, and a command that signs for fifty
	// devices needs each key once. Nil remembers nothing.
	Opened map[string]crypto.Signer
	// Cost protects keys that are made; 0 is [keys.Standard].
	Cost keys.Cost
}

// load decrypts a key file, or returns what it was before.
func (k KeyDir) load(path string) (crypto.Signer, error) {
	return k.once(path, func() (crypto.Signer, error) { return keys.Load(path, k.Passphrase) })
}

// signing opens the key that signs a bundle: a file, or a key in a token or in a
// KMS by its URI.
func (k KeyDir) signing(ctx context.Context, name string) (crypto.Signer, error) {
	switch {
	case pkcs11.IsURI(name):
		return k.once(name, func() (crypto.Signer, error) { return pkcs11.Open(name) })
	case kms.IsURI(name):
		return k.once(name, func() (crypto.Signer, error) { return kms.Open(ctx, name) })
	default:
		return k.load(name)
	}
}

func (k KeyDir) once(name string, open func() (crypto.Signer, error)) (crypto.Signer, error) {
	if s, ok := k.Opened[name]; ok {
		return s, nil
	}
	s, err := open()
	if err == nil && k.Opened != nil {
		k.Opened[name] = s
	}
	return s, err
}

// SigningKey is the path of the key that signs bundles.
func (k KeyDir) SigningKey() string { return filepath.Join(k.Path, keyFile("signing", 1)) }

func (k KeyDir) rootFile() string { return filepath.Join(k.Path, "root.json") }
func (k KeyDir) stateDir() string { return filepath.Join(k.Path, "state") }
func (k KeyDir) lockFile() string { return filepath.Join(k.Path, "lock") }

func (k KeyDir) journalFile() string { return filepath.Join(k.Path, "commits.json") }

// suppliersDir holds the newest trusted metadata of the release channels that a
// policy names.
func (k KeyDir) suppliersDir() string { return filepath.Join(k.Path, "suppliers") }

func keyFile(role string, n int) string {
	if n == 1 {
		return role + ".pem"
	}
	return fmt.Sprintf("%s-%d.pem", role, n)
}

// ensure returns count keys of a role and makes those that are missing. It
// never replaces one.
func (k KeyDir) ensure(role string, count int) ([]crypto.Signer, error) {
	var out []crypto.Signer
	for n := 1; n <= count; n++ {
		s, err := k.ensureOne(filepath.Join(k.Path, keyFile(role, n)))
		if err != nil {
			return nil, err
		}
		out = append(out, s)
	}
	return out, nil
}

func (k KeyDir) ensureOne(path string) (crypto.Signer, error) {
	if _, err := os.Lstat(path); err == nil {
		return k.load(path)
	}
	pass, err := k.Passphrase()
	if err != nil {
		return nil, err
	}
	s, err := keys.Generate()
	if err != nil {
		return nil, err
	}
	if k.Opened != nil {
		k.Opened[path] = s
	}
	return s, keys.Save(path, s, pass, cmp.Or(k.Cost, keys.Standard))
}

// Signers loads every key of a role that lies in the directory. Keys of a role
// may be spread over several holders, so fewer than the threshold is not an
// error here; the repository refuses an incomplete signature.
func (k KeyDir) Signers(role string) ([]crypto.Signer, error) {
	files, err := k.files(role)
	if err != nil {
		return nil, err
	}
	if len(files) == 0 {
		return nil, fmt.Errorf("no key for role %q in %s: expected %s", role, k.Path, keyFile(role, 1))
	}
	var out []crypto.Signer
	for _, f := range files {
		s, err := k.load(f)
		if err != nil {
			return nil, err
		}
		out = append(out, s)
	}
	return out, nil
}

func (k KeyDir) files(role string) ([]string, error) {
	entries, err := os.ReadDir(k.Path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("key directory %s does not exist; make the channel with 'publisher channel init', or name its keys with --keys", k.Path)
	}
	if err != nil {
		return nil, err
	}
	var files []string
	for _, e := range entries {
		name := e.Name()
		if name == role+".pem" || (strings.HasPrefix(name, role+"-") && strings.HasSuffix(name, ".pem")) {
			files = append(files, filepath.Join(k.Path, name))
		}
	}
	sort.Strings(files)
	return files, nil
}

// Once returns a passphrase source that asks ask at most once.
func Once(ask func() ([]byte, error)) func() ([]byte, error) {
	var (
		done bool
		pass []byte
		err  error
	)
	return func() ([]byte, error) {
		if !done {
			pass, err = ask()
			done = true
		}
		return pass, err
	}
}
