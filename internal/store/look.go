package store

import (
	"errors"
	"fmt"
	"io/fs"
	"os"

	"github.com/opencontainers/go-digest"
)

// Look opens the store in dir for reading, beside the process that works on it:
// nothing is created, and neither the unfinished files of that process nor
// content that turns out wrong is removed. A directory that is not there is an
// empty store. Nothing may be put into what it returns.
func Look(dir string) *Store { return &Store{dir: dir, looking: true} }

// Digests lists what is stored, in the order of the digests.
func (s *Store) Digests() ([]digest.Digest, error) {
	var out []digest.Digest
	err := sizes(s.blobs(), func(name string, _ int64) {
		if d := digest.Digest("sha256:" + name); d.Validate() == nil {
			out = append(out, d)
		}
	})
	if err != nil {
		return nil, fmt.Errorf("list the store: %w", err)
	}
	return out, nil
}

// Usage is what a store takes of its disk, in bytes.
type Usage struct {
	// Content is complete, Partial what has arrived of something.
	Content, Partial int64
	// Needed is the part of Content that somebody asked about.
	Needed int64
}

// Usage measures the store, and what of it is in needed.
func (s *Store) Usage(needed map[digest.Digest]bool) (Usage, error) {
	var u Usage
	err := sizes(s.blobs(), func(name string, size int64) {
		u.Content += size
		if needed[digest.Digest("sha256:"+name)] {
			u.Needed += size
		}
	})
	if err != nil {
		return u, fmt.Errorf("measure the store: %w", err)
	}
	if err := sizes(s.ingest(), func(_ string, size int64) { u.Partial += size }); err != nil {
		return u, fmt.Errorf("measure the store: %w", err)
	}
	return u, nil
}

// sizes visits the files of a directory. What goes away meanwhile is left out.
func sizes(dir string, visit func(name string, size int64)) error {
	entries, err := os.ReadDir(dir)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	for _, e := range entries {
		info, err := e.Info()
		switch {
		case err == nil:
			visit(e.Name(), info.Size())
		case !errors.Is(err, fs.ErrNotExist):
			return err
		}
	}
	return nil
}
