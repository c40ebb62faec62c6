package audit

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"sync"
	"time"

	"github.com/transparency-dev/merkle/compact"
	"github.com/transparency-dev/tessera/client"

	"github.com/consign-dev/consign/internal/durable"
	"github.com/consign-dev/consign/internal/fault"
	"github.com/consign-dev/consign/internal/reason"
)

// Log is the log of this device, open for writing. One process holds it at a
// time; its methods may be called by several goroutines, one after the other.
type Log struct {
	dir  string
	key  *Key
	lock *durable.Lock

	mu      sync.Mutex // guards what follows
	journal *durable.Journal
	first   uint64         // seq of the journal's first event, when it has one
	cp      Checkpoint     // the published checkpoint
	tree    *compact.Range // the tree of cp, held against its root
	history history
}

// Create makes an empty log in dir, with a signed checkpoint of size 0. It is
// safe to call again after a crash in the middle. A directory that already
// holds a log is fs.ErrExist.
func Create(ctx context.Context, dir string, key *Key) error {
	if _, err := os.Lstat(filepath.Join(dir, checkpointFile)); err == nil {
		return fmt.Errorf("create log: %s holds a log already: %w", dir, fs.ErrExist)
	}
	if _, err := os.Lstat(filepath.Join(dir, tileDir)); err == nil {
		return fmt.Errorf("create log: %s holds entries but no checkpoint: %w", dir, fs.ErrExist)
	}
	if err := durable.MkdirAll(dir, 0o700); err != nil {
		return unwritable("create log", err)
	}
	lock, err := durable.TryLock(filepath.Join(dir, lockFile))
	if err != nil {
		return unwritable("create log", err)
	}
	defer func() { _ = lock.Unlock() }()
	journal, err := durable.OpenJournal(filepath.Join(dir, journalFile), maxJournalRecord)
	if err != nil {
		return unwritable("create log", err)
	}
	defer func() { _ = journal.Close() }()
	if len(journal.Records()) != 0 {
		return fmt.Errorf("create log: %s holds events but no checkpoint: %w", dir, fs.ErrExist)
	}
	empty, err := rootOf(ranges.NewEmptyRange(0))
	if err != nil {
		return unwritable("create log", err)
	}
	w := treeWriter{dir: dir, key: key, roots: map[uint64][]byte{0: empty}}
	if _, err := w.publish(ctx, 0, nil); err != nil {
		return unwritable("create log", err)
	}
	return nil
}

// Open opens the log in dir for the device that key belongs to. It checks the
// checkpoint, that the tree's right edge fits it, and the journal; [Verify]
// checks everything. Nothing that is missing is created: a log that silently
// began again would be a second history. Errors have reason log-unwritable.
//
// After Open the caller looks at [Log.OpenIntents] and [Log.Torn]: they are
// the traces of a crash, to be recorded as events of kind [Gap].
func Open(ctx context.Context, dir string, key *Key, device string) (*Log, error) {
	if key.signer.Name() != Origin(device) {
		return nil, unwritable("open log", fmt.Errorf("the log key is of %s, not of device %q", key.signer.Name(), device))
	}
	if _, err := os.Stat(filepath.Join(dir, treeStateFile)); err != nil {
		return nil, unwritable("open log", err)
	}
	lock, err := durable.TryLock(filepath.Join(dir, lockFile))
	if err != nil {
		return nil, unwritable("open log", err)
	}
	l := &Log{dir: dir, key: key, lock: lock, history: history{device: device}}
	if err := l.load(ctx); err != nil {
		_ = l.Close()
		return nil, unwritable("open log", err)
	}
	return l, nil
}

func (l *Log) load(ctx context.Context) error {
	if err := durable.Sweep(l.dir); err != nil {
		return err
	}
	signed, err := durable.ReadFile(filepath.Join(l.dir, checkpointFile), maxCheckpoint)
	if err != nil {
		return err
	}
	if l.cp, err = ParseCheckpoint(signed, l.key.verifier); err != nil {
		return err
	}
	if l.tree, err = loadTree(ctx, l.dir, l.cp); err != nil {
		return err
	}
	if l.journal, err = durable.OpenJournal(filepath.Join(l.dir, journalFile), maxJournalRecord); err != nil {
		return err
	}
	return l.replay()
}

// loadTree reads the O(log n) hashes that the tree can be continued from and
// holds them against the checkpoint's root.
func loadTree(ctx context.Context, dir string, cp Checkpoint) (*compact.Range, error) {
	nodes, err := client.FetchRangeNodes(ctx, cp.Size, client.FileFetcher{Root: dir}.ReadTile)
	if err != nil {
		return nil, fmt.Errorf("read tree: %w", err)
	}
	tree, err := ranges.NewRange(0, cp.Size, nodes)
	if err != nil {
		return nil, fmt.Errorf("read tree: %w", err)
	}
	root, err := rootOf(tree)
	if err != nil {
		return nil, fmt.Errorf("read tree: %w", err)
	}
	if string(root) != string(cp.Root) {
		return nil, fmt.Errorf("the tree of %d events on disk is not the one that the checkpoint signs", cp.Size)
	}
	return tree, nil
}

// replay rebuilds the state of the history from the journal, which holds every
// event since the oldest open intent.
func (l *Log) replay() error {
	events, err := decodeJournal(l.journal.Records(), l.cp.Size)
	if err != nil {
		return err
	}
	l.history.next, l.first = l.cp.Size, l.cp.Size
	if len(events) > 0 {
		l.first, l.history.next = events[0].Seq, events[0].Seq
	}
	for _, e := range events {
		if err := l.history.add(e); err != nil {
			return fmt.Errorf("journal: event %d: %w", e.Seq, err)
		}
	}
	return nil
}

// decodeJournal reads the records of a journal beside a tree of size events:
// numbered without holes, and none missing between the tree and them.
func decodeJournal(records [][]byte, size uint64) ([]Event, error) {
	events := make([]Event, 0, len(records))
	for i, rec := range records {
		e, err := DecodeEvent(rec)
		if err != nil {
			return nil, fmt.Errorf("journal: record %d: %w", i, err)
		}
		if i > 0 && e.Seq != events[0].Seq+uint64(i) {
			return nil, fmt.Errorf("journal: record %d is event %d, not %d", i, e.Seq, events[0].Seq+uint64(i))
		}
		events = append(events, e)
	}
	if len(events) == 0 {
		return events, nil
	}
	first, next := events[0].Seq, events[len(events)-1].Seq+1
	if first > size || next < size {
		return nil, fmt.Errorf("journal: it holds events %d to %d, the tree %d events: some are missing", first, next-1, size)
	}
	return events, nil
}

// Append records e and returns its number when it is on disk. It sets the
// event's Version, Seq, Time (from now) and Device, and makes its texts clean
// as [Clean] does. An event that does not fit its kind or what came before is
// a defect of the caller (reason internal); everything else that goes wrong is
// log-unwritable, and then nothing may be applied.
func (l *Log) Append(now time.Time, e Event) (uint64, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	e.Version, e.Seq, e.Device = EventVersion, l.history.next, l.history.device
	e.Time = now.UTC().Truncate(time.Millisecond)
	for _, text := range e.texts() {
		*text = clean(*text, MaxText)
	}
	e.Message = clean(e.Message, MaxMessage)
	data, err := l.admit(e)
	if err != nil {
		return 0, reason.New(reason.Internal, "append %s event to log: %w", e.Kind, err)
	}
	if err := fault.Point("audit.append"); err != nil {
		return 0, unwritable("append to log", err)
	}
	if err := l.journal.Append(data); err != nil {
		return 0, unwritable("append to log", err)
	}
	return e.Seq, l.history.add(e)
}

func (l *Log) admit(e Event) ([]byte, error) {
	if err := errors.Join(e.check(), e.checkReason()); err != nil {
		return nil, err
	}
	if err := l.history.check(e); err != nil {
		return nil, err
	}
	return e.encode()
}

// OpenIntents returns the intents that no event has ended yet, oldest first.
// Right after [Open] these are the ones that a crash interrupted.
func (l *Log) OpenIntents() []Event {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.history.openIntents()
}

// Torn reports whether Open found, and cut off, an event that was being
// written when the device stopped. Append had not returned for it.
func (l *Log) Torn() bool { return l.journal.Torn() }

// Size is the number of events, those that wait for the tree included. Of an
// empty log it is 0, and the first event must be [Initialised].
func (l *Log) Size() uint64 {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.history.next
}

// Pending is the number of events that are on disk but not yet under a signed
// checkpoint.
func (l *Log) Pending() uint64 {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.history.next - l.cp.Size
}

// Checkpoint is the newest published checkpoint: what to keep elsewhere as an
// anchor for [Verify].
func (l *Log) Checkpoint() Checkpoint {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.cp
}

// Close gives the log free for another process. Events that were not
// integrated stay in the journal; nothing is written.
func (l *Log) Close() error {
	l.mu.Lock()
	defer l.mu.Unlock()
	var err error
	if l.journal != nil {
		err = l.journal.Close()
	}
	return errors.Join(err, l.lock.Unlock())
}

// unwritable gives err the reason log-unwritable whatever reason it has below:
// a full journal is too large, but what the agent has to know is that it
// cannot log.
func unwritable(op string, err error) error {
	return reason.New(reason.LogUnwritable, "%s: %w", op, err)
}
