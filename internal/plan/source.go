package plan

import (
	"context"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/consign-dev/consign/internal/apply"
	"github.com/consign-dev/consign/internal/bundle"
	"github.com/consign-dev/consign/internal/gather"
	"github.com/consign-dev/consign/internal/oci"
)

// Layout is the [Source] that pack wrote.
type Layout struct{ *oci.Layout }

// Manifest implements [verify.Documents].
func (l Layout) Manifest(_ context.Context, d digest.Digest, size int64) ([]byte, error) {
	return l.Bytes(ocispec.Descriptor{MediaType: ocispec.MediaTypeImageManifest, Digest: d, Size: size}, bundle.MaxManifestBytes)
}

// Blob implements [verify.Documents].
func (l Layout) Blob(_ context.Context, desc ocispec.Descriptor) ([]byte, error) {
	return l.Bytes(desc, bundle.MaxDocumentBytes)
}

// Archive implements [Source].
func (l Layout) Archive(context.Context) func(ocispec.Descriptor) ([]byte, error) {
	return apply.ReadArchive(l.Bytes)
}

// Remote is the [Source] of a released bundle: the application's repository.
type Remote struct{ gather.Remote }

// Archive implements [Source].
func (r Remote) Archive(ctx context.Context) func(ocispec.Descriptor) ([]byte, error) {
	return apply.ReadArchive(func(desc ocispec.Descriptor, max int64) ([]byte, error) {
		return r.Repository.BlobBytes(ctx, desc, max)
	})
}
