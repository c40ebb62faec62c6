package channel

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"maps"
	"slices"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/consign-dev/consign/internal/fault"
	"github.com/consign-dev/consign/internal/oci"
	"github.com/consign-dev/consign/internal/reason"
)

// Writer is what committing a channel asks of a repository; *oci.Repository is
// one.
type Writer interface {
	Reader
	PushBlob(ctx context.Context, desc ocispec.Descriptor, open func() (io.ReadCloser, error)) error
	PushManifest(ctx context.Context, desc ocispec.Descriptor, data []byte) error
	Tag(ctx context.Context, desc ocispec.Descriptor, data []byte, tag string, ifMatch digest.Digest) error
}

// KeepManifests is how many of the newest channel manifests are kept from
// collection: a slow reader that resolved the tag that many commits ago still
// finds every file.
const KeepManifests = 16

// CommitInput is a new state of a channel.
type CommitInput struct {
	// Files is the complete set of signed metadata, by file name.
	Files map[string][]byte
	// Previous is the digest of the channel manifest that the new state was
	// made from; empty for the first state of a channel.
	Previous digest.Digest
	// Version is the timestamp's version. It picks the retention tag, so that
	// the last [KeepManifests] commits have one each.
	Version int64
	// Retain lists the manifests in this repository that the new state lists as
	// targets. They must have been pushed. Those that Previous listed have their
	// retention tags already and may be left out.
	Retain []digest.Digest
}

// Commit makes a new state the current one and returns the digest of its
// manifest: pushes what is missing, gives out the retention tags, reads
// everything back, and only then moves the tag. Committing again what is
// committed already does nothing, so an interrupted Commit is repeated as it is.
//
// Reason conflict: the tag no longer names Previous, and was not moved. A
// registry that honours If-Match settles a race exactly; on another, the tag is
// looked at right before and after. A conflict that is [ErrOvertaken] was found
// after the move: the new state was current for a moment, or never.
func Commit(ctx context.Context, repo Writer, in CommitInput) (digest.Digest, error) {
	data, desc, err := BuildManifest(in.Files)
	if err != nil {
		return "", err
	}
	current, err := currentTag(ctx, repo)
	if err != nil {
		return "", err
	}
	if current == desc.Digest {
		return desc.Digest, nil
	}
	if current != in.Previous {
		return "", conflict(in.Previous, current)
	}
	if err := push(ctx, repo, in, data, desc); err != nil {
		return "", err
	}
	if err := readBack(ctx, repo, in, data, desc); err != nil {
		return "", err
	}
	return desc.Digest, move(ctx, repo, in.Previous, data, desc)
}

// currentTag returns what the tag names, "" when there is no tag.
func currentTag(ctx context.Context, repo Reader) (digest.Digest, error) {
	d, err := Head(ctx, repo)
	if errors.Is(err, oci.ErrNotFound) {
		return "", nil
	}
	return d, err
}

// ErrOvertaken marks a conflict that was found after the tag had been moved.
var ErrOvertaken = errors.New("the channel's tag was moved, and moved again by another writer")

func conflict(want, got digest.Digest) error {
	show := func(d digest.Digest) string {
		if d == "" {
			return "nothing"
		}
		return d.String()
	}
	return reason.New(reason.Conflict, "channel: the tag %q names %s where %s was expected: another writer was here", Tag, show(got), show(want))
}

// push sends blobs and manifest and gives out the retention tags.
func push(ctx context.Context, repo Writer, in CommitInput, data []byte, desc ocispec.Descriptor) error {
	if err := pushBytes(ctx, repo, emptyConfig.Data, bare(emptyConfig)); err != nil {
		return fmt.Errorf("channel: push config: %w", err)
	}
	for _, name := range slices.Sorted(maps.Keys(in.Files)) {
		file := in.Files[name]
		d := ocispec.Descriptor{MediaType: MediaTypeMetadata, Digest: digest.FromBytes(file), Size: int64(len(file))}
		if err := pushBytes(ctx, repo, file, d); err != nil {
			return fmt.Errorf("channel: push %s: %w", name, err)
		}
	}
	if err := repo.PushManifest(ctx, desc, data); err != nil {
		return fmt.Errorf("channel: %w", err)
	}
	if err := repo.Tag(ctx, desc, data, slotTag(in.Version), ""); err != nil {
		return fmt.Errorf("channel: %w", err)
	}
	return Retain(ctx, repo, in.Retain...)
}

func pushBytes(ctx context.Context, repo Writer, data []byte, desc ocispec.Descriptor) error {
	return repo.PushBlob(ctx, desc, func() (io.ReadCloser, error) { return io.NopCloser(bytes.NewReader(data)), nil })
}

// Retain gives each manifest, which must be in repo, its retention tag, unless
// it has it. Publishers call it for the bundles in an application's repository.
func Retain(ctx context.Context, repo Writer, manifests ...digest.Digest) error {
	for _, d := range manifests {
		tag := RetentionTag(d)
		if at, err := repo.ResolveTag(ctx, tag); err == nil && at.Digest == d {
			continue
		}
		desc, data, err := repo.Manifest(ctx, d, oci.MaxManifestBytes)
		if err != nil {
			return fmt.Errorf("retain %s: %w", d, err)
		}
		if err := repo.Tag(ctx, desc, data, tag, ""); err != nil {
			return fmt.Errorf("retain %s: %w", d, err)
		}
	}
	return nil
}

// RetentionTag is the tag that keeps the manifest d from collection.
func RetentionTag(d digest.Digest) string { return "consign-" + d.Encoded() }

// slotTag is the retention tag of the channel manifest with that timestamp
// version. The names form a ring: the one after the last takes the tag of the
// oldest away.
func slotTag(version int64) string {
	sum := sha256.Sum256(fmt.Appendf(nil, "consign channel manifest %d of %d", version%KeepManifests, KeepManifests))
	return "consign-" + hex.EncodeToString(sum[:])
}

// readBack fetches every part of the new state by digest.
func readBack(ctx context.Context, repo Writer, in CommitInput, data []byte, desc ocispec.Descriptor) error {
	if _, _, err := repo.Manifest(ctx, desc.Digest, MaxManifest); err != nil {
		return fmt.Errorf("channel: read back: %w", err)
	}
	f, err := NewFetcher(repo, data)
	if err != nil {
		return err
	}
	for _, name := range slices.Sorted(maps.Keys(in.Files)) {
		got, err := f.Fetch(ctx, name, int64(len(in.Files[name])))
		if err != nil {
			return fmt.Errorf("channel: read back: %w", err)
		}
		if !bytes.Equal(got, in.Files[name]) {
			return reason.New(reason.DigestMismatch, "channel: read back: %s is not what was pushed", name)
		}
	}
	for _, d := range in.Retain {
		if _, _, err := repo.Manifest(ctx, d, oci.MaxManifestBytes); err != nil {
			return fmt.Errorf("channel: read back target: %w", err)
		}
	}
	return nil
}

// move is the commit itself.
func move(ctx context.Context, repo Writer, previous digest.Digest, data []byte, desc ocispec.Descriptor) error {
	current, err := currentTag(ctx, repo)
	if err != nil {
		return err
	}
	if current != previous {
		return conflict(previous, current)
	}
	condition := previous
	if condition == "" {
		condition = oci.IfAbsent
	}
	if err := fault.Point("channel.commit"); err != nil {
		return err
	}
	if err := repo.Tag(ctx, desc, data, Tag, condition); err != nil {
		return fmt.Errorf("channel: %w", err)
	}
	if err := fault.Point("channel.committed"); err != nil {
		return err
	}
	if current, err = currentTag(ctx, repo); err != nil {
		return err
	}
	if current != desc.Digest {
		return fmt.Errorf("%w: %w", ErrOvertaken, conflict(desc.Digest, current))
	}
	return nil
}
