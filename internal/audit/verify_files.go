package audit

import (
	"bytes"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"

	"github.com/transparency-dev/tessera/api/layout"

	"github.com/consign-dev/consign/internal/durable"
	"github.com/consign-dev/consign/internal/reason"
)

const (
	hashSize = sha256.Size
	// maxTile is a tile of 256 hashes (C2SP tlog-tiles).
	maxTile = bundleWidth * hashSize
	// maxBundle is a bundle of 256 events, each behind its length in 2 bytes.
	maxBundle = bundleWidth * (2 + MaxEvent)
)

// readWidest reads the file for the first n items at index: the one of exactly
// that width or, as readers of tile logs do, the full one.
func (c *checker) readWidest(index uint64, n int, path func(uint64, uint8) string, limit int64) ([]byte, string, error) {
	exact := path(index, uint8(n%bundleWidth))
	data, err := readLogFile(c.dir, exact, limit)
	if err != nil && n < bundleWidth {
		full := path(index, 0)
		if data, err := readLogFile(c.dir, full, limit); err == nil {
			return data, full, nil
		}
	}
	return data, exact, err
}

// readHashes reads the first n hashes of the level 0 tile over bundle index;
// fewer when the file is too short.
func (c *checker) readHashes(index uint64, n int) ([][]byte, string, error) {
	if n == 0 {
		return nil, "", nil
	}
	data, path, err := c.readWidest(index, n, tilePathAt(0), maxTile)
	var hashes [][]byte
	for len(hashes) < n && len(data) >= hashSize {
		hashes = append(hashes, data[:hashSize])
		data = data[hashSize:]
	}
	return hashes, path, err
}

func tilePathAt(level uint64) func(index uint64, partial uint8) string {
	return func(index uint64, partial uint8) string { return layout.TilePath(level, index, partial) }
}

// splitBundle returns the first n entries of a bundle (C2SP tlog-tiles: each
// behind its length in two bytes), or those before the first that cannot be.
func splitBundle(data []byte, n int) [][]byte {
	var entries [][]byte
	for len(entries) < n && len(data) >= 2 {
		end := 2 + int(binary.BigEndian.Uint16(data))
		if len(data) < end {
			break
		}
		entries = append(entries, data[2:end])
		data = data[end:]
	}
	return entries
}

func joinBundle(entries [][]byte) [][]byte {
	items := make([][]byte, len(entries))
	for i, e := range entries {
		items[i] = append(binary.BigEndian.AppendUint16(nil, uint16(len(e))), e...)
	}
	return items
}

// checkStored compares every stored file of bundle b and of the tile over it,
// the superseded partial ones too, with what it must hold.
func (c *checker) checkStored(b bundle) error {
	if err := c.compareAll(position{entries: true, index: b.index}, joinBundle(b.raw), maxBundle); err != nil {
		return err
	}
	return c.compareAll(position{index: b.index}, b.hashes, maxTile)
}

// checkUpperTiles does the same for the tiles above level 0, and demands those
// that a reader of the checkpoint needs.
func (c *checker) checkUpperTiles() error {
	for level := uint64(1); len(c.tree.upper[level]) > 0; level++ {
		signed := c.cp.Size >> (level * layout.TileHeight)
		for index := uint64(0); len(c.tree.upper[level]) > 0; index++ {
			here := c.tree.upper[level]
			here = here[:min(len(here), bundleWidth)]
			if n := width(index, signed); n > 0 {
				if _, _, err := c.readWidest(index, n, tilePathAt(level), maxTile); err != nil {
					return err
				}
			}
			if err := c.compareAll(position{level: level, index: index}, here, maxTile); err != nil {
				return err
			}
			c.tree.upper[level] = c.tree.upper[level][len(here):]
		}
	}
	return nil
}

// compareAll compares the listed files at one position and strikes them off
// the list.
func (c *checker) compareAll(at position, items [][]byte, limit int64) error {
	for _, f := range c.tiles.files[at] {
		if err := c.compare(f, items, limit); err != nil {
			return err
		}
	}
	delete(c.tiles.files, at)
	return nil
}

// compare checks that file f holds the first f.width of items, the items that
// belong at its place, and nothing else.
func (c *checker) compare(f tileFile, items [][]byte, limit int64) error {
	data, err := durable.ReadFile(filepath.Join(c.dir, filepath.FromSlash(f.path)), limit)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return nil // collected by the writer since it was listed; what is needed was read
	case reason.Is(err, reason.TooLarge):
		return tampered(f.path, f.entry(0), "the file is longer than the %d bytes that it can have", limit)
	case err != nil:
		return fmt.Errorf("read log: %w", err)
	case f.width > uint64(len(items)):
		return f.unknown(len(items))
	}
	for i, item := range items[:f.width] {
		if !bytes.HasPrefix(data, item) {
			return tampered(f.path, f.entry(i), "it does not hold what the signed tree has there")
		}
		data = data[len(item):]
	}
	if len(data) != 0 {
		return tampered(f.path, f.entry(int(f.width)), "%d bytes follow its content", len(data))
	}
	return nil
}
