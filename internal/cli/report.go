package cli

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/spf13/cobra"

	"github.com/consign-dev/consign/internal/reason"
)

// Failure is the JSON form of an error, printed on stderr as
// {"error":{...}} with --output json.
type Failure struct {
	// Reason is the code of a refusal; empty for an error that is none.
	Reason reason.Code `json:"reason,omitempty"`
	// Class is who can do something about it: person, retry or wait.
	Class string `json:"class,omitempty"`
	// Exit is the exit code of the process.
	Exit    int    `json:"exit"`
	Message string `json:"message"`
	// Next is what to do about it, one sentence.
	Next string `json:"next,omitempty"`
}

// describe turns an error into its printed parts.
func describe(err error) Failure {
	f := Failure{Exit: ExitCode(err), Message: err.Error()}
	var (
		refusal *reason.Error
		usage   *UsageError
	)
	switch {
	case errors.As(err, &usage):
		if usage.Command != "" {
			f.Next = "run '" + usage.Command + " --help'"
		}
	case errors.As(err, &refusal):
		f.Reason = refusal.Code
		f.Class = refusal.Code.Class().String()
		f.Next = refusal.Code.Next()
		// The code is printed once, in front.
		f.Message = strings.Replace(f.Message, refusal.Error(), refusal.Err.Error(), 1)
	case errors.Is(err, context.Canceled):
		f.Message = "interrupted"
	}
	return f
}

// report prints err to root's error stream.
func report(root *cobra.Command, err error, asJSON bool) {
	var exit *ExitError
	if errors.As(err, &exit) && exit.Err == nil {
		return
	}
	f := describe(err)
	w := root.ErrOrStderr()
	if asJSON {
		if line, err := marshal(map[string]Failure{"error": f}); err == nil {
			_, _ = w.Write(line)
		}
		return
	}
	fmt.Fprintf(w, "%s: %s%s\n", root.Name(), prefix(f), lines(f.Message))
	if f.Next != "" {
		fmt.Fprintf(w, "next: %s\n", Safe(f.Next))
	}
}

// prefix tells a refusal, which protects the device, from a failure.
func prefix(f Failure) string {
	switch {
	case f.Reason == "":
		return ""
	case failed[f.Reason]:
		return fmt.Sprintf("failed (%s): ", f.Reason)
	default:
		return fmt.Sprintf("refused (%s): ", f.Reason)
	}
}

// failed are the reasons that refuse nothing: something did not work.
var failed = map[reason.Code]bool{
	reason.TooSlow: true, reason.Health: true, reason.NoSpace: true, reason.Conflict: true,
	reason.Unreachable: true, reason.Clock: true, reason.LogUnwritable: true, reason.Internal: true,
}

// lines makes a message safe. Its own further lines (joined errors) are kept,
// indented, so that none of them can pass for a line of this package.
func lines(message string) string {
	parts := strings.Split(message, "\n")
	for i := range parts {
		parts[i] = Safe(parts[i])
	}
	return strings.Join(parts, "\n  ")
}
