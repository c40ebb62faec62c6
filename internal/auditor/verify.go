package auditor

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"

	"github.com/consign-dev/consign/internal/audit"
)

// Result is the verdict on a log.
type Result struct {
	// Whole says that nothing wrong was found.
	Whole bool `json:"whole"`
	// Verdict is the same in words: "whole since checkpoint 12", "not
	// anchored", "tampering found".
	Verdict string `json:"verdict"`
	// Report is what was found out about a whole log.
	Report *audit.Report `json:"report,omitempty"`
	// Finding is the first place that is not as it was signed.
	Finding *audit.TamperError `json:"finding,omitempty"`
}

// Verify checks a log. The result is filled also when the error is an
// [audit.TamperError]; with any other error there is none.
func Verify(ctx context.Context, r Request) (Result, error) {
	report, err := r.check(ctx, nil)
	var finding *audit.TamperError
	if errors.As(err, &finding) {
		return Result{Verdict: "tampering found", Finding: finding}, err
	}
	if err != nil {
		return Result{}, err
	}
	return Result{Whole: true, Verdict: verdict(report), Report: &report}, nil
}

func verdict(r audit.Report) string {
	if r.Since == nil {
		return "not anchored"
	}
	return fmt.Sprintf("whole since checkpoint %d", *r.Since)
}

// WriteText writes the result of a whole log for a person.
func (r Result) WriteText(w io.Writer) {
	rep := r.Report
	fmt.Fprintf(w, "log      %s\n", rep.Origin)
	fmt.Fprintf(w, "events   %s\n", counts(rep))
	fmt.Fprintf(w, "root     %s\n", rep.Root)
	fmt.Fprintf(w, "result   %s\n", meaning(rep))
	if len(rep.OpenIntents) > 0 {
		fmt.Fprintf(w, "open     %s: work in progress, or interrupted and not yet noticed by the device\n", numbers(rep.OpenIntents))
	}
	if rep.Torn > 0 {
		fmt.Fprintf(w, "torn     %d bytes of an event that was being written when the device stopped\n", rep.Torn)
	}
	for _, s := range rep.Strays {
		fmt.Fprintf(w, "stray    %s is no part of the log and was not read\n", s)
	}
}

func counts(r *audit.Report) string {
	if r.Pending == 0 {
		return fmt.Sprintf("%d, all under the signed checkpoint", r.Size)
	}
	return fmt.Sprintf("%d under the signed checkpoint, %d pending", r.Size, r.Pending)
}

// meaning spells the verdict out: "not anchored" is easily read as "fine".
func meaning(r *audit.Report) string {
	if r.Since == nil {
		return "not anchored: whole in itself, but nothing shows that it was not cut back or written anew with the device's key;\n" +
			"         keep its checkpoint elsewhere and name it with --since the next time"
	}
	return fmt.Sprintf("%s: it contains every event that the earlier checkpoint signs, unchanged", verdict(*r))
}

func numbers(list []uint64) string {
	words := make([]string, len(list))
	for i, n := range list {
		words[i] = fmt.Sprintf("intent %d", n)
	}
	return strings.Join(words, ", ")
}
