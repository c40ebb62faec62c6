package hostdir

import (
	"archive/tar"
	"context"
	"errors"
	"io"
	"time"

	"golang.org/x/sys/unix"
)

// capability is the extended attribute with the rights of a program, and
// recordPrefix is what extended attributes are called in an archive.
const (
	capability   = "security.capability"
	recordPrefix = "SCHILY.xattr."
)

// Archive writes the directory as tar: its own entry, "./", then what is in it, by
// name. Sockets are left out. The same content gives the same bytes but for times.
func (d *Dir) Archive(ctx context.Context, to io.Writer) error {
	a := &archiver{Dir: d, ctx: ctx, tw: tar.NewWriter(to), links: map[inode]string{}}
	w := walk{Dir: d, visit: a.add}
	if err := w.run(ctx); err != nil {
		return err
	}
	return a.tw.Close()
}

// inode is a file, whatever it is called.
type inode struct{ dev, ino uint64 }

type archiver struct {
	*Dir
	ctx   context.Context
	tw    *tar.Writer
	links map[inode]string // the first name of what has several
}

func (a *archiver) add(e *entry) error {
	h := &tar.Header{
		Name: e.name, Format: tar.FormatPAX, Mode: int64(e.stat.Mode & 0o7777), Uid: int(e.stat.Uid), Gid: int(e.stat.Gid),
		ModTime: time.Unix(e.stat.Mtim.Unix()).Truncate(time.Second),
	}
	if first, ok := a.known(e); ok {
		h.Typeflag, h.Linkname = tar.TypeLink, first
		return a.tw.WriteHeader(h)
	}
	switch e.kind() {
	case unix.S_IFDIR:
		h.Typeflag, h.Name = tar.TypeDir, e.name+"/"
	case unix.S_IFREG:
		h.Typeflag, h.Size = tar.TypeReg, e.stat.Size
		return a.file(e, h)
	case unix.S_IFLNK:
		h.Typeflag = tar.TypeSymlink
		var err error
		if h.Linkname, err = a.target(e); err != nil {
			return err
		}
	case unix.S_IFIFO:
		h.Typeflag = tar.TypeFifo
	case unix.S_IFCHR:
		h.Typeflag = tar.TypeChar
	case unix.S_IFBLK:
		h.Typeflag = tar.TypeBlock
	default: // sockets are their processes'
		return nil
	}
	if h.Typeflag == tar.TypeChar || h.Typeflag == tar.TypeBlock {
		h.Devmajor, h.Devminor = int64(unix.Major(e.stat.Rdev)), int64(unix.Minor(e.stat.Rdev))
	}
	return a.tw.WriteHeader(h)
}

// known is the name under which a file with several has been written already.
func (a *archiver) known(e *entry) (string, bool) {
	if e.kind() == unix.S_IFDIR || e.kind() == unix.S_IFSOCK || e.stat.Nlink < 2 {
		return "", false
	}
	id := inode{e.stat.Dev, e.stat.Ino}
	first, ok := a.links[id]
	if !ok {
		a.links[id] = e.name
	}
	return first, ok
}

// target is where a link leads, which nobody follows.
func (a *archiver) target(e *entry) (string, error) {
	f, err := a.open(e.name, unix.O_PATH)
	if err != nil {
		return "", err
	}
	defer f.Close()
	buf := make([]byte, unix.PathMax)
	n, err := unix.Readlinkat(int(f.Fd()), "", buf)
	return string(buf[:max(n, 0)]), a.failed("read the link", e.name, err)
}

// file writes a regular file and sees that it stays the same meanwhile.
func (a *archiver) file(e *entry, h *tar.Header) error {
	f, err := a.open(e.name, unix.O_RDONLY)
	if err != nil {
		return err
	}
	defer f.Close()
	fd := int(f.Fd())
	if same, err := e.isStill(fd); err != nil || !same {
		return errors.Join(err, changed(e.name))
	}
	value, err := capabilityOf(fd)
	if err != nil {
		return a.failed("read the capability of", e.name, err)
	}
	if value != "" {
		h.PAXRecords = map[string]string{recordPrefix + capability: value}
	}
	if err := a.tw.WriteHeader(h); err != nil {
		return a.failed("write", e.name, err)
	}
	n, err := io.Copy(a.tw, &untilDone{a.ctx, io.LimitReader(f, h.Size)})
	if err != nil {
		return a.failed("copy", e.name, err)
	}
	if same, err := e.isStill(fd); err != nil || !same || n != h.Size {
		return errors.Join(err, changed(e.name))
	}
	return nil
}

// isStill reports whether a descriptor is of the entry as it was looked at.
func (e *entry) isStill(fd int) (bool, error) {
	var now unix.Stat_t
	err := unix.Fstat(fd, &now)
	was := e.stat
	return now.Dev == was.Dev && now.Ino == was.Ino && now.Mode == was.Mode && now.Size == was.Size &&
		now.Mtim == was.Mtim && now.Ctim == was.Ctim, err
}

func capabilityOf(fd int) (string, error) {
	buf := make([]byte, 64) // the kernel's longest has 24
	n, err := unix.Fgetxattr(fd, capability, buf)
	if errors.Is(err, unix.ENODATA) || errors.Is(err, unix.ENOTSUP) {
		return "", nil
	}
	if err != nil {
		return "", err
	}
	return string(buf[:n]), nil
}

// untilDone is a reader that ends with the context: a file can be large.
type untilDone struct {
	ctx  context.Context
	from io.Reader
}

func (u *untilDone) Read(p []byte) (int, error) {
	if err := u.ctx.Err(); err != nil {
		return 0, err
	}
	return u.from.Read(p)
}
