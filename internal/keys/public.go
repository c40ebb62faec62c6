package keys

import (
	"crypto"
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"encoding/hex"
	"encoding/pem"

	"github.com/consign-dev/consign/internal/reason"
)

const publicType = "PUBLIC KEY"

// MarshalPublic returns pub as PEM "PUBLIC KEY" with a trailing newline.
func MarshalPublic(pub crypto.PublicKey) ([]byte, error) {
	der, err := spki(pub)
	if err != nil {
		return nil, err
	}
	return pem.EncodeToMemory(&pem.Block{Type: publicType, Bytes: der}), nil
}

// ParsePublic reads exactly one PEM block "PUBLIC KEY". The error has reason
// malformed or too-large.
func ParsePublic(data []byte) (crypto.PublicKey, error) {
	block, err := onlyBlock(data)
	if err != nil {
		return nil, err
	}
	if block.Type != publicType {
		return nil, reason.New(reason.Malformed, "PEM block is %q where %q is needed", block.Type, publicType)
	}
	pub, err := x509.ParsePKIXPublicKey(block.Bytes)
	if err != nil {
		return nil, reason.New(reason.Malformed, "public key: %w", err)
	}
	if err := checkAlgorithm(pub); err != nil {
		return nil, reason.Wrap(reason.Malformed, err)
	}
	return pub, nil
}

// ID names a key: "sha256:" and the lower case hexadecimal SHA-256 of its
// DER SubjectPublicKeyInfo (RFC 5280 section 4.1.2.7).
func ID(pub crypto.PublicKey) (string, error) {
	sum, err := fingerprint(pub)
	if err != nil {
		return "", err
	}
	return "sha256:" + hex.EncodeToString(sum[:]), nil
}

// Hint is the same digest in the spelling that Sigstore bundles carry as the
// hint of a public key, and that cosign writes: padded standard base64.
func Hint(pub crypto.PublicKey) (string, error) {
	sum, err := fingerprint(pub)
	if err != nil {
		return "", err
	}
	return base64.StdEncoding.EncodeToString(sum[:]), nil
}

func fingerprint(pub crypto.PublicKey) ([sha256.Size]byte, error) {
	der, err := spki(pub)
	if err != nil {
		return [sha256.Size]byte{}, err
	}
	return sha256.Sum256(der), nil
}

func spki(pub crypto.PublicKey) ([]byte, error) {
	if err := checkAlgorithm(pub); err != nil {
		return nil, err
	}
	return x509.MarshalPKIXPublicKey(pub)
}
