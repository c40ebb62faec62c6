package oci

import (
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"

	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/consign-dev/consign/internal/reason"
	"github.com/consign-dev/consign/internal/strictjson"
)

// Media types of Docker Image Manifest V2, Schema 2, which registries and
// engines treat like their OCI successors.
const (
	MediaTypeDockerManifest = "application/vnd.docker.distribution.manifest.v2+json"
	MediaTypeDockerList     = "application/vnd.docker.distribution.manifest.list.v2+json"
)

const (
	// MaxManifestBytes is the size up to which registries must accept
	// manifests (OCI Distribution Spec 1.1, Pushing Manifests). Larger ones
	// are neither read nor written.
	MaxManifestBytes = 4 << 20
	// maxChildren is far above the largest index in use (a hundred entries)
	// and keeps one manifest from causing a million requests.
	maxChildren = 4096
	// maxDepth is the nesting of a manifest without embedded surprises; real
	// ones need five.
	maxDepth = 32
	// maxBlobBytes bounds a declared size, so that sums of sizes do not
	// overflow: 4096 of them fit into an int64 many times.
	maxBlobBytes = 1 << 44
)

// IsIndex reports whether mediaType is that of a manifest that lists manifests.
func IsIndex(mediaType string) bool {
	return mediaType == ocispec.MediaTypeImageIndex || mediaType == MediaTypeDockerList
}

// IsManifest reports whether content of mediaType is pushed and pulled as a
// manifest; all else is a blob.
func IsManifest(mediaType string) bool {
	return IsIndex(mediaType) || mediaType == ocispec.MediaTypeImageManifest || mediaType == MediaTypeDockerManifest
}

// The fields that say what a manifest points to, by the exact spelling of the
// specification. encoding/json would also take "Layers" for layers, other
// parsers would not.
var pointerFields = []string{"schemaVersion", "mediaType", "config", "layers", "manifests", "fsLayers", "blobs"}

// Children lists what a manifest needs: config and layers of an image
// manifest, the manifests of an index; the subject is not among them.
//
// A document that could be read as both kinds is refused, and so are one whose
// own mediaType differs from mediaType, duplicate keys, digests other than
// sha256 in canonical form and impossible sizes (attack O4). Fields that the
// specification does not know are allowed: OCI Image Spec 1.1, Considerations,
// obliges readers to ignore them.
func Children(mediaType string, manifest []byte) ([]ocispec.Descriptor, error) {
	fields, err := manifestFields(manifest)
	if err != nil {
		return nil, err
	}
	if own, err := ownMediaType(fields); err != nil {
		return nil, err
	} else if own != "" && own != mediaType {
		return nil, reason.New(reason.Malformed, "manifest of media type %q calls itself %q", clip(mediaType), clip(own))
	}
	switch {
	case IsIndex(mediaType):
		return indexChildren(fields)
	case IsManifest(mediaType):
		return imageChildren(fields)
	}
	return nil, reason.New(reason.Malformed, "media type %q is not that of a manifest", clip(mediaType))
}

// ManifestMediaType returns the media type of a manifest by its own content:
// the mediaType field, or what its other fields mean where an OCI manifest
// leaves the optional field out. It refuses what [Children] refuses.
func ManifestMediaType(manifest []byte) (string, error) {
	fields, err := manifestFields(manifest)
	if err != nil {
		return "", err
	}
	mediaType, err := ownMediaType(fields)
	if err != nil {
		return "", err
	}
	if mediaType == "" {
		mediaType = ocispec.MediaTypeImageManifest
		if _, ok := fields["manifests"]; ok {
			mediaType = ocispec.MediaTypeImageIndex
		}
	}
	_, err = Children(mediaType, manifest)
	return mediaType, err
}

var manifestLimits = strictjson.Limits{Bytes: MaxManifestBytes, Depth: maxDepth}

func manifestFields(manifest []byte) (map[string]json.RawMessage, error) {
	if err := strictjson.Check(manifest, manifestLimits); err != nil {
		return nil, err
	}
	fields, err := object("manifest", manifest, pointerFields)
	if err != nil {
		return nil, err
	}
	if v := string(fields["schemaVersion"]); v != "2" {
		return nil, reason.New(reason.Malformed, "manifest: schemaVersion: %q, only 2 is known", clip(v))
	}
	return fields, nil
}

func ownMediaType(fields map[string]json.RawMessage) (string, error) {
	raw, ok := fields["mediaType"]
	if !ok {
		return "", nil
	}
	var own string
	if err := json.Unmarshal(raw, &own); err != nil || own == "" {
		return "", reason.New(reason.Malformed, "manifest: mediaType: not a media type")
	}
	return own, nil
}

// object splits a JSON object and refuses keys that equal a known one but for
// their case.
func object(what string, data []byte, known []string) (map[string]json.RawMessage, error) {
	var fields map[string]json.RawMessage
	if err := json.Unmarshal(data, &fields); err != nil || fields == nil {
		return nil, reason.New(reason.Malformed, "%s: not a JSON object", what)
	}
	for _, key := range slices.Sorted(maps.Keys(fields)) {
		for _, k := range known {
			if key != k && strings.EqualFold(key, k) {
				return nil, reason.New(reason.Malformed, "%s: field %q, the name is %q", what, clip(key), k)
			}
		}
	}
	return fields, nil
}

func indexChildren(fields map[string]json.RawMessage) ([]ocispec.Descriptor, error) {
	if err := absent(fields, "an index", "config", "layers", "fsLayers", "blobs"); err != nil {
		return nil, err
	}
	return descriptors("manifests", fields["manifests"])
}

func imageChildren(fields map[string]json.RawMessage) ([]ocispec.Descriptor, error) {
	if err := absent(fields, "an image manifest", "manifests", "fsLayers", "blobs"); err != nil {
		return nil, err
	}
	config, err := descriptor("config", fields["config"])
	if err != nil {
		return nil, err
	}
	layers, err := descriptors("layers", fields["layers"])
	if err != nil {
		return nil, err
	}
	return append([]ocispec.Descriptor{config}, layers...), nil
}

func absent(fields map[string]json.RawMessage, kind string, names ...string) error {
	for _, name := range names {
		if _, ok := fields[name]; ok {
			return reason.New(reason.Malformed, "manifest: %s has no field %q", kind, name)
		}
	}
	return nil
}

func descriptors(field string, raw json.RawMessage) ([]ocispec.Descriptor, error) {
	var list []json.RawMessage
	if err := json.Unmarshal(raw, &list); err != nil || list == nil {
		return nil, reason.New(reason.Malformed, "manifest: %s: not an array", field)
	}
	if len(list) > maxChildren {
		return nil, reason.New(reason.TooLarge, "manifest: %s: %d entries, at most %d are read", field, len(list), maxChildren)
	}
	out := make([]ocispec.Descriptor, 0, len(list))
	for _, raw := range list {
		d, err := descriptor(field, raw)
		if err != nil {
			return nil, err
		}
		out = append(out, d)
	}
	return out, nil
}

func descriptor(field string, raw json.RawMessage) (ocispec.Descriptor, error) {
	what := "manifest: " + field
	var d ocispec.Descriptor
	if err := strictjson.UnmarshalOpen(raw, &d, manifestLimits); err != nil {
		return d, fmt.Errorf("%s: not a descriptor: %w", what, err)
	}
	if _, err := ParseDigest(string(d.Digest)); err != nil {
		return d, reason.New(reason.Malformed, "%s: %w", what, err)
	}
	if d.MediaType == "" || d.Size < 0 || d.Size > maxBlobBytes {
		return d, reason.New(reason.Malformed, "%s: %s has media type %q and size %d", what, d.Digest, clip(d.MediaType), d.Size)
	}
	return d, nil
}
