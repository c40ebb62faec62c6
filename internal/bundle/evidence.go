package bundle

import (
	"fmt"

	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/consign-dev/consign/internal/lazyregexp"
)

// Evidence is the content of an evidence manifest: one Sigstore bundle about a
// subject, stored as cosign stores it, so that its tools find it as a referrer.
type Evidence struct {
	// Subject is the bundle that the evidence is about.
	Subject ocispec.Descriptor
	// Layer is the Sigstore bundle.
	Layer ocispec.Descriptor
	// PredicateType repeats the predicate type of the signed statement for
	// tools that list referrers. It is not signed: judge by the statement.
	PredicateType string
}

const dsseContent = "dsse-envelope"

// predicatePattern is a URI of printable ASCII; 512 bytes hold any in use.
var predicatePattern = lazyregexp.New(`^https?://[!-~]{1,504}$`)

// BuildEvidence returns an evidence manifest.
func BuildEvidence(e Evidence) ([]byte, ocispec.Descriptor, error) {
	if err := e.check(); err != nil {
		return nil, ocispec.Descriptor{}, err
	}
	m := artifact(MediaTypeEvidence, []ocispec.Descriptor{bare(e.Layer)})
	subject := bare(e.Subject)
	m.Subject = &subject
	m.Annotations = map[string]string{
		annotationBundleContent:  dsseContent,
		annotationBundlePredType: e.PredicateType,
	}
	return encodeArtifact(m)
}

// ParseEvidence reads an evidence manifest.
func ParseEvidence(data []byte) (*Evidence, error) {
	m, e, err := readEvidence(data)
	if err != nil {
		return nil, err
	}
	if err := checkKeys("evidence: annotations", m.Annotations, annotationBundleContent, annotationBundlePredType); err != nil {
		return nil, err
	}
	if err := checkKeys("evidence: layers[0]: annotations", m.Layers[0].Annotations); err != nil {
		return nil, err
	}
	return e, nil
}

// ParseReferrer reads evidence as other tools store it, who annotate it as they
// like. It is for listings and for nothing that a device judges.
func ParseReferrer(data []byte) (*Evidence, error) {
	_, e, err := readEvidence(data)
	return e, err
}

func readEvidence(data []byte) (ocispec.Manifest, *Evidence, error) {
	const name = "evidence"
	m, err := parseArtifact(name, MediaTypeEvidence, data)
	if err != nil {
		return m, nil, err
	}
	if m.Subject == nil || len(m.Layers) != 1 {
		return m, nil, malformed("%s: want a subject and exactly one layer", name)
	}
	if got := m.Annotations[annotationBundleContent]; got != dsseContent {
		return m, nil, malformed("%s: %s is %q: want %s", name, annotationBundleContent, got, dsseContent)
	}
	e := &Evidence{Subject: *m.Subject, Layer: m.Layers[0], PredicateType: m.Annotations[annotationBundlePredType]}
	return m, e, e.check()
}

func (e *Evidence) check() error {
	s := e.Subject
	if s.MediaType != ocispec.MediaTypeImageIndex || s.Platform != nil || len(s.Annotations) > 0 {
		return malformed("evidence: subject: want a plain descriptor of a bundle index, not %q", s.MediaType)
	}
	if err := checkDescriptor("evidence: subject", s, MaxManifestBytes); err != nil {
		return err
	}
	if err := CheckPredicateType(e.PredicateType); err != nil {
		return fmt.Errorf("evidence: %w", err)
	}
	return checkLayer("evidence: layer", e.Layer, MediaTypeEvidence, MaxDocumentBytes)
}

// CheckPredicateType refuses what evidence cannot be listed under: anything but
// an http or https URI of printable ASCII (in-toto Attestation Framework v1,
// Statement, predicateType, as far as it is in use).
func CheckPredicateType(text string) error {
	if !predicatePattern.MatchString(text) {
		return malformed("predicate type %.200q: want an http or https URI", text)
	}
	return nil
}
