package hostdir

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"

	"golang.org/x/sys/unix"
)

// Empty removes everything in the directory, however deep, and keeps the directory,
// which may be a mount or somebody's to make. A directory within one is moved up
// first, so no path gets long and no descriptors pile up.
func (d *Dir) Empty(ctx context.Context) error {
	e := &emptying{Dir: d}
	return e.each(ctx, d.root, func(name string) error { return e.drop(ctx, name) })
}

type emptying struct {
	*Dir
	lifted int
}

// each does something with every name in a directory that takes it away from there.
func (e *emptying) each(ctx context.Context, dir *os.File, do func(name string) error) error {
	for {
		if _, err := dir.Seek(0, io.SeekStart); err != nil {
			return err
		}
		names, err := dir.Readdirnames(1024)
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
		for _, name := range names {
			if err := ctx.Err(); err != nil {
				return err
			}
			if err := do(name); err != nil {
				return err
			}
		}
	}
}

// drop removes something that is directly in the directory.
func (e *emptying) drop(ctx context.Context, name string) error {
	root := int(e.root.Fd())
	err := unix.Unlinkat(root, name, 0)
	if !errors.Is(err, unix.EISDIR) {
		return e.failed("remove", name, err)
	}
	dir, err := e.ours(name, nil)
	if err != nil {
		return err
	}
	defer dir.Close()
	err = e.each(ctx, dir, func(below string) error {
		err := unix.Unlinkat(int(dir.Fd()), below, 0)
		if errors.Is(err, unix.EISDIR) {
			return e.lift(dir, below)
		}
		return e.failed("remove", name+"/"+below, err)
	})
	if err != nil {
		return err
	}
	return e.failed("remove", name, unix.Unlinkat(root, name, unix.AT_REMOVEDIR))
}

// lift moves a directory of a directory up, under a name that is free.
func (e *emptying) lift(dir *os.File, name string) error {
	moved, err := e.ours(name, dir)
	if err != nil {
		return err
	}
	defer moved.Close()
	for {
		e.lifted++
		err := unix.Renameat2(int(dir.Fd()), name, int(e.root.Fd()), fmt.Sprintf(".consign-removed-%d", e.lifted), unix.RENAME_NOREPLACE)
		if !errors.Is(err, unix.EEXIST) {
			return e.failed("remove", name, err)
		}
	}
}

// ours opens a directory that is about to be taken apart. Its owner, should that be
// us and not root, may have no right to.
func (e *emptying) ours(name string, in *os.File) (*os.File, error) {
	d := e.Dir
	if in != nil {
		d = &Dir{in, in.Name()}
	}
	path, err := d.open(name, unix.O_PATH|unix.O_DIRECTORY)
	if err != nil {
		return nil, err
	}
	defer path.Close()
	var stat unix.Stat_t
	if err := unix.Fstat(int(path.Fd()), &stat); err != nil {
		return nil, d.failed("look at", name, err)
	}
	if stat.Mode&0o700 != 0o700 {
		if err := chmod(path, 0o700); err != nil {
			return nil, d.failed("remove", name, err)
		}
	}
	return d.openDir(name)
}

// chmod changes the mode of what is open by its path only, and not of what a link
// leads to.
func chmod(f *os.File, mode uint32) error {
	return unix.Chmod(fmt.Sprint("/proc/self/fd/", f.Fd()), mode)
}
