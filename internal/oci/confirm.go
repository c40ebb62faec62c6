package oci

import (
	"context"
	"fmt"
	"io"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
	"golang.org/x/sync/errgroup"

	"github.com/consign-dev/consign/internal/reason"
)

// Confirm looks for root and all that it needs in a repository. Every manifest
// is read back and compared with its digest. A blob is asked for by its digest
// and must have its length; with read it is read back and compared, too, which
// is cheap where the repository lies on a disk of our own.
//
// Reasons: unreachable for a manifest that is missing, digest-mismatch for a
// missing blob and for what is not what its name says.
func Confirm(ctx context.Context, in *Repository, root ocispec.Descriptor, read bool) error {
	c := confirmation{in: in, read: read, seen: map[digest.Digest]bool{}}
	if err := c.visit(ctx, root, 0); err != nil {
		return fmt.Errorf("read back: %w", err)
	}
	group, ctx := errgroup.WithContext(ctx)
	group.SetLimit(in.client.Parallel())
	for _, blob := range c.blobs {
		group.Go(func() error { return c.blob(ctx, blob) })
	}
	if err := group.Wait(); err != nil {
		return fmt.Errorf("read back: %w", err)
	}
	return nil
}

type confirmation struct {
	in    *Repository
	read  bool
	seen  map[digest.Digest]bool
	blobs []ocispec.Descriptor
}

func (c *confirmation) visit(ctx context.Context, desc ocispec.Descriptor, depth int) error {
	if c.seen[desc.Digest] {
		return nil
	}
	c.seen[desc.Digest] = true
	if !IsManifest(desc.MediaType) {
		c.blobs = append(c.blobs, desc)
		return nil
	}
	if depth > maxGraphDepth {
		return reason.New(reason.TooLarge, "manifests nested deeper than %d", maxGraphDepth)
	}
	data, err := fetchAll(ctx, c.in, desc)
	if err != nil {
		return err
	}
	children, err := Children(desc.MediaType, data)
	if err != nil {
		return err
	}
	for _, child := range children {
		if err := c.visit(ctx, child, depth+1); err != nil {
			return err
		}
	}
	return nil
}

func (c *confirmation) blob(ctx context.Context, desc ocispec.Descriptor) error {
	if !c.read {
		has, err := c.in.HasBlob(ctx, desc)
		if err == nil && !has {
			err = reason.New(reason.DigestMismatch, "%s: blob %s is not there with its %d bytes", c.in.Name(), desc.Digest, desc.Size)
		}
		return err
	}
	content, err := c.in.Fetch(ctx, desc)
	if err != nil {
		return err
	}
	defer content.Close()
	if _, err := io.Copy(io.Discard, content); err != nil {
		return fmt.Errorf("%s: %w", c.in.Name(), err)
	}
	return nil
}
