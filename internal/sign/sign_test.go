package sign_test

import (
	"context"
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"encoding/hex"
	"encoding/json"
	"strings"
	"testing"
	"time"

	"github.com/opencontainers/go-digest"
	"github.com/sigstore/sigstore-go/pkg/bundle"
	"github.com/sigstore/sigstore-go/pkg/root"
	"github.com/sigstore/sigstore-go/pkg/verify"
	"github.com/sigstore/sigstore/pkg/signature"

	"github.com/consign-dev/consign/internal/keys"
	"github.com/consign-dev/consign/internal/sign"
)

var subject = sign.Subject{Name: "line-monitor/1.4.0", Digest: digest.FromString("a bundle")}

func must[T any](v T, err error) T {
	if err != nil {
		panic(err)
	}
	return v
}

func signers(t *testing.T) map[string]crypto.Signer {
	t.Helper()
	_, ed, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	return map[string]crypto.Signer{
		"P-256":    must(keys.Generate()),
		"P-384":    must(ecdsa.GenerateKey(elliptic.P384(), rand.Reader)),
		"Ed25519":  ed,
		"RSA 3072": must(rsa.GenerateKey(rand.Reader, 3072)),
	}
}

// The upstream verifier, set up by its own rules and with none of our code,
// accepts the bundle for its artifact digest and for no other.
func TestSigstoreAcceptsTheBundle(t *testing.T) {
	for name, s := range signers(t) {
		t.Run(name, func(t *testing.T) {
			data, err := sign.Bundle(context.Background(), subject, sign.Key{Private: s})
			if err != nil {
				t.Fatal(err)
			}
			result, err := upstream(t, data, s.Public(), subject.Digest)
			if err != nil {
				t.Fatal(err)
			}
			st := result.Statement
			if st.PredicateType != sign.PredicateType || len(st.Subject) != 1 || st.Subject[0].Name != subject.Name {
				t.Errorf("statement %v", st)
			}
			if string(*result.Signature.PublicKeyID) != must(keys.Hint(s.Public())) {
				t.Errorf("hint %q", *result.Signature.PublicKeyID)
			}
			if _, err := upstream(t, data, s.Public(), digest.FromString("another bundle")); err == nil {
				t.Error("accepted for another artifact")
			}
			if _, err := upstream(t, data, must(keys.Generate()).Public(), subject.Digest); err == nil {
				t.Error("accepted under another key")
			}
		})
	}
}

func upstream(t *testing.T, data []byte, pub crypto.PublicKey, d digest.Digest) (*verify.VerificationResult, error) {
	t.Helper()
	var b bundle.Bundle
	if err := b.UnmarshalJSON(data); err != nil {
		t.Fatal(err)
	}
	key := root.NewExpiringKey(must(signature.LoadDefaultVerifier(pub)), time.Time{}, time.Time{})
	material := root.NewTrustedPublicKeyMaterial(func(string) (root.TimeConstrainedVerifier, error) { return key, nil })
	v := must(verify.NewVerifier(material, verify.WithNoObserverTimestamps()))
	return v.Verify(&b, verify.NewPolicy(verify.WithArtifactDigest("sha256", must(hex.DecodeString(d.Encoded()))), verify.WithKey()))
}

// What cosign looks for: version, key hint, one DSSE signature, its predicate.
func TestBundleHasTheFormThatCosignMakes(t *testing.T) {
	data := must(sign.Bundle(context.Background(), subject, sign.Key{Private: must(keys.Generate())}))
	var b struct {
		MediaType            string
		VerificationMaterial map[string]json.RawMessage
		DsseEnvelope         struct {
			PayloadType string
			Payload     []byte
			Signatures  []struct{ Sig []byte }
		}
	}
	if err := json.Unmarshal(data, &b); err != nil {
		t.Fatal(err)
	}
	if b.MediaType != sign.MediaType || b.DsseEnvelope.PayloadType != sign.PayloadType || len(b.DsseEnvelope.Signatures) != 1 {
		t.Errorf("bundle %s", data)
	}
	if len(b.VerificationMaterial) != 1 || b.VerificationMaterial["publicKey"] == nil {
		t.Errorf("verification material %v, want a public key hint and nothing else", b.VerificationMaterial)
	}
	want := `{"_type":"https://in-toto.io/Statement/v1","subject":[{"name":"line-monitor/1.4.0","digest":{"sha256":"` +
		subject.Digest.Encoded() + `"}}],"predicateType":"https://sigstore.dev/cosign/sign/v1","predicate":{}}`
	if string(b.DsseEnvelope.Payload) != want {
		t.Errorf("statement %s", b.DsseEnvelope.Payload)
	}
	if strings.ContainsAny(string(data), " \n") {
		t.Error("white space in the bundle varies between builds")
	}
}

func TestBundleRefusesWhatNobodyCouldVerify(t *testing.T) {
	good := must(keys.Generate())
	for name, c := range map[string]struct {
		s   sign.Subject
		key crypto.Signer
	}{
		"no name":   {sign.Subject{Digest: subject.Digest}, good},
		"no digest": {sign.Subject{Name: "a/1.0.0"}, good},
		"sha512":    {sign.Subject{Name: "a/1.0.0", Digest: digest.SHA512.FromString("x")}, good},
		"weak key":  {subject, must(rsa.GenerateKey(rand.Reader, 2048))},
	} {
		if _, err := sign.Bundle(context.Background(), c.s, sign.Key{Private: c.key}); err == nil {
			t.Errorf("%s: signed", name)
		}
	}
}
