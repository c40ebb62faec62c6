package durable

import (
	"fmt"
	"io"
	"os"

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
	data, err := io.ReadAll(io.LimitReader(f, max+1))
	if err != nil {
		return nil, err
	}
	if int64(len(data)) > max {
		return nil, reason.New(reason.TooLarge, "%s is longer than the limit of %d bytes", path, max)
	}
	return data, nil
}

// openRegular opens path without following a link at its end and without
// blocking on a FIFO, and insists on a regular file.
func openRegular(path string, flag int, perm os.FileMode) (*os.File, error) {
	f, err := os.OpenFile(path, flag|unix.O_NOFOLLOW|unix.O_NONBLOCK, perm)
	if err != nil {
		return nil, err
	}
	info, err := f.Stat()
	if err == nil && !info.Mode().IsRegular() {
		err = fmt.Errorf("open %s: not a regular file", path)
	}
	if err != nil {
		_ = f.Close()
		return nil, err
	}
	return f, nil
}
