package publish

import (
	"bytes"
	"context"
	"fmt"
	"io"

	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/consign-dev/consign/internal/bundle"
	"github.com/consign-dev/consign/internal/oci"
)

// artifact is a small OCI manifest with its blobs, all in memory: a policy, a
// desired state, a piece of evidence.
type artifact struct {
	manifest ocispec.Descriptor
	data     []byte
	blobs    []blob
}

type blob struct {
	desc ocispec.Descriptor
	data []byte
}

func newBlob(mediaType string, data []byte) blob {
	return blob{desc: bundle.Describe(mediaType, data), data: data}
}

// push sends an artifact, blobs first, and reads every part of it back: a
// registry that lost or changed a byte is found before anything is signed over it.
func (a artifact) push(ctx context.Context, repo *oci.Repository) error {
	for _, b := range append(a.blobs, newBlob(ocispec.MediaTypeEmptyJSON, bundle.EmptyConfig())) {
		open := func() (io.ReadCloser, error) { return io.NopCloser(bytes.NewReader(b.data)), nil }
		if err := repo.PushBlob(ctx, b.desc, open); err != nil {
			return err
		}
		if _, err := repo.BlobBytes(ctx, b.desc, b.desc.Size); err != nil {
			return fmt.Errorf("read back: %w", err)
		}
	}
	if err := repo.PushManifest(ctx, a.manifest, a.data); err != nil {
		return err
	}
	if _, _, err := repo.Manifest(ctx, a.manifest.Digest, a.manifest.Size); err != nil {
		return fmt.Errorf("read back: %w", err)
	}
	return nil
}
