package tufrepo

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"fmt"

	"github.com/secure-systems-lab/go-securesystemslib/cjson"
	"github.com/theupdateframework/go-tuf/v2/metadata"
)

// tufKey is go-tuf's KeyFromPublicKey with the scheme that belongs to a P-384
// key; go-tuf writes that of P-256 for every curve.
func tufKey(pub crypto.PublicKey) (*metadata.Key, error) {
	key, err := metadata.KeyFromPublicKey(pub)
	if err != nil {
		return nil, err
	}
	if k, ok := pub.(*ecdsa.PublicKey); ok {
		switch k.Curve {
		case elliptic.P256():
		case elliptic.P384():
			key.Scheme = metadata.KeySchemeECDSA_SHA2_P384
		default:
			return nil, fmt.Errorf("ECDSA key on %s: want P-256 or P-384", k.Curve.Params().Name)
		}
	}
	return key, nil
}

// keyID is the TUF key id: the SHA-256 of the key's canonical JSON (TUF 1.0.34
// section 4.2).
func keyID(pub crypto.PublicKey) (string, error) {
	key, err := tufKey(pub)
	if err != nil {
		return "", err
	}
	return key.ID()
}

// signature signs the canonical JSON of a document's signed part. The signer
// may live elsewhere: only its Public and Sign are used.
func signature(s crypto.Signer, signed any) (metadata.Signature, error) {
	key, err := tufKey(s.Public())
	if err != nil {
		return metadata.Signature{}, err
	}
	id, err := key.ID()
	if err != nil {
		return metadata.Signature{}, err
	}
	payload, err := cjson.EncodeCanonical(signed)
	if err != nil {
		return metadata.Signature{}, err
	}
	sum, opts := digestFor(key.Scheme, payload)
	sig, err := s.Sign(rand.Reader, sum, opts)
	return metadata.Signature{KeyID: id, Signature: sig}, err
}

// digestFor returns what a scheme signs, and how.
func digestFor(scheme string, payload []byte) ([]byte, crypto.SignerOpts) {
	hash := crypto.SHA256
	switch scheme {
	case metadata.KeySchemeEd25519:
		return payload, crypto.Hash(0)
	case metadata.KeySchemeECDSA_SHA2_P384:
		hash = crypto.SHA384
	}
	h := hash.New()
	h.Write(payload)
	if scheme == metadata.KeySchemeRSASSA_PSS_SHA256 {
		return h.Sum(nil), &rsa.PSSOptions{SaltLength: rsa.PSSSaltLengthEqualsHash, Hash: hash}
	}
	return h.Sum(nil), hash
}
