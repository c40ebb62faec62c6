package oci

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"hash"
	"io"

	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/consign-dev/consign/internal/reason"
)

// VerifyReader returns a reader of exactly the content that desc describes.
// Errors have reason digest-mismatch for other or too few bytes and too-large
// for surplus bytes; errors of r pass unchanged.
//
// The read that would deliver the last byte first looks for the end of r and
// compares the digest, and delivers nothing when that fails. So the full size
// never comes out of a stream that is not the content.
func VerifyReader(r io.Reader, desc ocispec.Descriptor) io.Reader {
	return &verifyReader{r: r, hash: sha256.New(), desc: desc, left: desc.Size}
}

type verifyReader struct {
	r    io.Reader
	hash hash.Hash
	desc ocispec.Descriptor
	left int64 // bytes of the declared size not yet read
	err  error // sticky, io.EOF after success
}

func (v *verifyReader) Read(p []byte) (int, error) {
	if v.err == nil && v.left <= 0 {
		v.err = v.finish()
	}
	if v.err != nil || len(p) == 0 {
		return 0, v.err
	}
	if int64(len(p)) > v.left {
		p = p[:v.left]
	}
	n, err := v.r.Read(p)
	v.hash.Write(p[:n])
	v.left -= int64(n)
	switch {
	case v.left == 0:
		if v.err = v.finish(); v.err != io.EOF {
			return 0, v.err
		}
	case err == io.EOF:
		v.err = reason.New(reason.DigestMismatch, "%s ends after %d of %d bytes", v.desc.Digest, v.desc.Size-v.left, v.desc.Size)
	default:
		v.err = err
	}
	return n, v.err
}

// finish returns io.EOF when the stream ends here and was the right one.
func (v *verifyReader) finish() error {
	if v.desc.Size < 0 {
		return reason.New(reason.Malformed, "%s has the negative size %d", v.desc.Digest, v.desc.Size)
	}
	if err := expectEOF(v.r); err != nil {
		if err == errSurplus {
			return reason.New(reason.TooLarge, "%s is longer than its %d bytes", v.desc.Digest, v.desc.Size)
		}
		return err
	}
	if got := "sha256:" + hex.EncodeToString(v.hash.Sum(nil)); got != string(v.desc.Digest) {
		return reason.New(reason.DigestMismatch, "content of %s has the digest %s", v.desc.Digest, got)
	}
	return io.EOF
}

// errSurplus is the answer of [expectEOF] when there is more to read.
var errSurplus = errors.New("more bytes than declared")

// expectEOF returns nil when r is at its end.
func expectEOF(r io.Reader) error {
	var b [1]byte
	for range 100 { // as many empty reads as bufio tolerates
		n, err := r.Read(b[:])
		switch {
		case n > 0:
			return errSurplus
		case err == io.EOF:
			return nil
		case err != nil:
			return err
		}
	}
	return io.ErrNoProgress
}

// ReadAll reads the content of desc from r into memory, at most max bytes, and
// verifies it.
func ReadAll(r io.Reader, desc ocispec.Descriptor, max int64) ([]byte, error) {
	if desc.Size > max {
		return nil, reason.New(reason.TooLarge, "%s has %d bytes, at most %d are read here", desc.Digest, desc.Size, max)
	}
	if desc.Size < 0 {
		return nil, reason.New(reason.Malformed, "%s has the negative size %d", desc.Digest, desc.Size)
	}
	data := make([]byte, desc.Size)
	v := VerifyReader(r, desc)
	if _, err := io.ReadFull(v, data); err != nil {
		return nil, err
	}
	if err := expectEOF(v); err != nil { // the only check for empty content
		return nil, err
	}
	return data, nil
}
