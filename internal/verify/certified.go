package verify

import (
	"crypto/x509"
	"encoding/asn1"
	"errors"
	"fmt"
	"slices"
	"strings"

	in_toto "github.com/in-toto/attestation/go/v1"
	protobundle "github.com/sigstore/protobuf-specs/gen/pb-go/bundle/v1"
	"github.com/sigstore/sigstore-go/pkg/bundle"
	"github.com/sigstore/sigstore-go/pkg/fulcio/certificate"
	"github.com/sigstore/sigstore-go/pkg/root"
	sigstore "github.com/sigstore/sigstore-go/pkg/verify"

	"github.com/consign-dev/consign/internal/reason"
	"github.com/consign-dev/consign/policy"
)

// Certified returns the statement of a bundle that was signed with a certificate
// of this instance, and whom the certificate names. The statement is nil for a
// signature on the bytes themselves, which is no evidence of a release. about is
// what either must be about. The refusals are untrusted-signer for a certificate of
// somebody else, identity for one that does not name one subject, wholly, and
// signature for everything that is missing or wrong.
func (r *TrustedRoot) Certified(b *protobundle.Bundle, about sigstore.ArtifactPolicyOption) (*in_toto.Statement, policy.Signer, error) {
	leaf, err := x509.ParseCertificate(leafOf(b.GetVerificationMaterial()))
	if err != nil {
		return nil, policy.Signer{}, reason.New(reason.Malformed, "certificate: %w", err)
	}
	// "Unsafe" leaves the identity to the caller, who asks for more than the library
	// would, and says what it found.
	result, err := r.verify(b, r.material, sigstore.NewPolicy(about, sigstore.WithoutIdentitiesUnsafe()))
	if err == nil && (result.Signature == nil || result.Signature.Certificate == nil) {
		err = errors.New("the verifier names no certificate")
	}
	switch {
	case err != nil && !r.issued(leaf):
		return nil, policy.Signer{}, reason.New(reason.UntrustedSigner, "its certificate (%.200q) is from no authority of the trusted root", leaf.Issuer)
	case err != nil:
		// Libraries quote what they complain about, at any length.
		return nil, policy.Signer{}, reason.New(reason.Signature, "made with a certificate: %.800s", err.Error())
	}
	signer := signerOf(result.Signature.Certificate)
	return result.Statement, signer, wholeSubject(leaf, signer)
}

// leafOf is the signer's certificate: the only one, or the first of a chain, as
// bundles before version 0.3 have it.
func leafOf(m *protobundle.VerificationMaterial) []byte {
	if chain := m.GetX509CertificateChain().GetCertificates(); len(chain) > 0 {
		return chain[0].GetRawBytes()
	}
	return m.GetCertificate().GetRawBytes()
}

// wholeSubject insists that a certificate names one subject, and that nothing of
// it was lost on the way: Go leaves an empty fragment out of a URI, so that the
// branch "main#" would pass for "main" (attack S4).
func wholeSubject(leaf *x509.Certificate, s policy.Signer) error {
	n, err := subjects(leaf)
	if err != nil {
		return reason.New(reason.Malformed, "certificate: %w", err)
	}
	if n != 1 {
		return reason.New(reason.Identity, "the certificate names %d subjects, and exactly one is read", n)
	}
	if by := s.Claims.BuildSignerURI; by != s.Subject && strings.TrimRight(by, "#") == s.Subject {
		return reason.New(reason.Identity, "the certificate is for %.200q, of which its subject leaves a part out", by)
	}
	return nil
}

// issued reports whether an authority of the instance issued a certificate, at
// the time at which that says it begins. It tells signatures that are meant for
// other verifiers from broken ones and decides nothing else.
func (r *TrustedRoot) issued(leaf *x509.Certificate) bool {
	c := *leaf
	// Go knows no otherName, which some subjects are; sigstore-go does.
	c.UnhandledCriticalExtensions = slices.DeleteFunc(slices.Clone(c.UnhandledCriticalExtensions), subjectAltName.Equal)
	_, err := sigstore.VerifyLeafCertificate(c.NotBefore, &c, r.material)
	return err == nil
}

var subjectAltName = asn1.ObjectIdentifier{2, 5, 29, 17} // RFC 5280, 4.2.1.6

// subjects counts the names of a certificate, of whatever kind they are.
func subjects(leaf *x509.Certificate) (int, error) {
	n := 0
	for _, e := range leaf.Extensions {
		if !e.Id.Equal(subjectAltName) {
			continue
		}
		var names []asn1.RawValue
		if rest, err := asn1.Unmarshal(e.Value, &names); err != nil || len(rest) > 0 {
			return 0, fmt.Errorf("subject alternative name: %v, %d bytes too many", err, len(rest))
		}
		n += len(names)
	}
	return n, nil
}

// verify demands of a bundle what every one must have; by is the instance, or one
// with a key beside it.
func (r *TrustedRoot) verify(b *protobundle.Bundle, by root.TrustedMaterial, demands sigstore.PolicyBuilder) (*sigstore.VerificationResult, error) {
	m := b.GetVerificationMaterial()
	if err := checkMaterial(b); err != nil {
		return nil, err
	}
	entity, err := bundle.NewBundle(b)
	if err != nil {
		return nil, err
	}
	v, err := verifierFor(b, by)
	if err != nil {
		return nil, err
	}
	result, err := v.Verify(entity, demands)
	if err != nil {
		return nil, err
	}
	if b.GetDsseEnvelope() != nil && result.Statement == nil {
		return nil, errors.New("the verifier names no statement")
	}
	if err := r.inUse(m.GetTlogEntries(), result.VerifiedTimestamps); err != nil {
		return nil, err
	}
	return result, r.checkWitnesses(m.GetTlogEntries())
}

func signerOf(s *certificate.Summary) policy.Signer {
	return policy.Signer{
		Issuer: s.Extensions.Issuer, Subject: s.SubjectAlternativeName,
		Claims: policy.Claims{
			BuildSignerURI: s.BuildSignerURI, BuildSignerDigest: s.BuildSignerDigest, RunnerEnvironment: s.RunnerEnvironment,
			SourceRepositoryURI: s.SourceRepositoryURI, SourceRepositoryDigest: s.SourceRepositoryDigest,
			SourceRepositoryRef: s.SourceRepositoryRef, SourceRepositoryIdentifier: s.SourceRepositoryIdentifier,
			SourceRepositoryOwnerURI: s.SourceRepositoryOwnerURI, SourceRepositoryOwnerIdentifier: s.SourceRepositoryOwnerIdentifier,
			BuildConfigURI: s.BuildConfigURI, BuildConfigDigest: s.BuildConfigDigest, BuildTrigger: s.BuildTrigger,
			RunInvocationURI: s.RunInvocationURI, SourceRepositoryVisibilityAtSigning: s.SourceRepositoryVisibilityAtSigning,
		},
	}
}
