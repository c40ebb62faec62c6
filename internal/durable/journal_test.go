package durable

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/consign-dev/consign/internal/reason"
)

const testMax = 2000

func openJournal(t *testing.T, path string, torn bool, want ...string) *Journal {
	t.Helper()
	j, err := OpenJournal(path, testMax)
	must(t, err)
	checkRecords(t, j, want...)
	if j.Torn() != torn {
		t.Errorf("torn = %v, want %v", j.Torn(), torn)
	}
	return j
}

func checkRecords(t *testing.T, j *Journal, want ...string) {
	t.Helper()
	got := []string{}
	for _, r := range j.Records() {
		got = append(got, string(r))
	}
	if fmt.Sprint(got) != fmt.Sprint(want) {
		t.Fatalf("records %q, want %q", got, want)
	}
}

// journalBytes returns a journal file with the given records, and where each
// of them begins.
func journalBytes(records ...string) (data []byte, starts []int) {
	data = []byte(journalMagic)
	for _, r := range records {
		starts = append(starts, len(data))
		data = appendFrame(data, []byte(r))
	}
	return data, starts
}

func TestJournalKeepsRecordsAcrossOpenAndDiscard(t *testing.T) {
	path := filepath.Join(t.TempDir(), "j")
	j := openJournal(t, path, false)
	for _, r := range []string{"one", "two", "three"} {
		must(t, j.Append([]byte(r)))
	}
	must(t, j.Close())

	j = openJournal(t, path, false, "one", "two", "three")
	must(t, j.Discard(0))
	must(t, j.Discard(2))
	checkRecords(t, j, "three")
	must(t, j.Append([]byte("four")))
	if err := j.Discard(3); err == nil {
		t.Error("discarded more than there is")
	}
	must(t, j.Close())
	must(t, openJournal(t, path, false, "three", "four").Close())
}

func TestJournalRefusesRecordsOutsideItsBounds(t *testing.T) {
	j := openJournal(t, filepath.Join(t.TempDir(), "j"), false)
	defer j.Close()
	must(t, j.Append(make([]byte, testMax)))
	for _, n := range []int{0, testMax + 1} {
		if err := j.Append(make([]byte, n)); !reason.Is(err, reason.TooLarge) {
			t.Errorf("%d bytes: %v", n, err)
		}
	}
	j.size = MaxJournal - 10
	if err := j.Append([]byte("x")); !reason.Is(err, reason.TooLarge) {
		t.Errorf("full journal: %v", err)
	}
}

// Attack D11: a crash at any byte of an append loses that append and nothing
// else, and the journal goes on.
func TestJournalCutAtAnyByteLosesOnlyTheLastAppend(t *testing.T) {
	whole, starts := journalBytes("first", "second")
	for n := starts[1]; n < len(whole); n++ {
		path := filepath.Join(t.TempDir(), "j")
		must(t, os.WriteFile(path, whole[:n], 0o600))
		j := openJournal(t, path, n > starts[1], "first")
		must(t, j.Append([]byte("again")))
		must(t, j.Close())
		must(t, openJournal(t, path, false, "first", "again").Close())
	}
}

func TestJournalWithUnwrittenSectorsAtItsEndIsTorn(t *testing.T) {
	whole, starts := journalBytes("first", strings.Repeat("x", 1600))
	for _, hole := range [][2]int{
		{starts[1], len(whole)}, // the length was recorded, none of the bytes
		{512, len(whole)},       // only the first sector was written
		{512, 1024},             // the sectors were written out of order
		{1536, len(whole)},
	} {
		data := bytes.Clone(whole)
		clear(data[hole[0]:hole[1]])
		records, torn, err := ParseJournal(data, testMax)
		if err != nil || len(records) != 1 || torn != len(whole)-starts[1] {
			t.Errorf("hole %v: %d records, %d torn, %v", hole, len(records), torn, err)
		}
	}
}

func TestJournalFlippedByteAnywhereIsDamageAndNamed(t *testing.T) {
	whole, starts := journalBytes("first", "second", "third")
	for at := range whole {
		for _, mask := range []byte{1, 0x80, 0xff} {
			data := bytes.Clone(whole)
			data[at] ^= mask
			_, torn, err := ParseJournal(data, testMax)
			var corrupt *CorruptError
			if !errors.As(err, &corrupt) || torn != 0 {
				t.Fatalf("byte %d ^ %#x: torn %d, err %v", at, mask, torn, err)
			}
			record := 0
			for record+1 < len(starts) && starts[record+1] <= at {
				record++
			}
			if at >= starts[0] && corrupt.Record != record {
				t.Errorf("byte %d is in record %d, reported %v", at, record, corrupt)
			}
		}
	}
}

func TestJournalDamagedInTheMiddleIsNotOpenedAndNotChanged(t *testing.T) {
	whole, starts := journalBytes("first", "second")
	whole[starts[0]+frameHeader] ^= 1
	path := filepath.Join(t.TempDir(), "j")
	must(t, os.WriteFile(path, whole, 0o600))
	if _, err := OpenJournal(path, testMax); err == nil {
		t.Fatal("opened")
	}
	after, err := os.ReadFile(path)
	must(t, err)
	if !bytes.Equal(after, whole) {
		t.Error("the evidence was changed")
	}
}

func FuzzParseJournal(f *testing.F) {
	whole, _ := journalBytes("first", "second")
	f.Add(whole)
	f.Add(whole[:len(whole)-3])
	f.Add(append(bytes.Clone(whole), make([]byte, 20)...))
	f.Add([]byte(journalMagic + "\xff\xff\xff\xff\x00\x00\x00\x00\x00\x00\x00\x00"))
	f.Fuzz(func(t *testing.T, data []byte) {
		records, torn, err := ParseJournal(data, testMax)
		if err != nil {
			return
		}
		again := []byte(journalMagic)
		for _, r := range records {
			again = appendFrame(again, r)
		}
		if !bytes.Equal(append(again, data[len(data)-torn:]...), data) {
			t.Error("the records and the torn end are not what the file holds")
		}
	})
}

func BenchmarkJournalAppend256(b *testing.B) {
	j, err := OpenJournal(filepath.Join(b.TempDir(), "j"), testMax)
	if err != nil {
		b.Fatal(err)
	}
	defer j.Close()
	rec := make([]byte, 256)
	for i := 0; b.Loop(); i++ {
		if err := j.Append(rec); err != nil {
			b.Fatal(err)
		}
	}
}
