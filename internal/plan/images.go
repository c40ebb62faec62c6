package plan

import (
	"context"
	"fmt"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/consign-dev/consign/internal/bundle"
	"github.com/consign-dev/consign/internal/oci"
	"github.com/consign-dev/consign/internal/verify"
)

// Image is a container image of a bundle.
type Image struct {
	// Reference is what components call it, Digest what the bundle pins.
	Reference string          `json:"reference"`
	Digest    digest.Digest   `json:"digest"`
	Platforms []ImagePlatform `json:"platforms"`
}

// ImagePlatform is what a device of one platform runs.
type ImagePlatform struct {
	Platform string        `json:"platform"`
	Digest   digest.Digest `json:"digest"`
	// Size is what a device that has nothing of it fetches, in bytes: the
	// manifest, the configuration and the layers, compressed.
	Size int64 `json:"size"`

	platform ocispec.Platform
}

func listImages(ctx context.Context, b *bundle.Bundle, docs verify.Documents) ([]Image, error) {
	out := []Image{}
	for _, i := range b.Images {
		platforms, err := listPlatforms(ctx, i.Manifest, docs)
		if err != nil {
			return nil, fmt.Errorf("image %s: %w", i.Reference, err)
		}
		out = append(out, Image{Reference: i.Reference, Digest: i.Manifest.Digest, Platforms: platforms})
	}
	return out, nil
}

func listPlatforms(ctx context.Context, image ocispec.Descriptor, docs verify.Documents) ([]ImagePlatform, error) {
	data, err := docs.Manifest(ctx, image.Digest, image.Size)
	if err != nil {
		return nil, err
	}
	entries, err := bundle.ImageEntries(image, data)
	if err != nil {
		return nil, err
	}
	out := []ImagePlatform{}
	for _, e := range entries {
		size, err := imageSize(ctx, e, docs)
		if err != nil {
			return nil, err
		}
		out = append(out, ImagePlatform{Platform: bundle.PlatformString(*e.Platform), Digest: e.Digest, Size: size, platform: *e.Platform})
	}
	return out, nil
}

func imageSize(ctx context.Context, manifest ocispec.Descriptor, docs verify.Documents) (int64, error) {
	data, err := docs.Manifest(ctx, manifest.Digest, manifest.Size)
	if err != nil {
		return 0, err
	}
	children, err := oci.Children(manifest.MediaType, data)
	size := manifest.Size
	for _, c := range children {
		size += c.Size
	}
	return size, err
}

// shownPlatform is the platform that a plan is rendered for when nobody named
// one: the first that all images have. What differs between platforms is the
// digests of the images alone.
func shownPlatform(images []Image) ocispec.Platform {
	var first ocispec.Platform
	for n := range images {
		for _, p := range images[n].Platforms {
			if first.OS == "" {
				first = p.platform
			}
			if haveAll(images, p.Platform) {
				return p.platform
			}
		}
	}
	if first.OS == "" {
		return ocispec.Platform{OS: "linux", Architecture: "amd64"}
	}
	return first
}

func haveAll(images []Image, platform string) bool {
	for _, i := range images {
		found := false
		for _, p := range i.Platforms {
			found = found || p.Platform == platform
		}
		if !found {
			return false
		}
	}
	return true
}
