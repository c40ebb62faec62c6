package gather

import (
	"context"
	"fmt"
	"sync/atomic"

	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
	"golang.org/x/sync/errgroup"

	"github.com/consign-dev/consign/internal/oci"
	"github.com/consign-dev/consign/internal/reason"
	"github.com/consign-dev/consign/internal/store"
)

// Progress is told how many bytes of how many are there.
type Progress func(done, total int64)

// parallelBlobs is how many blobs are fetched at once. More than a few gain
// nothing on the links that edge sites have and cost memory on the device.
const parallelBlobs = 3

// Blobs fetches every blob that the store lacks; with no repository, a lack is
// refused as unreachable. The space for all of them is
// checked before the first byte is asked for. What was fetched stays, also when
// an error ends the run, and a broken blob is taken up where it broke off.
func Blobs(ctx context.Context, s *store.Store, repo *oci.Repository, blobs []ocispec.Descriptor, progress Progress) error {
	missing, total := lacking(s, blobs)
	if len(missing) == 0 {
		return nil
	}
	if repo == nil {
		return reason.New(reason.Unreachable, "%d blob(s), %d bytes, are not on this device yet, and nothing may be fetched now: run 'agent sync --fetch-only' first", len(missing), total)
	}
	if err := s.CheckSpace(total); err != nil {
		return err
	}
	var done atomic.Int64
	group, ctx := errgroup.WithContext(ctx)
	group.SetLimit(parallelBlobs)
	for _, desc := range missing {
		group.Go(func() error {
			if _, err := s.Fetch(ctx, desc, repo); err != nil {
				return fmt.Errorf("fetch %s from %s: %w", desc.Digest, repo.Name(), err)
			}
			if n := done.Add(desc.Size); progress != nil {
				progress(n, total)
			}
			return nil
		})
	}
	return group.Wait()
}

// Complete reports whether a store has all of some content.
func Complete(s *store.Store, blobs []ocispec.Descriptor) bool {
	missing, _ := lacking(s, blobs)
	return len(missing) == 0
}

func lacking(s *store.Store, blobs []ocispec.Descriptor) (missing []ocispec.Descriptor, total int64) {
	for _, b := range blobs {
		if !s.Has(b.Digest) {
			missing = append(missing, b)
			total += b.Size
		}
	}
	return missing, total
}
