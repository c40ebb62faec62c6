package policy

import (
	"cmp"
	"fmt"
	"slices"

	"github.com/consign-dev/consign/internal/lazyregexp"
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
	// SPDX and CycloneDX are SBOMs as JSON; tools may add the version, as in
	// "https://spdx.dev/Document/v2.3".
	SPDX      = "https://spdx.dev/Document"
	CycloneDX = "https://cyclonedx.org/bom"
)

// predicateType is an absolute URI (in-toto Attestation Framework v1,
// Statement, predicateType).
var predicateType = lazyregexp.New(`^https?://[!-~]{1,500}$`)

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
	// ListedIn, Threshold, Keys and Identities are as in [SignatureRule].
	ListedIn   string     `yaml:"listedIn"`
	Threshold  int        `yaml:"threshold"`
	Keys       []string   `yaml:"keys"`
	Identities []Identity `yaml:"identities"`
	// Provenance is demanded of a predicate of type [SLSAProvenance]; nil for
	// nothing.
	Provenance *ProvenanceRule `yaml:"provenance"`
	// SBOM is demanded of a predicate of type [SPDX] or [CycloneDX]; nil for nothing.
	SBOM *SBOMRule `yaml:"sbom"`
}

// Signers is the part of the rule that says who must have made the statements.
func (r AttestationRule) Signers() SignatureRule {
	return SignatureRule{Role: r.Name, ListedIn: r.ListedIn, Threshold: r.Threshold, Keys: r.Keys, Identities: r.Identities}
}

// Attestation is a statement that was verified.
type Attestation struct {
	// Signers is who made it: one, or the same under several trusted roots.
	Signers       []Signer
	PredicateType string
	// Subjects are the SHA-256 digests of what it is about, in hex.
	Subjects []string
	// Predicate is its JSON.
	Predicate []byte
}

// SignersOf are those who made attestations, each once.
func SignersOf(list []Attestation) []Signer {
	var out []Signer
	for _, a := range list {
		for _, s := range a.Signers {
			if !slices.Contains(out, s) {
				out = append(out, s)
			}
		}
	}
	return out
}

// Subjects of a release, by their SHA-256 digests in hex.
type Subjects struct {
	Bundle string
	Images []string
}

// Check decides whether attestations satisfy the rule: for the bundle, or for
// each image, enough of those whom it accepts have made one that says what it
// demands. The refusal has reason attestation where there is none of the type,
// else that of what is wrong with one that there is. It returns those that say
// what is demanded, by whom the rule accepts.
func (r AttestationRule) Check(found []Attestation, about Subjects) ([]Attestation, error) {
	subjects := []string{about.Bundle}
	if r.About == AboutImages {
		subjects = about.Images
	}
	if len(subjects) == 0 {
		return nil, reason.New(reason.Attestation, "attestation %s: the bundle has no image that it could be about", r.Name)
	}
	if err := r.forbids(found); err != nil {
		return nil, err
	}
	good, unfit := r.fitting(found, about)
	for _, subject := range subjects {
		err := r.checkSubject(good, subject)
		if reason.Is(err, reason.Attestation) && unfit != nil {
			err = unfit // there is one, and this is why it does not count
		}
		if err != nil {
			return nil, fmt.Errorf("attestation %s of sha256:%s: %w", r.Name, subject, err)
		}
	}
	return slices.DeleteFunc(good, func(a Attestation) bool {
		return !slices.ContainsFunc(a.Subjects, func(s string) bool { return slices.Contains(subjects, s) })
	}), nil
}

// fitting are the attestations of the type, by somebody whom the rule accepts,
// that say what it demands, each looked at once. The error says what is wrong
// with the first other one; what strangers say is told only if nobody else does.
func (r AttestationRule) fitting(found []Attestation, about Subjects) (good []Attestation, unfit error) {
	var stranger error
	for _, a := range found {
		if a.PredicateType != r.PredicateType {
			continue
		}
		if err := r.accepts(a); err != nil {
			stranger = cmp.Or(stranger, err)
		} else if err := r.checkPredicate(a, about); err != nil {
			unfit = cmp.Or(unfit, err)
		} else {
			good = append(good, a)
		}
	}
	return good, cmp.Or(unfit, stranger)
}

// accepts refuses what was made by nobody whom the rule names.
func (r AttestationRule) accepts(a Attestation) error {
	one := r.Signers()
	one.Threshold = 1
	_, err := one.Check(a.Signers)
	return err
}

func (r AttestationRule) checkSubject(good []Attestation, subject string) error {
	var signers []Signer
	for _, a := range good {
		if slices.Contains(a.Subjects, subject) {
			signers = append(signers, a.Signers...)
		}
	}
	if len(signers) == 0 {
		return reason.New(reason.Attestation, "there is none of type %s", r.PredicateType)
	}
	_, err := r.Signers().Check(signers)
	return err
}

func (r AttestationRule) checkPredicate(a Attestation, about Subjects) error {
	switch {
	case isSBOM(r.PredicateType):
		return r.checkSBOM(a, about)
	case r.PredicateType == SLSAProvenance:
		return r.checkProvenance(a, about)
	}
	return nil
}

func (r AttestationRule) checkProvenance(a Attestation, about Subjects) error {
	p, err := parseProvenance(a.Predicate)
	if err != nil {
		return err
	}
	for _, s := range a.Signers {
		if err := p.agrees(s); err != nil {
			return err
		}
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
	return r.validateDemands()
}

func (r AttestationRule) validateDemands() error {
	if r.Provenance != nil && r.PredicateType != SLSAProvenance {
		return fmt.Errorf("provenance: is of predicates of type %s, not %s", SLSAProvenance, r.PredicateType)
	}
	if r.Provenance != nil {
		if err := r.Provenance.validate(); err != nil {
			return fmt.Errorf("provenance.%w", err)
		}
	}
	if r.SBOM == nil {
		return nil
	}
	if err := r.SBOM.validate(r); err != nil {
		return fmt.Errorf("sbom.%w", err)
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
