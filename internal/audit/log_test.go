package audit

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/consign-dev/consign/internal/durable"
	"github.com/consign-dev/consign/internal/reason"
)

func intent(deployment string) Event {
	return Event{Kind: Intent, Deployment: deployment, Application: "line-monitor", Release: "1.4.0", Action: Apply,
		Bundle: dg("bundle"), Render: dg("render"), Policy: dg("policy")}
}

func TestEventsGoThroughTheJournalIntoTheTree(t *testing.T) {
	l := newLog(t)
	l.mustVerify(0, 0)
	l.grow(3)
	l.mustVerify(0, 3)
	cp := l.integrate()
	if cp.Size != 3 || l.Pending() != 0 {
		t.Fatalf("checkpoint of %d events, %d pending", cp.Size, l.Pending())
	}
	l.mustVerify(3, 0)
	l.grow(2)
	l.reopen()
	l.mustVerify(3, 2)
	l.integrate()
	l.mustVerify(5, 0)
	l.fsck()
}

func TestIdleIntegrateWritesNothing(t *testing.T) {
	l := newLog(t)
	l.grow(2)
	l.integrate()
	before := snapshot(t, l.dir)
	l.integrate()
	l.reopen()
	l.integrate()
	if after := snapshot(t, l.dir); after != before {
		t.Errorf("files changed:\n%s\n%s", before, after)
	}
}

func snapshot(t *testing.T, dir string) string {
	var b strings.Builder
	must(t, filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		info, err := d.Info()
		b.WriteString(path + " " + info.ModTime().String() + "\n")
		return err
	}))
	return b.String()
}

// Attack D11: whatever part of an integration reached the disk before a crash,
// each event ends up in the tree exactly once.
func TestInterruptedIntegrationIsContinued(t *testing.T) {
	for name, lost := range map[string][]string{
		"nothing was written":             {treeStateFile, checkpointFile, journalFile, "tile/entries/000.p/5", "tile/0/000.p/5"},
		"only the bundle was written":     {treeStateFile, checkpointFile, journalFile, "tile/0/000.p/5"},
		"only tiles were written":         {treeStateFile, checkpointFile, journalFile},
		"no checkpoint was published":     {checkpointFile, journalFile},
		"the journal was not emptied":     {journalFile},
		"everything but the last journal": {},
	} {
		t.Run(name, func(t *testing.T) {
			l := newLog(t)
			l.grow(2)
			l.integrate()
			l.grow(3)
			before := l.copyTo(filepath.Join(t.TempDir(), "before"))
			l.integrate()
			must(t, l.Close())
			l.take(before, lost...)
			l.open()
			l.grow(2)
			l.mustVerify(l.Checkpoint().Size, 7-l.Checkpoint().Size)
			l.integrate()
			l.mustVerify(7, 0)
			l.fsck()
		})
	}
}

// Attack D11: an intent without an end is found by the next start, even when
// it is in the tree already, and is closed by a gap.
func TestCrashBetweenActAndRecordIsFound(t *testing.T) {
	l := newLog(t)
	l.grow(1)
	l.append(intent("d1"))
	l.integrate()
	l.grow(1)
	l.integrate()
	l.reopen()
	open := l.OpenIntents()
	if len(open) != 1 || open[0].Deployment != "d1" || open[0].Seq != 1 {
		t.Fatalf("open intents: %v", open)
	}
	if r := l.mustVerify(3, 0); len(r.OpenIntents) != 1 || r.OpenIntents[0] != 1 {
		t.Errorf("verify reports open intents %v", r.OpenIntents)
	}
	l.append(Event{Kind: Gap, Deployment: "d1", Intent: 1, Message: "the agent was stopped while it applied this"})
	l.integrate()
	if len(l.journal.Records()) != 0 {
		t.Errorf("the journal keeps %d events", len(l.journal.Records()))
	}
	l.reopen()
	if open := l.OpenIntents(); len(open) != 0 {
		t.Errorf("still open: %v", open)
	}
	l.mustVerify(4, 0)
}

func TestTornAppendIsReported(t *testing.T) {
	l := newLog(t)
	l.grow(2)
	must(t, l.Close())
	path := filepath.Join(l.dir, journalFile)
	data, err := os.ReadFile(path)
	must(t, err)
	must(t, os.WriteFile(path, data[:len(data)-1], 0o600))
	if r := l.mustVerify(0, 1); r.Torn == 0 {
		t.Error("verify does not report the torn event")
	}
	l.open()
	if !l.Torn() || l.Size() != 1 {
		t.Errorf("torn %v, %d events", l.Torn(), l.Size())
	}
}

func TestWriterKeepsTheShapeOfHistory(t *testing.T) {
	l := newLog(t)
	try := func(e Event, text string) {
		t.Helper()
		_, err := l.Append(testTime, e)
		wantReason(t, err, reason.Internal)
		if err == nil || !strings.Contains(err.Error(), text) {
			t.Errorf("%v: does not say %q", err, text)
		}
	}
	outcome := Event{Kind: Outcome, Deployment: "d1", Intent: 1, Result: OK}
	try(intent("d1"), "event 0 and no other")
	l.grow(1)
	try(Event{Kind: Initialised, Root: dg("root")}, "event 0 and no other")
	try(outcome, "not open")
	l.append(intent("d1"))
	try(intent("d1"), "has not ended")
	try(Event{Kind: Removed, Deployment: "d1", Intent: 1}, "cannot end intent 1 to apply")
	try(Event{Kind: Outcome, Deployment: "d2", Intent: 1, Result: OK}, "not open")
	try(Event{Kind: Outcome, Deployment: "d1", Intent: 1, Result: Failed}, "reason exactly when it failed")
	try(Event{Kind: Outcome, Deployment: "d1", Intent: 1, Result: Failed, Reason: "bored"}, "list of reasons")
	try(Event{Kind: Refused, Reason: reason.Grant, Step: "grants"}, "message is missing")
	try(Event{Kind: Gap, Message: "m", Root: dg("root")}, "root does not belong")
	try(Event{Kind: Refreshed, Channel: "c", Metadata: 1, State: "sha512:ab"}, "sha256")
	l.append(outcome)
	try(outcome, "not open")
	l.append(intent("d1"), Event{Kind: Outcome, Deployment: "d1", Intent: 3, Result: Failed, Reason: reason.Health, Step: "health", Message: "web: exited"})
	rollback := intent("d1")
	rollback.Action = Rollback
	l.append(rollback, Event{Kind: RolledBack, Deployment: "d1", Intent: 5})
	l.append(Event{Kind: Intent, Deployment: "d1", Application: "a", Release: "1", Action: Remove, Bundle: dg("bundle")},
		Event{Kind: Removed, Deployment: "d1", Intent: 7})
	l.integrate()
	l.mustVerify(9, 0)
}

func TestLogIsNeverBegunTwice(t *testing.T) {
	l := newLog(t)
	l.grow(1)
	l.integrate()
	if err := Create(t.Context(), l.dir, l.key); !errors.Is(err, fs.ErrExist) {
		t.Errorf("create over a log: %v", err)
	}
	if _, err := Open(t.Context(), l.dir, l.key, testDevice); !errors.Is(err, durable.ErrLocked) {
		t.Errorf("open a log that is open: %v", err)
	}
	must(t, l.Close())
	for _, missing := range []string{treeStateFile, checkpointFile, tileDir} {
		c := l.copyTo(filepath.Join(t.TempDir(), "copy"))
		must(t, os.RemoveAll(filepath.Join(c.dir, missing)))
		_, err := Open(t.Context(), c.dir, l.key, testDevice)
		wantReason(t, err, reason.LogUnwritable)
		if missing != treeStateFile {
			continue
		}
		if err := Create(t.Context(), c.dir, l.key); !errors.Is(err, fs.ErrExist) {
			t.Errorf("create over the rest of a log: %v", err)
		}
	}
}

func TestCreateCanBeRepeatedAfterACrash(t *testing.T) {
	l := newLog(t)
	must(t, l.Close())
	must(t, os.Remove(filepath.Join(l.dir, checkpointFile)))
	must(t, Create(t.Context(), l.dir, l.key))
	l.open()
	l.grow(1)
	l.integrate()
	l.mustVerify(1, 0)
}

func TestOpenRefusesAnotherDevicesKey(t *testing.T) {
	l := newLog(t)
	must(t, l.Close())
	_, err := Open(t.Context(), l.dir, l.key, "press-08")
	wantReason(t, err, reason.LogUnwritable)
	_, err = Open(t.Context(), l.dir, newKey(t), testDevice)
	wantReason(t, err, reason.LogUnwritable)
}

// Attack D2: a clock that was set back must not stop the log.
func TestClockSetBackDoesNotStopTheLog(t *testing.T) {
	l := newLog(t)
	l.grow(1)
	l.integrate()
	future := time.Now().AddDate(20, 0, 0)
	must(t, os.Chtimes(filepath.Join(l.dir, checkpointFile), future, future))
	l.grow(1)
	start := time.Now()
	l.integrate()
	if d := time.Since(start); d > 5*time.Second {
		t.Errorf("took %v", d)
	}
	l.mustVerify(2, 0)
}

// Attack D9: when the log cannot be written the caller is told so, by this
// reason and not by a panic in a library, and can go on once it is repaired.
func TestUnwritableLogIsAnErrorNotAPanic(t *testing.T) {
	l := newLog(t)
	l.grow(1)
	lock := filepath.Join(l.dir, treeLockFile)
	must(t, os.Remove(lock))
	must(t, os.Mkdir(lock, 0o700))
	wantReason(t, l.Integrate(t.Context()), reason.LogUnwritable)
	must(t, os.Remove(lock))
	l.integrate()

	must(t, l.journal.Close())
	_, err := l.Append(testTime, Event{Kind: Gap, Message: "m"})
	wantReason(t, err, reason.LogUnwritable)
	l.Log.journal = nil
	l.reopen()
	l.grow(1)
	l.integrate()
	l.mustVerify(2, 0)
}

// Attack D7, on the device: Tessera's unsigned state is changed so that the
// device itself would sign another history.
func TestDeviceDoesNotSignAChangedTree(t *testing.T) {
	l := newLog(t)
	l.grow(4)
	l.integrate()
	path := filepath.Join(l.dir, "tile/0/000.p/4")
	tile, err := os.ReadFile(path)
	must(t, err)
	tile[3*hashSize] ^= 1
	must(t, os.WriteFile(path, tile, 0o600))
	l.grow(1)
	err = l.Integrate(t.Context())
	wantReason(t, err, reason.LogUnwritable)
	if err == nil || !strings.Contains(err.Error(), "refused to sign") {
		t.Errorf("got %v", err)
	}
	if l.Checkpoint().Size != 4 {
		t.Errorf("the checkpoint moved to %d", l.Checkpoint().Size)
	}
}

func TestFullTilesReplaceThePartialOnes(t *testing.T) {
	l := newLog(t)
	must(t, os.MkdirAll(filepath.Join(l.dir, tileDir, "0", "000.p"), 0o700))
	must(t, os.WriteFile(filepath.Join(l.dir, tileDir, "0", "000.p", "71234567"), []byte("half"), 0o600))
	for l.Size() < 520 {
		l.grow(20)
		l.integrate()
	}
	for _, gone := range []string{"entries/000.p", "entries/001.p", "0/000.p", "0/001.p"} {
		if _, err := os.Stat(filepath.Join(l.dir, tileDir, gone)); !errors.Is(err, fs.ErrNotExist) {
			t.Errorf("%s: %v", gone, err)
		}
	}
	if r := l.mustVerify(520, 0); len(r.Strays) != 0 {
		t.Errorf("strays: %v", r.Strays)
	}
	l.fsck()
	l.reopen()
	l.grow(1)
	l.integrate()
	l.mustVerify(521, 0)
}

func TestVerifyBesideTheWriter(t *testing.T) {
	l := newLog(t)
	l.grow(250)
	l.integrate()
	done := make(chan error)
	go func() {
		for range 20 {
			if _, err := l.verify(nil); err != nil {
				done <- err
				return
			}
		}
		done <- nil
	}()
	for {
		select {
		case err := <-done:
			must(t, err)
			return
		default:
			l.grow(1)
			l.integrate()
		}
	}
}
