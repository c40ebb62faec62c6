package audit

import (
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"

	"golang.org/x/mod/sumdb/note"

	"github.com/consign-dev/consign/internal/durable"
	"github.com/consign-dev/consign/internal/reason"
)

// Verify checks the whole log in dir, reading only: the signature of its
// checkpoint by publicKey, the tree computed anew from the entries and held
// against the signed root and against every stored tile, each event's encoding
// and place in the history, and the journal.
//
// since, when not nil, is a checkpoint of this log that was kept elsewhere.
// The log must contain everything that it signs; this is what finds a log that
// was cut and given its own older checkpoint, rewritten, or forked.
//
// visit, when not nil, is called with each event in order, before the verdict
// is known: whoever shows events waits for the return.
//
// A finding is a [*TamperError] that names the first bad file and entry. Any
// other error means that the check could not be made: wrong key or since,
// unreadable files. Verify may run beside the writer.
func Verify(ctx context.Context, dir, publicKey string, since []byte, visit func(Entry) error) (Report, error) {
	key, err := ParseVerifierKey(publicKey)
	if err != nil {
		return Report{}, err
	}
	c := &checker{ctx: ctx, dir: dir, visit: visit}
	if since != nil {
		cp, err := ParseCheckpoint(since, key)
		if err != nil {
			return Report{}, fmt.Errorf("the earlier checkpoint: %w", err)
		}
		c.since = &cp
	}
	if err := c.open(key); err != nil {
		return Report{}, err
	}
	if err := c.checkTree(); err != nil {
		return Report{}, err
	}
	return c.report(), nil
}

// checker holds the state of one Verify.
type checker struct {
	ctx   context.Context
	dir   string
	visit func(Entry) error

	tiles   inventory
	journal journalContent
	cp      Checkpoint
	since   *Checkpoint
	history history
	tree    treeState
}

// open reads everything but the tiles. The order matters beside a writer,
// which moves events from the journal to tiles to the checkpoint: what is in a
// listed tile is in the journal read after it or under the checkpoint read
// last.
func (c *checker) open(key note.Verifier) (err error) {
	if c.tiles, err = listTiles(c.ctx, c.dir); err != nil {
		return fmt.Errorf("read log: %w", err)
	}
	if c.journal, err = readJournal(c.dir); err != nil {
		return err
	}
	if c.cp, err = c.readCheckpoint(key); err != nil {
		return err
	}
	if c.since != nil && c.since.Size > c.cp.Size {
		return tampered(checkpointFile, at(c.cp.Size), "the log ends after %d events, the earlier checkpoint has %d: the last %d were cut off",
			c.cp.Size, c.since.Size, c.since.Size-c.cp.Size)
	}
	return c.journal.fits(c.cp.Size)
}

func (c *checker) readCheckpoint(key note.Verifier) (Checkpoint, error) {
	signed, err := readLogFile(c.dir, checkpointFile, maxCheckpoint)
	if err != nil {
		return Checkpoint{}, err
	}
	cp, err := ParseCheckpoint(signed, key)
	if reason.Is(err, reason.UntrustedSigner) {
		return cp, tampered(checkpointFile, nil, "%v; it was changed, or the key is another device's", err)
	}
	if err != nil {
		return cp, tampered(checkpointFile, nil, "%v", err)
	}
	return cp, nil
}

// readLogFile reads a file that a log must have. That it is missing or too
// long is a finding; that it cannot be read is not.
func readLogFile(dir, path string, limit int64) ([]byte, error) {
	data, err := durable.ReadFile(filepath.Join(dir, filepath.FromSlash(path)), limit)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return nil, tampered(path, nil, "the file is missing")
	case reason.Is(err, reason.TooLarge):
		return nil, tampered(path, nil, "the file is longer than the %d bytes that it can have", limit)
	case err != nil:
		return nil, fmt.Errorf("read log: %w", err)
	}
	return data, nil
}

func (c *checker) report() Report {
	r := Report{
		Origin: c.cp.Origin, Device: c.history.device, Size: c.cp.Size, Root: hex.EncodeToString(c.cp.Root),
		Pending: c.history.next - c.cp.Size, Torn: c.journal.torn, Strays: c.tiles.strays,
	}
	if c.since != nil {
		r.Since = &c.since.Size
	}
	for _, e := range c.history.openIntents() {
		r.OpenIntents = append(r.OpenIntents, e.Seq)
	}
	return r
}
