// Package auditor is what the auditor's command does: it checks the log of a
// device with a key that did not come with the log, and tells what the log
// says. It reads files and writes none.
//
// Every function checks the whole log first. There is no way to look at an
// event of a log in which something is wrong: a reader who sees a plausible
// story believes it. What is found is an [audit.TamperError].
package auditor

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"

	"github.com/consign-dev/consign/internal/audit"
	"github.com/consign-dev/consign/internal/durable"
	"github.com/consign-dev/consign/internal/reason"
)

// maxSmallFile bounds a verifier key or checkpoint that a person names: both
// are a few hundred bytes.
const maxSmallFile = 4 << 10

// Request names a log and what to hold it against.
type Request struct {
	Log string // directory
	// Key is the verifier key: its text, or the path of a file with it. A file
	// inside the log's directory is refused.
	Key string
	// Since is the path of an earlier checkpoint of the log; "" for none.
	Since string
}

// Printer prints a result as one JSON object or as text.
type Printer interface {
	Print(v any, text func(w io.Writer)) error
}

// check verifies the log and lends each event to visit.
func (r Request) check(ctx context.Context, visit func(audit.Entry) error) (audit.Report, error) {
	if err := r.exists(); err != nil {
		return audit.Report{}, err
	}
	key, err := r.key()
	if err != nil {
		return audit.Report{}, err
	}
	var since []byte
	if r.Since != "" {
		if since, err = readSmall(r.Since); err != nil {
			return audit.Report{}, fmt.Errorf("earlier checkpoint: %w", err)
		}
	}
	report, err := audit.Verify(ctx, r.Log, key, since, visit)
	return report, explain(err)
}

// exists tells a mistyped path from a log that lost a file.
func (r Request) exists() error {
	for _, name := range []string{"checkpoint", "tile", "journal"} {
		if _, err := os.Lstat(filepath.Join(r.Log, name)); err == nil {
			return nil
		}
	}
	if _, err := os.Stat(r.Log); err != nil {
		return err
	}
	return fmt.Errorf("%s holds no device log: neither checkpoint, tile nor journal is there", r.Log)
}

func (r Request) key() (string, error) {
	_, err := audit.ParseVerifierKey(r.Key)
	if err == nil {
		return r.Key, nil
	}
	if _, statErr := os.Stat(r.Key); statErr != nil {
		return "", fmt.Errorf("%q is neither a verifier key (NAME+ID+KEY, as the device was enrolled with) nor a file that holds one", r.Key)
	}
	if inside(r.Log, r.Key) {
		return "", fmt.Errorf("the key %s lies in the log that it is to check, so it proves nothing: whoever changed the log could replace it; take the key from the operator's enrolment of the device", r.Key)
	}
	text, err := readSmall(r.Key)
	if err != nil {
		return "", fmt.Errorf("verifier key: %w", err)
	}
	key := strings.TrimSpace(string(text))
	_, err = audit.ParseVerifierKey(key)
	return key, explain(err)
}

// inside reports whether path leads into dir, by whatever links.
func inside(dir, path string) bool {
	dir, err := filepath.EvalSymlinks(dir)
	if err != nil {
		return false
	}
	if path, err = filepath.EvalSymlinks(path); err != nil {
		return false
	}
	absDir, err1 := filepath.Abs(dir)
	absPath, err2 := filepath.Abs(path)
	rel, err3 := filepath.Rel(absDir, absPath)
	return errors.Join(err1, err2, err3) == nil && filepath.IsLocal(rel)
}

// readSmall reads a file that the person at the terminal named; links are
// followed, it is their file system.
func readSmall(path string) ([]byte, error) {
	real, err := filepath.EvalSymlinks(path)
	if err != nil {
		return nil, err
	}
	return durable.ReadFile(real, maxSmallFile)
}

// explain takes the reason off an error that is no finding. Reasons say why a
// device refused something and what its operator can do; here a person gave a
// wrong key or file.
func explain(err error) error {
	var refusal *reason.Error
	if audit.IsTampering(err) || !errors.As(err, &refusal) {
		return err
	}
	return errors.New(err.Error())
}
