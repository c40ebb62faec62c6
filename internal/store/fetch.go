package store

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"hash"
	"io"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/consign-dev/consign/internal/durable"
	"github.com/consign-dev/consign/internal/fault"
	"github.com/consign-dev/consign/internal/oci"
	"github.com/consign-dev/consign/internal/reason"
)

// Source delivers the content of desc from byte offset on. It ends the reader
// after the declared size and need not verify. An *oci.Repository is one.
type Source interface {
	Blob(ctx context.Context, desc ocispec.Descriptor, offset int64) (io.ReadCloser, error)
}

const (
	// copyBuffer is the size from which hashing runs at full speed.
	copyBuffer = 256 << 10
	// maxResumes is how often one Fetch continues after a broken connection,
	// each time only if bytes arrived since; the next Fetch continues too.
	maxResumes = 8
)

// Put stores data, which must be the content of desc.
func (s *Store) Put(ctx context.Context, desc ocispec.Descriptor, data []byte) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	if _, err := oci.ParseDigest(string(desc.Digest)); err != nil {
		return err
	}
	if int64(len(data)) != desc.Size || digest.FromBytes(data) != desc.Digest {
		return reason.New(reason.DigestMismatch, "put: %d bytes that are not the content of %s", len(data), desc.Digest)
	}
	s.sweep.RLock()
	defer s.sweep.RUnlock()
	if s.Has(desc.Digest) {
		return nil
	}
	if err := fault.Point("store.put"); err != nil {
		return err
	}
	if err := durable.WriteFile(s.path(desc.Digest), data, fileMode); err != nil {
		return diskError(fmt.Errorf("put %s: %w", desc.Digest, err))
	}
	return nil
}

// Fetch makes the content of desc part of the store and returns how many bytes
// it got from src, none if it was there. What arrived before an error is kept
// for the next attempt, unless it was wrong.
//
// Errors: digest-mismatch and too-large for a source that delivers something
// else, no-space, and what src returns.
func (s *Store) Fetch(ctx context.Context, desc ocispec.Descriptor, src Source) (int64, error) {
	if _, err := oci.ParseDigest(string(desc.Digest)); err != nil {
		return 0, err
	}
	defer s.lockFetch(desc.Digest)()
	s.sweep.RLock()
	defer s.sweep.RUnlock()
	if s.Has(desc.Digest) {
		return 0, nil
	}
	d := &download{s: s, desc: desc, src: src}
	err := d.run(ctx)
	if d.file != nil { // not committed
		_ = d.file.Close()
	}
	if err != nil {
		return d.fetched, diskError(fmt.Errorf("fetch %s: %w", desc.Digest, err))
	}
	return d.fetched, nil
}

// lockFetch lets one download of a digest run at a time. Digests that share
// their first byte wait for each other, which costs little and needs no
// bookkeeping.
func (s *Store) lockFetch(d digest.Digest) (unlock func()) {
	first, _ := hex.DecodeString(encoded(d)[:2])
	mu := &s.fetching[first[0]]
	mu.Lock()
	return mu.Unlock
}

// download is one run of Fetch. The hash always covers exactly what is in the
// partial file.
type download struct {
	s       *Store
	desc    ocispec.Descriptor
	src     Source
	file    *durable.Partial // nil before and after
	hash    hash.Hash
	fetched int64
}

func (d *download) run(ctx context.Context) error {
	if err := d.open(); err != nil {
		return err
	}
	resumed := d.file.Size() > 0
	err := d.complete(ctx)
	if resumed && reason.Is(err, reason.DigestMismatch) {
		// The part from an earlier run may be what is wrong.
		if err := d.reset(); err != nil {
			return err
		}
		err = d.complete(ctx)
	}
	if reason.Is(err, reason.DigestMismatch) || reason.Is(err, reason.TooLarge) {
		return errors.Join(err, d.reset())
	}
	if err != nil {
		return err
	}
	if err := fault.Point("store.commit"); err != nil {
		return err
	}
	file := d.file
	d.file = nil
	return file.Commit(d.s.path(d.desc.Digest))
}

// open hashes what an earlier run left.
func (d *download) open() error {
	if err := fault.Point("store.ingest"); err != nil {
		return err
	}
	file, err := durable.OpenPartial(d.s.partial(d.desc.Digest), fileMode)
	if err != nil {
		return err
	}
	d.file, d.hash = file, sha256.New()
	if file.Size() > d.desc.Size {
		return d.reset()
	}
	r, err := file.Reader()
	if err != nil {
		return err
	}
	defer r.Close()
	_, err = io.CopyBuffer(d.hash, onlyReader{r}, make([]byte, copyBuffer))
	return err
}

// onlyReader hides WriteTo, so that the buffer given to CopyBuffer is used.
type onlyReader struct{ io.Reader }

func (d *download) reset() error {
	d.hash.Reset()
	return d.file.Reset()
}

// complete fills the partial file up to the declared size and compares the
// digest. A connection that breaks after it delivered something is resumed.
func (d *download) complete(ctx context.Context) error {
	for try := 0; d.file.Size() < d.desc.Size; try++ {
		before := d.file.Size()
		err := d.receive(ctx)
		if err == nil {
			break
		}
		if !reason.Is(err, reason.Unreachable) || d.file.Size() == before || try == maxResumes || ctx.Err() != nil {
			return err
		}
	}
	if got := "sha256:" + hex.EncodeToString(d.hash.Sum(nil)); got != string(d.desc.Digest) {
		return reason.New(reason.DigestMismatch, "the content received has the digest %s", got)
	}
	return nil
}

// receive appends what the source delivers. It returns nil only when the
// declared size is there and the source had no more.
func (d *download) receive(ctx context.Context) error {
	if err := fault.Point("store.receive"); err != nil {
		return err
	}
	body, err := d.src.Blob(ctx, d.desc, d.file.Size())
	if err != nil {
		return err
	}
	defer body.Close()
	buf := make([]byte, copyBuffer)
	for {
		n, err := body.Read(buf)
		if d.file.Size()+int64(n) > d.desc.Size {
			return reason.New(reason.TooLarge, "the source sends more than the %d bytes declared", d.desc.Size)
		}
		if err := d.append(buf[:n]); err != nil {
			return err
		}
		switch {
		case err == io.EOF && d.file.Size() < d.desc.Size:
			return reason.New(reason.DigestMismatch, "the source ends after %d of %d bytes", d.file.Size(), d.desc.Size)
		case err == io.EOF:
			return nil
		case err != nil:
			return err
		}
	}
}

func (d *download) append(p []byte) error {
	if len(p) == 0 {
		return nil
	}
	n, err := d.file.Write(p)
	d.hash.Write(p[:n])
	d.fetched += int64(n)
	return err
}
