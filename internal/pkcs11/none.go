//go:build !pkcs11

package pkcs11

import (
	"crypto"
	"errors"
)

// Open says that this build cannot.
func Open(string) (crypto.Signer, error) {
	return nil, errors.New("this build loads no PKCS#11 module: make one with 'make publisher-pkcs11', which needs a C compiler")
}
