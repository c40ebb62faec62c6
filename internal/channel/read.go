package channel

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/consign-dev/consign/internal/oci"
	"github.com/consign-dev/consign/internal/reason"
	"github.com/consign-dev/consign/internal/tufclient"
)

// Reader is what reading a channel asks of a repository; *oci.Repository is
// one. Objects that are not there are [oci.ErrNotFound]; manifests and blobs
// come verified against their digest.
type Reader interface {
	ResolveTag(ctx context.Context, tag string) (ocispec.Descriptor, error)
	Manifest(ctx context.Context, d digest.Digest, max int64) (ocispec.Descriptor, []byte, error)
	BlobBytes(ctx context.Context, desc ocispec.Descriptor, max int64) ([]byte, error)
}

// maxRestarts is how often a reader begins anew when an object disappears
// under its hands. A channel changes at most every few seconds, so one restart
// is rare and three mean that the registry has lost something.
const maxRestarts = 3

// Head returns the digest of the current channel manifest, for one request: an
// unchanged digest means that there is nothing new to refresh from.
func Head(ctx context.Context, repo Reader) (digest.Digest, error) {
	desc, err := repo.ResolveTag(ctx, Tag)
	if err != nil {
		return "", fmt.Errorf("channel: %w", err)
	}
	return desc.Digest, nil
}

// NewFetcher returns a fetcher of the files that a channel manifest lists.
func NewFetcher(repo Reader, manifest []byte) (tufclient.Fetcher, error) {
	files, err := ParseManifest(manifest)
	if err != nil {
		return nil, err
	}
	return &fetcher{repo: repo, files: files}, nil
}

type fetcher struct {
	repo  Reader
	files map[string]ocispec.Descriptor
}

// Fetch answers [tufclient.ErrNotFound] for a file that the manifest does not
// list. A listed one that the registry does not have is another matter: then
// the manifest is no longer, or not yet, the state of the channel.
func (f *fetcher) Fetch(ctx context.Context, name string, max int64) ([]byte, error) {
	desc, ok := f.files[name]
	if !ok {
		return nil, tufclient.ErrNotFound
	}
	if desc.Size > max {
		return nil, reason.New(reason.TooLarge, "channel file %s: %d bytes, at most %d are read", name, desc.Size, max)
	}
	data, err := f.repo.BlobBytes(ctx, desc, max)
	if err != nil {
		return nil, fmt.Errorf("channel file %s: %w", name, err)
	}
	return data, nil
}

// Refresh brings c up to date from the channel in repo, for the named targets,
// as [tufclient.Client.Refresh] does, and returns the digest of the manifest
// that it came from. When an object is missing half-way it starts again from
// the tag, a few times.
func Refresh(ctx context.Context, repo Reader, c *tufclient.Client, now time.Time, targets ...string) (*tufclient.Metadata, digest.Digest, error) {
	return restart(ctx, repo, func(f tufclient.Fetcher) (*tufclient.Metadata, error) {
		return c.Refresh(ctx, f, now, targets...)
	})
}

// RefreshAll is [Refresh] with every delegated role.
func RefreshAll(ctx context.Context, repo Reader, c *tufclient.Client, now time.Time) (*tufclient.Metadata, digest.Digest, error) {
	return restart(ctx, repo, func(f tufclient.Fetcher) (*tufclient.Metadata, error) {
		return c.RefreshAll(ctx, f, now)
	})
}

// Look reads what repo serves without comparing it with what c has seen, as
// [tufclient.Client.Look] does.
func Look(ctx context.Context, repo Reader, c *tufclient.Client, now time.Time) (*tufclient.Metadata, digest.Digest, error) {
	return restart(ctx, repo, func(f tufclient.Fetcher) (*tufclient.Metadata, error) {
		return c.Look(ctx, f, now)
	})
}

func restart(ctx context.Context, repo Reader, refresh func(tufclient.Fetcher) (*tufclient.Metadata, error)) (*tufclient.Metadata, digest.Digest, error) {
	for try := 1; ; try++ {
		m, d, err := once(ctx, repo, refresh)
		if err == nil || try > maxRestarts || !errors.Is(err, errMoved) {
			return m, d, err
		}
	}
}

// errMoved marks the absence of an object that the tag has led to.
var errMoved = errors.New("the channel changed while it was read, or its registry has lost a part of it")

func once(ctx context.Context, repo Reader, refresh func(tufclient.Fetcher) (*tufclient.Metadata, error)) (*tufclient.Metadata, digest.Digest, error) {
	d, err := Head(ctx, repo)
	if err != nil {
		return nil, "", err
	}
	_, data, err := repo.Manifest(ctx, d, MaxManifest)
	if err != nil {
		return nil, "", moved(fmt.Errorf("channel: %w", err))
	}
	f, err := NewFetcher(repo, data)
	if err != nil {
		return nil, "", err
	}
	m, err := refresh(f)
	return m, d, moved(err)
}

func moved(err error) error {
	if errors.Is(err, oci.ErrNotFound) {
		return reason.New(reason.Unreachable, "%w: %w", errMoved, err)
	}
	return err
}
