package policy

import (
	"fmt"
	"regexp"
	"slices"

	"github.com/consign-dev/consign/internal/reason"
)

// maxAttestations bounds the rules of one application.
const maxAttestations = 16

// What an attestation is about.
const (
	// AboutBundle: one of its subjects is the bundle.
	AboutBundle = "bundle"
	// AboutImages: each image of the bundle is a subject of one.
	AboutImages = "images"
)

// The predicate types of which more is understood than the name.
const (
	// SLSAProvenance is SLSA v1, Provenance.
	SLSAProvenance = "https://slsa.dev/provenance/v1"
)

// predicateType is an absolute URI (in-toto Attestation Framework v1,
// Statement, predicateType).
var predicateType = regexp.MustCompile(`^https?://[!-~]{1,500}$`)

// AttestationRule demands statements about a bundle or its images, made by at
// least Threshold of Keys and Identities.
type AttestationRule struct {
	// Name of the rule in messages and logs, such as "provenance".
	Name string `yaml:"name"`
	// PredicateType is compared exactly.
	PredicateType string `yaml:"predicateType"`
	// About is [AboutBundle] or [AboutImages]. Parse turns an absent value into
	// [AboutBundle].
	About string `yaml:"about"`
	// Threshold, Keys and Identities are as in [SignatureRule].
	Threshold  int        `yaml:"threshold"`
	Keys       []string   `yaml:"keys"`
	Identities []Identity `yaml:"identities"`
	// Provenance is demanded of a predicate of type [SLSAProvenance]; nil for
	// nothing.
	Provenance *ProvenanceRule `yaml:"provenance"`
}

// Signers is the part of the rule that says who must have made the statements.
func (r AttestationRule) Signers() SignatureRule {
	return SignatureRule{Role: r.Name, Threshold: r.Threshold, Keys: r.Keys, Identities: r.Identities}
}

// Attestation is a statement that was verified.
type Attestation struct {
	Signer        Signer
	PredicateType string
	// Subjects are the SHA-256 digests of what it is about, in hex.
	Subjects []string
	// Predicate is its JSON.
	Predicate []byte
}

// Subjects of a release, by their SHA-256 digests in hex.
type Subjects struct {
	Bundle string
	Images []string
}

// Check decides whether attestations satisfy the rule: for the bundle, or for
// each image, enough of those whom it accepts have made one that says what it
// demands. The refusal has reason attestation where there is none of the type,
// else that of what is wrong with the one that came closest.
func (r AttestationRule) Check(found []Attestation, about Subjects) error {
	subjects := []string{about.Bundle}
	if r.About == AboutImages {
		subjects = about.Images
	}
	for _, subject := range subjects {
		if err := r.checkSubject(found, subject, about); err != nil {
			return fmt.Errorf("attestation %s of sha256:%s: %w", r.Name, subject, err)
		}
	}
	return nil
}

func (r AttestationRule) checkSubject(found []Attestation, subject string, about Subjects) error {
	var signers []Signer
	var unfit error
	for _, a := range found {
		if a.PredicateType != r.PredicateType || !slices.Contains(a.Subjects, subject) {
			continue
		}
		if err := r.checkPredicate(a, about); err != nil {
			unfit = err
			continue
		}
		signers = append(signers, a.Signer)
	}
	_, err := r.Signers().Check(signers)
	switch {
	case err == nil:
		return nil
	case len(signers) > 0:
		return err
	case unfit != nil:
		return unfit
	default:
		return reason.New(reason.Attestation, "there is none of type %s", r.PredicateType)
	}
}

func (r AttestationRule) checkPredicate(a Attestation, about Subjects) error {
	if r.PredicateType != SLSAProvenance {
		return nil
	}
	p, err := parseProvenance(a.Predicate)
	if err != nil {
		return err
	}
	if err := p.agrees(a.Signer); err != nil {
		return err
	}
	if r.Provenance == nil {
		return nil
	}
	return r.Provenance.check(p, about)
}

func (r AttestationRule) validate(roots map[string]TrustedRoot) error {
	if !shortName.MatchString(r.Name) {
		return fmt.Errorf("name: %.100q is not 1 to 64 of a-z, 0-9 and -", r.Name)
	}
	if !predicateType.MatchString(r.PredicateType) {
		return fmt.Errorf("predicateType: %.300q is no absolute URI, such as %s", r.PredicateType, SLSAProvenance)
	}
	if !slices.Contains([]string{"", AboutBundle, AboutImages}, r.About) {
		return fmt.Errorf("about: %.100q is neither %q nor %q", r.About, AboutBundle, AboutImages)
	}
	if err := r.Signers().validate(roots); err != nil {
		return err
	}
	if r.Provenance == nil {
		return nil
	}
	if r.PredicateType != SLSAProvenance {
		return fmt.Errorf("provenance: is of predicates of type %s, not %s", SLSAProvenance, r.PredicateType)
	}
	if err := r.Provenance.validate(); err != nil {
		return fmt.Errorf("provenance.%w", err)
	}
	return nil
}

func (a *Application) validateAttestations(roots map[string]TrustedRoot) error {
	if len(a.Attestations) > maxAttestations {
		return fmt.Errorf("attestations: %d rules, at most %d", len(a.Attestations), maxAttestations)
	}
	names := map[string]bool{}
	for i, r := range a.Attestations {
		if err := r.validate(roots); err != nil {
			return fmt.Errorf("attestations[%d].%w", i, err)
		}
		if names[r.Name] {
			return fmt.Errorf("attestations[%d].name: %q is used twice", i, r.Name)
		}
		names[r.Name] = true
	}
	return nil
}
