package pack

import (
	"context"
	"fmt"
	"strings"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/consign-dev/consign/internal/bundle"
	"github.com/consign-dev/consign/internal/fault"
	"github.com/consign-dev/consign/internal/oci"
	"github.com/consign-dev/consign/internal/reason"
	"github.com/consign-dev/consign/internal/strictjson"
)

const (
	// maxIndexDepth allows an index inside an index, which some builders make.
	maxIndexDepth = 3
	// maxManifests bounds the manifests of one image. A hundred entries are the
	// most in use, each with an attestation.
	maxManifests = 4096
	// maxPlatforms bounds what an index may offer; each is looked for in all of it.
	maxPlatforms = 64
	// maxConfigBytes bounds an image config, which holds a build history.
	maxConfigBytes = 4 << 20
)

// copier copies one image into a layout, children before parents.
type copier struct {
	from oci.Source
	out  *oci.Layout
	warn func(format string, args ...any)
	// copied are the manifests that are in out already with all below them. An
	// index that lists one a thousand times, itself in such an index, would
	// otherwise be a million copies.
	copied map[digest.Digest]bool
}

// copyImage copies the image whole and returns its entry in a bundle.
func (c *copier) copyImage(ctx context.Context, root ocispec.Descriptor) (ocispec.Descriptor, error) {
	entry := ocispec.Descriptor{MediaType: root.MediaType, Digest: root.Digest, Size: root.Size}
	data, children, err := c.manifest(ctx, root)
	if err != nil {
		return entry, err
	}
	if oci.IsIndex(root.MediaType) {
		err = c.checkIndex(entry, data, children)
	} else {
		entry.Platform, err = c.platform(ctx, children[0])
	}
	if err != nil {
		return entry, err
	}
	return entry, c.copy(ctx, root, 0)
}

// manifest reads a manifest and lists what it needs.
func (c *copier) manifest(ctx context.Context, desc ocispec.Descriptor) ([]byte, []ocispec.Descriptor, error) {
	if !oci.IsManifest(desc.MediaType) {
		return nil, nil, reason.New(reason.Malformed, "%s is of type %q, which is not that of an image", desc.Digest, desc.MediaType)
	}
	data, err := c.read(ctx, desc, bundle.MaxManifestBytes)
	if err != nil {
		return nil, nil, err
	}
	children, err := oci.Children(desc.MediaType, data)
	if err != nil {
		return nil, nil, fmt.Errorf("%s: %w", desc.Digest, err)
	}
	return data, children, nil
}

func (c *copier) read(ctx context.Context, desc ocispec.Descriptor, max int64) ([]byte, error) {
	if err := fault.Point("pack.read"); err != nil {
		return nil, err
	}
	rc, err := c.from.Fetch(ctx, desc)
	if err != nil {
		return nil, err
	}
	defer rc.Close()
	return oci.ReadAll(rc, desc, max)
}

// checkIndex finds at home what a device would otherwise find out.
func (c *copier) checkIndex(image ocispec.Descriptor, data []byte, entries []ocispec.Descriptor) error {
	usable := 0
	looked := map[string]bool{}
	for _, e := range entries {
		if e.Platform == nil || e.Platform.OS != "linux" || looked[bundle.PlatformString(*e.Platform)] {
			continue
		}
		if looked[bundle.PlatformString(*e.Platform)] = true; len(looked) > maxPlatforms {
			return reason.New(reason.TooLarge, "index %s offers more than %d platforms", image.Digest, maxPlatforms)
		}
		_, err := bundle.SelectImage(image, data, *e.Platform)
		switch {
		case err == nil:
			usable++
		case reason.Is(err, reason.Platform):
			c.warn("no device can choose it for %s: %v", bundle.PlatformString(*e.Platform), err)
		default:
			return err
		}
	}
	if usable == 0 {
		return reason.New(reason.Platform, "index %s offers no Linux platform", image.Digest)
	}
	return nil
}

// platform reads from its config which platform a single manifest is for.
func (c *copier) platform(ctx context.Context, config ocispec.Descriptor) (*ocispec.Platform, error) {
	if config.MediaType != ocispec.MediaTypeImageConfig && config.MediaType != mediaTypeDockerConfig {
		return nil, reason.New(reason.Malformed, "config %s is of type %q: this is not a container image", config.Digest, config.MediaType)
	}
	data, err := c.read(ctx, config, maxConfigBytes)
	if err != nil {
		return nil, err
	}
	var p ocispec.Platform
	if err := strictjson.UnmarshalOpen(data, &p, strictjson.Limits{Bytes: maxConfigBytes}); err != nil {
		return nil, fmt.Errorf("image config %s: %w", config.Digest, err)
	}
	if p.OS != "linux" {
		return nil, reason.New(reason.Platform, "image config %s: os is %q; devices run Linux images", config.Digest, p.OS)
	}
	return &ocispec.Platform{OS: p.OS, Architecture: p.Architecture, Variant: p.Variant}, nil
}

func (c *copier) copy(ctx context.Context, desc ocispec.Descriptor, depth int) error {
	if !oci.IsManifest(desc.MediaType) {
		return c.copyBlob(ctx, desc)
	}
	if c.copied[desc.Digest] {
		return nil
	}
	if depth > maxIndexDepth {
		return reason.New(reason.Malformed, "%s: indexes are nested deeper than %d", desc.Digest, maxIndexDepth)
	}
	data, children, err := c.manifest(ctx, desc)
	if err != nil {
		return err
	}
	for _, child := range children {
		if err := c.copy(ctx, child, depth+1); err != nil {
			return fmt.Errorf("%s: %w", desc.Digest, err)
		}
	}
	if c.copied[desc.Digest] = true; len(c.copied) > maxManifests {
		return reason.New(reason.TooLarge, "more than %d manifests", maxManifests)
	}
	_, err = c.out.PutBytes(desc.MediaType, data)
	return err
}

// copyBlob streams a blob. Sources verify what they lend, and the layout
// stores under the digest of what came.
func (c *copier) copyBlob(ctx context.Context, desc ocispec.Descriptor) error {
	if len(desc.URLs) > 0 || strings.Contains(desc.MediaType, "nondistributable") || strings.Contains(desc.MediaType, "foreign") {
		return reason.New(reason.Malformed, "layer %s may not be distributed: it lies outside the registry", desc.Digest)
	}
	if strings.HasSuffix(desc.MediaType, "+zstd") {
		c.warn("layer %s is compressed with zstd, which Docker engines before 23 cannot read", desc.Digest)
	}
	if c.out.Has(desc) {
		return nil
	}
	if err := fault.Point("pack.blob"); err != nil {
		return err
	}
	rc, err := c.from.Fetch(ctx, desc)
	if err != nil {
		return err
	}
	defer rc.Close()
	_, _, err = c.out.PutBlob(ctx, oci.VerifyReader(rc, desc))
	return err
}

// mediaTypeDockerConfig is the config of Docker Image Manifest V2, Schema 2.
const mediaTypeDockerConfig = "application/vnd.docker.container.image.v1+json"
