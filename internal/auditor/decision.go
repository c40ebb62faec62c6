package auditor

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/consign-dev/consign/internal/audit"
	"github.com/consign-dev/consign/internal/inputs"
	"github.com/consign-dev/consign/internal/replay"
	"github.com/consign-dev/consign/internal/store"
)

// archive lends documents of an export.
type archive struct {
	dir   string
	store *store.Store
}

func (a archive) lend(ref inputs.Ref) ([]byte, error) {
	return a.store.Bytes(ocispec.Descriptor{Digest: ref.Digest, Size: ref.Size}, inputs.MaxRef)
}

// file is the path of a document as a finding names it.
func (a archive) file(d digest.Digest) string {
	return filepath.ToSlash(filepath.Join(filepath.Base(a.dir), "blobs", "sha256", d.Encoded()))
}

// replay judges one decision again. The error says that a check could not be made.
func (d *Decision) replay(ctx context.Context, from archive, root []byte) (*audit.TamperError, error) {
	doc, finding, err := d.read(from)
	if doc == nil {
		return finding, err
	}
	d.Question, d.Decision = doc.Question, &doc.Decision
	answer, err := replay.Run(ctx, doc, root, from.lend)
	if ctx.Err() != nil {
		return nil, ctx.Err()
	}
	var damage *replay.Damage
	if errors.As(err, &damage) {
		if errors.Is(damage, fs.ErrPermission) {
			return nil, damage
		}
		return d.finding(from.file(damage.Digest), "%v", damage.Err), nil
	}
	if err != nil {
		return d.finding(from.file(d.Inputs), "the decision cannot have been made from these inputs: %v", err), nil
	}
	for _, e := range d.told {
		if cause := differs(e, d.Events[0], doc, answer); cause != "" {
			return d.finding("", "event %d: %s", e.Seq, cause), nil
		}
	}
	return nil, nil
}

// read reads the inputs document. Without one, the decision is absent or there is
// a finding.
func (d *Decision) read(from archive) (*inputs.Document, *audit.TamperError, error) {
	size, err := from.store.Size(d.Inputs)
	if errors.Is(err, fs.ErrNotExist) {
		d.Replay = Absent
		return nil, nil, nil
	}
	if errors.Is(err, fs.ErrPermission) {
		return nil, nil, err
	}
	if err != nil {
		return nil, d.finding(from.file(d.Inputs), "%v", err), nil
	}
	data, err := from.store.Bytes(ocispec.Descriptor{Digest: d.Inputs, Size: size}, inputs.MaxBytes)
	if err != nil {
		return nil, d.finding(from.file(d.Inputs), "it is not what the log names: %v", err), nil
	}
	doc, err := inputs.Parse(data)
	if err != nil {
		return nil, d.finding(from.file(d.Inputs), "%v", err), nil
	}
	return doc, nil, nil
}

func (d *Decision) finding(file, format string, args ...any) *audit.TamperError {
	return &audit.TamperError{File: file, Entry: &d.Events[0], Cause: fmt.Sprintf(format, args...)}
}

// differs says in what an event is not what the replay gives, "" for nothing.
func differs(e audit.Entry, first uint64, doc *inputs.Document, got replay.Answer) string {
	told := inputs.Decision{Outcome: inputs.Accepted}
	if e.Kind == audit.Refused {
		told = inputs.Decision{Outcome: doc.Decision.Outcome, Reason: e.Reason, Step: e.Step}
	}
	answer := got.Decision
	if answer.Outcome == inputs.Withheld && doc.Decision.Outcome == inputs.Withheld {
		answer = doc.Decision // the verifier said yes, and the device has its own reason and step
	}
	switch {
	case told != doc.Decision:
		return fmt.Sprintf("it tells %s, the inputs document says %s", words(told), words(doc.Decision))
	case answer != told:
		return fmt.Sprintf("it tells %s, the verifier says %s", words(told), words(answer)) + because(got)
	case doc.Event != first || doc.Device.ID != e.Device || doc.Deployment != e.Deployment:
		return "the inputs document is of another event, device or deployment"
	}
	return otherwise(e, got)
}

func words(d inputs.Decision) string {
	if d.Reason == "" {
		return string(d.Outcome)
	}
	return fmt.Sprintf("%s (%s at step %s)", d.Outcome, d.Reason, d.Step)
}

func because(a replay.Answer) string {
	if a.Message == "" {
		return ""
	}
	return ": " + a.Message
}

// otherwise compares what an event names with what was judged.
func otherwise(e audit.Entry, got replay.Answer) string {
	for _, p := range []struct {
		name        string
		told, found digest.Digest
	}{
		{"policy", e.Policy, got.Policy}, {"desired state", e.DesiredState, got.State},
		{"bundle", e.Bundle, got.Bundle}, {"render", e.Render, got.Render},
	} {
		if p.told != "" && p.found != "" && p.told != p.found {
			return fmt.Sprintf("it names the %s %s, judged was %s", p.name, p.told, p.found)
		}
	}
	return ""
}
