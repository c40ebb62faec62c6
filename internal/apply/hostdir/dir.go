// Package hostdir copies a directory of this machine into a tar archive, and makes it
// hold what such an archive holds: the data of a volume that is a directory.
//
// What lies in the directory is an application's doing: any names, links, devices, as
// deep as it likes. So nothing is opened through a link, across a mount or above the
// directory: the kernel resolves every path from the directory's own descriptor and
// refuses these (openat2). Nothing is opened but directories and regular files.
//
// The trap: Measure looks while the application still runs, and what it finds is an
// estimate. Archive, Empty and Fill are for when nothing runs any more.
package hostdir

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"golang.org/x/sys/unix"

	"github.com/consign-dev/consign/internal/reason"
)

// Bounds of what is copied. What is removed has none.
const (
	maxPath    = unix.PathMax - 1 // bytes of a name with all directories before it
	maxDepth   = 256              // directories in one another
	maxEntries = 1 << 20
)

// Dir is a directory that is open.
type Dir struct {
	root *os.File
	path string
}

// Open opens the directory at an absolute path, which must not be a link itself.
// Where a machine keeps its volumes, and so the way to it, is its administrator's.
func Open(path string) (*Dir, error) {
	if !filepath.IsAbs(path) {
		return nil, reason.New(reason.Rule, "%q is not an absolute path", path)
	}
	path = filepath.Clean(path)
	fd, err := unix.Open(path, unix.O_RDONLY|unix.O_DIRECTORY|unix.O_NOFOLLOW|unix.O_CLOEXEC, 0)
	switch {
	case errors.Is(err, unix.ENOTDIR), errors.Is(err, unix.ELOOP):
		return nil, reason.New(reason.Rule, "%s is not a directory, or a link to one", path)
	case err != nil:
		return nil, reason.Wrap(reason.Rule, &fs.PathError{Op: "open", Path: path, Err: err})
	}
	return &Dir{os.NewFile(uintptr(fd), path), path}, nil
}

// Close closes the directory.
func (d *Dir) Close() error { return d.root.Close() }

// Path is the directory's.
func (d *Dir) Path() string { return d.path }

// Holds reports whether a file that exists is in the directory, or is it.
func (d *Dir) Holds(path string) (bool, error) {
	own, err := d.root.Stat()
	if err != nil {
		return false, err
	}
	if path, err = filepath.EvalSymlinks(path); err != nil {
		return false, err
	}
	for {
		info, err := os.Stat(path)
		if err != nil || os.SameFile(info, own) {
			return err == nil, err
		}
		if path == filepath.Dir(path) {
			return false, nil
		}
		path = filepath.Dir(path)
	}
}

const beneath = unix.RESOLVE_BENEATH | unix.RESOLVE_NO_SYMLINKS | unix.RESOLVE_NO_XDEV

// open opens what is at a path from the directory, "." for itself. A fifo does not
// hold it up.
func (d *Dir) open(name string, flags int) (*os.File, error) {
	if flags&unix.O_PATH == 0 { // beside which the kernel takes no such flag
		flags |= unix.O_NONBLOCK
	}
	how := &unix.OpenHow{Flags: uint64(flags | unix.O_CLOEXEC | unix.O_NOFOLLOW), Resolve: beneath}
	for {
		fd, err := unix.Openat2(int(d.root.Fd()), name, how)
		switch {
		case err == nil:
			return os.NewFile(uintptr(fd), filepath.Join(d.path, name)), nil
		case errors.Is(err, unix.EXDEV):
			return nil, reason.New(reason.Rule, "something else is mounted at %q in %s: unmount it", name, d.path)
		case !errors.Is(err, unix.EINTR) && !errors.Is(err, unix.EAGAIN):
			return nil, d.failed("open", name, err)
		}
	}
}

func (d *Dir) openDir(name string) (*os.File, error) {
	return d.open(name, unix.O_RDONLY|unix.O_DIRECTORY)
}

// failed says in words of the directory what could not be done. Names are quoted: an
// application chose them.
func (d *Dir) failed(doing, name string, err error) error {
	if err == nil {
		return nil
	}
	return fmt.Errorf("%s %.500q in %s: %w", doing, name, d.path, err)
}

func changed(name string) error {
	return reason.New(reason.Conflict, "%.500q changed while it was copied: something that the cluster does not know of writes there", name)
}
