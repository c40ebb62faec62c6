package auditor

import (
	"context"
	"fmt"
	"io"
	"path/filepath"

	"github.com/opencontainers/go-digest"

	"github.com/consign-dev/consign/internal/audit"
	"github.com/consign-dev/consign/internal/durable"
	"github.com/consign-dev/consign/internal/inputs"
	"github.com/consign-dev/consign/internal/store"
	"github.com/consign-dev/consign/internal/tufclient"
)

// ReplayRequest names an export of a device and what to hold it against. Log is
// that of Export, which [ReplayRequest.Complete] fills in.
type ReplayRequest struct {
	Request
	// Export is the directory that "agent log export" made.
	Export string
	// Root is the path of the operator's root that the device was set up with. A
	// file inside the export is refused.
	Root string
	// Event is the number of the only event to replay; nil for all.
	Event *uint64
}

// How a decision was replayed.
const (
	// Same: the verifier gives the answer that is in the log.
	Same = "same"
	// Differs: it does not, or the archive is not what the device wrote.
	Differs = "differs"
	// Absent: the inputs are not in the export, being past retention.
	Absent = "absent"
)

// Decision is one decision of the log and its replay.
type Decision struct {
	// Events are the numbers of the events that tell it.
	Events      []uint64           `json:"events"`
	Deployment  string             `json:"deployment,omitempty"`
	Application string             `json:"application,omitempty"`
	Release     string             `json:"version,omitempty"`
	Inputs      digest.Digest      `json:"inputs"`
	Replay      string             `json:"replay"`
	Question    inputs.Question    `json:"question,omitempty"`
	Decision    *inputs.Decision   `json:"decision,omitempty"`
	Finding     *audit.TamperError `json:"finding,omitempty"`

	told []audit.Entry
}

// Replayed is what became of all decisions.
type Replayed struct {
	// Verdict is that on the log, as of [Verify].
	Verdict string `json:"verdict"`
	Same    int    `json:"same"`
	Differs int    `json:"differs"`
	Absent  int    `json:"absent"`
	// Without is the number of events that tell a decision and name no inputs.
	Without   int         `json:"without"`
	Decisions []*Decision `json:"decisions"`
}

// Replay checks the log of an export as [Verify] does, and then asks the verifier
// again what the device asked it. The result is filled also when the error is an
// [audit.TamperError], the first finding.
func Replay(ctx context.Context, r ReplayRequest) (Replayed, error) {
	r.Log = filepath.Join(r.Export, "log")
	root, err := r.root()
	if err != nil {
		return Replayed{}, err
	}
	var t teller
	report, err := r.check(ctx, t.visit)
	if err != nil {
		return Replayed{}, err
	}
	if t.root != digest.SHA256.FromBytes(root) {
		return Replayed{}, fmt.Errorf("the device was set up to obey the operator root %s; %s is %s: give the very file of its enrolment, and believe neither if it does not exist",
			t.root, r.Root, digest.SHA256.FromBytes(root))
	}
	out := Replayed{Verdict: verdict(report), Without: t.without, Decisions: append([]*Decision{}, t.list...)}
	if r.Event != nil {
		if out.Decisions, err = t.only(*r.Event); err != nil {
			return Replayed{}, err
		}
		out.Without = 0
	}
	err = out.run(ctx, r, root)
	return out, err
}

// root reads the operator's root, which must not come with the export.
func (r ReplayRequest) root() ([]byte, error) {
	if inside(r.Export, r.Root) {
		return nil, fmt.Errorf("the root %s lies in the export that it is to check, so it proves nothing: take the root from the operator", r.Root)
	}
	real, err := filepath.EvalSymlinks(r.Root)
	if err != nil {
		return nil, fmt.Errorf("operator root: %w", err)
	}
	root, err := durable.ReadFile(real, tufclient.MaxRoot)
	if err != nil {
		return nil, fmt.Errorf("operator root: %w", explain(err))
	}
	return root, nil
}

// run replays the decisions and counts.
func (out *Replayed) run(ctx context.Context, r ReplayRequest, root []byte) error {
	from := archive{dir: filepath.Join(r.Export, "archive")}
	from.store = store.Look(from.dir)
	var first error
	for _, d := range out.Decisions {
		if err := ctx.Err(); err != nil {
			return err
		}
		finding, err := d.replay(ctx, from, root)
		switch {
		case err != nil:
			return err
		case d.Replay == Absent && r.Event != nil:
			return fmt.Errorf("event %d cannot be replayed: its inputs %s are not in %s: they are past the device's retention, or were taken out", *r.Event, d.Inputs, from.dir)
		case d.Replay == Absent:
			out.Absent++
		case finding == nil:
			d.Replay = Same
			out.Same++
		default:
			d.Replay, d.Finding = Differs, finding
			out.Differs++
			if first == nil {
				first = finding
			}
		}
	}
	return first
}

// WriteText writes one line for each decision, and what that means.
func (out Replayed) WriteText(w io.Writer) {
	for _, d := range out.Decisions {
		fmt.Fprintln(w, d.line())
	}
	fmt.Fprintf(w, "%d of %d decisions replayed the same; log %s\n", out.Same, len(out.Decisions), out.Verdict)
	if out.Differs > 0 {
		fmt.Fprintf(w, "%d DIFFER: the log tells what the verifier does not say, or the archive is not what the device wrote\n", out.Differs)
	}
	if out.Absent > 0 {
		fmt.Fprintf(w, "%d cannot be replayed: their inputs are not in the export, being past the device's retention or taken out\n", out.Absent)
	}
	if out.Without > 0 {
		fmt.Fprintf(w, "%d event(s) tell a decision that was not the verifier's, or that no inputs were archived of\n", out.Without)
	}
}

func (d *Decision) line() string {
	line := fmt.Sprintf("%5d  %-7s", d.Events[0], d.Replay)
	if d.Application != "" {
		line += "  " + d.Application + " " + d.Release
	}
	if d.Decision != nil {
		line += fmt.Sprintf("  %s: %s", d.Question, words(*d.Decision))
		if d.Decision.Outcome == inputs.Withheld {
			line += ", which is the device's own: the verifier had accepted"
		}
	}
	if d.Finding != nil {
		line += "  " + d.Finding.Error()
	}
	return line
}
