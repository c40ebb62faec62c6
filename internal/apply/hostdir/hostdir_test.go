package hostdir

import (
	"archive/tar"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/consign-dev/consign/internal/apply/copies"
	"github.com/consign-dev/consign/internal/reason"
)

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func open(t testing.TB, path string) *Dir {
	t.Helper()
	d, err := Open(path)
	must(t, err)
	t.Cleanup(func() { _ = d.Close() })
	return d
}

func write(t testing.TB, path, text string) {
	t.Helper()
	must(t, os.WriteFile(path, []byte(text), 0o600))
}

// archived is the directory as an archive, with the digest of what that holds.
func archived(t testing.TB, d *Dir) ([]byte, string) {
	t.Helper()
	var buf bytes.Buffer
	must(t, d.Archive(t.Context(), &buf))
	content, err := copies.Content(bytes.NewReader(buf.Bytes()))
	must(t, err)
	return buf.Bytes(), content.String()
}

// plant makes what an application may, and returns the directory beside it that
// nobody may touch.
func plant(t testing.TB, dir string) (outside string) {
	t.Helper()
	outside = t.TempDir()
	write(t, filepath.Join(outside, "secret"), "not to be read")
	must(t, os.Chmod(dir, 0o1770))
	write(t, filepath.Join(dir, "a"), "hello")
	must(t, os.Chmod(filepath.Join(dir, "a"), 0o640|fs.ModeSetuid))
	must(t, os.Link(filepath.Join(dir, "a"), filepath.Join(dir, "b")))
	must(t, os.Symlink(filepath.Join(outside, "secret"), filepath.Join(dir, "out")))
	must(t, os.Symlink(outside, filepath.Join(dir, "outdir")))
	must(t, os.Symlink("../../../../etc", filepath.Join(dir, "up")))
	must(t, unix.Mkfifo(filepath.Join(dir, "fifo"), 0o622))
	must(t, os.MkdirAll(filepath.Join(dir, strings.Repeat("long/", 50)), 0o750))
	must(t, os.Mkdir(filepath.Join(dir, "a.d"), 0o500))
	write(t, filepath.Join(dir, "new\nline \xff"), "odd")
	must(t, os.WriteFile(filepath.Join(dir, "large"), bytes.Repeat([]byte("x"), 3<<20), 0o600))
	must(t, os.Chtimes(filepath.Join(dir, "large"), time.Unix(1e9, 0), time.Unix(1e9, 0)))
	socket, err := net.Listen("unix", filepath.Join(dir, "socket"))
	must(t, err)
	t.Cleanup(func() { _ = socket.Close() })
	if os.Geteuid() == 0 { // what only root can make
		must(t, os.Lchown(filepath.Join(dir, "out"), 5, 6))
		must(t, os.Chown(filepath.Join(dir, "a.d"), 70, 71))
		must(t, unix.Mknod(filepath.Join(dir, "null"), unix.S_IFCHR|0o666, int(unix.Mkdev(1, 3))))
		write(t, filepath.Join(dir, "program"), "x")
		must(t, unix.Setxattr(filepath.Join(dir, "program"), capability, []byte("\x01\x00\x00\x02\x00\x04"+strings.Repeat("\x00", 14)), 0))
	}
	return outside
}

func TestADirectoryGoesBackAsItWas(t *testing.T) {
	dir := t.TempDir()
	outside := plant(t, dir)
	d := open(t, dir)
	before, content := archived(t, d)
	if bytes.Contains(before, []byte("not to be read")) {
		t.Error("the archive holds what a link leads to")
	}
	estimate, err := d.Measure(t.Context())
	if err != nil || estimate < 3<<20 || estimate > int64(len(before)) {
		t.Errorf("estimate %d of %d bytes, %v", estimate, len(before), err)
	}
	own, err := os.Stat(dir)
	must(t, err)

	write(t, filepath.Join(dir, "later"), "to be removed")
	must(t, os.Chmod(dir, 0o700))
	for range 2 { // also when it is repeated
		must(t, d.Empty(t.Context()))
		if left, err := os.ReadDir(dir); err != nil || len(left) > 0 {
			t.Fatalf("left %v, %v", left, err)
		}
		must(t, d.Fill(t.Context(), bytes.NewReader(before)))
		must(t, d.Settle())
		after, again := archived(t, d)
		if again != content || !bytes.Equal(after, before) {
			t.Errorf("what went back holds %s, not %s", again, content)
		}
	}
	if now, err := os.Stat(dir); err != nil || !os.SameFile(own, now) || now.Mode().Perm() != 0o770 {
		t.Errorf("the directory itself: %v, %v", now, err)
	}
	if text, err := os.ReadFile(filepath.Join(outside, "secret")); err != nil || string(text) != "not to be read" {
		t.Errorf("beside the directory: %q, %v", text, err)
	}
	a, errA := os.Stat(filepath.Join(dir, "a"))
	b, errB := os.Stat(filepath.Join(dir, "b"))
	if errA != nil || errB != nil || !os.SameFile(a, b) {
		t.Errorf("the two names are not of one file: %v, %v", errA, errB)
	}
}

// An application that nests without end can keep its data from being copied, and
// nothing else: what it made is taken away all the same.
func TestEndlessDirectoriesAreRemovedAndNotCopied(t *testing.T) {
	dir := t.TempDir()
	d := open(t, dir)
	at, err := unix.Open(dir, unix.O_RDONLY|unix.O_DIRECTORY, 0)
	must(t, err)
	for range 1000 {
		must(t, unix.Mkdirat(at, "deeper", 0o500))
		must(t, unix.Fchmodat(at, "deeper", 0o700, 0))
		next, err := unix.Openat(at, "deeper", unix.O_RDONLY|unix.O_DIRECTORY, 0)
		must(t, err)
		must(t, unix.Close(at))
		at = next
	}
	must(t, unix.Close(at))
	if err := d.Archive(t.Context(), &bytes.Buffer{}); !reason.Is(err, reason.TooLarge) {
		t.Errorf("copied: %v", err)
	}
	if _, err := d.Measure(t.Context()); !reason.Is(err, reason.TooLarge) {
		t.Errorf("measured: %v", err)
	}
	must(t, d.Empty(t.Context()))
	if left, err := os.ReadDir(dir); err != nil || len(left) > 0 {
		t.Errorf("left %v, %v", left, err)
	}
}

// What is copied can be put back: no name is longer than what a path may be.
func TestLongNamesAreNotCopied(t *testing.T) {
	dir := t.TempDir()
	d := open(t, dir)
	long := strings.Repeat("x", 255)
	at, err := unix.Open(dir, unix.O_RDONLY|unix.O_DIRECTORY, 0)
	must(t, err)
	for n := range 18 { // the last is beyond 4095
		err := d.Archive(t.Context(), &bytes.Buffer{})
		if n < 17 && err != nil || n == 17 && !reason.Is(err, reason.TooLarge) {
			t.Errorf("%d directories: %v", n, err)
		}
		must(t, unix.Mkdirat(at, long, 0o700))
		next, err := unix.Openat(at, long, unix.O_RDONLY|unix.O_DIRECTORY, 0)
		must(t, err)
		must(t, unix.Close(at))
		at = next
	}
	must(t, unix.Close(at))
	must(t, d.Empty(t.Context()))
}

func TestWhatIsNoDirectoryIsNotOpened(t *testing.T) {
	dir := t.TempDir()
	must(t, os.Symlink("/etc", filepath.Join(dir, "link")))
	write(t, filepath.Join(dir, "file"), "x")
	must(t, unix.Mkfifo(filepath.Join(dir, "fifo"), 0o600))
	for _, name := range []string{"link", "link/", "link/.", "file", "fifo", "missing"} {
		if d, err := Open(dir + "/" + name); !reason.Is(err, reason.Rule) {
			t.Errorf("%s: %v, %v", name, d, err)
		}
	}
	if _, err := Open("etc"); !reason.Is(err, reason.Rule) {
		t.Errorf("a path that is not absolute: %v", err)
	}
}

// A file that grows, shrinks or is replaced by a link meanwhile ends the copy.
func TestChangesWhileCopying(t *testing.T) {
	for name, change := range map[string]func(dir string) error{
		"grows": func(dir string) error {
			return os.WriteFile(filepath.Join(dir, "b"), []byte("longer than before"), 0o600)
		},
		"shrinks":  func(dir string) error { return os.Truncate(filepath.Join(dir, "b"), 1) },
		"vanishes": func(dir string) error { return os.Remove(filepath.Join(dir, "b")) },
		"becomes a link": func(dir string) error {
			return errors.Join(os.Remove(filepath.Join(dir, "b")), os.Symlink("/etc/passwd", filepath.Join(dir, "b")))
		},
	} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			write(t, filepath.Join(dir, "b"), "before")
			d := open(t, dir)
			a := &archiver{Dir: d, ctx: t.Context(), tw: tar.NewWriter(&bytes.Buffer{}), links: map[inode]string{}}
			w := walk{Dir: d, visit: func(e *entry) error {
				if e.name == "b" {
					must(t, change(dir))
				}
				return a.add(e)
			}}
			if err := w.run(t.Context()); err == nil || name != "vanishes" && name != "becomes a link" && !reason.Is(err, reason.Conflict) {
				t.Errorf("got %v", err)
			}
		})
	}
}

// Archives that are not ours make nothing outside of the directory.
func TestHostileArchives(t *testing.T) {
	link := &tar.Header{Name: "l", Typeflag: tar.TypeSymlink, Linkname: ".."}
	for name, entries := range map[string][]*tar.Header{
		"up":               {{Name: "../x", Typeflag: tar.TypeReg}},
		"absolute":         {{Name: "/x", Typeflag: tar.TypeReg}},
		"hidden up":        {{Name: "a/../../x", Typeflag: tar.TypeReg}},
		"through a link":   {link, {Name: "l/x", Typeflag: tar.TypeReg}},
		"over a link":      {link, {Name: "l", Typeflag: tar.TypeReg}},
		"link to outside":  {{Name: "x", Typeflag: tar.TypeLink, Linkname: "../secret"}},
		"link by a link":   {link, {Name: "x", Typeflag: tar.TypeLink, Linkname: "l/secret"}},
		"mode of a link":   {link, {Name: "l/", Typeflag: tar.TypeDir, Mode: 0o777}},
		"root as a file":   {{Name: ".", Typeflag: tar.TypeReg}},
		"without a parent": {{Name: "a/b", Typeflag: tar.TypeReg}},
		"another kind":     {{Name: "x", Typeflag: tar.TypeCont}},
	} {
		t.Run(name, func(t *testing.T) {
			parent := t.TempDir()
			dir := filepath.Join(parent, "volume")
			must(t, os.Mkdir(dir, 0o700))
			write(t, filepath.Join(parent, "secret"), "old")
			var buf bytes.Buffer
			tw := tar.NewWriter(&buf)
			for _, h := range entries {
				h.Uid, h.Gid, h.ModTime = os.Geteuid(), os.Getegid(), time.Unix(1, 0)
				must(t, tw.WriteHeader(h))
			}
			must(t, tw.Close())
			if err := open(t, dir).Fill(t.Context(), &buf); err == nil {
				t.Error("it was taken")
			}
			if left, err := os.ReadDir(parent); err != nil || len(left) != 2 {
				t.Errorf("beside the directory: %v, %v", left, err)
			}
		})
	}
}

func TestRightsAreLookedAt(t *testing.T) {
	others := &entry{stat: unix.Stat_t{Mode: unix.S_IFREG, Uid: 7, Gid: 7}}
	device := &entry{stat: unix.Stat_t{Mode: unix.S_IFCHR, Uid: 1, Gid: 1}}
	own := &entry{stat: unix.Stat_t{Mode: unix.S_IFREG, Uid: 1, Gid: 1}}
	program := &entry{stat: unix.Stat_t{Mode: unix.S_IFREG | unix.S_ISUID, Uid: 1, Gid: 1}}
	none, all := rights{uid: 1, gid: 1}, rights{uid: 1, gid: 1, effective: 1<<41 - 1, setID: true}
	if r, err := ownRights(); err != nil || !r.setID {
		t.Errorf("our own: %+v, %v", r, err)
	}
	for n, c := range []struct {
		r    rights
		e    *entry
		want string
	}{{none, own, ""}, {none, others, "CAP_CHOWN"}, {none, device, "CAP_MKNOD"}, {none, program, "RestrictSUIDSGID=no"}, {all, others, ""}, {all, device, ""}, {all, program, ""}} {
		if got := c.r.lack(c.e); got != c.want {
			t.Errorf("case %d: %q, want %q", n, got, c.want)
		}
	}
}

func TestHolds(t *testing.T) {
	dir := t.TempDir()
	below := filepath.Join(dir, "a", "b")
	must(t, os.MkdirAll(below, 0o700))
	d := open(t, dir)
	for path, want := range map[string]bool{dir: true, below: true, filepath.Dir(dir): false, "/": false} {
		if got, err := d.Holds(path); err != nil || got != want {
			t.Errorf("%s: %v, %v", path, got, err)
		}
	}
}

// What ends the context ends the work.
func TestTheTimeIsKept(t *testing.T) {
	dir := t.TempDir()
	plant(t, dir)
	d := open(t, dir)
	archive, _ := archived(t, d)
	over, cancel := context.WithCancel(t.Context())
	cancel()
	for n, err := range []error{d.Archive(over, &bytes.Buffer{}), d.Empty(over), d.Fill(over, bytes.NewReader(archive))} {
		if !errors.Is(err, context.Canceled) {
			t.Errorf("case %d: %v", n, err)
		}
	}
}

func FuzzFill(f *testing.F) {
	for _, h := range []*tar.Header{
		{Name: "./", Typeflag: tar.TypeDir, Mode: 0o700}, {Name: "a", Typeflag: tar.TypeReg, Mode: 0o600, Size: 5},
		{Name: "l", Typeflag: tar.TypeSymlink, Linkname: "../secret"}, {Name: "b", Typeflag: tar.TypeLink, Linkname: "a"},
	} {
		var buf bytes.Buffer
		tw := tar.NewWriter(&buf)
		h.Uid, h.Gid = os.Geteuid(), os.Getegid()
		must(f, tw.WriteHeader(h))
		_, _ = fmt.Fprint(tw, strings.Repeat("x", int(h.Size)))
		_ = tw.Close()
		f.Add(buf.Bytes())
	}
	f.Fuzz(func(t *testing.T, archive []byte) {
		parent := t.TempDir()
		dir := filepath.Join(parent, "volume")
		must(t, os.Mkdir(dir, 0o700))
		write(t, filepath.Join(parent, "secret"), "old")
		d := open(t, dir)
		err := d.Fill(t.Context(), bytes.NewReader(archive))
		if left, again := os.ReadDir(parent); again != nil || len(left) != 2 {
			t.Fatalf("beside the directory: %v, %v", left, again)
		}
		if text, again := os.ReadFile(filepath.Join(parent, "secret")); again != nil || string(text) != "old" {
			t.Fatalf("beside the directory: %q, %v", text, again)
		}
		if err == nil {
			var buf bytes.Buffer
			must(t, d.Archive(t.Context(), &buf))
		}
		must(t, os.Chmod(dir, 0o700)) // or it could not be removed
		must(t, d.Empty(t.Context()))
	})
}
