package keys

import (
	"crypto"
	"fmt"
	"io/fs"
	"os"

	"github.com/consign-dev/consign/internal/durable"
	"github.com/consign-dev/consign/internal/fault"
)

// PublicSuffix is what the name of a public key file adds to its private one.
const PublicSuffix = ".pub"

const (
	privateMode = 0o600
	publicMode  = 0o644
)

// Save writes s, encrypted, to path and its public key to path+".pub". It
// never overwrites: errors.Is(err, fs.ErrExist) when either file is there.
func Save(path string, s crypto.Signer, passphrase []byte, cost Cost) error {
	private, err := Marshal(s, passphrase, cost)
	if err != nil {
		return err
	}
	public, err := MarshalPublic(s.Public())
	if err != nil {
		return err
	}
	// Asked first, so that a left-over public file does not leave half a pair.
	if _, err := os.Lstat(path + PublicSuffix); err == nil {
		return fmt.Errorf("save key: %s: %w", path+PublicSuffix, fs.ErrExist)
	}
	if err := fault.Point("keys.private"); err != nil {
		return err
	}
	if err := durable.CreateExclusive(path, private, privateMode); err != nil {
		return fmt.Errorf("save key: %w", err)
	}
	if err := fault.Point("keys.public"); err != nil {
		return err
	}
	if err := durable.CreateExclusive(path+PublicSuffix, public, publicMode); err != nil {
		return fmt.Errorf("save public key (the private key %s is written): %w", path, err)
	}
	return nil
}

// Load reads the private key at path. The file must be readable by its owner
// only. passphrase is called once, after the file proved to be an encrypted
// key. Every error names the file; it wraps [ErrPassphrase] when the
// passphrase was wrong.
func Load(path string, passphrase func() ([]byte, error)) (crypto.Signer, error) {
	s, err := load(path, passphrase)
	if err != nil {
		return nil, fmt.Errorf("key file %s: %w", path, err)
	}
	return s, nil
}

func load(path string, passphrase func() ([]byte, error)) (crypto.Signer, error) {
	data, err := readPrivate(path)
	if err != nil {
		return nil, err
	}
	if _, err := encrypted(data); err != nil {
		return nil, err
	}
	phrase, err := passphrase()
	if err != nil {
		return nil, fmt.Errorf("passphrase: %w", err)
	}
	return Unmarshal(data, phrase)
}

func readPrivate(path string) ([]byte, error) {
	info, err := os.Lstat(path)
	if err != nil {
		return nil, err
	}
	if wide := info.Mode().Perm() &^ privateMode; info.Mode().IsRegular() && wide != 0 {
		return nil, fmt.Errorf("mode %04o lets others at the key; run 'chmod 600 %s'", info.Mode().Perm(), path)
	}
	return durable.ReadFile(path, MaxBytes)
}

// LoadPublic reads the public key file at path. Every error names the file.
func LoadPublic(path string) (crypto.PublicKey, error) {
	data, err := durable.ReadFile(path, MaxBytes)
	if err != nil {
		return nil, fmt.Errorf("public key file %s: %w", path, err)
	}
	pub, err := ParsePublic(data)
	if err != nil {
		return nil, fmt.Errorf("public key file %s: %w", path, err)
	}
	return pub, nil
}
