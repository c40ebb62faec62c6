package policy

import (
	"cmp"
	"encoding/json"
	"strings"

	"github.com/consign-dev/consign/internal/reason"
	"github.com/consign-dev/consign/internal/strictjson"
)

// spdxDocument is the part of an SPDX 2.2 or 2.3 document that rules ask about.
type spdxDocument struct {
	Version  string          `json:"spdxVersion"`
	Context  json.RawMessage `json:"@context"` // of SPDX 3
	Packages []struct {
		Name         string `json:"name"`
		Version      string `json:"versionInfo"`
		Concluded    string `json:"licenseConcluded"`
		Declared     string `json:"licenseDeclared"`
		ExternalRefs []struct {
			Type    string `json:"referenceType"`
			Locator string `json:"referenceLocator"`
		} `json:"externalRefs"`
		Checksums []struct {
			Algorithm string `json:"algorithm"`
			Value     string `json:"checksumValue"`
		} `json:"checksums"`
	} `json:"packages"`
	Files     []spdxFile `json:"files"`
	Snippets  []spdxFile `json:"snippets"`
	Extracted []struct {
		ID   string `json:"licenseId"`
		Name string `json:"name"`
	} `json:"hasExtractedLicensingInfos"`
}

// spdxFile is a file, which has a fileName, or a part of one, which has a name.
type spdxFile struct {
	FileName  string `json:"fileName"`
	Name      string `json:"name"`
	Concluded string `json:"licenseConcluded"`
}

func parseSPDX(predicate []byte) (*sbom, error) {
	var doc spdxDocument
	if err := strictjson.UnmarshalOpen(predicate, &doc, sbomLimits); err != nil {
		return nil, err
	}
	switch {
	case doc.Version == "" && doc.Context != nil:
		return nil, reason.New(reason.Malformed, "a document of SPDX 3 (JSON-LD): SPDX-2.3 and SPDX-2.2 are read")
	case doc.Version != "SPDX-2.3" && doc.Version != "SPDX-2.2":
		return nil, reason.New(reason.Malformed, "spdxVersion %.100q: SPDX-2.3 and SPDX-2.2 are read", doc.Version)
	}
	s := &sbom{names: map[string]string{}}
	for _, e := range doc.Extracted {
		s.names[strings.ToLower(e.ID)] = e.Name
	}
	s.parts = doc.packages()
	// A document with files alone says which packages it has by no word.
	if len(s.parts) == 0 {
		return s, nil
	}
	for _, f := range append(doc.Files, doc.Snippets...) {
		s.parts = append(s.parts, component{name: cmp.Or(f.FileName, f.Name), licenses: expressions(f.Concluded)})
	}
	return s, nil
}

func (doc *spdxDocument) packages() []component {
	var out []component
	for _, p := range doc.Packages {
		one := component{name: p.Name, names: []string{p.Name}, version: p.Version, licenses: expressions(p.Concluded, p.Declared)}
		for _, r := range p.ExternalRefs {
			if isPurlReference(r.Type) {
				one.purls = append(one.purls, r.Locator)
			}
		}
		for _, c := range p.Checksums {
			if c.Algorithm == "SHA256" {
				one.digests = append(one.digests, strings.ToLower(c.Value))
			}
		}
		out = append(out, one.withDigests())
	}
	return out
}

// isPurlReference knows a package URL by its reference type, which some tools
// write as a URI (SPDX 2.3, annex F).
func isPurlReference(referenceType string) bool {
	return strings.EqualFold(referenceType[strings.LastIndexByte(referenceType, '/')+1:], "purl")
}

// expressions are those that say something.
func expressions(texts ...string) []license {
	var out []license
	for _, text := range texts {
		if text != "" && text != "NOASSERTION" && text != "NONE" {
			out = append(out, license{text: text})
		}
	}
	return out
}
