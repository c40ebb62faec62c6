package policy

import (
	"errors"
	"fmt"
	"strings"

	"github.com/consign-dev/consign/internal/reason"
	"github.com/consign-dev/consign/internal/strictjson"
)

// Bounds of a provenance predicate. A build of a large application names some
// hundred dependencies.
const (
	maxPredicate    = 4 << 20
	maxDependencies = 4096
)

// ProvenanceRule is what a provenance must say (SLSA v1, Provenance). Texts are
// as in [Identity]: exact, or a pattern. An absent one is not asked for.
type ProvenanceRule struct {
	// Builder is runDetails.builder.id, and BuildType
	// buildDefinition.buildType.
	Builder   string `yaml:"builder"`
	BuildType string `yaml:"buildType"`
	// Source is where the build began.
	Source SourceRule `yaml:"source"`
	// Materials is "images" when each image of the bundle must be one of the
	// build's resolved dependencies, or "".
	Materials string `yaml:"materials"`
}

// SourceRule is the one git repository among a build's resolved dependencies.
type SourceRule struct {
	// URI is the repository, without "git+" and ref; Ref is the ref.
	URI string `yaml:"uri"`
	Ref string `yaml:"ref"`
}

// provenance is the part of a SLSA v1 predicate that rules ask about.
type provenance struct {
	BuildDefinition struct {
		BuildType            string     `json:"buildType"`
		ResolvedDependencies []resource `json:"resolvedDependencies"`
	} `json:"buildDefinition"`
	RunDetails struct {
		Builder struct {
			ID string `json:"id"`
		} `json:"builder"`
	} `json:"runDetails"`
}

// resource is an in-toto ResourceDescriptor.
type resource struct {
	URI    string            `json:"uri"`
	Digest map[string]string `json:"digest"`
}

func parseProvenance(predicate []byte) (*provenance, error) {
	var p provenance
	if err := strictjson.UnmarshalOpen(predicate, &p, strictjson.Limits{Bytes: maxPredicate, Depth: 64}); err != nil {
		return nil, fmt.Errorf("provenance: %w", err)
	}
	if n := len(p.BuildDefinition.ResolvedDependencies); n > maxDependencies {
		return nil, reason.New(reason.TooLarge, "provenance: %d resolved dependencies, at most %d are read", n, maxDependencies)
	}
	return &p, nil
}

// source is the git repository that was built: its address, ref and commit.
type source struct{ uri, ref, commit string }

var errNoSource = errors.New("none of the resolved dependencies is a git repository")

// source is the one resolved dependency with a commit. With several nobody could
// say which of them was built, and which only taken along.
func (p *provenance) source() (source, error) {
	var out []source
	for _, d := range p.BuildDefinition.ResolvedDependencies {
		commit := d.Digest["gitCommit"]
		if rest, git := strings.CutPrefix(d.URI, "git+"); git || commit != "" {
			out = append(out, splitSource(rest, commit))
		}
	}
	switch len(out) {
	case 0:
		return source{}, errNoSource
	case 1:
		return out[0], nil
	default:
		return source{}, fmt.Errorf("%d of the resolved dependencies are git repositories, and which of them was built is not said", len(out))
	}
}

// splitSource takes the ref off a repository's address (SPDX 2.3, 7.7, download
// location, which SLSA's build types follow). The "@" of a user stands before the
// path, that of the ref is the first one in it.
func splitSource(address, commit string) source {
	_, rest, _ := strings.Cut(address, "://")
	path := strings.IndexByte(rest, '/')
	if path < 0 {
		return source{address, "", commit}
	}
	before, ref, _ := strings.Cut(rest[path:], "@")
	return source{strings.TrimSuffix(address, rest[path:]) + before, ref, commit}
}

// agrees insists that the certificate and what its holder says name the same
// source (attack S6). A certificate that names none agrees with everything.
func (p *provenance) agrees(s Signer) error {
	c := s.Claims
	if c.SourceRepositoryURI == "" && c.SourceRepositoryDigest == "" && c.SourceRepositoryRef == "" {
		return nil
	}
	src, err := p.source()
	if err != nil {
		return reason.New(reason.Provenance, "the certificate names the source %.200q: %w", c.SourceRepositoryURI, err)
	}
	for _, f := range []struct{ name, certified, said string }{
		{"repository", c.SourceRepositoryURI, src.uri},
		{"commit", c.SourceRepositoryDigest, src.commit},
		{"ref", c.SourceRepositoryRef, src.ref},
	} {
		if f.certified != "" && f.certified != f.said {
			return reason.New(reason.Provenance, "the certificate names the %s %.200q, the provenance %.200q", f.name, f.certified, f.said)
		}
	}
	return nil
}

func (r *ProvenanceRule) check(p *provenance, about Subjects) error {
	if err := fits("builder", r.Builder, p.RunDetails.Builder.ID); err != nil {
		return err
	}
	if err := fits("buildType", r.BuildType, p.BuildDefinition.BuildType); err != nil {
		return err
	}
	if r.Source != (SourceRule{}) {
		src, err := p.source()
		if err != nil {
			return reason.New(reason.Provenance, "source: %w", err)
		}
		if err := errors.Join(fits("source.uri", r.Source.URI, src.uri), fits("source.ref", r.Source.Ref, src.ref)); err != nil {
			return err
		}
	}
	if r.Materials == AboutImages {
		return p.covers(about.Images)
	}
	return nil
}

func fits(name, want, got string) error {
	if want == "" || matches(want, got) {
		return nil
	}
	return reason.New(reason.Provenance, "%s: %s expected, the provenance says %.200q", name, described(want), got)
}

// covers insists that the build took in each image by its digest.
func (p *provenance) covers(images []string) error {
	if len(images) == 0 {
		return reason.New(reason.Provenance, "materials: the bundle has no image that they could cover")
	}
	taken := map[string]bool{}
	for _, d := range p.BuildDefinition.ResolvedDependencies {
		taken[d.Digest["sha256"]] = true
	}
	for _, image := range images {
		if !taken[image] {
			return reason.New(reason.Provenance, "materials: image sha256:%s is not among the resolved dependencies", image)
		}
	}
	return nil
}

func (r *ProvenanceRule) validate() error {
	for _, f := range []struct{ name, text string }{
		{"builder", r.Builder}, {"buildType", r.BuildType}, {"source.uri", r.Source.URI}, {"source.ref", r.Source.Ref},
	} {
		if err := checkText(f.text); err != nil {
			return fmt.Errorf("%s: %w", f.name, err)
		}
	}
	if r.Materials != "" && r.Materials != AboutImages {
		return fmt.Errorf("materials: %.100q is not %q", r.Materials, AboutImages)
	}
	return nil
}
