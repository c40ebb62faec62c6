package bundle

import (
	"fmt"
	"path"
	"strings"

	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/consign-dev/consign/internal/lazyregexp"
)

// DescriptionTitle is the title of the layer that holds the description. The
// name is that of the file in a package directory.
const DescriptionTitle = "margo.yaml"

// Package is the content of a Margo application package manifest
// (Margo 1.0.0-rc.3, Application Registry).
type Package struct {
	// Description is the layer with the bytes of margo.yaml.
	Description ocispec.Descriptor
	// Resources are in the order in which the package was built.
	Resources []Resource
}

// Resource is a file that the description refers to.
type Resource struct {
	// Field is the place in margo.yaml that names it, such as
	// "metadata.catalog.application.icon".
	Field string
	// Path is relative to margo.yaml with forward slashes and no leading "./".
	// It is shown to people and other tools; nothing of ours opens it.
	Path string
	// Layer has a media type from [ResourceMediaType].
	Layer ocispec.Descriptor
}

const resourcePrefix = "metadata.catalog.application."

var (
	resourceFields = map[string]bool{"icon": true, "descriptionFile": true, "licenseFile": true, "releaseNotes": true}
	// The format that ends a resource's media type; 32 is room enough for any.
	formatPattern = lazyregexp.New(`^[a-z0-9][a-z0-9.-]{0,31}$`)
)

// ResourceFields are the members of metadata.catalog.application that name a
// file, in the order in which packages list them.
func ResourceFields() []string {
	return []string{"icon", "descriptionFile", "licenseFile", "releaseNotes"}
}

// ResourceMediaType is the Margo media type of the resource that field (one of
// [ResourceFields]) names, judged by the file name alone.
func ResourceMediaType(field, file string) string {
	format := strings.TrimPrefix(strings.ToLower(path.Ext(file)), ".")
	switch format {
	case "jpg":
		format = "jpeg"
	case "md":
		format = "markdown"
	case "", "txt":
		format = "plain"
	}
	if !formatPattern.MatchString(format) {
		format = "octet-stream"
	}
	return "application/vnd.margo.app." + field + ".v1+" + format
}

// BuildPackage returns the manifest of a package.
func BuildPackage(p Package) ([]byte, ocispec.Descriptor, error) {
	if err := p.check(); err != nil {
		return nil, ocispec.Descriptor{}, err
	}
	layers := []ocispec.Descriptor{annotated(p.Description, map[string]string{ocispec.AnnotationTitle: DescriptionTitle})}
	for _, r := range p.Resources {
		layers = append(layers, annotated(r.Layer, map[string]string{
			ocispec.AnnotationTitle: r.Path,
			annotationMargoResource: r.Field,
		}))
	}
	return encodeArtifact(artifact(MediaTypePackage, layers))
}

// ParsePackage reads the manifest of a package that BuildPackage wrote.
func ParsePackage(data []byte) (*Package, error) {
	const name = "package manifest"
	m, err := parseArtifact(name, MediaTypePackage, data)
	if err != nil {
		return nil, err
	}
	if err := plain(name, m); err != nil {
		return nil, err
	}
	if err := checkCount(name, len(m.Layers), 1, 1+MaxResources); err != nil {
		return nil, err
	}
	if err := checkDescriptionLayer(m.Layers[0]); err != nil {
		return nil, err
	}
	p := &Package{Description: bare(m.Layers[0])}
	for n, l := range m.Layers[1:] {
		r, err := readResource(l)
		if err != nil {
			return nil, fmt.Errorf("%s: layers[%d]: %w", name, n+1, err)
		}
		p.Resources = append(p.Resources, r)
	}
	return p, p.check()
}

func checkDescriptionLayer(l ocispec.Descriptor) error {
	const where = "package manifest: layers[0]"
	if err := checkKeys(where+": annotations", l.Annotations, ocispec.AnnotationTitle); err != nil {
		return err
	}
	if got := l.Annotations[ocispec.AnnotationTitle]; got != DescriptionTitle {
		return malformed("%s: title %q: want %s", where, got, DescriptionTitle)
	}
	return checkLayer(where, l, MediaTypeDescription, MaxDocumentBytes)
}

func readResource(l ocispec.Descriptor) (Resource, error) {
	if err := checkKeys("annotations", l.Annotations, ocispec.AnnotationTitle, annotationMargoResource); err != nil {
		return Resource{}, err
	}
	r := Resource{Field: l.Annotations[annotationMargoResource], Path: l.Annotations[ocispec.AnnotationTitle], Layer: bare(l)}
	return r, checkBlob("layer", l, MaxResourceBytes)
}

func (p *Package) check() error {
	if err := checkLayer("package: description", p.Description, MediaTypeDescription, MaxDocumentBytes); err != nil {
		return err
	}
	if err := checkCount("package", len(p.Resources), 0, MaxResources); err != nil {
		return err
	}
	seen := map[string]bool{}
	for _, r := range p.Resources {
		if seen[r.Field] {
			return malformed("package: resource %q is listed twice", r.Field)
		}
		seen[r.Field] = true
		if err := r.check(); err != nil {
			return err
		}
	}
	return nil
}

func (r Resource) check() error {
	where := fmt.Sprintf("package: resource %q", r.Field)
	field := strings.TrimPrefix(r.Field, resourcePrefix)
	if !resourceFields[field] || resourcePrefix+field != r.Field {
		return malformed("%s: not a member of %s that names a file", where, strings.TrimSuffix(resourcePrefix, "."))
	}
	if err := checkTitle(where, r.Path); err != nil {
		return err
	}
	if want := ResourceMediaType(field, r.Path); r.Layer.MediaType != want {
		return malformed("%s: mediaType %q: want %s", where, r.Layer.MediaType, want)
	}
	return checkBlob(where, r.Layer, MaxResourceBytes)
}

// checkTitle refuses titles that other tools, which do use them as file names,
// could be led astray by (attack O5).
func checkTitle(where, title string) error {
	if len(title) > 255 || path.Clean(title) != title || !isLocal(title) {
		return malformed("%s: path %q: want a plain relative path inside the package", where, title)
	}
	return nil
}

func isLocal(title string) bool {
	if title == "" || title == "." || strings.HasPrefix(title, "/") || strings.HasPrefix(title, "..") {
		return false
	}
	for _, r := range title {
		if r < ' ' || r == 0x7f || r == '\\' || r == ':' {
			return false
		}
	}
	return true
}
