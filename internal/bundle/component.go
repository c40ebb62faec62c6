package bundle

import (
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/consign-dev/consign/internal/lazyregexp"
)

// ComposeComponent is the content of a Margo Compose component manifest
// (Margo 1.0.0-rc.3, Application Registry, Compose components).
type ComposeComponent struct {
	// Name is the component's name; it is empty if another tool wrote none.
	Name string
	// Version is the component's revision in margo.yaml.
	Version string
	// Archive is the layer with the Compose archive.
	Archive ocispec.Descriptor
}

// revision is SemVer 2.0 as an OCI tag: '_' stands for '+'. margo checks the
// grammar of what a description says; here only the alphabet matters.
var revisionPattern = lazyregexp.New(`^[0-9][0-9A-Za-z._-]{0,127}$`)

const composeType = Compose

// BuildComposeComponent returns the manifest of a Compose component. Margo's
// annotations stand on the layer, where the specification demands them, and on
// the manifest, where its own example and other tools write them.
func BuildComposeComponent(c ComposeComponent) ([]byte, ocispec.Descriptor, error) {
	if !componentName.MatchString(c.Name) {
		return nil, ocispec.Descriptor{}, malformed("compose component: name %q: want 1 to 200 of a-z, 0-9 and '-'", c.Name)
	}
	if err := c.check(); err != nil {
		return nil, ocispec.Descriptor{}, err
	}
	notes := map[string]string{
		annotationMargoType:       composeType,
		annotationMargoVersion:    c.Version,
		ocispec.AnnotationTitle:   c.Name,
		ocispec.AnnotationVersion: c.Version,
	}
	m := artifact(MediaTypeCompose, []ocispec.Descriptor{annotated(c.Archive, notes)})
	m.Annotations = notes
	return encodeArtifact(m)
}

// ParseComposeComponent reads the manifest of a Compose component, whoever
// wrote it: annotations that we do not know are ignored, and Margo's own are
// read from the layer or from the manifest; where both have one they must agree.
func ParseComposeComponent(data []byte) (*ComposeComponent, error) {
	const name = "compose component"
	m, err := parseArtifact(name, MediaTypeCompose, data)
	if err != nil {
		return nil, err
	}
	if m.Subject != nil {
		return nil, malformed("%s: subject is not allowed", name)
	}
	if len(m.Layers) != 1 {
		return nil, malformed("%s: %d layers: want exactly one", name, len(m.Layers))
	}
	kind, err := eitherPlace(m, annotationMargoType)
	if err != nil {
		return nil, err
	}
	if kind != composeType {
		return nil, malformed("%s: %s is %q: want %s", name, annotationMargoType, kind, composeType)
	}
	version, err := eitherPlace(m, annotationMargoVersion)
	if err != nil {
		return nil, err
	}
	c := &ComposeComponent{Version: version, Archive: bare(m.Layers[0])}
	if title := m.Layers[0].Annotations[ocispec.AnnotationTitle]; componentName.MatchString(title) {
		c.Name = title
	}
	if err := checkLayer(name+": layers[0]", m.Layers[0], MediaTypeComposeArchive, MaxArchiveBytes); err != nil {
		return nil, err
	}
	return c, c.check()
}

func eitherPlace(m ocispec.Manifest, key string) (string, error) {
	layer, inLayer := m.Layers[0].Annotations[key]
	manifest, inManifest := m.Annotations[key]
	if inLayer && inManifest && layer != manifest {
		return "", malformed("compose component: %s is %q on the layer and %q on the manifest", key, layer, manifest)
	}
	if inLayer {
		return layer, nil
	}
	return manifest, nil
}

func (c *ComposeComponent) check() error {
	if !revisionPattern.MatchString(c.Version) {
		return malformed("compose component: version %q: want a semantic version with '_' for '+'", c.Version)
	}
	return checkLayer("compose component: archive", c.Archive, MediaTypeComposeArchive, MaxArchiveBytes)
}
