package bundle

import (
	"bytes"
	"encoding/json"
	"fmt"
	"slices"
	"strings"

	specs "github.com/opencontainers/image-spec/specs-go"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/consign-dev/consign/internal/strictjson"
)

// Roles of an entry, in the order in which they stand in the index.
const (
	rolePackage   = "package"
	roleComponent = "component"
	roleImage     = "image"
)

var limits = strictjson.Limits{Bytes: MaxManifestBytes, Depth: maxDepth}

// Build returns the bytes and the descriptor of the bundle that b describes.
// The order of b.Images is of no account, and an image that is listed twice
// with the same content is written once.
func Build(b Bundle) ([]byte, ocispec.Descriptor, error) {
	images, err := mergeImages(b.Images)
	if err != nil {
		return nil, ocispec.Descriptor{}, err
	}
	b.Images = images
	if err := b.check(); err != nil {
		return nil, ocispec.Descriptor{}, err
	}
	index := ocispec.Index{
		Versioned:    specs.Versioned{SchemaVersion: 2},
		MediaType:    ocispec.MediaTypeImageIndex,
		ArtifactType: MediaTypeBundle,
		Manifests:    b.entries(),
		Annotations:  map[string]string{AnnotationApplication: b.Application, AnnotationVersion: b.Version},
	}
	return encode(index.MediaType, index.ArtifactType, index)
}

func mergeImages(images []Image) ([]Image, error) {
	sorted := slices.Clone(images)
	slices.SortStableFunc(sorted, func(a, b Image) int { return strings.Compare(a.Reference, b.Reference) })
	var merged []Image
	for _, i := range sorted {
		if n := len(merged); n > 0 && merged[n-1].Reference == i.Reference {
			if merged[n-1].Manifest.Digest != i.Manifest.Digest {
				return nil, malformed("bundle: image %q has two contents: %s and %s",
					i.Reference, merged[n-1].Manifest.Digest, i.Manifest.Digest)
			}
			continue
		}
		merged = append(merged, i)
	}
	return merged, nil
}

// entries are the descriptors of the index, annotated with nothing but their role.
func (b *Bundle) entries() []ocispec.Descriptor {
	list := []ocispec.Descriptor{entry(b.Package, rolePackage, "", "")}
	for _, c := range b.Components {
		list = append(list, entry(c.Manifest, roleComponent, AnnotationComponent, c.Name))
	}
	for _, i := range b.Images {
		list = append(list, entry(i.Manifest, roleImage, AnnotationImage, i.Reference))
	}
	return list
}

func entry(d ocispec.Descriptor, role, key, value string) ocispec.Descriptor {
	d.Annotations = map[string]string{AnnotationRole: role}
	if key != "" {
		d.Annotations[key] = value
	}
	return d
}

// Parse reads a bundle index. Every refusal is malformed or too-large.
func Parse(data []byte) (*Bundle, error) {
	var index ocispec.Index
	if err := strictjson.Unmarshal(data, &index, limits); err != nil {
		return nil, fmt.Errorf("bundle: %w", err)
	}
	if err := checkIndexHead(index); err != nil {
		return nil, err
	}
	b := &Bundle{Application: index.Annotations[AnnotationApplication], Version: index.Annotations[AnnotationVersion]}
	if err := b.readEntries(index.Manifests); err != nil {
		return nil, err
	}
	return b, b.check()
}

func checkIndexHead(index ocispec.Index) error {
	if index.SchemaVersion != 2 || index.MediaType != ocispec.MediaTypeImageIndex {
		return malformed("bundle: schemaVersion %d and mediaType %q: want 2 and %s",
			index.SchemaVersion, index.MediaType, ocispec.MediaTypeImageIndex)
	}
	if index.ArtifactType != MediaTypeBundle {
		return malformed("bundle: artifactType %q: want %s", index.ArtifactType, MediaTypeBundle)
	}
	if index.Subject != nil {
		return malformed("bundle: subject is not allowed")
	}
	return checkKeys("bundle: annotations", index.Annotations, AnnotationApplication, AnnotationVersion)
}

// readEntries sorts the entries into their roles and insists on the order in
// which Build writes them, so that one content has one index.
func (b *Bundle) readEntries(entries []ocispec.Descriptor) error {
	if len(entries) > 1+MaxComponents+MaxImages {
		return malformed("bundle: %d entries: want at most %d", len(entries), 1+MaxComponents+MaxImages)
	}
	for n, d := range entries {
		if err := b.readEntry(n, d); err != nil {
			return fmt.Errorf("bundle: manifests[%d]: %w", n, err)
		}
	}
	if len(entries) == 0 {
		return malformed("bundle: manifests: want the package first")
	}
	return nil
}

func (b *Bundle) readEntry(n int, d ocispec.Descriptor) error {
	notes := d.Annotations
	d.Annotations = nil
	role := notes[AnnotationRole]
	if (n == 0) != (role == rolePackage) {
		return malformed("role %q: want exactly one package, first", role)
	}
	switch role {
	case rolePackage:
		b.Package = d
		return checkKeys("annotations", notes, AnnotationRole)
	case roleComponent:
		if len(b.Images) > 0 {
			return malformed("a component after an image")
		}
		b.Components = append(b.Components, Component{Name: notes[AnnotationComponent], Manifest: d})
		return checkKeys("annotations", notes, AnnotationRole, AnnotationComponent)
	case roleImage:
		b.Images = append(b.Images, Image{Reference: notes[AnnotationImage], Manifest: d})
		return checkKeys("annotations", notes, AnnotationRole, AnnotationImage)
	default:
		return malformed("role %q: want package, component or image", role)
	}
}

// checkKeys demands exactly these annotations.
func checkKeys(where string, notes map[string]string, keys ...string) error {
	for key := range notes {
		if !slices.Contains(keys, key) {
			return malformed("%s: %q is not known here", where, key)
		}
	}
	for _, key := range keys {
		if _, ok := notes[key]; !ok {
			return malformed("%s: %s is missing", where, key)
		}
	}
	return nil
}

// encode writes v canonically. Escaping for HTML is off since OCI documents
// are not HTML and other tools do not expect it.
func encode(mediaType, artifactType string, v any) ([]byte, ocispec.Descriptor, error) {
	var buf bytes.Buffer
	e := json.NewEncoder(&buf)
	e.SetEscapeHTML(false)
	if err := e.Encode(v); err != nil {
		return nil, ocispec.Descriptor{}, fmt.Errorf("encode %s: %w", artifactType, err)
	}
	data := bytes.TrimSuffix(buf.Bytes(), []byte("\n"))
	if len(data) > MaxManifestBytes {
		return nil, ocispec.Descriptor{}, malformed("%s: %d bytes are over the limit of %d", artifactType, len(data), MaxManifestBytes)
	}
	d := Describe(mediaType, data)
	d.ArtifactType = artifactType
	return data, d, nil
}
