package oci

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"mime"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/consign-dev/consign/internal/reason"
)

const headerDigest = "Docker-Content-Digest"

var acceptManifests = http.Header{"Accept": {strings.Join([]string{
	ocispec.MediaTypeImageIndex, ocispec.MediaTypeImageManifest, MediaTypeDockerList, MediaTypeDockerManifest,
}, ", ")}}

// ResolveTag asks which manifest tag names now. It costs one HEAD; a registry
// that does not tell the digest there is asked for the manifest. A missing tag
// is [ErrNotFound]. The answer is the registry's word only.
func (r *Repository) ResolveTag(ctx context.Context, tag string) (ocispec.Descriptor, error) {
	op := "resolve tag " + tag
	if err := checkTag(tag); err != nil {
		return ocispec.Descriptor{}, fmt.Errorf("%s: %w", r.name, err)
	}
	ctx, cancel := r.client.deadline(ctx, 0)
	defer cancel()
	resp, err := r.send(ctx, "oci.resolve", call{method: http.MethodHead, path: "/manifests/" + tag, header: acceptManifests})
	if err != nil {
		return ocispec.Descriptor{}, r.fail(ctx, op, err)
	}
	discard(resp)
	told := resp.Header.Get(headerDigest)
	switch {
	case resp.StatusCode == http.StatusOK && told != "" && resp.ContentLength >= 0:
		d, err := ParseDigest(told)
		if err != nil {
			return ocispec.Descriptor{}, fmt.Errorf("%s: %s: header %s: %w", r.name, op, headerDigest, err)
		}
		return ocispec.Descriptor{MediaType: contentType(resp), Digest: d, Size: resp.ContentLength}, nil
	case resp.StatusCode == http.StatusOK, resp.StatusCode == http.StatusMethodNotAllowed:
		desc, _, err := r.getManifest(ctx, op, tag, MaxManifestBytes)
		return desc, err
	}
	return ocispec.Descriptor{}, statusError(r.name+": "+op, resp.StatusCode, nil)
}

// Manifest fetches the manifest d, at most max bytes and never more than
// [MaxManifestBytes], and verifies it. The media type in the result is the one
// that the manifest gives itself; the Content-Type of the answer counts only
// where it gives none.
func (r *Repository) Manifest(ctx context.Context, d digest.Digest, max int64) (ocispec.Descriptor, []byte, error) {
	if _, err := ParseDigest(string(d)); err != nil {
		return ocispec.Descriptor{}, nil, fmt.Errorf("%s: %w", r.name, err)
	}
	op := "fetch manifest " + string(d)
	max = min(max, MaxManifestBytes)
	ctx, cancel := r.client.deadline(ctx, max)
	defer cancel()
	desc, data, err := r.getManifest(ctx, op, string(d), max)
	if err != nil {
		return ocispec.Descriptor{}, nil, err
	}
	if desc.Digest != d {
		return ocispec.Descriptor{}, nil, reason.New(reason.DigestMismatch, "%s: %s: the content has the digest %s", r.name, op, desc.Digest)
	}
	return desc, data, nil
}

// getManifest returns a manifest with the descriptor of what was received.
func (r *Repository) getManifest(ctx context.Context, op, reference string, max int64) (ocispec.Descriptor, []byte, error) {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	begun := r.client.mustBegin(cancel)
	resp, err := r.send(ctx, "oci.manifest", call{method: http.MethodGet, path: "/manifests/" + reference, header: acceptManifests})
	begun()
	if err != nil {
		return ocispec.Descriptor{}, nil, r.fail(ctx, op, err)
	}
	if resp.StatusCode != http.StatusOK {
		return ocispec.Descriptor{}, nil, answerError(r.name+": "+op, resp)
	}
	defer resp.Body.Close()
	tooLarge := reason.New(reason.TooLarge, "%s: %s: longer than %d bytes", r.name, op, max)
	if resp.ContentLength > max {
		return ocispec.Descriptor{}, nil, tooLarge
	}
	data, err := io.ReadAll(io.LimitReader(resp.Body, max+1))
	if err != nil {
		return ocispec.Descriptor{}, nil, r.fail(ctx, op, err)
	}
	if int64(len(data)) > max {
		return ocispec.Descriptor{}, nil, tooLarge
	}
	desc := ocispec.Descriptor{MediaType: contentType(resp), Digest: digest.FromBytes(data), Size: int64(len(data))}
	if own, err := ManifestMediaType(data); err == nil && own != "" {
		desc.MediaType = own
	}
	return desc, data, nil
}

func contentType(resp *http.Response) string {
	t, _, _ := mime.ParseMediaType(resp.Header.Get("Content-Type"))
	return t
}

// mustBegin ends an operation, by cancel, whose answer has not begun when
// Limits.RequestTimeout is over: redirects, token requests and retries, each
// just within its own limit, would use up the hours of a large object. begun is
// called when the answer is there.
func (c *Client) mustBegin(cancel context.CancelCauseFunc) (begun func()) {
	alarm := time.AfterFunc(c.opts.Limits.RequestTimeout, func() { cancel(errDeadline) })
	return func() { alarm.Stop() }
}

// Blob opens the content of desc from byte offset on. The reader ends after
// the declared size, fails with too-large when there is more and with
// unreachable when the connection breaks before; it does not verify the
// digest, because only the caller has the bytes before offset. A registry that
// ignores byte ranges sends all, and the first part is skipped.
// The caller closes the reader.
func (r *Repository) Blob(ctx context.Context, desc ocispec.Descriptor, offset int64) (io.ReadCloser, error) {
	op := "fetch blob " + string(desc.Digest)
	if _, err := ParseDigest(string(desc.Digest)); err != nil {
		return nil, fmt.Errorf("%s: %w", r.name, err)
	}
	if offset < 0 || offset > desc.Size {
		return nil, reason.New(reason.Internal, "%s: %s: offset %d of %d bytes", r.name, op, offset, desc.Size)
	}
	if offset == desc.Size && offset > 0 {
		return io.NopCloser(strings.NewReader("")), nil
	}
	ctx, stop := r.client.deadline(ctx, desc.Size-offset)
	ctx, cancel := context.WithCancelCause(ctx)
	b := &blob{repo: r, op: op, ctx: ctx, stop: func() { cancel(nil); stop() }, left: desc.Size - offset}
	if err := b.open(desc, offset, cancel); err != nil {
		b.stop()
		return nil, err
	}
	return b, nil
}

// blob is the body of an answer, bounded in length, rate and time.
type blob struct {
	repo *Repository
	op   string
	ctx  context.Context
	stop func()
	body io.ReadCloser
	left int64
}

func (b *blob) open(desc ocispec.Descriptor, offset int64, cancel context.CancelCauseFunc) error {
	header := http.Header{}
	if offset > 0 {
		header.Set("Range", "bytes="+strconv.FormatInt(offset, 10)+"-")
	}
	begun := b.repo.client.mustBegin(cancel)
	resp, err := b.repo.send(b.ctx, "oci.blob", call{method: http.MethodGet, path: "/blobs/" + string(desc.Digest), header: header})
	begun()
	if err != nil {
		return b.repo.fail(b.ctx, b.op, err)
	}
	b.body = resp.Body
	where := b.repo.name + ": " + b.op
	switch resp.StatusCode {
	case http.StatusOK:
		err = checkLength(where, resp.ContentLength, desc.Size)
		if err == nil && offset > 0 {
			_, err = io.CopyN(io.Discard, b.body, offset)
			err = b.repo.fail(b.ctx, b.op, err)
		}
	case http.StatusPartialContent:
		err = checkRange(where, resp.Header.Get("Content-Range"), offset, desc.Size)
	case http.StatusRequestedRangeNotSatisfiable:
		err = reason.New(reason.DigestMismatch, "%s: the registry's copy is shorter than %d bytes", where, desc.Size)
	default:
		return answerError(where, resp)
	}
	if err != nil {
		_ = resp.Body.Close()
	}
	return err
}

// checkLength refuses an answer of another length before it is read. An
// unknown length is found out while reading.
func checkLength(where string, got, want int64) error {
	switch {
	case got > want:
		return reason.New(reason.TooLarge, "%s: the registry offers %d bytes, the descriptor says %d", where, got, want)
	case got >= 0 && got < want:
		return reason.New(reason.DigestMismatch, "%s: the registry offers %d bytes, the descriptor says %d", where, got, want)
	}
	return nil
}

// checkRange reads "bytes FIRST-LAST/TOTAL" (RFC 9110 section 14.4).
func checkRange(where, header string, offset, size int64) error {
	span, total, ok := strings.Cut(strings.TrimPrefix(header, "bytes "), "/")
	first, last, ok2 := strings.Cut(span, "-")
	if !ok || !ok2 || first != strconv.FormatInt(offset, 10) || last != strconv.FormatInt(size-1, 10) {
		return reason.New(reason.Malformed, "%s: asked from byte %d of %d on, the registry answered with range %q", where, offset, size, clip(header))
	}
	if n, err := strconv.ParseInt(total, 10, 64); err == nil {
		return checkLength(where, n, size)
	}
	return nil // "*": a total unknown to the registry
}

func (b *blob) Read(p []byte) (int, error) {
	if b.left == 0 {
		return 0, b.end()
	}
	if int64(len(p)) > b.left {
		p = p[:b.left]
	}
	n, err := b.body.Read(p)
	b.left -= int64(n)
	switch {
	case err == io.EOF && b.left > 0:
		return n, b.repo.fail(b.ctx, b.op, io.ErrUnexpectedEOF)
	case err == io.EOF:
		return n, io.EOF
	}
	return n, b.repo.fail(b.ctx, b.op, err)
}

func (b *blob) end() error {
	err := expectEOF(b.body)
	switch {
	case err == nil:
		return io.EOF
	case errors.Is(err, errSurplus):
		return reason.New(reason.TooLarge, "%s: %s: the registry sends more than the descriptor says", b.repo.name, b.op)
	}
	return b.repo.fail(b.ctx, b.op, err)
}

func (b *blob) Close() error {
	b.stop()
	return b.body.Close()
}

// BlobBytes fetches a small blob, at most max bytes, and verifies it.
func (r *Repository) BlobBytes(ctx context.Context, desc ocispec.Descriptor, max int64) ([]byte, error) {
	if desc.Size > max {
		return nil, reason.New(reason.TooLarge, "%s: blob %s has %d bytes, at most %d are read here", r.name, desc.Digest, desc.Size, max)
	}
	rc, err := r.Blob(ctx, desc, 0)
	if err != nil {
		return nil, err
	}
	defer rc.Close()
	data, err := ReadAll(rc, desc, max)
	if err != nil {
		return nil, fmt.Errorf("%s: fetch blob: %w", r.name, err)
	}
	return data, nil
}

// HasBlob asks whether the registry holds the blob with this size. Another
// size means that its copy is damaged and counts as missing.
func (r *Repository) HasBlob(ctx context.Context, desc ocispec.Descriptor) (bool, error) {
	return r.has(ctx, "/blobs/", desc, nil)
}

// HasManifest asks whether the registry holds the manifest with this size.
func (r *Repository) HasManifest(ctx context.Context, desc ocispec.Descriptor) (bool, error) {
	return r.has(ctx, "/manifests/", desc, acceptManifests)
}

func (r *Repository) has(ctx context.Context, kind string, desc ocispec.Descriptor, header http.Header) (bool, error) {
	op := "look for " + string(desc.Digest)
	ctx, cancel := r.client.deadline(ctx, 0)
	defer cancel()
	resp, err := r.send(ctx, "oci.head", call{method: http.MethodHead, path: kind + string(desc.Digest), header: header})
	if err != nil {
		return false, r.fail(ctx, op, err)
	}
	discard(resp)
	switch resp.StatusCode {
	case http.StatusOK:
		return resp.ContentLength < 0 || resp.ContentLength == desc.Size, nil
	case http.StatusNotFound:
		return false, nil
	}
	return false, statusError(r.name+": "+op, resp.StatusCode, nil)
}

// Fetch opens the verified content of desc, a manifest or a blob.
// It makes a Repository a [Source].
func (r *Repository) Fetch(ctx context.Context, desc ocispec.Descriptor) (io.ReadCloser, error) {
	if IsManifest(desc.MediaType) {
		_, data, err := r.Manifest(ctx, desc.Digest, desc.Size)
		if err != nil {
			return nil, err
		}
		return io.NopCloser(bytes.NewReader(data)), nil
	}
	rc, err := r.Blob(ctx, desc, 0)
	if err != nil {
		return nil, err
	}
	return readCloser{VerifyReader(rc, desc), rc}, nil
}
