package oci

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/consign-dev/consign/internal/reason"
)

// NewDirectoryReader returns a client for which every repository lies in dir,
// at its [LocalPath], and which reads nothing else: no network, no other
// directory. It never writes. The directory may be anyone's, see [Directory].
func NewDirectoryReader(dir string, o Options) (*Client, error) {
	d, err := OpenDirectory(dir)
	if err != nil {
		return nil, err
	}
	c := newLocalClient(d, o)
	end := c.close
	c.close = func() error { return errors.Join(end(), d.Close()) }
	return c, nil
}

// NewDirectoryWriter is like [NewDirectoryReader] for a directory that is
// written, too, by the embedded registry: what it answers is on the disk, and
// [Registry] can serve the result. The directory is made if it is not there.
// One that holds files of others is refused, and so are links in it, with
// reason path: they lead to where nobody wanted to write.
func NewDirectoryWriter(dir string, o Options) (*Client, error) {
	if err := checkWritable(dir); err != nil {
		return nil, err
	}
	reg, err := NewRegistry(RegistryOptions{Dir: dir, CollectEvery: -1})
	if err != nil {
		return nil, err
	}
	c := newLocalClient(reg, o)
	end := c.close
	c.close = func() error { return errors.Join(end(), reg.Close(context.Background())) }
	return c, nil
}

// checkWritable accepts a directory that is missing, empty, or of a registry.
func checkWritable(dir string) error {
	entries, err := os.ReadDir(dir)
	if errors.Is(err, fs.ErrNotExist) || err == nil && len(entries) == 0 {
		return nil
	}
	if err != nil {
		return fmt.Errorf("open directory: %w", err)
	}
	if _, err := os.Lstat(lockPath(dir)); err != nil {
		return reason.New(reason.Path, "%s holds other files than a copy: name a new or an empty directory", dir)
	}
	// A copy may lie in a directory that is reached by a link; the walk begins inside.
	root, err := filepath.EvalSymlinks(dir)
	if err != nil {
		return fmt.Errorf("open directory: %w", err)
	}
	return filepath.WalkDir(root, func(path string, e fs.DirEntry, err error) error {
		if err == nil && !e.IsDir() && !e.Type().IsRegular() {
			err = reason.New(reason.Path, "%s is a link or a special file, which no copy has put there: remove it", path)
		}
		return err
	})
}
