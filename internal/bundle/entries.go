package bundle

import (
	"strings"

	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
)

// ImageEntries returns the platform manifests of an image that [SelectImage]
// can choose from, as they stand in it. data are the checked bytes of image.
func ImageEntries(image ocispec.Descriptor, data []byte) ([]ocispec.Descriptor, error) {
	doc, err := readImageDocument(image, data)
	if err != nil {
		return nil, err
	}
	entries := doc.Manifests
	if isImageManifest(image.MediaType) {
		entries = []ocispec.Descriptor{image}
	}
	var out []ocispec.Descriptor
	for _, e := range entries {
		if e.Platform == nil || strings.EqualFold(e.Platform.OS, "unknown") {
			continue
		}
		d, err := chosen(image, e)
		if err != nil {
			return nil, err
		}
		out = append(out, d)
	}
	return out, nil
}
