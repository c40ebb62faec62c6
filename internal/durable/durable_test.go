package durable

import (
	"bytes"
	"errors"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/consign-dev/consign/internal/reason"
)

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// checkFile also demands that nothing else, such as a temporary file, is left
// in the directory.
func checkFile(t *testing.T, path, content string, perm fs.FileMode) {
	t.Helper()
	data, err := os.ReadFile(path)
	must(t, err)
	info, err := os.Lstat(path)
	must(t, err)
	if string(data) != content || info.Mode() != perm {
		t.Errorf("%s holds %q with mode %v, want %q with %v", path, data, info.Mode(), content, perm)
	}
	entries, err := os.ReadDir(filepath.Dir(path))
	must(t, err)
	if len(entries) != 1 {
		t.Errorf("the directory holds %v, want one file", entries)
	}
}

func withUmask(t *testing.T, mask int) {
	old := unix.Umask(mask)
	t.Cleanup(func() { unix.Umask(old) })
}

func TestWriteFileReplacesWithExactMode(t *testing.T) {
	withUmask(t, 0o077)
	path := filepath.Join(t.TempDir(), strings.Repeat("n", 255))
	must(t, WriteFile(path, []byte("one"), 0o644))
	checkFile(t, path, "one", 0o644)
	must(t, WriteFile(path, []byte("two"), 0o600))
	checkFile(t, path, "two", 0o600)
}

func TestWriteFileReplacesALinkNotItsTarget(t *testing.T) {
	dir := t.TempDir()
	target := filepath.Join(t.TempDir(), "target")
	must(t, os.WriteFile(target, []byte("kept"), 0o600))
	must(t, os.Symlink(target, filepath.Join(dir, "f")))
	must(t, WriteFile(filepath.Join(dir, "f"), []byte("new"), 0o600))
	checkFile(t, filepath.Join(dir, "f"), "new", 0o600)
	checkFile(t, target, "kept", 0o600)
}

func TestWriteFileThatFailsLeavesNothing(t *testing.T) {
	dir := t.TempDir()
	must(t, os.MkdirAll(filepath.Join(dir, "taken", "x"), 0o700))
	if err := WriteFile(filepath.Join(dir, "taken"), nil, 0o600); err == nil {
		t.Error("a directory was replaced by a file")
	}
	if err := WriteFile(filepath.Join(dir, "missing", "f"), nil, 0o600); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("missing directory: %v", err)
	}
	entries, _ := os.ReadDir(dir)
	if len(entries) != 1 {
		t.Errorf("left behind: %v", entries)
	}
}

func TestCreateExclusiveLetsOneWriterWin(t *testing.T) {
	path := filepath.Join(t.TempDir(), "f")
	var wg sync.WaitGroup
	errs := make([]error, 8)
	for i := range errs {
		wg.Go(func() { errs[i] = CreateExclusive(path, []byte{byte('0' + i)}, 0o640) })
	}
	wg.Wait()
	winner := ""
	for i, err := range errs {
		if err == nil {
			winner += string(rune('0' + i))
		} else if !errors.Is(err, fs.ErrExist) {
			t.Errorf("writer %d: %v", i, err)
		}
	}
	checkFile(t, path, winner, 0o640)
}

func TestSweepRemovesOnlyTemporaryFiles(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "f")
	must(t, WriteFile(path, []byte("x"), 0o600))
	must(t, os.WriteFile(tempName(path), []byte("half"), 0o600))
	must(t, Sweep(dir))
	checkFile(t, path, "x", 0o600)
}

func TestMkdirAllGivesExactModesToNewDirectoriesOnly(t *testing.T) {
	withUmask(t, 0o077)
	dir := t.TempDir()
	must(t, os.Chmod(dir, 0o711))
	must(t, MkdirAll(filepath.Join(dir, "a", "b"), 0o750))
	must(t, MkdirAll(filepath.Join(dir, "a", "b"), 0o700))
	for path, want := range map[string]fs.FileMode{dir: 0o711, filepath.Join(dir, "a"): 0o750, filepath.Join(dir, "a/b"): 0o750} {
		info, err := os.Stat(path)
		must(t, err)
		if info.Mode().Perm() != want {
			t.Errorf("%s has mode %v, want %v", path, info.Mode().Perm(), want)
		}
	}
	must(t, os.WriteFile(filepath.Join(dir, "file"), nil, 0o600))
	if err := MkdirAll(filepath.Join(dir, "file"), 0o700); !errors.Is(err, unix.ENOTDIR) {
		t.Errorf("over a file: %v", err)
	}
}

func TestRemoveAndRename(t *testing.T) {
	dir := t.TempDir()
	a, b := filepath.Join(dir, "a"), filepath.Join(dir, "sub", "b")
	must(t, Remove(a))
	must(t, RemoveAll(filepath.Dir(b)))
	must(t, MkdirAll(filepath.Dir(b), 0o700))
	must(t, WriteFile(a, []byte("x"), 0o600))
	must(t, Rename(a, b))
	checkFile(t, b, "x", 0o600)
	must(t, Remove(b))
	must(t, RemoveAll(filepath.Dir(b)))
	if entries, _ := os.ReadDir(dir); len(entries) != 0 {
		t.Errorf("left: %v", entries)
	}
}

func TestReadFileTakesOnlyRegularFilesWithinTheLimit(t *testing.T) {
	dir := t.TempDir()
	file, link, fifo := filepath.Join(dir, "file"), filepath.Join(dir, "link"), filepath.Join(dir, "fifo")
	must(t, os.WriteFile(file, []byte("12345"), 0o600))
	must(t, os.Symlink(file, link))
	must(t, unix.Mkfifo(fifo, 0o600))
	data, err := ReadFile(file, 5)
	if err != nil || string(data) != "12345" {
		t.Errorf("at the limit: %q, %v", data, err)
	}
	if _, err := ReadFile(file, 4); !reason.Is(err, reason.TooLarge) {
		t.Errorf("over the limit: %v", err)
	}
	if _, err := ReadFile(filepath.Join(dir, "none"), 4); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("missing: %v", err)
	}
	for _, path := range []string{link, fifo, dir} {
		if _, err := ReadFile(path, 5); err == nil {
			t.Errorf("%s was read", path)
		}
	}
}

// Attack D13: whoever can move files about cannot have one looked at and another
// read, at whatever moment the path changes.
func TestReadVouchedReadsWhatWasLookedAt(t *testing.T) {
	for _, moment := range []string{"directory", "file"} {
		root := t.TempDir()
		dir, planted := filepath.Join(root, "dir"), filepath.Join(root, "planted")
		for at, text := range map[string]string{dir: "ours", planted: "theirs"} {
			must(t, os.Mkdir(at, 0o700))
			must(t, os.WriteFile(filepath.Join(at, "f"), []byte(text), 0o600))
		}
		var looked []string
		data, err := ReadVouched(filepath.Join(dir, "f"), 10, func(path string, info fs.FileInfo) error {
			looked = append(looked, path)
			switch {
			case info.IsDir() && moment == "directory":
				must(t, os.Rename(dir, dir+".away"))
				must(t, os.Rename(planted, dir))
			case !info.IsDir() && moment == "file":
				must(t, os.Rename(filepath.Join(planted, "f"), path))
			}
			return nil
		})
		if err != nil || string(data) != "ours" || !slices.Equal(looked, []string{dir, filepath.Join(dir, "f")}) {
			t.Errorf("moved after a look at the %s: read %q, %v, looked at %q", moment, data, err, looked)
		}
	}
}

func TestReadVouchedReadsNothingUnvouched(t *testing.T) {
	dir := t.TempDir()
	file, link, linked, fifo := filepath.Join(dir, "file"), filepath.Join(dir, "link"), filepath.Join(dir, "linked"), filepath.Join(dir, "fifo")
	must(t, os.WriteFile(file, []byte("12345"), 0o600))
	must(t, os.Symlink(file, link))
	must(t, os.Symlink(dir, linked))
	must(t, unix.Mkfifo(fifo, 0o600))
	all := func(string, fs.FileInfo) error { return nil }
	if data, err := ReadVouched(file, 5, all); err != nil || string(data) != "12345" {
		t.Errorf("at the limit: %q, %v", data, err)
	}
	if _, err := ReadVouched(file, 4, all); !reason.Is(err, reason.TooLarge) {
		t.Errorf("over the limit: %v", err)
	}
	for _, missing := range []string{filepath.Join(dir, "none"), filepath.Join(dir, "none", "file")} {
		if _, err := ReadVouched(missing, 5, all); !errors.Is(err, fs.ErrNotExist) {
			t.Errorf("missing: %v", err)
		}
	}
	for _, path := range []string{link, fifo, dir, filepath.Join(linked, "file"), filepath.Join(file, "file")} {
		if _, err := ReadVouched(path, 5, all); err == nil || errors.Is(err, fs.ErrNotExist) {
			t.Errorf("%s: %v", path, err)
		}
	}
	no := errors.New("no")
	for _, refused := range []bool{true, false} {
		_, err := ReadVouched(file, 5, func(_ string, info fs.FileInfo) error {
			if info.IsDir() == refused {
				return no
			}
			return nil
		})
		if !errors.Is(err, no) {
			t.Errorf("refused, directory %t: %v", refused, err)
		}
	}
}

func TestPartialSurvivesCloseAndCommits(t *testing.T) {
	withUmask(t, 0o077)
	dir := t.TempDir()
	path, final := filepath.Join(dir, "p"), filepath.Join(dir, "done", "final")
	must(t, MkdirAll(filepath.Dir(final), 0o700))
	write := func(p *Partial, s string) {
		_, err := p.Write([]byte(s))
		must(t, err)
	}
	p, err := OpenPartial(path, 0o644)
	must(t, err)
	write(p, "wrong")
	must(t, p.Reset())
	write(p, "hello ")
	must(t, p.Sync())
	must(t, p.Close())

	p, err = OpenPartial(path, 0o600)
	must(t, err)
	if p.Size() != 6 {
		t.Fatalf("resumed at %d, want 6", p.Size())
	}
	write(p, "world")
	r, err := p.Reader()
	must(t, err)
	got, err := io.ReadAll(r)
	must(t, err)
	if !bytes.Equal(got, []byte("hello world")) {
		t.Errorf("read back %q", got)
	}
	write(p, "!")
	must(t, p.Commit(final))
	checkFile(t, final, "hello world!", 0o644)
}

func TestLockExcludesUntilUnlocked(t *testing.T) {
	path := filepath.Join(t.TempDir(), "lock")
	l, err := TryLock(path)
	must(t, err)
	if _, err := TryLock(path); !errors.Is(err, ErrLocked) {
		t.Errorf("second lock: %v", err)
	}
	must(t, l.Unlock())
	l, err = TryLock(path)
	must(t, err)
	must(t, l.Unlock())
}

// TestMkdirAllThroughALinkThatLeadsNowhere: what was planted is an error, and
// no reason to try without end.
func TestMkdirAllThroughALinkThatLeadsNowhere(t *testing.T) {
	dir := t.TempDir()
	must(t, os.Symlink(filepath.Join(dir, "absent"), filepath.Join(dir, "link")))
	for _, path := range []string{"link", "link/below"} {
		if err := MkdirAll(filepath.Join(dir, path), 0o700); !errors.Is(err, unix.ENOTDIR) {
			t.Errorf("%s: %v", path, err)
		}
	}
	if entries, err := os.ReadDir(dir); err != nil || len(entries) != 1 {
		t.Errorf("the directory holds %v, %v", entries, err)
	}
}

// TestUnlockReachesCopiesOfTheFile: whoever else has the file open, as a child
// has between fork and exec, does not keep the lock.
func TestUnlockReachesCopiesOfTheFile(t *testing.T) {
	path := filepath.Join(t.TempDir(), "lock")
	l, err := TryLock(path)
	must(t, err)
	held, err := unix.Dup(int(l.f.Fd()))
	must(t, err)
	defer unix.Close(held)
	must(t, l.Unlock())
	again, err := TryLock(path)
	must(t, err)
	must(t, again.Unlock())
}
