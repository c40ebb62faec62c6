package bundle

import (
	"fmt"

	specs "github.com/opencontainers/image-spec/specs-go"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/consign-dev/consign/internal/strictjson"
)

// maxChartConfig bounds the config of a chart: its Chart.yaml as JSON.
const maxChartConfig = 1 << 20

// ChartComponent is the content of the manifest of a Helm chart, as "helm push"
// writes it (Helm, Use OCI-based registries).
type ChartComponent struct {
	// Name and Version are those of Chart.yaml; they are empty if the manifest does
	// not repeat them.
	Name, Version string
	// Config is the blob with Chart.yaml as JSON.
	Config ocispec.Descriptor
	// Archive is the layer with the chart, and Provenance one with a signature of
	// Helm's, which is kept and not looked at.
	Archive    ocispec.Descriptor
	Provenance *ocispec.Descriptor
}

// BuildChartComponent returns a manifest that Helm pulls and installs. It has
// no time of making, so the same chart has the same digest.
func BuildChartComponent(c ChartComponent) ([]byte, ocispec.Descriptor, error) {
	if err := c.check(); err != nil {
		return nil, ocispec.Descriptor{}, err
	}
	return encode(ocispec.MediaTypeImageManifest, MediaTypeHelm, ocispec.Manifest{
		Versioned:   specs.Versioned{SchemaVersion: 2},
		MediaType:   ocispec.MediaTypeImageManifest,
		Config:      bare(c.Config),
		Layers:      []ocispec.Descriptor{bare(c.Archive)},
		Annotations: map[string]string{ocispec.AnnotationTitle: c.Name, ocispec.AnnotationVersion: c.Version},
	})
}

// ParseChartComponent reads the manifest of a chart, whoever pushed it.
func ParseChartComponent(data []byte) (*ChartComponent, error) {
	const name = "helm component"
	var m ocispec.Manifest
	if err := strictjson.Unmarshal(data, &m, limits); err != nil {
		return nil, fmt.Errorf("%s: %w", name, err)
	}
	// Helm before 3.16 wrote no mediaType into the manifest.
	if m.SchemaVersion != 2 || (m.MediaType != "" && m.MediaType != ocispec.MediaTypeImageManifest) {
		return nil, malformed("%s: schemaVersion %d and mediaType %q: want 2 and %s", name, m.SchemaVersion, m.MediaType, ocispec.MediaTypeImageManifest)
	}
	if m.Subject != nil {
		return nil, malformed("%s: subject is not allowed", name)
	}
	if m.ArtifactType != "" && m.ArtifactType != MediaTypeHelm {
		return nil, malformed("%s: artifactType %q: a chart has none", name, m.ArtifactType)
	}
	c := &ChartComponent{
		Name: m.Annotations[ocispec.AnnotationTitle], Version: m.Annotations[ocispec.AnnotationVersion],
		Config: bare(m.Config),
	}
	if err := c.readLayers(m.Layers); err != nil {
		return nil, err
	}
	return c, c.check()
}

func (c *ChartComponent) readLayers(layers []ocispec.Descriptor) error {
	for _, l := range layers {
		l = bare(l)
		switch {
		case l.MediaType == MediaTypeChart && c.Archive.Digest == "":
			c.Archive = l
		case l.MediaType == MediaTypeChartProvenance && c.Provenance == nil:
			c.Provenance = &l
		default:
			return malformed("helm component: a layer of type %.100q: want one of %s and at most one of %s", l.MediaType, MediaTypeChart, MediaTypeChartProvenance)
		}
	}
	return nil
}

func (c *ChartComponent) check() error {
	if err := checkLayer("helm component: config", c.Config, MediaTypeHelm, maxChartConfig); err != nil {
		return err
	}
	if c.Provenance != nil {
		if err := checkLayer("helm component: provenance", *c.Provenance, MediaTypeChartProvenance, maxChartConfig); err != nil {
			return err
		}
	}
	return checkLayer("helm component: chart", c.Archive, MediaTypeChart, MaxArchiveBytes)
}

// The kinds of components; the words are Margo's for types of profiles.
const (
	Compose = "compose"
	Helm    = "helm"
)

// ComponentManifest is what all kinds of components have.
type ComponentManifest struct {
	// Type is [Compose] or [Helm].
	Type string
	// Archive is the layer with the component.
	Archive ocispec.Descriptor
}

// ParseComponent reads the manifest of the component that an entry of a bundle
// names. The entry's artifactType says of which kind it is.
func ParseComponent(entry ocispec.Descriptor, data []byte) (ComponentManifest, error) {
	if entry.ArtifactType == MediaTypeHelm {
		c, err := ParseChartComponent(data)
		if err != nil {
			return ComponentManifest{}, err
		}
		return ComponentManifest{Helm, c.Archive}, nil
	}
	c, err := ParseComposeComponent(data)
	if err != nil {
		return ComponentManifest{}, err
	}
	return ComponentManifest{Compose, c.Archive}, nil
}
