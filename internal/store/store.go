package store

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"sync"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/consign-dev/consign/internal/durable"
	"github.com/consign-dev/consign/internal/fault"
	"github.com/consign-dev/consign/internal/oci"
	"github.com/consign-dev/consign/internal/reason"
)

const (
	dirMode  = 0o700
	fileMode = 0o600
)

// Store is a content store. It is safe for concurrent use.
type Store struct {
	dir string
	// looking: another process works on the directory, see Look.
	looking bool

	// sweep is read-held by everything that adds content and written by GC,
	// so that nothing is collected between its arrival and its first use.
	sweep sync.RWMutex
	// fetching is indexed by the first byte of a digest, see lockFetch.
	fetching [256]sync.Mutex
}

// Open opens the store in dir and creates what is missing of it.
func Open(dir string) (*Store, error) {
	s := &Store{dir: dir}
	for _, d := range []string{dir, filepath.Join(dir, "blobs"), s.blobs(), s.ingest()} {
		if err := durable.MkdirAll(d, dirMode); err != nil {
			return nil, fmt.Errorf("open store: %w", err)
		}
		if info, err := os.Lstat(d); err != nil || !info.IsDir() {
			return nil, fmt.Errorf("open store: %s is not a directory", d)
		}
	}
	for _, d := range []string{dir, s.blobs()} {
		if err := durable.Sweep(d); err != nil {
			return nil, fmt.Errorf("open store: %w", err)
		}
	}
	version, err := json.Marshal(ocispec.ImageLayout{Version: ocispec.ImageLayoutVersion})
	if err != nil {
		return nil, fmt.Errorf("open store: %w", err)
	}
	err = durable.CreateExclusive(filepath.Join(dir, ocispec.ImageLayoutFile), version, fileMode)
	if err != nil && !errors.Is(err, fs.ErrExist) {
		return nil, fmt.Errorf("open store: %w", err)
	}
	return s, nil
}

func (s *Store) blobs() string  { return filepath.Join(s.dir, "blobs", "sha256") }
func (s *Store) ingest() string { return filepath.Join(s.dir, "ingest") }

func (s *Store) path(d digest.Digest) string    { return filepath.Join(s.blobs(), encoded(d)) }
func (s *Store) partial(d digest.Digest) string { return filepath.Join(s.ingest(), encoded(d)) }

func encoded(d digest.Digest) string { return strings.TrimPrefix(string(d), "sha256:") }

// Has reports whether content was stored under d. Reading it may still fail.
func (s *Store) Has(d digest.Digest) bool {
	if _, err := oci.ParseDigest(string(d)); err != nil {
		return false
	}
	info, err := os.Lstat(s.path(d))
	return err == nil && info.Mode().IsRegular()
}

// Size is the length of the content stored under d; fs.ErrNotExist if there is
// none.
func (s *Store) Size(d digest.Digest) (int64, error) {
	f, size, err := s.open(d)
	if err != nil {
		return 0, err
	}
	return size, f.Close()
}

// Open opens the content of desc. The reader returns reason digest-mismatch in
// place of the last bytes when they are not what desc says (attack O8).
// Content that is not there is fs.ErrNotExist.
func (s *Store) Open(desc ocispec.Descriptor) (io.ReadCloser, error) {
	f, size, err := s.open(desc.Digest)
	if err != nil {
		return nil, err
	}
	if size != desc.Size {
		_ = f.Close()
		s.recheck(desc.Digest)
		return nil, reason.New(reason.DigestMismatch, "stored content of %s has %d bytes, %d were expected", desc.Digest, size, desc.Size)
	}
	return &reader{s: s, r: oci.VerifyReader(f, desc), f: f, d: desc.Digest}, nil
}

func (s *Store) open(d digest.Digest) (*os.File, int64, error) {
	if _, err := oci.ParseDigest(string(d)); err != nil {
		return nil, 0, err
	}
	if err := fault.Point("store.open"); err != nil {
		return nil, 0, err
	}
	f, size, err := openRegular(s.path(d))
	if err != nil {
		return nil, 0, fmt.Errorf("open content: %w", err)
	}
	return f, size, nil
}

// reader removes content that turns out not to be what its name says.
type reader struct {
	s *Store
	r io.Reader
	f *os.File
	d digest.Digest
}

func (r *reader) Read(p []byte) (int, error) {
	n, err := r.r.Read(p)
	if reason.Is(err, reason.DigestMismatch) || reason.Is(err, reason.TooLarge) {
		r.s.recheck(r.d)
	}
	return n, err
}

func (r *reader) Close() error { return r.f.Close() }

// Bytes reads the content of desc, at most max bytes, and verifies it.
func (s *Store) Bytes(desc ocispec.Descriptor, max int64) ([]byte, error) {
	rc, err := s.Open(desc)
	if err != nil {
		return nil, err
	}
	defer rc.Close()
	return oci.ReadAll(rc, desc, max)
}

// recheck removes the content under d unless it hashes to d: the descriptor of
// a caller that found it wrong may be what is wrong.
func (s *Store) recheck(d digest.Digest) {
	if s.looking {
		return
	}
	f, size, err := openRegular(s.path(d))
	if err != nil {
		return
	}
	defer f.Close()
	_, err = io.Copy(io.Discard, oci.VerifyReader(f, ocispec.Descriptor{Digest: d, Size: size}))
	if reason.Is(err, reason.DigestMismatch) {
		_ = durable.Remove(s.path(d)) // else the next reader finds it wrong again
	}
}
