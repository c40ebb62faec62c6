package sign

import (
	"context"
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/rand"
	"crypto/rsa"
	"fmt"

	protocommon "github.com/sigstore/protobuf-specs/gen/pb-go/common/v1"
	"github.com/sigstore/sigstore-go/pkg/sign"
	"github.com/sigstore/sigstore/pkg/signature"

	"github.com/consign-dev/consign/internal/keys"
)

// keypair is a crypto.Signer as sigstore-go wants it. It asks nothing else of
// the signer, so a key in a token or a TPM will do as well as one in a file.
type keypair struct {
	signer    crypto.Signer
	algorithm signature.AlgorithmDetails
	hint      string
}

var _ sign.Keypair = (*keypair)(nil)

// newKeypair chooses the algorithm that Sigstore verifiers assume for a key of
// this kind: SHA-256 or SHA-384 by curve, plain Ed25519, RSA PKCS #1 v1.5 with
// SHA-256.
func newKeypair(s crypto.Signer) (*keypair, error) {
	hint, err := keys.Hint(s.Public())
	if err != nil {
		return nil, err
	}
	details, err := signature.GetDefaultAlgorithmDetails(s.Public())
	if err != nil {
		return nil, fmt.Errorf("choose signature algorithm: %w", err)
	}
	return &keypair{signer: s, algorithm: details, hint: hint}, nil
}

func (k *keypair) GetHashAlgorithm() protocommon.HashAlgorithm { return k.algorithm.GetProtoHashType() }

func (k *keypair) GetSigningAlgorithm() protocommon.PublicKeyDetails {
	return k.algorithm.GetSignatureAlgorithm()
}

func (k *keypair) GetHint() []byte { return []byte(k.hint) }

func (k *keypair) GetKeyAlgorithm() string {
	switch k.signer.Public().(type) {
	case *ecdsa.PublicKey:
		return "ECDSA"
	case *rsa.PublicKey:
		return "RSA"
	case ed25519.PublicKey:
		return "ED25519"
	default:
		return ""
	}
}

func (k *keypair) GetPublicKey() crypto.PublicKey { return k.signer.Public() }

func (k *keypair) GetPublicKeyPem() (string, error) {
	text, err := keys.MarshalPublic(k.signer.Public())
	return string(text), err
}

// SignData returns the signature and what was given to the key: the digest of
// data, or data itself for Ed25519, which hashes on its own.
func (k *keypair) SignData(_ context.Context, data []byte) (sig, signed []byte, err error) {
	hash := k.algorithm.GetHashType()
	signed = data
	if hash != crypto.Hash(0) {
		h := hash.New()
		h.Write(data)
		signed = h.Sum(nil)
	}
	sig, err = k.signer.Sign(rand.Reader, signed, hash)
	return sig, signed, err
}
