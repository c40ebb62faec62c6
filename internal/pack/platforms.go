package pack

import (
	"context"
	"encoding/json"
	"slices"
	"strings"

	specs "github.com/opencontainers/image-spec/specs-go"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/consign-dev/consign/internal/bundle"
	"github.com/consign-dev/consign/internal/lazyregexp"
	"github.com/consign-dev/consign/internal/oci"
	"github.com/consign-dev/consign/internal/reason"
)

var platformText = lazyregexp.New(`^linux/[a-z0-9]{1,32}(/v[1-9][0-9]?)?$`)

// ParsePlatform reads "linux/arm64" or "linux/arm/v7".
func ParsePlatform(text string) (ocispec.Platform, error) {
	if !platformText.MatchString(text) {
		return ocispec.Platform{}, reason.New(reason.Malformed, "platform %.60q is not linux/ARCHITECTURE[/VARIANT], such as linux/arm64 or linux/arm/v7", text)
	}
	parts := append(strings.Split(text, "/"), "")
	return ocispec.Platform{OS: parts[0], Architecture: parts[1], Variant: parts[2]}, nil
}

// sortPlatforms makes the order in which platforms are named mean nothing.
func sortPlatforms(list []ocispec.Platform) []ocispec.Platform {
	out := slices.Clone(list)
	slices.SortFunc(out, func(a, b ocispec.Platform) int {
		return strings.Compare(bundle.PlatformString(a), bundle.PlatformString(b))
	})
	return out
}

// copyChosen copies of an image only what the chosen platforms would run, under
// an index of its own. The same image and choice give the same bytes. An image
// that lacks one of them is refused: it would be found out on a device.
func (c *copier) copyChosen(ctx context.Context, image ocispec.Descriptor, chosen []ocispec.Platform) (ocispec.Descriptor, error) {
	if !oci.IsIndex(image.MediaType) {
		return c.copyOne(ctx, image, chosen)
	}
	data, _, err := c.manifest(ctx, image)
	if err != nil {
		return ocispec.Descriptor{}, err
	}
	index := ocispec.Index{Versioned: specs.Versioned{SchemaVersion: 2}, MediaType: ocispec.MediaTypeImageIndex}
	for _, want := range sortPlatforms(chosen) {
		entry, err := bundle.SelectImage(image, data, want)
		if err != nil {
			return ocispec.Descriptor{}, err
		}
		if slices.ContainsFunc(index.Manifests, func(m ocispec.Descriptor) bool { return m.Digest == entry.Digest }) {
			continue
		}
		if err := c.copy(ctx, entry, 1); err != nil {
			return ocispec.Descriptor{}, err
		}
		index.Manifests = append(index.Manifests, entry)
	}
	if data, err = json.Marshal(index); err != nil {
		return ocispec.Descriptor{}, err
	}
	return c.out.PutBytes(index.MediaType, data)
}

// copyOne copies an image that is for one platform, if all that were chosen run it.
func (c *copier) copyOne(ctx context.Context, image ocispec.Descriptor, chosen []ocispec.Platform) (ocispec.Descriptor, error) {
	entry, err := c.copyImage(ctx, image)
	if err != nil {
		return entry, err
	}
	data, _, err := c.manifest(ctx, image)
	if err != nil {
		return entry, err
	}
	for _, want := range chosen {
		if _, err := bundle.SelectImage(entry, data, want); err != nil {
			return entry, err
		}
	}
	return entry, nil
}
