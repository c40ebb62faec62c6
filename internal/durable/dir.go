package durable

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"

	"golang.org/x/sys/unix"

	"github.com/consign-dev/consign/internal/fault"
)

// MkdirAll creates path and its missing parents, each with exactly the mode
// perm, whatever the umask, and syncs the directory that holds each new one.
// Existing directories keep their mode.
func MkdirAll(path string, perm fs.FileMode) error {
	path = filepath.Clean(path)
	info, err := os.Stat(path)
	switch {
	case err == nil && info.IsDir():
		return nil
	case err == nil:
		return &fs.PathError{Op: "mkdir", Path: path, Err: unix.ENOTDIR}
	case !errors.Is(err, fs.ErrNotExist):
		return err
	}
	if err := MkdirAll(filepath.Dir(path), perm); err != nil {
		return err
	}
	return mkdir(path, perm)
}

func mkdir(path string, perm fs.FileMode) error {
	if err := fault.Point("durable.mkdir"); err != nil {
		return err
	}
	err := os.Mkdir(path, perm)
	if errors.Is(err, fs.ErrExist) {
		return isDir(path) // another process was first, or a link leads nowhere
	}
	if err != nil {
		return err
	}
	if err := os.Chmod(path, perm); err != nil {
		return err
	}
	return syncParents(path)
}

func isDir(path string) error {
	info, err := os.Stat(path)
	if errors.Is(err, fs.ErrNotExist) || err == nil && !info.IsDir() {
		return &fs.PathError{Op: "mkdir", Path: path, Err: unix.ENOTDIR}
	}
	return err
}

// Remove removes the file or empty directory path. It is no error when nothing
// is there.
func Remove(path string) error {
	if err := fault.Point("durable.remove"); err != nil {
		return err
	}
	err := os.Remove(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	return syncParents(path)
}

// RemoveAll removes path and everything below it. It is no error when nothing
// is there. A crash in the middle leaves a part of the tree.
func RemoveAll(path string) error {
	if err := fault.Point("durable.remove"); err != nil {
		return err
	}
	if _, err := os.Lstat(path); errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err := os.RemoveAll(path); err != nil {
		return err
	}
	return syncParents(path)
}

// Rename moves oldPath to newPath, replacing a file that is there, and syncs
// the directories of both. The bytes of the file itself must have been synced
// by whoever wrote them.
func Rename(oldPath, newPath string) error {
	if err := fault.Point("durable.rename"); err != nil {
		return err
	}
	if err := os.Rename(oldPath, newPath); err != nil {
		return err
	}
	return syncParents(newPath, oldPath)
}

// syncParents syncs the directory of each path, once each.
func syncParents(paths ...string) error {
	done := map[string]bool{}
	for _, p := range paths {
		name := filepath.Dir(p)
		if done[name] {
			continue
		}
		done[name] = true
		dir, err := openDir(name)
		if err != nil {
			return err
		}
		err = syncDir(dir)
		_ = dir.Close()
		if err != nil {
			return err
		}
	}
	return nil
}
