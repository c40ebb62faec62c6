package audit

import (
	"context"
	"fmt"

	"github.com/transparency-dev/merkle/compact"
	"github.com/transparency-dev/merkle/rfc6962"

	"github.com/consign-dev/consign/internal/fault"
)

// Integrate moves the events that wait in the journal into the tree, all at
// once, and publishes a signed checkpoint over them. With nothing waiting it
// writes nothing. It takes milliseconds.
//
// Each step can be repeated: after an error or a crash the next Integrate
// continues with what is on disk. Errors have reason log-unwritable; the
// events are safe in the journal all the same.
func (l *Log) Integrate(ctx context.Context) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.history.next > l.cp.Size {
		if err := l.grow(ctx); err != nil {
			return unwritable("integrate log", err)
		}
	}
	if err := l.discard(); err != nil {
		return unwritable("integrate log", err)
	}
	return nil
}

// grow publishes a checkpoint over every event of the journal.
func (l *Log) grow(ctx context.Context) error {
	pending := l.journal.Records()[l.cp.Size-l.first:]
	tree, roots, err := extend(l.tree, pending)
	if err != nil {
		return err
	}
	w := treeWriter{dir: l.dir, key: l.key, roots: roots}
	if err := fault.Point("audit.integrate"); err != nil {
		return err
	}
	cp, err := w.publish(ctx, l.cp.Size, pending)
	if err != nil {
		return err
	}
	full := l.cp.Size/bundleWidth != cp.Size/bundleWidth
	l.cp, l.tree = cp, tree
	if full {
		// Only space is lost when this fails, and the next time does it again.
		_ = tidy(l.dir)
	}
	return nil
}

// extend computes the tree after entries, and the root of each size on the
// way: the only checkpoints that may be signed.
func extend(tree *compact.Range, entries [][]byte) (*compact.Range, map[uint64][]byte, error) {
	grown, err := ranges.NewRange(0, tree.End(), tree.Hashes())
	if err != nil {
		return nil, nil, fmt.Errorf("extend tree: %w", err)
	}
	roots := map[uint64][]byte{}
	for _, entry := range entries {
		if err := grown.Append(rfc6962.DefaultHasher.HashLeaf(entry), nil); err != nil {
			return nil, nil, fmt.Errorf("extend tree: %w", err)
		}
		if roots[grown.End()], err = rootOf(grown); err != nil {
			return nil, nil, fmt.Errorf("extend tree: %w", err)
		}
	}
	return grown, roots, nil
}

// discard takes out of the journal what is under the checkpoint, up to the
// oldest intent that is still open.
func (l *Log) discard() error {
	upto := l.cp.Size
	if open := l.history.openIntents(); len(open) > 0 {
		upto = min(upto, open[0].Seq)
	}
	if upto <= l.first {
		return nil
	}
	if err := fault.Point("audit.discard"); err != nil {
		return err
	}
	if err := l.journal.Discard(int(upto - l.first)); err != nil {
		return err
	}
	l.first = upto
	return nil
}
