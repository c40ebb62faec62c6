package verify

import (
	"context"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/consign-dev/consign/internal/reason"
)

// readManifest returns the manifest that a signed digest and length name. The
// lender is not trusted: length and digest are checked here.
func readManifest(ctx context.Context, docs Documents, d digest.Digest, size int64) ([]byte, error) {
	if err := checkSize(d, size); err != nil {
		return nil, err
	}
	data, err := docs.Manifest(ctx, d, size)
	if err != nil {
		return nil, err
	}
	return data, checkBytes(data, d, size)
}

func readBlob(ctx context.Context, docs Documents, desc ocispec.Descriptor) ([]byte, error) {
	if err := checkSize(desc.Digest, desc.Size); err != nil {
		return nil, err
	}
	data, err := docs.Blob(ctx, desc)
	if err != nil {
		return nil, err
	}
	return data, checkBytes(data, desc.Digest, desc.Size)
}

func checkSize(d digest.Digest, size int64) error {
	if size <= 0 || size > MaxDocumentBytes {
		return reason.New(reason.TooLarge, "document %s: signed length %d is outside 1..%d", d, size, MaxDocumentBytes)
	}
	return nil
}

func checkBytes(data []byte, d digest.Digest, size int64) error {
	if int64(len(data)) != size {
		return reason.New(reason.DigestMismatch, "document %s: %d bytes where %d were signed", d, len(data), size)
	}
	if got := digest.SHA256.FromBytes(data); got != d {
		return reason.New(reason.DigestMismatch, "document %s: the bytes hash to %s", d, got)
	}
	return nil
}
