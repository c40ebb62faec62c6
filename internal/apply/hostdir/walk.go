package hostdir

import (
	"context"
	"errors"
	"io"
	"os"
	"path"
	"slices"
	"strings"

	"golang.org/x/sys/unix"

	"github.com/consign-dev/consign/internal/reason"
)

// entry is one thing in the directory.
type entry struct {
	name string // its path from the directory, "." for that itself
	stat unix.Stat_t
}

func (e *entry) kind() uint32 { return e.stat.Mode & unix.S_IFMT }

// walk visits the directory and what is in it, each directory before its content and
// by name. While the application runs (live) things may vanish meanwhile.
type walk struct {
	*Dir
	live    bool
	visit   func(*entry) error
	entries int
}

func (w *walk) run(ctx context.Context) error {
	e := &entry{name: "."}
	if err := unix.Fstat(int(w.root.Fd()), &e.stat); err != nil {
		return w.failed("look at", ".", err)
	}
	if err := w.visit(e); err != nil {
		return err
	}
	return w.inside(ctx, ".", 1)
}

func (w *walk) inside(ctx context.Context, name string, depth int) error {
	if depth > maxDepth {
		return reason.New(reason.TooLarge, "%s has directories more than %d deep", w.path, maxDepth)
	}
	dir, err := w.openDir(name)
	if w.gone(err) {
		return nil
	}
	if err != nil {
		return err
	}
	defer dir.Close()
	names, err := w.names(dir)
	if err != nil {
		return err
	}
	for _, base := range names {
		if err := ctx.Err(); err != nil {
			return err
		}
		if err := w.one(ctx, dir, name, base, depth); err != nil {
			return err
		}
	}
	return nil
}

func (w *walk) one(ctx context.Context, dir *os.File, parent, base string, depth int) error {
	e := &entry{name: path.Join(parent, base)}
	if len(e.name) > maxPath {
		return reason.New(reason.TooLarge, "%s has a file whose name is more than %d bytes with those of its directories", w.path, maxPath)
	}
	err := unix.Fstatat(int(dir.Fd()), base, &e.stat, unix.AT_SYMLINK_NOFOLLOW)
	if w.gone(err) {
		return nil
	}
	if errors.Is(err, unix.ENOENT) {
		return changed(e.name)
	}
	if err != nil {
		return w.failed("look at", e.name, err)
	}
	if err := w.visit(e); err != nil || e.kind() != unix.S_IFDIR {
		return err
	}
	return w.inside(ctx, e.name, depth+1)
}

func (w *walk) gone(err error) bool { return w.live && errors.Is(err, unix.ENOENT) }

// names lists a directory, sorted.
func (w *walk) names(dir *os.File) ([]string, error) {
	var out []string
	for {
		some, err := dir.Readdirnames(4096)
		out = append(out, some...)
		if w.entries += len(some); w.entries > maxEntries {
			return nil, reason.New(reason.TooLarge, "%s holds more than %d files", w.path, maxEntries)
		}
		if errors.Is(err, io.EOF) {
			slices.SortFunc(out, strings.Compare)
			return out, nil
		}
		if err != nil {
			return nil, err
		}
	}
}
