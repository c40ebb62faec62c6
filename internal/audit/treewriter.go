package audit

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"github.com/transparency-dev/tessera"
	"github.com/transparency-dev/tessera/api/layout"
	"github.com/transparency-dev/tessera/storage/posix"
	"golang.org/x/mod/sumdb/note"

	"github.com/consign-dev/consign/internal/durable"
	"github.com/consign-dev/consign/internal/fault"
)

const bundleWidth = layout.EntryBundleWidth

// treeWriter runs Tessera for one group of entries. Tessera's appender is a
// set of goroutines that look at the disk ten times a second; it is started
// for a group and stopped after it, so that an idle device does nothing.
type treeWriter struct {
	dir   string
	key   *Key
	roots map[uint64][]byte // the checkpoints that may be signed, by size
}

// publish adds those of entries that are not in Tessera's tree yet and returns
// the published checkpoint. entries[0] is entry number from.
func (w *treeWriter) publish(ctx context.Context, from uint64, entries [][]byte) (Checkpoint, error) {
	if err := w.prepare(); err != nil {
		return Checkpoint{}, err
	}
	if err := ctx.Err(); err != nil {
		return Checkpoint{}, err
	}
	// From here on the group is finished even when the caller is told to stop:
	// Tessera never answers for an entry whose context ended before its turn.
	ctx, cancel := context.WithCancel(context.WithoutCancel(ctx))
	defer cancel()
	guard := w.newGuard()
	// After a crash some entries are in Tessera's tree already, and only then
	// is the group smaller than the journal says.
	integrated, err := w.integrated(ctx, guard)
	want := from + uint64(len(entries))
	if err != nil {
		return Checkpoint{}, err
	}
	if integrated < from || integrated > want {
		return Checkpoint{}, fmt.Errorf("the tree on disk has %d entries; the checkpoint has %d and the journal reaches to %d", integrated, from, want)
	}
	entries = entries[integrated-from:]
	appender, shutdown, _, err := w.start(ctx, guard, len(entries))
	if err != nil {
		return Checkpoint{}, err
	}
	if err := add(ctx, appender, integrated, entries); err != nil {
		return Checkpoint{}, err
	}
	cp, err := w.await(ctx, guard, want)
	if err != nil {
		return Checkpoint{}, err
	}
	return cp, shutdown(ctx)
}

// integrated is the size of the tree on disk, which can be ahead of the
// checkpoint. Only a started appender tells it.
func (w *treeWriter) integrated(ctx context.Context, guard *guard) (uint64, error) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	_, _, reader, err := w.start(ctx, guard, 1)
	if err != nil {
		return 0, err
	}
	return reader.IntegratedSize(ctx)
}

// prepare makes sure of two things that Tessera takes for granted.
func (w *treeWriter) prepare() error {
	if err := fault.Point("audit.publish"); err != nil {
		return err
	}
	// It panics, in a goroutine of its own, when its lock file cannot be opened
	// for writing, as on a file system that was remounted read-only.
	lock := filepath.Join(w.dir, treeLockFile)
	if err := durable.MkdirAll(filepath.Dir(lock), 0o755); err != nil {
		return err
	}
	f, err := os.OpenFile(lock, os.O_RDWR|os.O_CREATE, 0o644)
	if err != nil {
		return err
	}
	if err := f.Close(); err != nil {
		return err
	}
	// It publishes only when the checkpoint's file is older, by the system
	// clock, than its interval. A device's clock may have gone back by years
	// since the last one was written, and then it would never publish again.
	err = os.Chtimes(filepath.Join(w.dir, checkpointFile), time.Time{}, time.Unix(0, 0))
	if errors.Is(err, os.ErrNotExist) {
		return nil // a log that is being created
	}
	return err
}

func (w *treeWriter) start(ctx context.Context, signer note.Signer, group int) (*tessera.Appender, func(context.Context) error, tessera.LogReader, error) {
	driver, err := posix.New(ctx, posix.Config{Path: w.dir})
	if err != nil {
		return nil, nil, nil, err
	}
	// The batch is full exactly when the last entry of the group is added. Its
	// age never flushes it: a timer that fires between two adds could put the
	// second half in front of the first.
	opts := tessera.NewAppendOptions().
		WithCheckpointSigner(signer).
		WithBatching(uint(max(group, 1)), time.Hour).
		WithCheckpointInterval(100 * time.Millisecond). // Tessera's minimum
		WithCheckpointRepublishInterval(0).
		WithGarbageCollectionInterval(0) // see tidy
	return tessera.NewAppender(ctx, driver, opts)
}

// add integrates entries, the first of which must become number next. It
// returns when they are durable in tiles.
func add(ctx context.Context, a *tessera.Appender, next uint64, entries [][]byte) error {
	futures := make([]tessera.IndexFuture, len(entries))
	for i, e := range entries {
		futures[i] = a.Add(ctx, tessera.NewEntry(e))
	}
	for i, f := range futures {
		index, err := f()
		if err != nil {
			return fmt.Errorf("add event %d: %w", next+uint64(i), err)
		}
		if index.Index != next+uint64(i) {
			return fmt.Errorf("event %d became leaf %d", next+uint64(i), index.Index)
		}
	}
	return nil
}

// await polls for the checkpoint of size want. Tessera writes it within
// milliseconds of the last add but tells nobody; its own waiting sleeps for a
// tenth of a second at a time.
func (w *treeWriter) await(ctx context.Context, guard *guard, want uint64) (Checkpoint, error) {
	ctx, cancel := context.WithTimeout(ctx, publishTimeout)
	defer cancel()
	tick := time.NewTicker(time.Millisecond)
	defer tick.Stop()
	for {
		signed, err := durable.ReadFile(filepath.Join(w.dir, checkpointFile), maxCheckpoint)
		if err == nil {
			cp, err := ParseCheckpoint(signed, w.key.verifier)
			if err != nil || cp.Size == want {
				return cp, err
			}
		} else if !errors.Is(err, os.ErrNotExist) {
			return Checkpoint{}, err
		}
		select {
		case <-ctx.Done():
			return Checkpoint{}, fmt.Errorf("wait for the checkpoint of %d events: %w", want, ctx.Err())
		case err := <-guard.refused:
			return Checkpoint{}, err
		case <-tick.C:
		}
	}
}

// guard is a signer that signs nothing but the checkpoints it was told to
// expect. What Tessera asks for is computed from its files; if those were
// changed, the device must not sign a second history with its own key.
type guard struct {
	note.Signer
	allowed map[string]bool
	refused chan error
}

func (w *treeWriter) newGuard() *guard {
	g := &guard{Signer: w.key.signer, allowed: map[string]bool{}, refused: make(chan error, 1)}
	for size, root := range w.roots {
		g.allowed[checkpointText(g.Name(), size, root)] = true
	}
	return g
}

func (g *guard) Sign(text []byte) ([]byte, error) {
	if !g.allowed[string(text)] {
		err := fmt.Errorf("refused to sign a checkpoint that does not follow from the last one and the journal: %q", text)
		select {
		case g.refused <- err:
		default:
		}
		return nil, err
	}
	return g.Signer.Sign(text)
}
