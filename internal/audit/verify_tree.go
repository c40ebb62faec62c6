package audit

import (
	"bytes"
	"fmt"

	"github.com/transparency-dev/merkle/compact"
	"github.com/transparency-dev/merkle/rfc6962"
	"github.com/transparency-dev/tessera/api/layout"
)

// treeState is the tree as computed from the entries.
type treeState struct {
	r     *compact.Range
	upper map[uint64][][]byte // by level above 0: the hashes that its tiles store
}

// bundle is one entry bundle, as far as the tree and then the journal reach.
type bundle struct {
	index  uint64
	signed int    // how many of its entries are under the checkpoint
	path   string // where those were read
	raw    [][]byte
	hashes [][]byte // leaf hashes of raw
}

// checkTree goes through the log bundle by bundle, then through the tiles
// above.
func (c *checker) checkTree() error {
	c.tree = treeState{r: ranges.NewEmptyRange(0), upper: map[uint64][][]byte{}}
	if err := c.checkRoots(); err != nil {
		return err
	}
	known := max(c.cp.Size, c.journal.end())
	for index := uint64(0); index*bundleWidth < known; index++ {
		if err := c.ctx.Err(); err != nil {
			return err
		}
		if err := c.checkBundle(index, known); err != nil {
			return err
		}
	}
	if err := c.checkUpperTiles(); err != nil {
		return err
	}
	return c.tiles.rest()
}

func (c *checker) checkBundle(index, known uint64) error {
	b, err := c.readBundle(index, known)
	if err != nil {
		return err
	}
	stored, path, err := c.readHashes(index, b.signed)
	if err != nil {
		return err
	}
	if i := firstDifference(b.hashes, stored, b.signed); i < b.signed {
		return c.blame(index*bundleWidth+uint64(i), b.path, path)
	}
	for i, raw := range b.raw {
		file := b.path
		if i >= b.signed {
			file = journalFile
		}
		if err := c.accept(raw, b.hashes[i], file); err != nil {
			return err
		}
	}
	return c.checkStored(b)
}

// readBundle reads the entries of one bundle: those in the tree from the file,
// those after it from the journal.
func (c *checker) readBundle(index, known uint64) (bundle, error) {
	b := bundle{index: index, signed: width(index, c.cp.Size)}
	if b.signed > 0 {
		data, path, err := c.readWidest(index, b.signed, layout.EntriesPath, maxBundle)
		if err != nil {
			return b, err
		}
		b.path, b.raw = path, splitBundle(data, b.signed)
	}
	if len(b.raw) == b.signed {
		for i := b.signed; i < width(index, known); i++ {
			b.raw = append(b.raw, c.journal.get(index*bundleWidth+uint64(i)))
		}
	}
	for _, raw := range b.raw {
		b.hashes = append(b.hashes, rfc6962.DefaultHasher.HashLeaf(raw))
	}
	return b, nil
}

// accept takes the next entry into the tree and its event into the history.
func (c *checker) accept(raw, hash []byte, file string) error {
	n := c.history.next
	if err := c.tree.r.Append(hash, c.collect); err != nil {
		return fmt.Errorf("compute tree: %w", err)
	}
	if err := c.checkRoots(); err != nil {
		return err
	}
	if err := c.journal.agrees(n, raw); err != nil {
		return err
	}
	e, err := DecodeEvent(raw)
	if err != nil {
		return tampered(file, at(n), "%v", err)
	}
	if err := c.history.add(e); err != nil {
		return tampered(file, at(n), "%v", err)
	}
	if c.visit == nil {
		return nil
	}
	return c.visit(Entry{Event: e, Pending: n >= c.cp.Size, Raw: raw})
}

// collect receives each node of the growing tree and keeps those that a tile
// above level 0 stores.
func (c *checker) collect(id compact.NodeID, hash []byte) {
	if id.Level > 0 && id.Level%layout.TileHeight == 0 {
		level := uint64(id.Level / layout.TileHeight)
		c.tree.upper[level] = append(c.tree.upper[level], hash)
	}
}

// checkRoots holds the tree against the checkpoints when it has reached their
// size.
func (c *checker) checkRoots() error {
	size := c.tree.r.End()
	if size != c.cp.Size && (c.since == nil || size != c.since.Size) {
		return nil
	}
	root, err := rootOf(c.tree.r)
	if err != nil {
		return fmt.Errorf("compute tree: %w", err)
	}
	if c.since != nil && size == c.since.Size && !bytes.Equal(root, c.since.Root) {
		return tampered("", nil, "the first %d events are not those that the earlier checkpoint signs: the log was rewritten or forked; keep both checkpoints, together they prove it", size)
	}
	if size == c.cp.Size && !bytes.Equal(root, c.cp.Root) {
		return tampered("", nil, "entries and tiles agree with each other, but their root is not the one that the checkpoint of %d events signs: they were rewritten together", size)
	}
	return nil
}

// blame explains a difference between entry n and its hash in the tile: which
// of the two files leads to the signed root?
func (c *checker) blame(n uint64, bundlePath, tilePath string) error {
	fromTiles := c.leadsToRoot(func(index uint64, n int) ([][]byte, error) {
		hashes, _, err := c.readHashes(index, n)
		return hashes, err
	})
	if fromTiles {
		return tampered(bundlePath, at(n), "the entry is not the one that was logged")
	}
	fromEntries := c.leadsToRoot(func(index uint64, _ int) ([][]byte, error) {
		b, err := c.readBundle(index, c.cp.Size)
		return b.hashes, err
	})
	if fromEntries {
		return tampered(tilePath, at(n), "the stored hash is not that of the entry, which is as it was logged")
	}
	return tampered(bundlePath, at(n), "the entry and its hash in %s differ, and neither leads to the signed root", tilePath)
}

// leadsToRoot reports whether the leaf hashes from source give the signed root.
func (c *checker) leadsToRoot(source func(index uint64, n int) ([][]byte, error)) bool {
	r := ranges.NewEmptyRange(0)
	for index := uint64(0); index*bundleWidth < c.cp.Size; index++ {
		n := width(index, c.cp.Size)
		hashes, err := source(index, n)
		if err != nil || len(hashes) < n || c.ctx.Err() != nil {
			return false
		}
		for _, h := range hashes[:n] {
			if r.Append(h, nil) != nil {
				return false
			}
		}
	}
	root, err := rootOf(r)
	return err == nil && bytes.Equal(root, c.cp.Root)
}

// width is how many of the entries below size fall into bundle index.
func width(index, size uint64) int {
	start := index * bundleWidth
	if size <= start {
		return 0
	}
	return int(min(size-start, bundleWidth))
}

// firstDifference is the index below n of the first hash that is missing in or
// different between a and b, or n.
func firstDifference(a, b [][]byte, n int) int {
	for i := range n {
		if i >= len(a) || i >= len(b) || !bytes.Equal(a[i], b[i]) {
			return i
		}
	}
	return n
}
