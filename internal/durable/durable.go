// Package durable is the only place that renames, links, removes or syncs the
// files of a state directory.
//
// A function that returns nil has reached the disk: the bytes of the file and
// the directory entry that names it. A function that returns an error has
// either changed nothing or made the whole change; which of the two is unknown
// when the failing call was the last sync, so callers recover by looking at
// what is there and never by assuming.
//
// # How a file is written
//
// [WriteFile] creates a temporary file with a random name in the directory of
// its target, writes it, sets its exact mode, syncs it, renames it over the
// target and syncs the directory. The directory is opened before anything is
// written and stays open until its sync, so that a write error that the kernel
// meets in between is reported to us. [CreateExclusive] does the same with a
// hard link in place of the rename: link(2) fails when the name is taken, so
// exactly one of several writers wins and nobody sees half a file.
//
// A killed process can leave temporary files behind. They are never read;
// [Sweep] removes them.
//
// # What else is here
//
// [Partial] is a download that survives its process, [Lock] an advisory lock
// that does not, [Journal] an append-only file of records. Every operation
// passes a fault point named "durable.<op>" first, so that tests can stop the
// program before each one. Linux only: the package relies on flock(2), on
// O_NOFOLLOW and on directories that can be synced.
package durable

import (
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"golang.org/x/sys/unix"

	"github.com/consign-dev/consign/internal/fault"
)

// WriteFile makes path hold exactly data with exactly the mode perm, whatever
// the umask. Readers see all of the old file or all of the new one. The
// directory of path must exist.
func WriteFile(path string, data []byte, perm fs.FileMode) error {
	return place(path, data, perm, func(temp string) error {
		if err := fault.Point("durable.rename"); err != nil {
			return err
		}
		return os.Rename(temp, path)
	})
}

// CreateExclusive is [WriteFile] for a path that must not exist yet. When it
// does, the error is fs.ErrExist and the existing file is untouched.
func CreateExclusive(path string, data []byte, perm fs.FileMode) error {
	return place(path, data, perm, func(temp string) error {
		if err := fault.Point("durable.link"); err != nil {
			return err
		}
		if err := os.Link(temp, path); err != nil {
			return err
		}
		return os.Remove(temp)
	})
}

// place writes data to a synced temporary file beside path, lets publish give
// it its name, and syncs the directory.
func place(path string, data []byte, perm fs.FileMode, publish func(temp string) error) (err error) {
	dir, err := openDir(filepath.Dir(path))
	if err != nil {
		return err
	}
	defer dir.Close()
	temp, err := writeTemp(path, data, perm)
	if err != nil {
		return err
	}
	if err := publish(temp); err != nil {
		_ = os.Remove(temp)
		return err
	}
	return syncDir(dir)
}

// writeTemp leaves no file behind when it fails.
func writeTemp(path string, data []byte, perm fs.FileMode) (string, error) {
	if err := fault.Point("durable.create"); err != nil {
		return "", err
	}
	temp := tempName(path)
	f, err := os.OpenFile(temp, os.O_WRONLY|os.O_CREATE|os.O_EXCL|unix.O_NOFOLLOW, 0o600)
	if err != nil {
		return "", err
	}
	if err := fill(f, data, perm); err != nil {
		_ = f.Close()
		_ = os.Remove(temp)
		return "", err
	}
	return temp, nil
}

func fill(f *os.File, data []byte, perm fs.FileMode) error {
	if err := fault.Point("durable.write"); err != nil {
		return err
	}
	if _, err := f.Write(data); err != nil {
		return err
	}
	if err := f.Chmod(perm); err != nil {
		return err
	}
	if err := syncFile(f); err != nil {
		return err
	}
	return f.Close()
}

const (
	tempPrefix = ".consign-"
	tempSuffix = ".tmp"
)

// tempName is short and does not contain the target's name, which may already
// be as long as a file name can be.
func tempName(path string) string {
	var b [16]byte
	_, _ = rand.Read(b[:]) // never fails: crypto/rand ends the process instead
	return filepath.Join(filepath.Dir(path), tempPrefix+hex.EncodeToString(b[:])+tempSuffix)
}

// Sweep removes the temporary files that killed processes left in dir. The
// caller must hold the lock that makes it the only writer of dir.
func Sweep(dir string) error {
	entries, err := os.ReadDir(dir)
	if err != nil {
		return err
	}
	for _, e := range entries {
		if strings.HasPrefix(e.Name(), tempPrefix) && strings.HasSuffix(e.Name(), tempSuffix) {
			if err := os.Remove(filepath.Join(dir, e.Name())); err != nil && !errors.Is(err, fs.ErrNotExist) {
				return err
			}
		}
	}
	return nil
}

func syncFile(f *os.File) error {
	if err := fault.Point("durable.sync"); err != nil {
		return err
	}
	return f.Sync()
}

func openDir(path string) (*os.File, error) {
	f, err := os.OpenFile(path, os.O_RDONLY|unix.O_DIRECTORY, 0)
	if err != nil {
		return nil, err
	}
	return f, nil
}

func syncDir(dir *os.File) error {
	if err := fault.Point("durable.syncdir"); err != nil {
		return err
	}
	if err := dir.Sync(); err != nil {
		return fmt.Errorf("sync directory %s: %w", dir.Name(), err)
	}
	return nil
}
