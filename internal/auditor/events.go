package auditor

import (
	"context"
	"fmt"
	"io"
	"slices"

	"github.com/consign-dev/consign/internal/audit"
)

// Filter chooses events; a zero field chooses all.
type Filter struct {
	Kinds       []audit.Kind
	Application string
	Deployment  string
}

// Check refuses a kind that no event can have, which would otherwise look like
// a log without such events.
func (f Filter) Check() error {
	for _, k := range f.Kinds {
		if !slices.Contains(audit.Kinds(), k) {
			return fmt.Errorf("no event is of kind %q; the kinds are %v", k, audit.Kinds())
		}
	}
	return nil
}

func (f Filter) takes(e audit.Event) bool {
	return (len(f.Kinds) == 0 || slices.Contains(f.Kinds, e.Kind)) &&
		(f.Application == "" || f.Application == e.Application) &&
		(f.Deployment == "" || f.Deployment == e.Deployment)
}

// Story is what a whole log tells.
type Story struct {
	Verdict string        `json:"verdict"`
	Report  audit.Report  `json:"report"`
	Events  []audit.Entry `json:"events"`
}

// Events checks a log and returns the events that f chooses, oldest first.
func Events(ctx context.Context, r Request, f Filter) (Story, error) {
	if err := f.Check(); err != nil {
		return Story{}, err
	}
	chosen := []audit.Entry{}
	report, err := r.check(ctx, func(e audit.Entry) error {
		if f.takes(e.Event) {
			chosen = append(chosen, e)
		}
		return nil
	})
	if err != nil {
		return Story{}, err
	}
	return Story{Verdict: verdict(report), Report: report, Events: chosen}, nil
}

// WriteText writes one line for each event, then the verdict.
func (s Story) WriteText(w io.Writer) {
	writeLines(w, s.Events)
	fmt.Fprintf(w, "%d of %d events; %s\n", len(s.Events), s.Report.Size+s.Report.Pending, meaning(&s.Report))
}

// PrintEvents prints events that were checked by the caller.
func PrintEvents(p Printer, entries []audit.Entry) error {
	if entries == nil {
		entries = []audit.Entry{}
	}
	return p.Print(map[string][]audit.Entry{"events": entries}, func(w io.Writer) { writeLines(w, entries) })
}

func writeLines(w io.Writer, entries []audit.Entry) {
	for _, e := range entries {
		fmt.Fprintln(w, Line(e))
	}
}
