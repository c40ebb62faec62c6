package channel

import (
	"encoding/json"
	"fmt"
	"maps"
	"slices"

	"github.com/opencontainers/go-digest"
	specs "github.com/opencontainers/image-spec/specs-go"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/consign-dev/consign/internal/lazyregexp"
	"github.com/consign-dev/consign/internal/oci"
	"github.com/consign-dev/consign/internal/reason"
	"github.com/consign-dev/consign/internal/strictjson"
	"github.com/consign-dev/consign/internal/tufclient"
)

// Bounds of a channel manifest.
const (
	// MaxManifest is what every registry takes (OCI Distribution Spec 1.1,
	// Pushing Manifests).
	MaxManifest = 4 << 20
	// MaxFiles leaves room for a thousand roots and a thousand delegated roles;
	// at 300 bytes a layer that is far below MaxManifest.
	MaxFiles = 2 * 1024
)

// title is the closed set of file names: no path, no dot but those of TUF, a
// version that every JSON reader can count to.
var title = lazyregexp.New(`^(timestamp|[1-9][0-9]{0,15}\.[A-Za-z0-9_-]{1,64})\.json$`)

// emptyConfig is the content of the config blob.
var emptyConfig = ocispec.DescriptorEmptyJSON

// BuildManifest returns the channel manifest of files, which are metadata by
// file name. Equal files make equal manifests.
func BuildManifest(files map[string][]byte) ([]byte, ocispec.Descriptor, error) {
	m := ocispec.Manifest{
		Versioned:    specs.Versioned{SchemaVersion: 2},
		MediaType:    ocispec.MediaTypeImageManifest,
		ArtifactType: MediaTypeChannel,
		Config:       bare(emptyConfig),
	}
	for _, name := range slices.Sorted(maps.Keys(files)) {
		m.Layers = append(m.Layers, ocispec.Descriptor{
			MediaType:   MediaTypeMetadata,
			Digest:      digest.FromBytes(files[name]),
			Size:        int64(len(files[name])),
			Annotations: map[string]string{ocispec.AnnotationTitle: name},
		})
	}
	data, err := json.Marshal(m)
	if err != nil {
		return nil, ocispec.Descriptor{}, fmt.Errorf("encode channel manifest: %w", err)
	}
	if _, err := ParseManifest(data); err != nil {
		return nil, ocispec.Descriptor{}, err
	}
	return data, ocispec.Descriptor{MediaType: m.MediaType, ArtifactType: m.ArtifactType, Digest: digest.FromBytes(data), Size: int64(len(data))}, nil
}

func bare(d ocispec.Descriptor) ocispec.Descriptor {
	return ocispec.Descriptor{MediaType: d.MediaType, Digest: d.Digest, Size: d.Size}
}

// manifest and layer have exactly the fields that a channel manifest may have.
type manifest struct {
	SchemaVersion int     `json:"schemaVersion"`
	MediaType     string  `json:"mediaType"`
	ArtifactType  string  `json:"artifactType"`
	Config        layer   `json:"config"`
	Layers        []layer `json:"layers"`
}

type layer struct {
	MediaType   string            `json:"mediaType"`
	Digest      string            `json:"digest"`
	Size        int64             `json:"size"`
	Annotations map[string]string `json:"annotations"`
}

// ParseManifest reads a channel manifest and returns the blob of each file by
// file name. Reasons: malformed, too-large.
func ParseManifest(data []byte) (map[string]ocispec.Descriptor, error) {
	var m manifest
	if err := strictjson.Unmarshal(data, &m, strictjson.Limits{Bytes: MaxManifest, Depth: 8}); err != nil {
		return nil, fmt.Errorf("channel manifest: %w", err)
	}
	if m.SchemaVersion != 2 || m.MediaType != ocispec.MediaTypeImageManifest || m.ArtifactType != MediaTypeChannel {
		return nil, malformed("schemaVersion %d, mediaType %q, artifactType %q: want 2, %s, %s",
			m.SchemaVersion, m.MediaType, m.ArtifactType, ocispec.MediaTypeImageManifest, MediaTypeChannel)
	}
	if c := m.Config; c.MediaType != emptyConfig.MediaType || c.Digest != string(emptyConfig.Digest) || c.Size != emptyConfig.Size || c.Annotations != nil {
		return nil, malformed("config: want the OCI empty descriptor")
	}
	if len(m.Layers) > MaxFiles {
		return nil, reason.New(reason.TooLarge, "channel manifest: %d files, at most %d are read", len(m.Layers), MaxFiles)
	}
	files := make(map[string]ocispec.Descriptor, len(m.Layers))
	for n, l := range m.Layers {
		name, desc, err := l.file()
		if err != nil {
			return nil, fmt.Errorf("channel manifest: layers[%d]: %w", n, err)
		}
		if _, twice := files[name]; twice {
			return nil, malformed("layers[%d]: %s is listed twice", n, name)
		}
		files[name] = desc
	}
	if _, ok := files[timestampFile]; !ok {
		return nil, malformed("layers: there is no %s", timestampFile)
	}
	return files, nil
}

const timestampFile = "timestamp.json"

func (l layer) file() (string, ocispec.Descriptor, error) {
	name := l.Annotations[ocispec.AnnotationTitle]
	if len(l.Annotations) != 1 || !title.MatchString(name) {
		return "", ocispec.Descriptor{}, reason.New(reason.Malformed, "annotations: want only the title, a TUF file name such as 1.root.json, not %q", name)
	}
	if l.MediaType != MediaTypeMetadata {
		return "", ocispec.Descriptor{}, reason.New(reason.Malformed, "mediaType %q: want %s", l.MediaType, MediaTypeMetadata)
	}
	d, err := oci.ParseDigest(l.Digest)
	if err != nil {
		return "", ocispec.Descriptor{}, err
	}
	if l.Size < 1 || l.Size > tufclient.MaxTargets {
		return "", ocispec.Descriptor{}, reason.New(reason.TooLarge, "size %d: want 1 to %d", l.Size, tufclient.MaxTargets)
	}
	return name, ocispec.Descriptor{MediaType: l.MediaType, Digest: d, Size: l.Size}, nil
}

func malformed(format string, args ...any) error {
	return reason.New(reason.Malformed, "channel manifest: "+format, args...)
}
