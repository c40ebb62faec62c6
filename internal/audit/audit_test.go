package audit

import (
	"context"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/opencontainers/go-digest"
	"github.com/transparency-dev/merkle/rfc6962"
	"github.com/transparency-dev/tessera/api"
	"github.com/transparency-dev/tessera/client"
	"github.com/transparency-dev/tessera/fsck"
	"k8s.io/klog/v2"

	"github.com/consign-dev/consign/internal/reason"
)

const testDevice = "press-07"

var testTime = time.Date(2026, 11, 24, 8, 0, 0, 0, time.UTC)

func TestMain(m *testing.M) {
	klog.LogToStderr(false)
	klog.SetOutput(io.Discard)
	os.Exit(m.Run())
}

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func dg(s string) digest.Digest { return digest.FromString(s) }

// testLog is a log on disk with its key, opened and closed at will.
type testLog struct {
	*Log
	t   testing.TB
	dir string
	key *Key
	n   int

	private string // the text of key
}

func newKey(t testing.TB) *Key {
	t.Helper()
	key, _ := newPrivateKey(t)
	return key
}

func newPrivateKey(t testing.TB) (*Key, string) {
	t.Helper()
	private, public, err := GenerateKey(testDevice)
	must(t, err)
	key, err := ParseKey(private)
	must(t, err)
	if key.Public() != public {
		t.Fatalf("public key %s, want %s", key.Public(), public)
	}
	return key, private
}

func newLog(t testing.TB) *testLog {
	t.Helper()
	l := &testLog{t: t, dir: filepath.Join(t.TempDir(), "log")}
	l.key, l.private = newPrivateKey(t)
	must(t, Create(t.Context(), l.dir, l.key))
	l.open()
	t.Cleanup(func() { _ = l.Close() })
	return l
}

func (l *testLog) open() {
	l.t.Helper()
	log, err := Open(context.Background(), l.dir, l.key, testDevice)
	must(l.t, err)
	l.Log = log
}

func (l *testLog) reopen() {
	l.t.Helper()
	must(l.t, l.Close())
	l.open()
}

func (l *testLog) append(events ...Event) {
	l.t.Helper()
	for _, e := range events {
		want := l.Size()
		seq, err := l.Append(testTime.Add(time.Duration(want)*time.Second), e)
		must(l.t, err)
		if seq != want {
			l.t.Fatalf("event became %d, want %d", seq, want)
		}
	}
}

func (l *testLog) integrate() Checkpoint {
	l.t.Helper()
	must(l.t, l.Integrate(context.Background()))
	return l.Checkpoint()
}

// grow appends n events, the first ones of a log or more of the same.
func (l *testLog) grow(n int) {
	l.t.Helper()
	for range n {
		if l.Size() == 0 {
			l.append(Event{Kind: Initialised, Root: dg("root"), Program: "agent 0.1.0"})
			continue
		}
		l.n++
		l.append(Event{Kind: Refreshed, Channel: "127.0.0.1:5000/acme/releases", Metadata: int64(l.n), State: dg(fmt.Sprint(l.n))})
	}
}

func (l *testLog) verify(since []byte) (Report, error) {
	return Verify(context.Background(), l.dir, l.key.Public(), since, nil)
}

func (l *testLog) mustVerify(size, pending uint64) Report {
	l.t.Helper()
	r, err := l.verify(nil)
	must(l.t, err)
	if r.Size != size || r.Pending != pending {
		l.t.Fatalf("verified %d events and %d pending, want %d and %d", r.Size, r.Pending, size, pending)
	}
	return r
}

// mustTamper demands a finding about file ("" for none, "*" for any) and entry
// (-1 for any).
func mustTamper(t testing.TB, err error, file string, entry int, text string) {
	t.Helper()
	if !IsTampering(err) {
		t.Fatalf("no tampering was found: %v", err)
	}
	found := err.(*TamperError)
	if file != "*" && found.File != file {
		t.Errorf("%v: blames %q, want %q", err, found.File, file)
	}
	if entry >= 0 && (found.Entry == nil || *found.Entry != uint64(entry)) {
		t.Errorf("%v: want entry %d", err, entry)
	}
	if !strings.Contains(err.Error(), text) {
		t.Errorf("%v: does not say %q", err, text)
	}
}

// copyTo copies the log directory as it is now.
func (l *testLog) copyTo(dir string) *testLog {
	l.t.Helper()
	must(l.t, os.CopyFS(dir, os.DirFS(l.dir)))
	return &testLog{t: l.t, dir: dir, key: l.key, n: l.n}
}

// take replaces files of the log by those of another copy; a file that is
// not there is removed.
func (l *testLog) take(from *testLog, files ...string) {
	l.t.Helper()
	for _, f := range files {
		must(l.t, os.RemoveAll(filepath.Join(l.dir, f)))
		data, err := os.ReadFile(filepath.Join(from.dir, f))
		if os.IsNotExist(err) {
			continue
		}
		must(l.t, err)
		must(l.t, os.WriteFile(filepath.Join(l.dir, f), data, 0o600))
	}
}

// files lists the regular files of the log that are evidence.
func (l *testLog) files() []string {
	l.t.Helper()
	var list []string
	must(l.t, filepath.WalkDir(l.dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		rel, _ := filepath.Rel(l.dir, path)
		if rel == checkpointFile || rel == journalFile || strings.HasPrefix(rel, tileDir+"/") {
			list = append(list, rel)
		}
		return nil
	}))
	return list
}

// fsck runs Tessera's own checker over the log.
func (l *testLog) fsck() {
	l.t.Helper()
	hasher := func(data []byte) ([][]byte, error) {
		var b api.EntryBundle
		if err := b.UnmarshalText(data); err != nil {
			return nil, err
		}
		var hashes [][]byte
		for _, e := range b.Entries {
			hashes = append(hashes, rfc6962.DefaultHasher.HashLeaf(e))
		}
		return hashes, nil
	}
	f := fsck.New(Origin(testDevice), l.key.verifier, client.FileFetcher{Root: l.dir}, hasher, fsck.Opts{N: 2})
	must(l.t, f.Check(context.Background()))
}

func wantReason(t testing.TB, err error, code reason.Code) {
	t.Helper()
	if !reason.Is(err, code) {
		t.Errorf("got %v, want reason %s", err, code)
	}
}
