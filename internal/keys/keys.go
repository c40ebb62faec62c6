// Package keys makes, stores and names signing keys.
//
// A private key lies in a PEM file "ENCRYPTED PRIVATE KEY": PKCS#8 (RFC 5958)
// encrypted by PBES2 (RFC 8018) with scrypt (RFC 7914) and AES-256-CBC. OpenSSL
// reads and writes the same form:
//
//	openssl pkey -in NAME                              # print it, after the passphrase
//	openssl pkcs8 -topk8 -scrypt -in OLD -out NAME     # bring a key of your own
//
// Beside NAME lies NAME.pub, the public key as PEM "PUBLIC KEY" (RFC 7468).
// Nothing unencrypted is ever read or written: a key file travels in backups
// and laptops, a passphrase does not.
//
// A key is named by [ID], the digest of its SubjectPublicKeyInfo. Compare keys
// by that and never by their text: the same key can be spelt in many PEM texts.
//
// Accepted are ECDSA on P-256 (the default: it works with every log and tool
// of the Sigstore family) and P-384, Ed25519, and RSA with 3072 or 4096 bits.
package keys

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"fmt"
)

// Generate returns a new ECDSA P-256 key.
func Generate() (crypto.Signer, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, fmt.Errorf("generate key: %w", err)
	}
	return key, nil
}

// checkAlgorithm refuses keys that are weak or that the signature formats in
// use here have no agreed algorithm for.
func checkAlgorithm(pub crypto.PublicKey) error {
	switch k := pub.(type) {
	case *ecdsa.PublicKey:
		if k.Curve == elliptic.P256() || k.Curve == elliptic.P384() {
			return nil
		}
		return fmt.Errorf("ECDSA key on curve %s; use P-256 or P-384", k.Curve.Params().Name)
	case ed25519.PublicKey:
		return nil
	case *rsa.PublicKey:
		// Sigstore's algorithm registry names RSA keys by these exact lengths.
		if bits := k.N.BitLen(); bits != 3072 && bits != 4096 {
			return fmt.Errorf("RSA key of %d bits; use 3072 or 4096", bits)
		}
		return nil
	default:
		return fmt.Errorf("key of type %T; use ECDSA P-256, P-384, Ed25519 or RSA", pub)
	}
}
