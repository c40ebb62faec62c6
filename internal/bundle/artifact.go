package bundle

import (
	"fmt"

	specs "github.com/opencontainers/image-spec/specs-go"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/consign-dev/consign/internal/reason"
	"github.com/consign-dev/consign/internal/strictjson"
)

// EmptyConfig is the config blob of every artifact manifest that Build
// functions write: the two bytes "{}" (OCI Image Spec 1.1, Guidance for an
// empty descriptor).
func EmptyConfig() []byte { return []byte("{}") }

// artifact is the frame that all our manifests share: an artifactType, the
// empty config, layers.
func artifact(artifactType string, layers []ocispec.Descriptor) ocispec.Manifest {
	return ocispec.Manifest{
		Versioned:    specs.Versioned{SchemaVersion: 2},
		MediaType:    ocispec.MediaTypeImageManifest,
		ArtifactType: artifactType,
		Config:       ocispec.DescriptorEmptyJSON,
		Layers:       layers,
	}
}

func encodeArtifact(m ocispec.Manifest) ([]byte, ocispec.Descriptor, error) {
	return encode(m.MediaType, m.ArtifactType, m)
}

// parseArtifact reads the frame. name is what the document is called in errors.
func parseArtifact(name, artifactType string, data []byte) (ocispec.Manifest, error) {
	var m ocispec.Manifest
	if err := strictjson.Unmarshal(data, &m, limits); err != nil {
		return m, fmt.Errorf("%s: %w", name, err)
	}
	if m.SchemaVersion != 2 || m.MediaType != ocispec.MediaTypeImageManifest {
		return m, malformed("%s: schemaVersion %d and mediaType %q: want 2 and %s",
			name, m.SchemaVersion, m.MediaType, ocispec.MediaTypeImageManifest)
	}
	if m.ArtifactType != artifactType {
		return m, malformed("%s: artifactType %q: want %s", name, m.ArtifactType, artifactType)
	}
	return m, checkEmpty(name+": config", m.Config)
}

// checkEmpty demands the empty descriptor, with or without its data inline.
func checkEmpty(where string, d ocispec.Descriptor) error {
	empty := ocispec.DescriptorEmptyJSON
	if d.MediaType != empty.MediaType || d.Digest != empty.Digest || d.Size != empty.Size ||
		(d.Data != nil && string(d.Data) != string(empty.Data)) {
		return malformed("%s: want the OCI empty descriptor", where)
	}
	return nil
}

// plain refuses what our own documents never carry: a subject and annotations
// of the manifest.
func plain(name string, m ocispec.Manifest) error {
	if m.Subject != nil {
		return malformed("%s: subject is not allowed", name)
	}
	return checkKeys(name+": annotations", m.Annotations)
}

func checkLayer(where string, d ocispec.Descriptor, mediaType string, max int64) error {
	if d.MediaType != mediaType {
		return malformed("%s: mediaType %q: want %s", where, d.MediaType, mediaType)
	}
	return checkBlob(where, d, max)
}

// checkBlob checks a layer whose media type the caller has looked at.
func checkBlob(where string, d ocispec.Descriptor, max int64) error {
	if d.Platform != nil || d.ArtifactType != "" {
		return malformed("%s: platform and artifactType are not for layers", where)
	}
	return checkDescriptor(where, d, max)
}

// checkCount bounds a list before anything in it is looked at.
func checkCount(where string, n, min, max int) error {
	if n > max {
		return reason.New(reason.TooLarge, "%s: %d layers: want at most %d", where, n, max)
	}
	if n < min {
		return malformed("%s: %d layers: want at least %d", where, n, min)
	}
	return nil
}

// bare returns d with nothing but type, digest and size.
func bare(d ocispec.Descriptor) ocispec.Descriptor {
	return ocispec.Descriptor{MediaType: d.MediaType, Digest: d.Digest, Size: d.Size}
}

func annotated(d ocispec.Descriptor, notes map[string]string) ocispec.Descriptor {
	d = bare(d)
	d.Annotations = notes
	return d
}
