package policy

import (
	"cmp"
	"errors"
	"fmt"

	"github.com/consign-dev/consign/internal/lazyregexp"
	"github.com/consign-dev/consign/internal/reason"
)

// SBOMRule is what a software bill of materials must say, and must not. An absent
// part is not asked for.
type SBOMRule struct {
	// Deny is what must be in no SBOM of the release.
	Deny SBOMDeny `yaml:"deny"`
	// Covers is "images" when each image of the bundle must be in the SBOM, or "".
	Covers string `yaml:"covers"`
}

// SBOMDeny names what may not be in a release.
type SBOMDeny struct {
	// Packages are package URLs (ECMA-427). Qualifiers and subpath are not compared;
	// one without a version stands for every version.
	Packages []string `yaml:"packages"`
	// Licenses are ids of the SPDX License List, LicenseRefs, or names in words.
	Licenses []string `yaml:"licenses"`
}

// maxDenied bounds each of the lists.
const maxDenied = 1024

// SBOMs of these types are read: SPDX 2 and CycloneDX 1 as JSON, with and without
// a version in the type, as tools write it.
var sbomType = lazyregexp.New(`^https://(spdx\.dev/Document(/v2\.[0-9]+)?|cyclonedx\.org/bom(/v1\.[0-9]+)?)$`)

// forbids refuses a release by what anybody whom the rule accepts says is in it: a
// second SBOM that leaves a package out takes nothing back. What they call an SBOM
// and cannot be read could name anything, so it is refused as well.
func (r AttestationRule) forbids(found []Attestation) error {
	if r.SBOM == nil || len(r.SBOM.Deny.Packages) == 0 && len(r.SBOM.Deny.Licenses) == 0 {
		return nil
	}
	denied, err := r.SBOM.Deny.compile()
	if err != nil {
		return reason.Wrap(reason.Internal, err) // validate has compiled it before
	}
	for _, a := range found {
		if !isSBOM(a.PredicateType) || r.accepts(a) != nil {
			continue
		}
		s, err := parseSBOM(a.PredicateType, a.Predicate)
		if err == nil {
			err = denied.check(s)
		}
		if err != nil {
			return fmt.Errorf("attestation %s: %w", r.Name, err)
		}
	}
	return nil
}

// checkSBOM decides about one SBOM alone; forbids looks at all of them.
func (r AttestationRule) checkSBOM(a Attestation, about Subjects) error {
	s, err := parseSBOM(a.PredicateType, a.Predicate)
	if err != nil {
		return err
	}
	if r.SBOM == nil || r.SBOM.Covers != AboutImages {
		return nil
	}
	return s.covers(about.Images)
}

// covers insists that each image is a part of what the SBOM describes.
func (s *sbom) covers(images []string) error {
	if len(images) == 0 {
		return reason.New(reason.Attestation, "sbom.covers: the bundle has no image that it could cover")
	}
	listed := map[string]bool{}
	for _, p := range s.parts {
		for _, d := range p.digests {
			listed[d] = true
		}
	}
	for _, image := range images {
		if !listed[image] {
			return reason.New(reason.Attestation, "sbom.covers: image sha256:%s is none of the %d packages of the SBOM", image, len(s.parts))
		}
	}
	return nil
}

// denied is what a rule forbids, made ready to be compared.
type denied struct {
	packages *deniedPackages
	licenses *deniedLicenses
}

func (d SBOMDeny) compile() (denied, error) {
	if n := max(len(d.Packages), len(d.Licenses)); n > maxDenied {
		return denied{}, fmt.Errorf("deny: %d entries, at most %d", n, maxDenied)
	}
	packages, err := compilePackages(d.Packages)
	if err != nil {
		return denied{}, fmt.Errorf("deny.packages%w", err)
	}
	licenses, err := compileLicenses(d.Licenses)
	if err != nil {
		return denied{}, fmt.Errorf("deny.licenses%w", err)
	}
	return denied{packages, licenses}, nil
}

func (d denied) check(s *sbom) error {
	for _, p := range s.parts {
		if err := cmp.Or(d.packages.check(p), d.licenses.check(p, s.names)); err != nil {
			return fmt.Errorf("package %.200q: %w", cmp.Or(p.name, "(without a name)"), err)
		}
	}
	return nil
}

func (r *SBOMRule) validate(a AttestationRule) error {
	if !sbomType.MatchString(a.PredicateType) {
		return fmt.Errorf("predicateType: %s is no SBOM that is read, such as %s or %s", a.PredicateType, SPDX, CycloneDX)
	}
	if r.Covers != "" && r.Covers != AboutImages {
		return fmt.Errorf("covers: %.100q is not %q", r.Covers, AboutImages)
	}
	if r.Covers != "" && a.About == AboutImages {
		return errors.New("covers: each SBOM is about an image already (about: images)")
	}
	_, err := r.Deny.compile()
	return err
}
