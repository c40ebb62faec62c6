package auditor

import (
	"bytes"
	"context"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"

	"github.com/transparency-dev/merkle/rfc6962"

	"github.com/consign-dev/consign/internal/audit"
)

// Shown is one event and where it stands.
type Shown struct {
	Event audit.Entry `json:"event"`
	// Leaf is the event's hash in the tree (RFC 6962), in hexadecimal.
	Leaf string `json:"leaf"`
	// Checkpoint is the size of the checkpoint that the event is, or is not
	// yet, under.
	Checkpoint uint64 `json:"checkpoint"`
	// Verdict is about the log that the event is in.
	Verdict string `json:"verdict"`
}

// Show checks a log and returns its event seq.
func Show(ctx context.Context, r Request, seq uint64) (Shown, error) {
	var found *audit.Entry
	report, err := r.check(ctx, func(e audit.Entry) error {
		if e.Seq == seq {
			found = &e
		}
		return nil
	})
	if err != nil {
		return Shown{}, err
	}
	if found == nil {
		return Shown{}, fmt.Errorf("the log has no event %d: it has %d, numbered from 0", seq, report.Size+report.Pending)
	}
	leaf := hex.EncodeToString(rfc6962.DefaultHasher.HashLeaf(found.Raw))
	return Shown{Event: *found, Leaf: leaf, Checkpoint: report.Size, Verdict: verdict(report)}, nil
}

// WriteText writes the event with all its members.
func (s Shown) WriteText(w io.Writer) {
	var members bytes.Buffer
	// The encoding was checked; indenting it shows exactly what was signed.
	_ = json.Indent(&members, s.Event.Raw, "", "  ")
	fmt.Fprintf(w, "%s\n%s\n", Line(s.Event), members.String())
	fmt.Fprintf(w, "leaf hash %s\n", s.Leaf)
	if s.Event.Pending {
		fmt.Fprintf(w, "pending: not yet under the checkpoint, which has %d events\n", s.Checkpoint)
		return
	}
	fmt.Fprintf(w, "under the checkpoint of %d events; log %s\n", s.Checkpoint, s.Verdict)
}
