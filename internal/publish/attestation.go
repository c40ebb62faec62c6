package publish

import (
	"encoding/base64"
	"encoding/json"
	"fmt"

	"github.com/opencontainers/go-digest"

	"github.com/consign-dev/consign/internal/bundle"
	"github.com/consign-dev/consign/internal/durable"
	"github.com/consign-dev/consign/internal/provenance"
	"github.com/consign-dev/consign/internal/reason"
	"github.com/consign-dev/consign/internal/sbom"
	"github.com/consign-dev/consign/internal/sign"
	"github.com/consign-dev/consign/internal/verify"
	"github.com/consign-dev/consign/policy"
)

// Attestation is what is said of a release beside its signature: an in-toto
// statement, which is signed as the bundle is, or a Sigstore bundle with one that
// somebody else has signed, such as the builder; or somebody else's signature.
type Attestation struct {
	// file is where it is from, for messages.
	file string
	data []byte
	said verify.Unverified
	// predicate, if not nil, makes the predicate of a statement about the bundle,
	// which has no data before.
	predicate func(b *bundle.Bundle, whole digest.Digest) (json.RawMessage, error)
}

// signatureRoom is what a Sigstore bundle has beside the statement: certificate,
// log entry, timestamp.
const signatureRoom = 24 << 10

// maxSBOMFile bounds an SBOM with its white space, which is not kept.
const maxSBOMFile = 4 << 20

// ReadAttestation reads an attestation from a file. predicateType, if not "", is
// the only one that is taken.
func ReadAttestation(file, predicateType string) (Attestation, error) {
	data, err := durable.ReadFile(file, verify.MaxSignatureBytes)
	if err != nil {
		return Attestation{}, fmt.Errorf("read attestation: %w", err)
	}
	a, err := attestation(file, data)
	if err == nil && predicateType != "" && a.said.PredicateType != predicateType {
		err = reason.New(reason.Attestation, "%s: predicateType %.200q, want %s", file, a.said.PredicateType, predicateType)
	}
	return a, err
}

// ReadSignature reads, from a file, the Sigstore bundle with a signature that
// somebody else has made, such as one of "cosign sign". It is attached as it is:
// devices judge it by the rules for signatures.
func ReadSignature(file string) (Attestation, error) {
	data, err := durable.ReadFile(file, verify.MaxSignatureBytes)
	if err != nil {
		return Attestation{}, fmt.Errorf("read signature: %w", err)
	}
	a, err := newAttestation(file, data)
	said := a.said
	switch {
	case err != nil:
		return Attestation{}, err
	case !said.Signed:
		return Attestation{}, reason.New(reason.Signature, "%s is a bare statement: want a Sigstore bundle that holds a signature", file)
	case said.PredicateType != sign.PredicateType:
		return Attestation{}, reason.New(reason.Signature, "%s: predicateType %.200q, a signature has %s: attach it with --attestation", file, said.PredicateType, sign.PredicateType)
	case len(said.Subjects) != 1:
		return Attestation{}, reason.New(reason.Signature, "%s is about %d subjects: a signature is about one bundle", file, len(said.Subjects))
	}
	return a, nil
}

// ReadSBOM reads an SBOM from a file: a document of SPDX 2.3 or 2.2 or of
// CycloneDX 1.2 to 1.7, as JSON, which will be about the bundle, or an attestation
// that holds one.
func ReadSBOM(file string) (Attestation, error) {
	data, err := durable.ReadFile(file, maxSBOMFile)
	if err != nil {
		return Attestation{}, fmt.Errorf("read SBOM: %w", err)
	}
	predicateType, none := policy.SBOMType(data)
	if none == nil {
		return made(file, predicateType, func(*bundle.Bundle, digest.Digest) (json.RawMessage, error) { return data, nil }), nil
	}
	a, err := attestation(file, data)
	if err != nil {
		return Attestation{}, fmt.Errorf("%s is neither an SBOM (%w) nor an attestation of one (%w)", file, none, err)
	}
	return a, a.checkSBOM()
}

// checkSBOM refuses what no device would read as an SBOM.
func (a Attestation) checkSBOM() error {
	if !policy.IsSBOM(a.said.PredicateType) {
		return reason.New(reason.Attestation, "%s: predicateType %.200q, want that of an SBOM, such as %s", a.file, a.said.PredicateType, policy.CycloneDX)
	}
	if _, err := policy.SBOMType(a.said.Predicate); err != nil {
		return fmt.Errorf("%s: %w", a.file, err)
	}
	return nil
}

// Provenance says that a run of a pipeline packs the bundle.
func Provenance(run provenance.Run) Attestation {
	return made("the provenance of this job", policy.SLSAProvenance, func(b *bundle.Bundle, _ digest.Digest) (json.RawMessage, error) { return run.Of(b) })
}

func made(file, predicateType string, predicate func(*bundle.Bundle, digest.Digest) (json.RawMessage, error)) Attestation {
	return Attestation{file: file, said: verify.Unverified{PredicateType: predicateType}, predicate: predicate}
}

// newAttestation reads a statement or a Sigstore bundle, a signature as well.
func newAttestation(file string, data []byte) (Attestation, error) {
	said, err := verify.ReadUnverified(data)
	if err == nil {
		err = bundle.CheckPredicateType(said.PredicateType)
	}
	if err != nil {
		return Attestation{}, fmt.Errorf("%s: %w", file, err)
	}
	return Attestation{file: file, data: data, said: said}, nil
}

// attestation reads what says more than a signature, and can be signed.
func attestation(file string, data []byte) (Attestation, error) {
	a, err := newAttestation(file, data)
	switch {
	case err != nil:
		return Attestation{}, err
	case a.said.PredicateType == sign.PredicateType:
		return Attestation{}, reason.New(reason.Attestation, "%s is a signature, and says nothing else about its subject: attach it with --signature", file)
	case a.size() > verify.MaxSignatureBytes:
		return Attestation{}, reason.New(reason.TooLarge, "%s has %d bytes: signed, it would be longer than the %d bytes that devices read", file, len(data), verify.MaxSignatureBytes)
	}
	return a, nil
}

// size is how many bytes it has when it is signed, at most.
func (a Attestation) size() int {
	if a.said.Signed {
		return len(a.data)
	}
	return base64.StdEncoding.EncodedLen(len(a.data)) + signatureRoom
}

// checkSize refuses more than devices read of a release that has some already.
func checkSize(listed int, list []Attestation) error {
	for _, a := range list {
		listed += a.size()
	}
	if listed > verify.MaxEvidenceBytes {
		return reason.New(reason.TooLarge, "all evidence together would have some %d bytes, at most %d are read", listed, verify.MaxEvidenceBytes)
	}
	return nil
}

// bind makes what is still to be made, and insists that all of it is about the
// bundle or a part of it.
func bind(list []Attestation, b *bundle.Bundle, subject sign.Subject) ([]Attestation, error) {
	var out []Attestation
	for _, a := range list {
		if a.predicate != nil {
			var err error
			if a, err = a.about(b, subject); err != nil {
				return nil, err
			}
		}
		if err := a.concerns(b, subject.Digest); err != nil {
			return nil, err
		}
		out = append(out, a)
	}
	return out, nil
}

func (a Attestation) about(b *bundle.Bundle, subject sign.Subject) (Attestation, error) {
	predicate, err := a.predicate(b, subject.Digest)
	if err != nil {
		return Attestation{}, fmt.Errorf("%s: %w", a.file, err)
	}
	data, err := sign.Statement(subject, a.said.PredicateType, predicate)
	if err != nil {
		return Attestation{}, fmt.Errorf("%s: %w", a.file, err)
	}
	return attestation(a.file, data)
}

// withSBOM adds the SBOM of the bundle's own parts where no other is given.
func withSBOM(list []Attestation) []Attestation {
	for _, a := range list {
		if policy.IsSBOM(a.said.PredicateType) {
			return list
		}
	}
	return append(list[:len(list):len(list)], made("the SBOM of the bundle", policy.CycloneDX, sbom.Of))
}
