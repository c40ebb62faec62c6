package durable

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"slices"

	"github.com/consign-dev/consign/internal/fault"
	"github.com/consign-dev/consign/internal/reason"
)

// MaxJournal bounds the file of a [Journal] in bytes. A journal is a waiting
// room that is emptied every few records; one that has grown to this size is
// not being emptied, and reading it must not exhaust the memory of a device.
const MaxJournal = 16 << 20

// Journal is an append-only file of records, each of which is on disk when
// Append returns. The caller holds a lock that makes it the only user of the
// file; a Journal is used by one goroutine.
type Journal struct {
	path      string
	maxRecord int
	f         *os.File
	size      int64 // bytes of the file that are known to be whole
	records   [][]byte
	torn      bool
	broken    error // set when what is on disk is no longer known
}

// OpenJournal opens the journal at path, creating an empty one when the file
// is not there. maxRecord bounds one record in bytes.
//
// The remains of an append that a crash interrupted are cut off and reported
// by [Journal.Torn]. Damage anywhere else is a [*CorruptError], and the file is
// left as it is for a person to look at.
func OpenJournal(path string, maxRecord int) (*Journal, error) {
	data, err := ReadFile(path, MaxJournal)
	if errors.Is(err, fs.ErrNotExist) {
		data = []byte(journalMagic)
		err = CreateExclusive(path, data, 0o600)
	}
	if err != nil {
		return nil, fmt.Errorf("open journal: %w", err)
	}
	records, torn, err := ParseJournal(data, maxRecord)
	if err != nil {
		return nil, fmt.Errorf("open journal %s: %w", path, err)
	}
	j := &Journal{path: path, maxRecord: maxRecord, records: records, size: int64(len(data) - torn), torn: torn > 0}
	if err := j.reopen(); err != nil {
		return nil, fmt.Errorf("open journal: %w", err)
	}
	if j.torn {
		if err := j.cut(); err != nil {
			_ = j.f.Close()
			return nil, fmt.Errorf("cut the torn end of journal: %w", err)
		}
	}
	return j, nil
}

func (j *Journal) reopen() error {
	f, err := openRegular(j.path, os.O_RDWR, 0)
	if err != nil {
		return err
	}
	if j.f != nil {
		_ = j.f.Close()
	}
	j.f = f
	return nil
}

// cut makes the file end where the last whole record does.
func (j *Journal) cut() error {
	if err := fault.Point("durable.truncate"); err != nil {
		return err
	}
	if err := j.f.Truncate(j.size); err != nil {
		return err
	}
	return syncFile(j.f)
}

// Append adds one record, of 1 to maxRecord bytes, and syncs it. After an
// error the record may or may not be there at the next open. An error of the
// sync itself makes the Journal unusable until it is opened again, because the
// kernel no longer says what reached the disk.
func (j *Journal) Append(rec []byte) error {
	if j.broken != nil {
		return fmt.Errorf("append to journal after an earlier error: %w", j.broken)
	}
	if len(rec) == 0 || len(rec) > j.maxRecord {
		return reason.New(reason.TooLarge, "append to journal: a record of %d bytes is not between 1 and %d", len(rec), j.maxRecord)
	}
	frame := appendFrame(nil, rec)
	if j.size+int64(len(frame)) > MaxJournal {
		return reason.New(reason.TooLarge, "append to journal: it would grow beyond %d bytes; its records are not being taken out", int64(MaxJournal))
	}
	if err := j.write(frame); err != nil {
		return fmt.Errorf("append to journal: %w", err)
	}
	j.size += int64(len(frame))
	j.records = append(j.records, frame[frameHeader:])
	return nil
}

func (j *Journal) write(frame []byte) error {
	if err := fault.Point("durable.append"); err != nil {
		return err
	}
	if _, err := j.f.WriteAt(frame, j.size); err != nil {
		// A full disk: what was written of the record is taken back, so that
		// the journal can be used again once there is room.
		j.broken = j.cut()
		return err
	}
	if err := syncFile(j.f); err != nil {
		_ = j.cut()
		j.broken = err
		return err
	}
	return nil
}

// Records returns the records, oldest first. The caller does not change them.
func (j *Journal) Records() [][]byte { return slices.Clone(j.records) }

// Torn reports whether OpenJournal cut off an interrupted append.
func (j *Journal) Torn() bool { return j.torn }

// Discard removes the first n records, all of them or none: the journal is
// written anew without them and takes the old one's place.
func (j *Journal) Discard(n int) error {
	if n < 0 || n > len(j.records) {
		return fmt.Errorf("discard %d records of a journal that has %d", n, len(j.records))
	}
	if n == 0 {
		return nil
	}
	data := []byte(journalMagic)
	for _, rec := range j.records[n:] {
		data = appendFrame(data, rec)
	}
	if err := WriteFile(j.path, data, 0o600); err != nil {
		j.broken = err // the old file or the new one may be in place
		return fmt.Errorf("discard from journal: %w", err)
	}
	if err := j.reopen(); err != nil {
		j.broken = err
		return fmt.Errorf("discard from journal: %w", err)
	}
	j.records = slices.Clone(j.records[n:])
	j.size = int64(len(data))
	j.broken = nil
	return nil
}

// Close closes the file.
func (j *Journal) Close() error { return j.f.Close() }
