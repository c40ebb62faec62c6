package audit

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"

	"github.com/consign-dev/consign/internal/durable"
)

// journalContent is a journal as a checker reads it. A log that was published
// without its journal has none.
type journalContent struct {
	first   uint64   // number of the first event
	records [][]byte // the events' encodings
	torn    int
}

// readJournal reads the journal and the numbers of its events. Everything else
// about an event is checked when its turn comes.
func readJournal(dir string) (journalContent, error) {
	data, err := durable.ReadFile(filepath.Join(dir, journalFile), durable.MaxJournal)
	if errors.Is(err, fs.ErrNotExist) {
		return journalContent{}, nil
	}
	if err != nil {
		return journalContent{}, fmt.Errorf("read log: %w", err)
	}
	j := journalContent{}
	var corrupt *durable.CorruptError
	if j.records, j.torn, err = durable.ParseJournal(data, maxJournalRecord); errors.As(err, &corrupt) {
		return j, tampered(journalFile, j.entryAt(corrupt.Record), "%v", corrupt)
	} else if err != nil {
		return j, fmt.Errorf("read log: %w", err)
	}
	for i, rec := range j.records {
		e, err := DecodeEvent(rec)
		if err != nil {
			return j, tampered(journalFile, j.entryAt(i), "record %d: %v", i, err)
		}
		if i == 0 {
			j.first = e.Seq
		}
		if e.Seq != j.first+uint64(i) {
			return j, tampered(journalFile, at(j.first+uint64(i)), "record %d says that it is event %d", i, e.Seq)
		}
	}
	return j, nil
}

// entryAt is the number of the event in record n, as far as the records before
// it tell.
func (j *journalContent) entryAt(n int) *uint64 {
	if n == 0 || len(j.records) == 0 {
		return nil
	}
	e, err := DecodeEvent(j.records[0])
	if err != nil {
		return nil
	}
	return at(e.Seq + uint64(n))
}

// end is the number after the last event of the journal.
func (j *journalContent) end() uint64 { return j.first + uint64(len(j.records)) }

// fits checks that no event is missing between a tree of size events and the
// journal. A journal may end before the tree does when it was read first, and
// while the writer was emptying it.
func (j *journalContent) fits(size uint64) error {
	if len(j.records) > 0 && j.first > size {
		return tampered(journalFile, at(size), "the checkpoint ends after %d events and the journal begins with event %d", size, j.first)
	}
	return nil
}

// get returns event n as the journal holds it, nil when it does not.
func (j *journalContent) get(n uint64) []byte {
	if n < j.first || n >= j.end() {
		return nil
	}
	return j.records[n-j.first]
}

// agrees checks an event of the tree against the journal's copy, if there is one.
func (j *journalContent) agrees(n uint64, raw []byte) error {
	if own := j.get(n); own != nil && !bytes.Equal(own, raw) {
		return tampered(journalFile, at(n), "the journal's copy differs from the entry in the tree")
	}
	return nil
}
