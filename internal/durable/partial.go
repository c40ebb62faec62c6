package durable

import (
	"errors"
	"io"
	"io/fs"
	"os"

	"github.com/consign-dev/consign/internal/fault"
)

// Partial is a file that grows until it is complete and only then gets its
// final name, so that an interrupted download continues where it stopped.
//
// What a partial file holds after a crash is a hint, not knowledge: its length
// may have been recorded before its bytes. Whoever resumes reads it again with
// [Partial.Reader], or checks the digest of the whole before [Partial.Commit].
// A Partial is used by one goroutine.
type Partial struct {
	path string
	f    *os.File
	size int64
}

// OpenPartial opens the partial file at path, creating it with exactly the
// mode perm when it is not there. Writes go to its end.
func OpenPartial(path string, perm fs.FileMode) (*Partial, error) {
	if err := fault.Point("durable.create"); err != nil {
		return nil, err
	}
	f, err := openRegular(path, os.O_RDWR|os.O_APPEND, 0)
	if errors.Is(err, fs.ErrNotExist) {
		f, err = createPartial(path, perm)
	}
	if err != nil {
		return nil, err
	}
	info, err := f.Stat()
	if err != nil {
		_ = f.Close()
		return nil, err
	}
	return &Partial{path: path, f: f, size: info.Size()}, nil
}

func createPartial(path string, perm fs.FileMode) (*os.File, error) {
	f, err := openRegular(path, os.O_RDWR|os.O_APPEND|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return nil, err
	}
	if err = f.Chmod(perm); err == nil {
		err = syncParents(path)
	}
	if err != nil {
		_ = f.Close()
		return nil, err
	}
	return f, nil
}

// Size is the number of bytes in the file: the offset at which to resume.
func (p *Partial) Size() int64 { return p.size }

// Write appends b. It does not sync.
func (p *Partial) Write(b []byte) (int, error) {
	if err := fault.Point("durable.write"); err != nil {
		return 0, err
	}
	n, err := p.f.Write(b)
	p.size += int64(n)
	return n, err
}

// Sync makes what was written so far survive a power cut.
func (p *Partial) Sync() error { return syncFile(p.f) }

// Reset empties the file, for bytes that turned out to be wrong.
func (p *Partial) Reset() error {
	if err := fault.Point("durable.truncate"); err != nil {
		return err
	}
	if err := p.f.Truncate(0); err != nil {
		return err
	}
	p.size = 0
	return syncFile(p.f)
}

// Reader reads what is in the file now, from its beginning, through the same
// open file: what is read is what Commit will publish.
func (p *Partial) Reader() (io.ReadCloser, error) {
	return io.NopCloser(io.NewSectionReader(p.f, 0, p.size)), nil
}

// Commit syncs the file and gives it the name final, on the same file system.
// The Partial is closed whatever happens; after an error the partial file is
// still there unless the rename had already been made.
func (p *Partial) Commit(final string) error {
	if err := syncFile(p.f); err != nil {
		_ = p.f.Close()
		return err
	}
	if err := p.f.Close(); err != nil {
		return err
	}
	return Rename(p.path, final)
}

// Close leaves the partial file for a later attempt.
func (p *Partial) Close() error { return p.f.Close() }
