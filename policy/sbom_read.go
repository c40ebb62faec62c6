package policy

import (
	"encoding/json"
	"fmt"
	"strings"

	"github.com/consign-dev/consign/internal/reason"
	"github.com/consign-dev/consign/internal/strictjson"
)

// maxParts bounds the packages, components and files of an SBOM.
const maxParts = 16384

var sbomLimits = strictjson.Limits{Bytes: maxPredicate, Depth: 64}

// sbom is what the formats have in common, as far as rules ask about it.
type sbom struct {
	parts []component
	// names are what LicenseRefs of the document stand for, in words.
	names map[string]string
}

// A component is a package, an image, or a file of an SBOM.
type component struct {
	// name is for people; names are what it is called where no purl says it, none
	// for a file.
	name  string
	names []string
	// version may stand in the purls, too.
	version string
	purls   []string
	// licenses must all be kept.
	licenses []license
	// digests are its SHA-256, in hex: of an image, that of its manifest.
	digests []string
}

// license is an expression (SPDX 2.3, annex D), or perhaps words.
type license struct {
	text  string
	words bool
}

// isSBOM reports whether a predicate type claims to be an SBOM of a family that is
// read, also of a version that is not.
func isSBOM(predicateType string) bool {
	return ofFamily(predicateType, SPDX) || ofFamily(predicateType, CycloneDX)
}

func ofFamily(predicateType, family string) bool {
	rest, ok := strings.CutPrefix(predicateType, family)
	return ok && (rest == "" || rest[0] == '/')
}

func parseSBOM(predicateType string, predicate []byte) (*sbom, error) {
	family, read := "CycloneDX", parseCycloneDX
	if ofFamily(predicateType, SPDX) {
		family, read = "SPDX", parseSPDX
	}
	s, err := read(predicate)
	switch {
	case err != nil:
		return nil, fmt.Errorf("SBOM (%s): %w", family, err)
	case len(s.parts) == 0:
		return nil, reason.New(reason.Attestation, "SBOM (%s): names no package and no component", family)
	case len(s.parts) > maxParts:
		return nil, reason.New(reason.TooLarge, "SBOM (%s): %d packages and files, at most %d are read", family, len(s.parts), maxParts)
	}
	return s, nil
}

// SBOMType is the predicate type of an SBOM document, by its content. What a
// device could not read is refused: malformed or too-large.
func SBOMType(document []byte) (string, error) {
	var head struct {
		Format  string          `json:"bomFormat"`
		SPDX    string          `json:"spdxVersion"`
		Context json.RawMessage `json:"@context"`
	}
	if err := strictjson.UnmarshalOpen(document, &head, sbomLimits); err != nil {
		return "", fmt.Errorf("SBOM: %w", err)
	}
	var predicateType string
	switch {
	case head.Format != "":
		predicateType = CycloneDX
	case head.SPDX != "" || head.Context != nil:
		predicateType = SPDX
	default:
		return "", reason.New(reason.Malformed, "SBOM: neither bomFormat (CycloneDX) nor spdxVersion (SPDX) is there")
	}
	_, err := parseSBOM(predicateType, document)
	return predicateType, err
}

// IsSBOM reports whether a predicate type is that of an SBOM that is read.
func IsSBOM(predicateType string) bool { return sbomType.MatchString(predicateType) }
