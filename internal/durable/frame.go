package durable

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"hash/crc32"
)

// journalMagic opens every journal. A reader of another version refuses it.
const journalMagic = "consign.dev/journal/v1\n"

// frameHeader is the length of a record's header in bytes: the length of the
// record, the CRC-32C of the record, and the CRC-32C of those eight bytes, each
// big endian. The header's own checksum is what tells a record that was cut
// short by a crash from one whose length was damaged.
const frameHeader = 12

// sector is the smallest unit that a disk writes. After a power cut some file
// systems show a file at its new length with zeros where the sectors that were
// not written should be.
const sector = 512

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// CorruptError says that a journal holds bytes that no interrupted append can
// have left: damage or tampering.
type CorruptError struct {
	Record int    // index of the damaged record in the file, from 0
	Offset int64  // where the record begins, in bytes
	Cause  string // what is wrong with it
}

func (e *CorruptError) Error() string {
	return fmt.Sprintf("record %d at byte %d: %s", e.Record, e.Offset, e.Cause)
}

func appendFrame(buf, rec []byte) []byte {
	start := len(buf)
	buf = binary.BigEndian.AppendUint32(buf, uint32(len(rec)))
	buf = binary.BigEndian.AppendUint32(buf, crc32.Checksum(rec, castagnoli))
	buf = binary.BigEndian.AppendUint32(buf, crc32.Checksum(buf[start:], castagnoli))
	return append(buf, rec...)
}

// ParseJournal reads the bytes of a journal without touching a file, for those
// who inspect one. The records alias data. torn is the number of bytes at the
// end that an interrupted append left. Any other irregularity is a
// [*CorruptError]; the records before it are returned with it.
func ParseJournal(data []byte, maxRecord int) (records [][]byte, torn int, err error) {
	if len(data) < len(journalMagic) || string(data[:len(journalMagic)]) != journalMagic {
		return nil, 0, &CorruptError{Cause: fmt.Sprintf("the file does not begin with %q", journalMagic)}
	}
	for at := len(journalMagic); at < len(data); {
		rec, cause := nextFrame(data[at:], at, maxRecord)
		if rec != nil {
			records = append(records, rec)
			at += frameHeader + len(rec)
			continue
		}
		if cause == "" {
			return records, len(data) - at, nil
		}
		return records, 0, &CorruptError{Record: len(records), Offset: int64(at), Cause: cause}
	}
	return records, 0, nil
}

// nextFrame returns the record at the beginning of rest, which lies at byte at
// of the file; or nil and why it cannot be, where "" means that an append was
// interrupted here. Each append is synced before the next begins, so only the
// last one can have been.
func nextFrame(rest []byte, at, maxRecord int) (rec []byte, cause string) {
	if unwritten(rest) || len(rest) < frameHeader {
		return nil, ""
	}
	n := int64(binary.BigEndian.Uint32(rest))
	if crc32.Checksum(rest[:8], castagnoli) != binary.BigEndian.Uint32(rest[8:]) {
		return nil, "its header does not match its checksum"
	}
	if n == 0 || n > int64(maxRecord) {
		return nil, fmt.Sprintf("its length %d is not between 1 and %d", n, maxRecord)
	}
	if int64(len(rest)-frameHeader) < n {
		return nil, ""
	}
	rec = rest[frameHeader : frameHeader+n : frameHeader+n]
	if crc32.Checksum(rec, castagnoli) == binary.BigEndian.Uint32(rest[4:]) {
		return rec, ""
	}
	if int64(len(rest)-frameHeader) == n && hasHole(rest, at) {
		return nil, ""
	}
	return nil, "it does not match its checksum"
}

// unwritten reports whether b is all zeros: room that was never filled.
func unwritten(b []byte) bool {
	return len(bytes.TrimLeft(b, "\x00")) == 0
}

// hasHole reports whether some sector of the file, as far as it lies in rest,
// which begins at byte at of the file, is all zeros.
func hasHole(rest []byte, at int) bool {
	for len(rest) > 0 {
		n := min(len(rest), sector-at%sector)
		if unwritten(rest[:n]) {
			return true
		}
		rest, at = rest[n:], at+n
	}
	return false
}
