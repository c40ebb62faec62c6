package audit

import (
	"errors"
	"fmt"
)

// TamperError says that a log is not what its device signed, or not all of it:
// changed, cut, or of another history. It names the first place found.
type TamperError struct {
	// File is the path of the file in the log directory, "" when no single
	// file can be blamed.
	File string `json:"file,omitempty"`
	// Entry is the number of the first event that is affected; nil when that
	// cannot be told.
	Entry *uint64 `json:"entry,omitempty"`
	// Cause says what is wrong.
	Cause string `json:"cause"`
}

func (e *TamperError) Error() string {
	where := ""
	if e.Entry != nil {
		where = fmt.Sprintf("entry %d: ", *e.Entry)
	}
	if e.File != "" {
		where = e.File + ": " + where
	}
	return "tampering found: " + where + e.Cause
}

// IsTampering reports whether err is a finding about the log, as opposed to a
// check that could not be made.
func IsTampering(err error) bool {
	var t *TamperError
	return errors.As(err, &t)
}

func tampered(file string, entry *uint64, format string, args ...any) *TamperError {
	return &TamperError{File: file, Entry: entry, Cause: fmt.Errorf(format, args...).Error()}
}

func at(n uint64) *uint64 { return &n }
