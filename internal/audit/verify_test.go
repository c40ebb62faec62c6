package audit

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/transparency-dev/merkle/rfc6962"
	"golang.org/x/mod/sumdb/note"

	"github.com/consign-dev/consign/internal/reason"
)

func (l *testLog) flip(file string, at int, mask byte) (restore func()) {
	l.t.Helper()
	path := filepath.Join(l.dir, file)
	data, err := os.ReadFile(path)
	must(l.t, err)
	changed := bytes.Clone(data)
	changed[at] ^= mask
	must(l.t, os.WriteFile(path, changed, 0o600))
	return func() { must(l.t, os.WriteFile(path, data, 0o600)) }
}

func (l *testLog) read(file string) []byte {
	l.t.Helper()
	data, err := os.ReadFile(filepath.Join(l.dir, file))
	must(l.t, err)
	return data
}

// A byte changed anywhere in the evidence is found, and the file that holds it
// is the one that is named.
func TestFlippedByteAnywhereIsFoundAndNamed(t *testing.T) {
	l := newLog(t)
	l.grow(2)
	l.integrate()
	l.grow(1)
	l.integrate()
	l.grow(2)
	must(t, l.Close())
	for _, file := range l.files() {
		size := len(l.read(file))
		for at := range size {
			restore := l.flip(file, at, []byte{1, 0x20, 0x80, 0xff}[at%4])
			_, err := l.verify(nil)
			mustTamper(t, err, file, -1, "")
			restore()
		}
	}
	l.mustVerify(3, 2)
}

func TestFlippedByteNamesTheEntryInALargerLog(t *testing.T) {
	l := newLog(t)
	l.grow(300)
	l.integrate()
	must(t, l.Close())
	for _, c := range []struct {
		file        string
		entry, byte int
		text        string
	}{
		{"tile/0/000", 7, 7 * hashSize, "stored hash"},
		{"tile/0/001.p/44", 256 + 43, 44*hashSize - 1, "stored hash"},
		{"tile/1/000.p/1", 0, 5, "does not hold"},
	} {
		restore := l.flip(c.file, c.byte, 1)
		_, err := l.verify(nil)
		mustTamper(t, err, c.file, c.entry, c.text)
		restore()
	}
	for _, entry := range []int{0, 100, 255, 256, 299} {
		file := map[bool]string{true: "tile/entries/000", false: "tile/entries/001.p/44"}[entry < 256]
		data := l.read(file)
		offset := 0
		for _, e := range splitBundle(data, entry%bundleWidth) {
			offset += 2 + len(e)
		}
		for _, inside := range []int{0, 1, 2, 50} { // its length, its first byte, its text
			restore := l.flip(file, offset+inside, 1)
			_, err := l.verify(nil)
			mustTamper(t, err, file, entry, "not the one that was logged")
			restore()
		}
	}
}

func TestMissingLongerAndForeignFilesAreFound(t *testing.T) {
	l := newLog(t)
	l.grow(300)
	l.integrate()
	must(t, l.Close())
	full := l.copyTo(filepath.Join(t.TempDir(), "full"))
	for _, file := range []string{"tile/0/000", "tile/0/001.p/44", "tile/1/000.p/1", "tile/entries/000", "tile/entries/001.p/44", "checkpoint"} {
		must(t, os.Remove(filepath.Join(l.dir, file)))
		_, err := l.verify(nil)
		mustTamper(t, err, file, -1, "missing")
		l.take(full, file)

		longer := append(l.read(file), 0)
		must(t, os.WriteFile(filepath.Join(l.dir, file), longer, 0o600))
		_, err = l.verify(nil)
		mustTamper(t, err, file, -1, "")
		l.take(full, file)
	}
	for _, extra := range []string{"tile/0/002", "tile/entries/001.p/45", "tile/2/000.p/1", "tile/1/000.p/2"} {
		path := filepath.Join(l.dir, extra)
		must(t, os.MkdirAll(filepath.Dir(path), 0o700))
		must(t, os.WriteFile(path, l.read("tile/1/000.p/1"), 0o600))
		_, err := l.verify(nil)
		mustTamper(t, err, extra, -1, "older checkpoint put back")
		must(t, os.Remove(path))
	}
	must(t, os.WriteFile(filepath.Join(l.dir, "tile/entries/0001234567"), nil, 0o600))
	must(t, os.Symlink("/etc/passwd", filepath.Join(l.dir, "tile/0/003")))
	if r := l.mustVerify(300, 0); len(r.Strays) != 2 {
		t.Errorf("strays: %v", r.Strays)
	}
}

// Attack D6: the last events are cut off, for any number of them, and an older
// genuine checkpoint is put back.
func TestTruncationIsFoundAgainstANewerCheckpoint(t *testing.T) {
	l := newLog(t)
	var states []*testLog
	for range 6 {
		l.grow(1)
		l.integrate()
		states = append(states, l.copyTo(filepath.Join(t.TempDir(), "state")))
	}
	newest := l.Checkpoint().Signed
	for i, old := range states[:5] {
		size := uint64(i + 1)
		_, err := old.verify(newest)
		mustTamper(t, err, checkpointFile, i+1, "cut off")
		// Without the newer checkpoint it is whole, and not anchored.
		if r := old.mustVerify(size, 0); r.Since != nil {
			t.Error("anchored to nothing")
		}
		// When only the checkpoint is put back, the tiles speak against it.
		l.take(old, checkpointFile)
		_, err = l.verify(nil)
		mustTamper(t, err, "*", i+1, "older checkpoint put back")
	}
	l.take(states[5], checkpointFile)
	for i, old := range states {
		r, err := l.verify(old.read(checkpointFile))
		must(t, err)
		if r.Since == nil || *r.Since != uint64(i+1) {
			t.Errorf("anchored since %v, want %d", r.Since, i+1)
		}
	}
}

// Attack D7: the device's own key signs a log in which one event was changed.
// The rewritten log is whole in itself; the earlier checkpoint speaks against it.
func TestRewriteIsFoundAgainstAnEarlierCheckpoint(t *testing.T) {
	l := newLog(t)
	l.grow(5)
	since := l.integrate().Signed
	for changed := range 5 {
		r := rewritten(t, l, changed)
		r.mustVerify(uint64(7), 0)
		_, err := r.verify(since)
		mustTamper(t, err, "", -1, "rewritten or forked")
	}
}

func rewritten(t *testing.T, l *testLog, changed int) *testLog {
	r := &testLog{t: t, dir: filepath.Join(t.TempDir(), "rewritten"), key: l.key}
	must(t, Create(t.Context(), r.dir, r.key))
	r.open()
	defer func() { must(t, r.Close()) }()
	for i := range 7 {
		if i == changed {
			r.n += 1000
		}
		if i == 0 && changed == 0 {
			r.append(Event{Kind: Initialised, Root: dg("another root")})
			continue
		}
		r.grow(1)
	}
	r.integrate()
	return r
}

// Attack D8: one device shows two auditors different histories.
func TestForkIsFoundByComparingCheckpoints(t *testing.T) {
	l := newLog(t)
	l.grow(3)
	l.integrate()
	must(t, l.Close())
	other := l.copyTo(filepath.Join(t.TempDir(), "other"))
	for i, c := range []*testLog{l, other} {
		c.open()
		c.n = i * 1000
		c.grow(2)
		c.integrate()
		must(t, c.Close())
		c.mustVerify(5, 0)
	}
	_, err := l.verify(other.read(checkpointFile))
	mustTamper(t, err, "", -1, "rewritten or forked")
}

// Entries, tiles and journal changed together fit each other; the signature
// does not fit them.
func TestConsistentRewriteWithoutTheKeyIsFound(t *testing.T) {
	l := newLog(t)
	l.grow(3)
	l.integrate()
	must(t, l.Close())
	bundle := l.read("tile/entries/000.p/3")
	raw := splitBundle(bundle, 3)
	changed := bytes.Replace(raw[1], []byte("acme"), []byte("evil"), 1)
	must(t, os.WriteFile(filepath.Join(l.dir, "tile/entries/000.p/3"), bytes.Replace(bundle, raw[1], changed, 1), 0o600))
	tile := l.read("tile/0/000.p/3")
	copy(tile[hashSize:], rfc6962.DefaultHasher.HashLeaf(changed))
	must(t, os.WriteFile(filepath.Join(l.dir, "tile/0/000.p/3"), tile, 0o600))
	_, err := l.verify(nil)
	mustTamper(t, err, "", -1, "rewritten together")

	tile[0] ^= 1
	must(t, os.WriteFile(filepath.Join(l.dir, "tile/0/000.p/3"), tile, 0o600))
	_, err = l.verify(nil)
	mustTamper(t, err, "tile/entries/000.p/3", 0, "neither leads")
}

func TestSignedEventsThatBreakTheRulesAreFound(t *testing.T) {
	good := Event{Version: 1, Time: testTime, Kind: Initialised, Device: testDevice, Root: dg("root")}
	first, err := good.encode()
	must(t, err)
	gap := Event{Version: 1, Seq: 1, Time: testTime, Kind: Gap, Device: testDevice, Message: "m"}
	for text, change := range map[string]func(e *Event){
		"it says that it is event 2": func(e *Event) { e.Seq = 2 },
		`it is of device "press-08"`: func(e *Event) { e.Device = "press-08" },
		"event 0 and no other":       func(e *Event) { e.Kind, e.Message, e.Root = Initialised, "", dg("root") },
		"which is not open":          func(e *Event) { e.Deployment, e.Intent = "d1", 1 },
		`kind "opinion"`:             func(e *Event) { e.Kind = "opinion" },
		"event format v2":            func(e *Event) { e.Version = 2 },
	} {
		e := gap
		change(&e)
		data, err := e.encode()
		must(t, err)
		l := signedLog(t, first, data)
		_, err = l.verify(nil)
		mustTamper(t, err, "tile/entries/000.p/2", 1, text)
	}
}

// signedLog writes entries into a log as a device would whose program is not
// ours.
func signedLog(t *testing.T, entries ...[]byte) *testLog {
	l := &testLog{t: t, dir: filepath.Join(t.TempDir(), "log"), key: newKey(t)}
	must(t, Create(t.Context(), l.dir, l.key))
	_, roots, err := extend(ranges.NewEmptyRange(0), entries)
	must(t, err)
	w := treeWriter{dir: l.dir, key: l.key, roots: roots}
	_, err = w.publish(t.Context(), 0, entries)
	must(t, err)
	return l
}

func TestJournalIsHeldAgainstTheTree(t *testing.T) {
	l := newLog(t)
	l.grow(1)
	l.append(intent("d1"))
	empty := l.copyTo(filepath.Join(t.TempDir(), "empty"))
	l.integrate() // the open intent stays in the journal
	l.grow(1)
	l.mustVerify(2, 1)

	l.take(empty, journalFile) // one pending event is gone: nothing proves that it was there
	l.mustVerify(2, 0)

	other := newLog(t)
	other.grow(1)
	other.append(intent("d2"))
	l.take(other, journalFile)
	_, err := l.verify(nil)
	mustTamper(t, err, journalFile, 1, "differs from the entry in the tree")

	late := newLog(t)
	late.grow(3)
	late.integrate()
	late.grow(1)
	l.take(late, journalFile)
	_, err = l.verify(nil)
	mustTamper(t, err, journalFile, 2, "the journal begins with event 3")
}

func TestVerifyNeedsTheRightKeyAndCheckpoint(t *testing.T) {
	l := newLog(t)
	l.grow(1)
	l.integrate()
	_, err := Verify(t.Context(), l.dir, newKey(t).Public(), nil, nil)
	mustTamper(t, err, checkpointFile, -1, "another device's")
	_, err = Verify(t.Context(), l.dir, "nonsense", nil, nil)
	wantReason(t, err, reason.Malformed)
	other := newLog(t)
	_, err = l.verify(other.read(checkpointFile))
	if IsTampering(err) || !reason.Is(err, reason.UntrustedSigner) {
		t.Errorf("since of another key: %v", err)
	}
}

func TestVerifyWritesNothing(t *testing.T) {
	l := newLog(t)
	l.grow(3)
	l.integrate()
	l.grow(1)
	must(t, l.Close())
	before := snapshot(t, l.dir)
	l.mustVerify(3, 1)
	if after := snapshot(t, l.dir); after != before {
		t.Errorf("files changed:\n%s\n%s", before, after)
	}
}

func TestVisitorSeesEveryEventInOrder(t *testing.T) {
	l := newLog(t)
	l.grow(300)
	l.integrate()
	l.grow(2)
	next := uint64(0)
	_, err := Verify(t.Context(), l.dir, l.key.Public(), nil, func(e Entry) error {
		if e.Seq != next || e.Pending != (e.Seq >= 300) || !strings.Contains(string(e.Raw), string(e.Kind)) {
			t.Errorf("entry %d: %+v", next, e)
		}
		next++
		return nil
	})
	must(t, err)
	if next != 302 {
		t.Errorf("saw %d events", next)
	}
}

func TestCheckpointHasOneEncoding(t *testing.T) {
	key := newKey(t)
	root, err := rootOf(ranges.NewEmptyRange(0))
	must(t, err)
	sign := func(text string) []byte {
		signed, err := note.Sign(&note.Note{Text: text}, key.signer)
		must(t, err)
		return signed
	}
	text := checkpointText(Origin(testDevice), 0, root)
	good := sign(text)
	if cp, err := ParseCheckpoint(good, key.verifier); err != nil || cp.Size != 0 || !bytes.Equal(cp.Root, root) {
		t.Errorf("%+v, %v", cp, err)
	}
	for name, c := range map[string]struct {
		signed []byte
		code   reason.Code
	}{
		"extension line":  {sign(text + "more\n"), reason.Malformed},
		"other origin":    {sign(checkpointText(Origin("press-08"), 0, root)), reason.Malformed},
		"leading zero":    {sign(strings.Replace(text, "\n0\n", "\n00\n", 1)), reason.Malformed},
		"short root":      {sign(checkpointText(Origin(testDevice), 0, root[:31])), reason.Malformed},
		"another key":     {good[:bytes.LastIndexByte(good, ' ')], reason.Malformed},
		"changed size":    {bytes.Replace(good, []byte("\n0\n"), []byte("\n1\n"), 1), reason.Signature},
		"two signatures":  {append(bytes.Clone(good), good[bytes.LastIndex(good, []byte("— ")):]...), reason.Malformed},
		"too large":       {append(bytes.Clone(good), make([]byte, maxCheckpoint)...), reason.TooLarge},
		"nothing":         {nil, reason.Malformed},
		"spare base64":    {spareBits(good), reason.Malformed},
		"carriage return": {bytes.ReplaceAll(good, []byte("\n"), []byte("\r\n")), reason.Malformed},
	} {
		if _, err := ParseCheckpoint(c.signed, key.verifier); !reason.Is(err, c.code) {
			t.Errorf("%s: got %v, want %s", name, err, c.code)
		}
	}
}

// spareBits sets a bit of the signature's last base64 character that decodes
// to nothing.
func spareBits(signed []byte) []byte {
	const alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/"
	c := bytes.Clone(signed)
	last := bytes.LastIndexByte(c, '=') - 1
	c[last] = alphabet[strings.IndexByte(alphabet, c[last])|1]
	return c
}

func FuzzParseCheckpoint(f *testing.F) {
	private, _, err := GenerateKey(testDevice)
	must(f, err)
	key, err := ParseKey(private)
	must(f, err)
	good, err := note.Sign(&note.Note{Text: checkpointText(Origin(testDevice), 7, make([]byte, hashSize))}, key.signer)
	must(f, err)
	f.Add(good)
	f.Add(spareBits(good))
	f.Add([]byte("a\n1\nAAAA\n\n— a AAAA\n"))
	f.Fuzz(func(t *testing.T, signed []byte) {
		if cp, err := ParseCheckpoint(signed, key.verifier); err == nil && !bytes.Equal(cp.Signed, good) {
			t.Errorf("accepted %q", signed)
		}
	})
}
