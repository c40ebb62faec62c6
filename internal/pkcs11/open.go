//go:build pkcs11

package pkcs11

import (
	"crypto"
	"fmt"

	"github.com/ThalesGroup/crypto11"

	"github.com/consign-dev/consign/internal/keys"
)

// Open logs in to the token and returns the key that the URI names. The token
// stays open for as long as the process runs.
func Open(uri string) (crypto.Signer, error) {
	k, err := ParseURI(uri)
	if err != nil {
		return nil, err
	}
	pin, err := readPIN(k.PINFile)
	if err != nil {
		return nil, err
	}
	token, err := crypto11.Configure(&crypto11.Config{Path: k.Module, TokenLabel: k.Token, Pin: pin})
	if err != nil {
		return nil, fmt.Errorf("open token %q by %s: %w", k.Token, k.Module, err)
	}
	signer, err := token.FindKeyPair(nil, []byte(k.Object))
	if err == nil && signer == nil {
		err = fmt.Errorf("there is none")
	}
	if err == nil {
		_, err = keys.ID(signer.Public())
	}
	if err != nil {
		_ = token.Close()
		return nil, fmt.Errorf("key %q in token %q: %w", k.Object, k.Token, err)
	}
	return signer, nil
}
