package policy

import (
	"strings"

	"github.com/consign-dev/consign/internal/lazyregexp"
	"github.com/consign-dev/consign/internal/reason"
	"github.com/consign-dev/consign/internal/strictjson"
)

// cycloneDX is the part of a CycloneDX document that rules ask about.
type cycloneDX struct {
	Format   string `json:"bomFormat"`
	Version  string `json:"specVersion"`
	Metadata struct {
		Component *cycloneDXComponent `json:"component"`
	} `json:"metadata"`
	Components []cycloneDXComponent `json:"components"`
}

type cycloneDXComponent struct {
	Group   string `json:"group"`
	Name    string `json:"name"`
	Version string `json:"version"`
	Purl    string `json:"purl"`
	Hashes  []struct {
		Algorithm string `json:"alg"`
		Content   string `json:"content"`
	} `json:"hashes"`
	Licenses []struct {
		Expression string `json:"expression"`
		License    struct {
			ID   string `json:"id"`
			Name string `json:"name"`
		} `json:"license"`
	} `json:"licenses"`
	Components []cycloneDXComponent `json:"components"`
}

// cycloneDXVersion: what is read of a component is the same from 1.2, the first
// with JSON, to 1.7.
var cycloneDXVersion = lazyregexp.New(`^1\.[2-7]$`)

func parseCycloneDX(predicate []byte) (*sbom, error) {
	var doc cycloneDX
	if err := strictjson.UnmarshalOpen(predicate, &doc, sbomLimits); err != nil {
		return nil, err
	}
	if doc.Format != "CycloneDX" || !cycloneDXVersion.MatchString(doc.Version) {
		return nil, reason.New(reason.Malformed, "bomFormat %.100q, specVersion %.100q: CycloneDX 1.2 to 1.7 is read", doc.Format, doc.Version)
	}
	s := &sbom{}
	if c := doc.Metadata.Component; c != nil {
		s.add(*c)
	}
	for _, c := range doc.Components {
		s.add(c)
	}
	return s, nil
}

// add takes a component with those that it contains. Depth was bounded with the
// document's.
func (s *sbom) add(c cycloneDXComponent) {
	full := c.Name
	if c.Group != "" {
		full = c.Group + "/" + c.Name
	}
	p := component{name: full, names: []string{full}, version: c.Version}
	if c.Purl != "" {
		p.purls = []string{c.Purl}
	}
	for _, h := range c.Hashes {
		if h.Algorithm == "SHA-256" {
			p.digests = append(p.digests, strings.ToLower(h.Content))
		}
	}
	for _, l := range c.Licenses {
		p.licenses = append(p.licenses, expressions(l.Expression, l.License.ID)...)
		if l.License.Name != "" {
			p.licenses = append(p.licenses, license{text: l.License.Name, words: true})
		}
	}
	s.parts = append(s.parts, p.withDigests())
	for _, nested := range c.Components {
		s.add(nested)
	}
}
