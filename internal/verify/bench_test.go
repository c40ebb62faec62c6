package verify_test

import (
	"encoding/hex"
	"testing"

	"github.com/sigstore/sigstore-go/pkg/bundle"
	"github.com/sigstore/sigstore-go/pkg/root"
	sigstore "github.com/sigstore/sigstore-go/pkg/verify"

	"github.com/consign-dev/consign/internal/verify"
)

// BenchmarkCertified is what a device does with one piece of evidence, from its
// bytes to its signer.
func BenchmarkCertified(b *testing.B) {
	data := golden(b, "tag")
	trusted, err := verify.ParseTrustedRoot(golden(b, "trusted_root"))
	if err != nil {
		b.Fatal(err)
	}
	accepted := verify.Accepted{Roots: map[string]*verify.TrustedRoot{"private": trusted}}
	for b.Loop() {
		e, err := verify.ParseEvidence(data)
		if err != nil {
			b.Fatal(err)
		}
		if _, err := e.CheckSignature(signed, accepted); err != nil {
			b.Fatal(err)
		}
	}
}

// BenchmarkBareSigstore is the library alone, on the same bytes.
func BenchmarkBareSigstore(b *testing.B) {
	data := golden(b, "tag")
	trusted, err := root.NewTrustedRootFromJSON(golden(b, "trusted_root"))
	if err != nil {
		b.Fatal(err)
	}
	v, err := sigstore.NewVerifier(trusted, sigstore.WithSignedCertificateTimestamps(1), sigstore.WithTransparencyLog(1), sigstore.WithSignedTimestamps(1))
	if err != nil {
		b.Fatal(err)
	}
	identity, err := sigstore.NewShortCertificateIdentity(issuerOf("github"), "", "", `^https://git\.example\.test/acme/hello/.*$`)
	if err != nil {
		b.Fatal(err)
	}
	want := sigstore.NewPolicy(sigstore.WithArtifactDigest("sha256", ok(hex.DecodeString(signed.Digest.Encoded()))), sigstore.WithCertificateIdentity(identity))
	for b.Loop() {
		var parsed bundle.Bundle
		if err := parsed.UnmarshalJSON(data); err != nil {
			b.Fatal(err)
		}
		if _, err := v.Verify(&parsed, want); err != nil {
			b.Fatal(err)
		}
	}
}
