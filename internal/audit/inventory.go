package audit

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"github.com/transparency-dev/tessera/api/layout"
)

// tileFile is one file under tile/ that the layout of C2SP tlog-tiles knows.
type tileFile struct {
	path    string // relative to the log directory, with slashes
	entries bool   // an entry bundle; otherwise a tile of level
	level   uint64
	index   uint64
	width   uint64 // number of entries or hashes it says it holds: 1 to 256
}

type position struct {
	entries      bool
	level, index uint64
}

// inventory is what lies under tile/.
type inventory struct {
	files  map[position][]tileFile
	strays []string // paths that no reader of the log would open
}

// listTiles reads the names under tile/. A directory that is missing is empty.
func listTiles(ctx context.Context, dir string) (inventory, error) {
	inv := inventory{files: map[position][]tileFile{}}
	err := filepath.WalkDir(filepath.Join(dir, tileDir), func(path string, d fs.DirEntry, err error) error {
		if errors.Is(err, os.ErrNotExist) {
			return nil // collected by the writer while we look
		}
		if err != nil || d.IsDir() {
			return errors.Join(err, ctx.Err())
		}
		rel, err := filepath.Rel(dir, path)
		if err != nil {
			return err
		}
		f, ok := parseTilePath(filepath.ToSlash(rel))
		if !ok || !d.Type().IsRegular() {
			inv.strays = append(inv.strays, filepath.ToSlash(rel))
			return nil
		}
		at := position{f.entries, f.level, f.index}
		inv.files[at] = append(inv.files[at], f)
		return nil
	})
	return inv, err
}

// parseTilePath accepts exactly the paths that the layout produces.
func parseTilePath(path string) (tileFile, bool) {
	level, rest, _ := strings.Cut(strings.TrimPrefix(path, tileDir+"/"), "/")
	f := tileFile{path: path, entries: level == "entries"}
	var err error
	if !f.entries {
		if f.level, err = layout.ParseTileLevel(level); err != nil {
			return f, false
		}
	}
	index, partial, err := layout.ParseTileIndexPartial(rest)
	if err != nil {
		return f, false
	}
	f.index, f.width = index, uint64(partial)
	if partial == 0 {
		f.width = bundleWidth
	}
	return f, f.canonicalPath() == path
}

func (f tileFile) canonicalPath() string {
	partial := uint8(f.width % bundleWidth)
	if f.entries {
		return layout.EntriesPath(f.index, partial)
	}
	return layout.TilePath(f.level, f.index, partial)
}

// entry is the number of the first event under item i of f.
func (f tileFile) entry(i int) *uint64 {
	return at((f.index*bundleWidth + uint64(i)) << (f.level * layout.TileHeight))
}

// unknown is the finding that f reaches beyond the known items of its place.
func (f tileFile) unknown(known int) error {
	return tampered(f.path, f.entry(known), "it holds more than the checkpoint and the journal know of: the log was cut, or an older checkpoint put back")
}

// rest is the finding about the first file that nothing has struck off: it
// lies where a log of this size has none.
func (inv inventory) rest() error {
	var first *tileFile
	for _, files := range inv.files {
		for _, f := range files {
			if first == nil || f.path < first.path {
				first = &f
			}
		}
	}
	if first == nil {
		return nil
	}
	return first.unknown(0)
}
