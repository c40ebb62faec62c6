package hostdir

import (
	"archive/tar"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"slices"
	"strings"

	"golang.org/x/sys/unix"

	"github.com/consign-dev/consign/internal/reason"
)

// Fill makes what an archive of [Dir.Archive] holds in the directory, which is empty.
// What such an archive never has is refused.
func (d *Dir) Fill(ctx context.Context, archive io.Reader) error {
	f := &filling{Dir: d}
	defer f.leave()
	for tr := tar.NewReader(&untilDone{ctx, archive}); ; {
		h, err := tr.Next()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return fmt.Errorf("read the archive: %w", err)
		}
		if err := f.add(h, tr); err != nil {
			return err
		}
	}
	// Directories last: what is made in them changes their times, and may not be
	// allowed with their modes.
	for _, h := range slices.Backward(f.dirs) {
		if err := f.finish(h); err != nil {
			return err
		}
	}
	return nil
}

// Settle returns when what was made is on the disk.
func (d *Dir) Settle() error { return d.failed("write", ".", unix.Syncfs(int(d.root.Fd()))) }

type filling struct {
	*Dir
	dirs    []*tar.Header
	parent  string   // the name of the directory that is open,
	current *os.File // or nil
}

func (f *filling) add(h *tar.Header, content io.Reader) error {
	name, err := checkedName(h)
	if err != nil {
		return err
	}
	if h.Typeflag == tar.TypeDir {
		f.dirs = append(f.dirs, &tar.Header{Name: name, Mode: h.Mode, Uid: h.Uid, Gid: h.Gid, ModTime: h.ModTime})
	}
	if name == "." {
		return nil
	}
	if err := f.enter(path.Dir(name)); err != nil {
		return err
	}
	if err := f.create(h, name, content); err != nil {
		return f.failed("make", name, err)
	}
	return nil
}

// checkedName is the path of an entry from the directory.
func checkedName(h *tar.Header) (string, error) {
	name := h.Name
	if h.Typeflag == tar.TypeDir {
		name = strings.TrimSuffix(name, "/")
	}
	for key := range h.PAXRecords {
		if strings.HasPrefix(key, "GNU.sparse") {
			return "", reason.New(reason.Archive, "%.200q: an archive of ours has no sparse files", h.Name)
		}
	}
	if !fits(name) || name == "." && h.Typeflag != tar.TypeDir {
		return "", reason.New(reason.Path, "%.200q: not a path within a volume", h.Name)
	}
	return name, nil
}

// fits reports whether a name is a path below the directory in its only spelling. It
// may hold any bytes.
func fits(name string) bool {
	return name != "" && len(name) <= maxPath && path.Clean(name) == name && name[0] != '/' && name != ".." && !strings.HasPrefix(name, "../")
}

// enter opens the directory in which the next entry goes.
func (f *filling) enter(name string) error {
	if f.current != nil && f.parent == name {
		return nil
	}
	f.leave()
	dir, err := f.openDir(name)
	if err == nil {
		f.parent, f.current = name, dir
	}
	return err
}

func (f *filling) leave() {
	if f.current != nil {
		_ = f.current.Close()
		f.current = nil
	}
}

func (f *filling) create(h *tar.Header, name string, content io.Reader) error {
	at, base := int(f.current.Fd()), path.Base(name)
	switch h.Typeflag {
	case tar.TypeDir:
		return unix.Mkdirat(at, base, 0o700)
	case tar.TypeReg:
		return f.file(h, base, content)
	case tar.TypeLink:
		return f.link(h, base)
	case tar.TypeSymlink:
		if err := unix.Symlinkat(h.Linkname, at, base); err != nil {
			return err
		}
		return own(at, base, h)
	case tar.TypeFifo:
		return f.special(h, base, unix.S_IFIFO)
	case tar.TypeChar:
		return f.special(h, base, unix.S_IFCHR)
	case tar.TypeBlock:
		return f.special(h, base, unix.S_IFBLK)
	default:
		return reason.New(reason.Archive, "an archive of ours has no entries of type %q", h.Typeflag)
	}
}

func (f *filling) file(h *tar.Header, base string, content io.Reader) error {
	at := int(f.current.Fd())
	fd, err := unix.Openat(at, base, unix.O_WRONLY|unix.O_CREAT|unix.O_EXCL|unix.O_NOFOLLOW|unix.O_CLOEXEC, 0o600)
	if err != nil {
		return err
	}
	file := os.NewFile(uintptr(fd), base)
	defer file.Close()
	if _, err := io.Copy(file, content); err != nil {
		return err
	}
	// The order matters: a new owner takes the special bits and the capability away.
	if err := file.Chown(h.Uid, h.Gid); err != nil {
		return err
	}
	if err := unix.Fchmod(fd, uint32(h.Mode&0o7777)); err != nil {
		return err
	}
	if value, ok := h.PAXRecords[recordPrefix+capability]; ok {
		if err := unix.Fsetxattr(fd, capability, []byte(value), 0); err != nil {
			return &fs.PathError{Op: "set the capability of", Path: base, Err: err}
		}
	}
	return errors.Join(touch(at, base, h), file.Close())
}

// link gives a file of the archive, which is there already, another name.
func (f *filling) link(h *tar.Header, base string) error {
	if !fits(h.Linkname) {
		return reason.New(reason.Path, "%.200q: not a path within a volume", h.Linkname)
	}
	dir, err := f.openDir(path.Dir(h.Linkname))
	if err != nil {
		return err
	}
	defer dir.Close()
	return unix.Linkat(int(dir.Fd()), path.Base(h.Linkname), int(f.current.Fd()), base, 0)
}

// special makes a fifo or a device.
func (f *filling) special(h *tar.Header, base string, kind uint32) error {
	at := int(f.current.Fd())
	device := unix.Mkdev(uint32(h.Devmajor), uint32(h.Devminor))
	if err := unix.Mknodat(at, base, kind|0o600, int(device)); err != nil {
		return err
	}
	fd, err := unix.Openat(at, base, unix.O_PATH|unix.O_NOFOLLOW|unix.O_CLOEXEC, 0)
	if err != nil {
		return err
	}
	made := os.NewFile(uintptr(fd), base)
	defer made.Close()
	if err := unix.Fchownat(at, base, h.Uid, h.Gid, unix.AT_SYMLINK_NOFOLLOW); err != nil {
		return err
	}
	return errors.Join(chmod(made, uint32(h.Mode&0o7777)), touch(at, base, h))
}

// own gives a link to its owner, with its time.
func own(at int, base string, h *tar.Header) error {
	if err := unix.Fchownat(at, base, h.Uid, h.Gid, unix.AT_SYMLINK_NOFOLLOW); err != nil {
		return err
	}
	return touch(at, base, h)
}

func touch(at int, base string, h *tar.Header) error {
	when, err := unix.TimeToTimespec(h.ModTime)
	if err != nil {
		return err
	}
	return unix.UtimesNanoAt(at, base, []unix.Timespec{when, when}, unix.AT_SYMLINK_NOFOLLOW)
}

// finish gives a directory its owner, mode and time.
func (f *filling) finish(h *tar.Header) error {
	dir, err := f.openDir(h.Name)
	if err != nil {
		return err
	}
	defer dir.Close()
	fd := int(dir.Fd())
	if err := dir.Chown(h.Uid, h.Gid); err != nil {
		return f.failed("give away", h.Name, err)
	}
	if err := touch(fd, ".", h); err != nil {
		return f.failed("change the time of", h.Name, err)
	}
	return f.failed("change the mode of", h.Name, unix.Fchmod(fd, uint32(h.Mode&0o7777)))
}
