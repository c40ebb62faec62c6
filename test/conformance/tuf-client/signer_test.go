package main

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"testing"

	"github.com/secure-systems-lab/go-securesystemslib/cjson"
	"github.com/theupdateframework/go-tuf/v2/metadata"
)

// signer is a private key with the form in which metadata names its public one.
type signer struct {
	private crypto.Signer
	public  *metadata.Key
	scheme  string
}

// newSigner makes a key of the kind that most repositories use, and the suite.
func newSigner(t testing.TB) *signer { return newSignerOf(t, "ecdsa-sha2-nistp256") }

// newSignerOf makes a key for a signature scheme of TUF 1.0.34 section 4.2.
func newSignerOf(t testing.TB, scheme string) *signer {
	t.Helper()
	var private crypto.Signer
	var err error
	switch scheme {
	case "ecdsa-sha2-nistp256":
		private, err = ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	case "ed25519":
		_, private, err = ed25519.GenerateKey(rand.Reader)
	case "rsassa-pss-sha256":
		private, err = rsa.GenerateKey(rand.Reader, 3072)
	default:
		t.Fatalf("there is no scheme %q", scheme)
	}
	if err != nil {
		t.Fatal(err)
	}
	public, err := metadata.KeyFromPublicKey(private.Public())
	if err != nil {
		t.Fatal(err)
	}
	if scheme == "ecdsa-sha2-nistp256" {
		public.Type = "ecdsa" // as python-tuf writes it; go-tuf's own name is an older one
	}
	return &signer{private: private, public: public, scheme: scheme}
}

// id is the key's id as the specification computes it (section 4.2, KEYID),
// fields that TUF does not know included.
func (s *signer) id(t testing.TB) string {
	t.Helper()
	fresh := *s.public
	id, err := fresh.ID()
	if err != nil {
		t.Fatal(err)
	}
	return id
}

func (s *signer) sign(t testing.TB, payload []byte) []byte {
	t.Helper()
	digest, opts := payload, crypto.SignerOpts(crypto.Hash(0))
	if s.scheme != "ed25519" {
		sum := sha256.Sum256(payload)
		digest, opts = sum[:], crypto.SHA256
	}
	if s.scheme == "rsassa-pss-sha256" {
		opts = &rsa.PSSOptions{SaltLength: rsa.PSSSaltLengthEqualsHash, Hash: crypto.SHA256}
	}
	sig, err := s.private.Sign(rand.Reader, digest, opts)
	if err != nil {
		t.Fatal(err)
	}
	return sig
}

// signed returns doc with a signature of every signer, as a file.
func signed[T metadata.Roles](t testing.TB, doc *metadata.Metadata[T], signers []*signer) []byte {
	t.Helper()
	payload, err := cjson.EncodeCanonical(doc.Signed)
	if err != nil {
		t.Fatal(err)
	}
	doc.Signatures = []metadata.Signature{}
	for _, s := range signers {
		doc.Signatures = append(doc.Signatures, metadata.Signature{KeyID: s.id(t), Signature: s.sign(t, payload)})
	}
	data, err := doc.ToBytes(false)
	if err != nil {
		t.Fatal(err)
	}
	return data
}
