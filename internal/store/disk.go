package store

import (
	"errors"
	"fmt"
	"os"

	"golang.org/x/sys/unix"

	"github.com/consign-dev/consign/internal/reason"
)

// openRegular opens a file for reading and returns its size. It follows no
// link, waits for no pipe, and has reason digest-mismatch for all that is not
// a regular file: someone put it there, the store did not.
func openRegular(path string) (*os.File, int64, error) {
	f, err := os.OpenFile(path, os.O_RDONLY|unix.O_NOFOLLOW|unix.O_NONBLOCK, 0)
	if errors.Is(err, unix.ELOOP) {
		return nil, 0, reason.New(reason.DigestMismatch, "%s is a symbolic link", path)
	}
	if err != nil {
		return nil, 0, err
	}
	info, err := f.Stat()
	if err == nil && !info.Mode().IsRegular() {
		err = reason.New(reason.DigestMismatch, "%s is not a regular file", path)
	}
	if err != nil {
		_ = f.Close()
		return nil, 0, err
	}
	return f, info.Size(), nil
}

// Reserve is what stays free, in bytes, for what must always be writable:
// journal, log, state.
const Reserve = 64 << 20

// Space is the room on a file system, in bytes.
type Space struct {
	// Free is what is left for this user, Total the size of the file system.
	Free, Total int64
}

// SpaceAt looks at the file system that holds path.
func SpaceAt(path string) (Space, error) {
	var fs unix.Statfs_t
	if err := unix.Statfs(path, &fs); err != nil {
		return Space{}, fmt.Errorf("look at the free space of %s: %w", path, err)
	}
	return Space{Free: int64(fs.Bavail) * int64(fs.Bsize), Total: int64(fs.Blocks) * int64(fs.Bsize)}, nil
}

// CheckSpace refuses, with reason no-space and the figures, when need more
// bytes would leave less than [Reserve] free on the store's file system.
func (s *Store) CheckSpace(need int64) error {
	space, err := SpaceAt(s.dir)
	if err != nil {
		return err
	}
	if need > space.Free-Reserve {
		return reason.New(reason.NoSpace, "%s has %s free; %s are needed and %s must stay free: free %s more",
			s.dir, mib(space.Free), mib(need), mib(Reserve), mib(need+Reserve-space.Free))
	}
	return nil
}

func mib(n int64) string { return fmt.Sprintf("%.1f MiB", float64(n)/(1<<20)) }

// diskError names a full disk as what it is.
func diskError(err error) error {
	if errors.Is(err, unix.ENOSPC) || errors.Is(err, unix.EDQUOT) {
		return reason.Wrap(reason.NoSpace, err)
	}
	return err
}
