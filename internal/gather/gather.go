// Package gather brings what a verdict needs within reach.
//
// [Remote] lends the verifier documents straight from a repository, as a
// publisher does before it signs. [Cached] does the same for a device: what the
// content store holds is never fetched again, and what is fetched is kept, so
// that the inputs of every verdict can be read again later. [Blobs] then
// fetches the bulk that a verdict names.
//
// Nothing here decides anything: the verifier hashes every document again, and
// the store hashes every blob.
package gather

import (
	"context"
	"errors"
	"io/fs"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/consign-dev/consign/internal/oci"
	"github.com/consign-dev/consign/internal/reason"
	"github.com/consign-dev/consign/internal/store"
)

// Remote lends documents from one repository. It implements verify.Documents.
type Remote struct{ Repository *oci.Repository }

// Manifest implements verify.Documents.
func (r Remote) Manifest(ctx context.Context, d digest.Digest, size int64) ([]byte, error) {
	_, data, err := r.Repository.Manifest(ctx, d, size)
	return data, err
}

// Blob implements verify.Documents.
func (r Remote) Blob(ctx context.Context, desc ocispec.Descriptor) ([]byte, error) {
	return r.Repository.BlobBytes(ctx, desc, desc.Size)
}

// Cached lends documents from a content store and fetches what is missing
// there from one repository. It implements verify.Documents.
type Cached struct {
	Store *store.Store
	// Repository may be nil: then only what the store holds can be lent.
	Repository *oci.Repository
}

// Manifest implements verify.Documents.
func (c Cached) Manifest(ctx context.Context, d digest.Digest, size int64) ([]byte, error) {
	desc := ocispec.Descriptor{MediaType: "application/octet-stream", Digest: d, Size: size}
	return c.lend(ctx, desc, func() ([]byte, error) {
		_, data, err := c.Repository.Manifest(ctx, d, size)
		return data, err
	})
}

// Blob implements verify.Documents.
func (c Cached) Blob(ctx context.Context, desc ocispec.Descriptor) ([]byte, error) {
	return c.lend(ctx, desc, func() ([]byte, error) {
		return c.Repository.BlobBytes(ctx, desc, desc.Size)
	})
}

// lend reads from the store. What was damaged on the disk is gone from the store
// when its reading fails, and is fetched like anything that is missing.
func (c Cached) lend(ctx context.Context, desc ocispec.Descriptor, fetch func() ([]byte, error)) ([]byte, error) {
	data, err := c.Store.Bytes(desc, desc.Size)
	switch {
	case err == nil || c.Store.Has(desc.Digest):
		return data, err
	case c.Repository == nil && errors.Is(err, fs.ErrNotExist):
		return nil, reason.New(reason.Unreachable, "%s is not on this device, and nothing may be fetched now: a sync that reaches the registry fetches what is still ordered", desc.Digest)
	case c.Repository == nil:
		return nil, err
	}
	data, err = fetch()
	if err != nil {
		return nil, err
	}
	return data, c.Store.Put(ctx, desc, data)
}
