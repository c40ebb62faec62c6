package inputs

import (
	"cmp"
	"context"
	"maps"
	"slices"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/consign-dev/consign/internal/reason"
	"github.com/consign-dev/consign/internal/verify"
)

// Recorder lends what another lends and notes each document that was asked for.
// It implements verify.Documents. It is not safe for concurrent use.
type Recorder struct {
	docs   verify.Documents
	read   map[digest.Digest]Ref
	unread map[digest.Digest]Unread
}

// Record returns a Recorder over docs that has noted nothing.
func Record(docs verify.Documents) *Recorder {
	return &Recorder{docs: docs, read: map[digest.Digest]Ref{}, unread: map[digest.Digest]Unread{}}
}

// Manifest implements verify.Documents.
func (r *Recorder) Manifest(ctx context.Context, d digest.Digest, size int64) ([]byte, error) {
	data, err := r.docs.Manifest(ctx, d, size)
	r.note(d, size, data, err)
	return data, err
}

// Blob implements verify.Documents.
func (r *Recorder) Blob(ctx context.Context, desc ocispec.Descriptor) ([]byte, error) {
	data, err := r.docs.Blob(ctx, desc)
	r.note(desc.Digest, desc.Size, data, err)
	return data, err
}

// note keeps what was lent. Bytes that are not those of the digest are refused by
// the verifier as digest-mismatch, and are no document that could be kept.
func (r *Recorder) note(d digest.Digest, size int64, data []byte, err error) {
	if err == nil && digest.SHA256.FromBytes(data) != d {
		err = reason.New(reason.DigestMismatch, "other bytes were lent")
	}
	if err != nil {
		r.unread[d] = Unread{d, size, reason.Of(err)}
		return
	}
	delete(r.unread, d)
	r.read[d] = Ref{d, int64(len(data))}
}

// AddTo puts what was noted into a document, beside what is there.
func (r *Recorder) AddTo(d *Document) {
	read, unread := maps.Clone(r.read), maps.Clone(r.unread)
	for _, ref := range d.Documents {
		read[ref.Digest] = ref
	}
	for _, u := range d.Unread {
		unread[u.Digest] = u
	}
	d.Documents = slices.SortedFunc(maps.Values(read), func(a, b Ref) int { return cmp.Compare(a.Digest, b.Digest) })
	d.Unread = slices.SortedFunc(maps.Values(unread), func(a, b Unread) int { return cmp.Compare(a.Digest, b.Digest) })
}
