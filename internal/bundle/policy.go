package bundle

import (
	"fmt"
	"slices"
	"strings"

	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/consign-dev/consign/internal/lazyregexp"
)

// Policy is the content of a policy artifact: the operator's TrustPolicy and
// the files that it names.
type Policy struct {
	// Document is the TrustPolicy, YAML.
	Document ocispec.Descriptor
	// Roots are sorted by title.
	Roots []Root
}

// Root is a file that a TrustPolicy names: the TUF root of a supplier's release
// channel, or the trusted root of a Sigstore instance.
type Root struct {
	// Title is the name by which the TrustPolicy calls it, a plain file name.
	Title string
	// Layer is the file; its media type says which of the two it is.
	Layer ocispec.Descriptor
}

// PolicyTitle is the title of the layer that holds the TrustPolicy.
const PolicyTitle = "policy.yaml"

var rootTitle = lazyregexp.New(`^[A-Za-z0-9][A-Za-z0-9._-]{0,127}$`)

// Root returns the root of that title.
func (p *Policy) Root(title string) (Root, bool) {
	for _, r := range p.Roots {
		if r.Title == title {
			return r, true
		}
	}
	return Root{}, false
}

// BuildPolicy returns the manifest of a policy artifact. The order of p.Roots
// is of no account.
func BuildPolicy(p Policy) ([]byte, ocispec.Descriptor, error) {
	p.Roots = slices.Clone(p.Roots)
	slices.SortFunc(p.Roots, func(a, b Root) int { return strings.Compare(a.Title, b.Title) })
	if err := p.check(); err != nil {
		return nil, ocispec.Descriptor{}, err
	}
	layers := []ocispec.Descriptor{annotated(p.Document, map[string]string{ocispec.AnnotationTitle: PolicyTitle})}
	for _, r := range p.Roots {
		layers = append(layers, annotated(r.Layer, map[string]string{ocispec.AnnotationTitle: r.Title}))
	}
	return encodeArtifact(artifact(MediaTypePolicy, layers))
}

// ParsePolicy reads the manifest of a policy artifact.
func ParsePolicy(data []byte) (*Policy, error) {
	const name = "policy"
	m, err := parseArtifact(name, MediaTypePolicy, data)
	if err != nil {
		return nil, err
	}
	if err := plain(name, m); err != nil {
		return nil, err
	}
	if err := checkCount(name, len(m.Layers), 1, 1+MaxRoots); err != nil {
		return nil, err
	}
	p := &Policy{}
	for n, l := range m.Layers {
		if err := p.readLayer(n, l); err != nil {
			return nil, fmt.Errorf("%s: layers[%d]: %w", name, n, err)
		}
	}
	return p, p.check()
}

func (p *Policy) readLayer(n int, l ocispec.Descriptor) error {
	if err := checkKeys("annotations", l.Annotations, ocispec.AnnotationTitle); err != nil {
		return err
	}
	title := l.Annotations[ocispec.AnnotationTitle]
	l.Annotations = nil
	if n > 0 {
		p.Roots = append(p.Roots, Root{Title: title, Layer: l})
		return nil
	}
	if title != PolicyTitle {
		return malformed("title %q: want %s first", title, PolicyTitle)
	}
	p.Document = l
	return nil
}

func (p *Policy) check() error {
	if err := checkLayer("policy: document", p.Document, MediaTypePolicyDocument, MaxDocumentBytes); err != nil {
		return err
	}
	if err := checkCount("policy", len(p.Roots), 0, MaxRoots); err != nil {
		return err
	}
	for n, r := range p.Roots {
		if !rootTitle.MatchString(r.Title) || r.Title == PolicyTitle {
			return malformed("policy: root %q: want a plain file name other than %s", r.Title, PolicyTitle)
		}
		if n > 0 && p.Roots[n-1].Title >= r.Title {
			return malformed("policy: root %q is listed twice or out of order", r.Title)
		}
		kind := MediaTypePolicyRoot
		if r.Layer.MediaType == MediaTypePolicyTrustedRoot {
			kind = MediaTypePolicyTrustedRoot
		}
		if err := checkLayer("policy: root "+r.Title, r.Layer, kind, MaxDocumentBytes); err != nil {
			return err
		}
	}
	return nil
}
