package verify

import (
	"crypto/x509"
	"encoding/asn1"
	"encoding/hex"
	"fmt"
	"slices"
	"time"

	in_toto "github.com/in-toto/attestation/go/v1"
	protobundle "github.com/sigstore/protobuf-specs/gen/pb-go/bundle/v1"
	protorekor "github.com/sigstore/protobuf-specs/gen/pb-go/rekor/v1"
	"github.com/sigstore/sigstore-go/pkg/bundle"
	"github.com/sigstore/sigstore-go/pkg/fulcio/certificate"
	sigstore "github.com/sigstore/sigstore-go/pkg/verify"

	"github.com/consign-dev/consign/internal/reason"
	"github.com/consign-dev/consign/policy"
)

// maxMaterial bounds the log entries and the timestamps of one bundle: each
// costs public-key operations, and one of either is what tools write (attack S15).
const maxMaterial = 8

// certified returns the statement of a bundle that was signed with a certificate
// of this instance, and whom the certificate names. The refusals are
// untrusted-signer for a certificate of somebody else, and signature for
// everything that is missing or wrong.
func (r *TrustedRoot) certified(b *protobundle.Bundle) (*in_toto.Statement, policy.Signer, error) {
	leaf, err := x509.ParseCertificate(b.GetVerificationMaterial().GetCertificate().GetRawBytes())
	if err != nil {
		return nil, policy.Signer{}, reason.New(reason.Malformed, "certificate: %w", err)
	}
	statement, summary, err := r.verify(b)
	switch {
	case err != nil && !r.issued(leaf):
		return nil, policy.Signer{}, reason.New(reason.UntrustedSigner, "its certificate (%.200q) is from no authority of the trusted root", leaf.Issuer)
	case err != nil:
		return nil, policy.Signer{}, reason.New(reason.Signature, "made with a certificate: %w", err)
	}
	if n := subjects(leaf); n > 1 {
		return nil, policy.Signer{}, reason.New(reason.Identity, "the certificate names %d subjects, and exactly one is read", n)
	}
	return statement, signerOf(summary), nil
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

func subjects(leaf *x509.Certificate) int {
	return len(leaf.URIs) + len(leaf.EmailAddresses) + len(leaf.DNSNames) + len(leaf.IPAddresses)
}

func (r *TrustedRoot) verify(b *protobundle.Bundle) (*in_toto.Statement, *certificate.Summary, error) {
	m := b.GetVerificationMaterial()
	if n := max(len(m.GetTlogEntries()), len(m.GetTimestampVerificationData().GetRfc3161Timestamps())); n > maxMaterial {
		return nil, nil, fmt.Errorf("%d log entries or timestamps, at most %d are read", n, maxMaterial)
	}
	entity, err := bundle.NewBundle(b)
	if err != nil {
		return nil, nil, err
	}
	v, err := r.verifierFor(b)
	if err != nil {
		return nil, nil, err
	}
	// "Unsafe" leaves subject and identity to the caller, who asks for more than
	// the library would, and says what it found.
	result, err := v.Verify(entity, sigstore.NewPolicy(sigstore.WithoutArtifactUnsafe(), sigstore.WithoutIdentitiesUnsafe()))
	if err != nil {
		return nil, nil, err
	}
	if err := r.inUse(m.GetTlogEntries(), result.VerifiedTimestamps); err != nil {
		return nil, nil, err
	}
	if result.Signature == nil || result.Signature.Certificate == nil || result.Statement == nil {
		return nil, nil, fmt.Errorf("the verifier names no certificate or no statement")
	}
	return result.Statement, result.Signature.Certificate, nil
}

// inUse insists that the logs of a bundle's entries were in use when it was
// signed. The library looks at the times of certificate logs and authorities, and
// not at those of logs whose entries have no time of their own (Rekor v2).
func (r *TrustedRoot) inUse(entries []*protorekor.TransparencyLogEntry, times []sigstore.TimestampVerificationResult) error {
	logs := r.material.RekorLogs()
	for _, e := range entries {
		log, known := logs[hex.EncodeToString(e.GetLogId().GetKeyId())]
		if !known {
			continue // it did not count
		}
		for _, at := range times {
			if at.Timestamp.Before(log.ValidityPeriodStart) || !log.ValidityPeriodEnd.IsZero() && at.Timestamp.After(log.ValidityPeriodEnd) {
				return fmt.Errorf("the transparency log %s was not in use at %s", log.BaseURL, at.Timestamp.UTC().Format(time.RFC3339))
			}
		}
	}
	return nil
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
