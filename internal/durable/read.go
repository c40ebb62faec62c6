package durable

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"

	"golang.org/x/sys/unix"

	"github.com/consign-dev/consign/internal/reason"
)

// ReadFile reads a regular file of at most max bytes. A symbolic link, a FIFO
// or a device is refused without waiting on it; a longer file has the reason
// too-large; a missing one is fs.ErrNotExist.
func ReadFile(path string, max int64) ([]byte, error) {
	f, err := openRegular(path, os.O_RDONLY, 0)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	return readBounded(f, max)
}

func readBounded(f *os.File, max int64) ([]byte, error) {
	data, err := io.ReadAll(io.LimitReader(f, max+1))
	if err != nil {
		return nil, err
	}
	if int64(len(data)) > max {
		return nil, reason.New(reason.TooLarge, "%s is longer than the limit of %d bytes", f.Name(), max)
	}
	return data, nil
}

// ReadVouched is [ReadFile] of a file that check vouches for, first the
// directory, then the file in it, and before a byte is read. Each is looked at
// when it is open, so that what is read is what was looked at, whatever becomes
// of the path meanwhile. A link in the place of either is refused.
func ReadVouched(path string, max int64, check func(path string, info fs.FileInfo) error) ([]byte, error) {
	path, err := filepath.Abs(path)
	if err != nil {
		return nil, err
	}
	// O_PATH asks for no right to list the directory.
	dir, err := os.OpenFile(filepath.Dir(path), unix.O_PATH|unix.O_DIRECTORY|unix.O_NOFOLLOW, 0)
	if err != nil {
		return nil, err
	}
	defer dir.Close()
	if err := vouched(dir, check); err != nil {
		return nil, err
	}
	f, err := openIn(dir, path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	if err := vouched(f, check); err != nil {
		return nil, err
	}
	return readBounded(f, max)
}

func vouched(f *os.File, check func(string, fs.FileInfo) error) error {
	info, err := f.Stat()
	if err != nil {
		return err
	}
	return check(f.Name(), info)
}

// openIn opens the regular file of this path in the open directory.
func openIn(dir *os.File, path string) (*os.File, error) {
	for {
		fd, err := unix.Openat(int(dir.Fd()), filepath.Base(path), unix.O_RDONLY|unix.O_NOFOLLOW|unix.O_NONBLOCK|unix.O_CLOEXEC, 0)
		switch {
		case errors.Is(err, unix.EINTR):
			continue
		case err != nil:
			return nil, &fs.PathError{Op: "open", Path: path, Err: err}
		}
		return regular(os.NewFile(uintptr(fd), path))
	}
}

// openRegular opens path without following a link at its end and without
// blocking on a FIFO, and insists on a regular file.
func openRegular(path string, flag int, perm os.FileMode) (*os.File, error) {
	f, err := os.OpenFile(path, flag|unix.O_NOFOLLOW|unix.O_NONBLOCK, perm)
	if err != nil {
		return nil, err
	}
	return regular(f)
}

// regular closes what is no regular file.
func regular(f *os.File) (*os.File, error) {
	info, err := f.Stat()
	if err == nil && !info.Mode().IsRegular() {
		err = fmt.Errorf("open %s: not a regular file", f.Name())
	}
	if err != nil {
		_ = f.Close()
		return nil, err
	}
	return f, nil
}
