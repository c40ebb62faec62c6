package cli

import (
	"errors"
	"fmt"

	"github.com/consign-dev/consign/internal/reason"
)

// The exit codes of every program. They are part of the interface: scripts
// and service managers act on them, so a number never changes its meaning.
const (
	ExitDone        = 0 // what was asked for is done
	ExitFailed      = 1 // it could not be done, for a cause on this machine
	ExitUsage       = 2 // the command line is wrong
	ExitRefused     = 3 // a document, signature, policy or request was refused
	ExitUnreachable = 4 // the other side cannot be reached, or serves stale metadata
	ExitRolledBack  = 5 // the application did not come up; the last good one runs
	ExitConflict    = 6 // another writer was first; run it again
	ExitTampering   = 7 // bytes or histories were changed after they were signed
)

// ExitError makes a program end with Code, whatever reason Err carries.
type ExitError struct {
	Code int
	// Err is printed; nil when the command has already said everything.
	Err error
}

func (e *ExitError) Error() string {
	if e.Err == nil {
		return fmt.Sprintf("exit %d", e.Code)
	}
	return e.Err.Error()
}

func (e *ExitError) Unwrap() error { return e.Err }

// ExitCode is the exit code for err: that of an [ExitError] if there is one,
// else 2 for a [UsageError], else the one its reason stands for, else 1.
func ExitCode(err error) int {
	var (
		exit    *ExitError
		usage   *UsageError
		refusal *reason.Error
	)
	switch {
	case err == nil:
		return ExitDone
	case errors.As(err, &exit):
		return exit.Code
	case errors.As(err, &usage):
		return ExitUsage
	case errors.As(err, &refusal):
		return exitOf(refusal.Code)
	default:
		return ExitFailed
	}
}

// exitOf groups the reasons by what a script does about them. Rollback counts
// as tampering although a restored backup looks the same: both mean that the
// other side's history is not the one that was seen before.
func exitOf(code reason.Code) int {
	switch code {
	case reason.DigestMismatch, reason.Equivocation, reason.Rollback:
		return ExitTampering
	case reason.Unreachable, reason.TooSlow, reason.Expired, reason.Freeze:
		return ExitUnreachable
	case reason.Conflict:
		return ExitConflict
	case reason.Health:
		return ExitRolledBack
	case reason.NoSpace, reason.Clock, reason.LogUnwritable, reason.Internal:
		return ExitFailed
	default:
		return ExitRefused
	}
}
