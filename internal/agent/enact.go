package agent

import (
	"context"
	"errors"
	"slices"
	"strings"
	"time"

	"github.com/opencontainers/go-digest"

	"github.com/consign-dev/consign/internal/apply"
	"github.com/consign-dev/consign/internal/audit"
	"github.com/consign-dev/consign/internal/gather"
	"github.com/consign-dev/consign/internal/margo"
	"github.com/consign-dev/consign/internal/reason"
	"github.com/consign-dev/consign/internal/verify"
)

// enact applies a permit, whose inputs are kept: intent, act, outcome. Each is on
// disk before the next begins, so a crash anywhere leaves a log that says what was
// being done and a state that names every component that may have been changed.
func (a *Agent) enact(ctx context.Context, system time.Time, c Change, p *verify.Permit, kept digest.Digest) (Change, error) {
	if err := a.logAccepted(system, c, p, kept); err != nil {
		return c, err
	}
	intent, err := a.logIntent(system, audit.Apply, p, kept)
	if err != nil {
		return c, err
	}
	earlier, dirty := a.state.Begun[c.Deployment]
	before := mergeParts(a.state.Installed[c.Deployment].Parts(), earlier.Parts)
	if err := a.begin(c, p); err != nil {
		return c, err
	}
	note, touched, err := a.replace(ctx, p, before)
	if err != nil {
		return a.failed(ctx, system, c, p, intent, dirty || touched, err)
	}
	c.Action, c.Message = a.kindOfChange(p), note
	event := outcomeOf(c, intent, nil)
	event.Message = note
	if _, err := a.log.Append(system, event); err != nil {
		return c, err
	}
	return c, a.settle(system, p, kept)
}

// begin notes the components that are about to be changed, and whether their
// data is still what the last good version left.
func (a *Agent) begin(c Change, p *verify.Permit) error {
	earlier, dirty := a.state.Begun[c.Deployment]
	b := Begun{
		Application: c.Application, Version: c.Version, Bundle: p.Verdict().Release().Digest(),
		Parts: mergeParts(apply.Parts(p), earlier.Parts), Data: earlier.Data,
	}
	if _, installed := a.state.Installed[c.Deployment]; installed && !dirty && snapshots(p) {
		b.Data = dataWhole
	}
	a.state.Begun[c.Deployment] = b
	return a.dirs.saveState(a.state)
}

// replace secures the data and makes a permit run in the place of before. note
// says what was copied, touched whether anything may have been changed or
// stopped by then.
func (a *Agent) replace(ctx context.Context, p *verify.Permit, before []apply.Part) (note string, touched bool, err error) {
	var notes []string
	err = a.withRegistry(ctx, func() (err error) {
		if note, err = a.secureData(ctx, p, before); err != nil {
			touched = apply.Stopped(err)
			return err
		}
		notes, touched, err = apply.Replace(ctx, a.applier, p, before)
		return err
	})
	if err != nil && note != "" && !touched {
		// Nothing new was started: what was stopped for its data needs a start, not
		// its data.
		return note, true, errors.Join(err, a.setData(p.Verdict().Order().Deployment().ID, dataWhole))
	}
	return joined(note, notes), touched, err
}

// joined is a text of those that are not empty.
func joined(first string, more []string) string {
	if first != "" {
		more = append([]string{first}, more...)
	}
	return strings.Join(more, "; ")
}

// mergeParts lists the parts of both, each once.
func mergeParts(first, second []apply.Part) []apply.Part {
	var out []apply.Part
	for _, list := range [][]apply.Part{first, second} {
		for _, p := range list {
			if !slices.ContainsFunc(out, p.Same) {
				out = append(out, p)
			}
		}
	}
	return out
}

func (a *Agent) logAccepted(system time.Time, c Change, p *verify.Permit, kept digest.Digest) error {
	rel := p.Verdict().Release()
	_, err := a.log.Append(system, audit.Event{
		Kind: audit.Accepted, Deployment: c.Deployment, Application: c.Application, Release: c.Version,
		Bundle: rel.Digest(), Policy: rel.Policy().Digest(), Evidence: firstFew(rel.Evidence()), Inputs: kept,
	})
	return err
}

func (a *Agent) logIntent(system time.Time, action audit.Action, p *verify.Permit, kept digest.Digest) (uint64, error) {
	rel := p.Verdict().Release()
	return a.log.Append(system, audit.Event{
		Kind: audit.Intent, Deployment: p.Verdict().Order().Deployment().ID, Application: rel.Bundle().Application, Release: rel.Bundle().Version,
		Action: action, Bundle: rel.Digest(), Policy: rel.Policy().Digest(),
		Render: digest.SHA256.FromBytes(p.Manifest()), Program: a.opts.Program, Inputs: kept,
	})
}

// outcomeOf is the event that ends an intent to apply, or any intent that failed.
func outcomeOf(c Change, intent uint64, err error) audit.Event {
	e := audit.Event{Kind: audit.Outcome, Deployment: c.Deployment, Application: c.Application, Release: c.Version, Intent: intent, Result: audit.OK}
	if err != nil {
		e.Result, e.Reason, e.Step, e.Message = audit.Failed, reason.Of(err), "apply", logText(err)
	}
	return e
}

// firstFew keeps an event small; all evidence is named by the release channel's
// metadata, whose digest the refresh event holds.
func firstFew(evidence []digest.Digest) []digest.Digest {
	return evidence[:min(len(evidence), 8)]
}

// failed records that an apply did not work, and goes back to what ran before
// if anything was changed. touched includes what an earlier, interrupted apply
// may have left.
func (a *Agent) failed(ctx context.Context, system time.Time, c Change, p *verify.Permit, intent uint64, touched bool, err error) (Change, error) {
	c.Action, c.Reason, c.Message, c.err = Failed, reason.Of(err), err.Error(), err
	if ctx.Err() != nil {
		// The agent is being stopped, and the applier with it. That is no failure of
		// the version: the next cycle marks the gap and begins again.
		return c, errors.Join(err, ctx.Err())
	}
	if _, logErr := a.log.Append(system, outcomeOf(c, intent, err)); logErr != nil {
		return c, logErr
	}
	a.state.Attempts[c.Deployment] = a.nextAttempt(system, p, c, touched)
	if !touched {
		delete(a.state.Begun, c.Deployment)
	}
	saveErr := a.dirs.saveState(a.state)
	if saveErr == nil && !touched {
		saveErr = a.dropCopies()
	}
	if saveErr != nil || !touched || ctx.Err() != nil {
		// Of an agent that is stopped since the apply failed, a return would fail for
		// that alone: what was begun is in the state, and the next cycle takes it up.
		return c, errors.Join(saveErr, ctx.Err())
	}
	return a.goBack(ctx, system, c)
}

// The waits between two tries of an order that failed for a cause that may pass
// by itself, such as a full disk: doubled each time, so that a month of failures
// costs some hundred tries and log entries and not nine thousand (attack D14).
const (
	firstWait = time.Minute
	lastWait  = 6 * time.Hour
)

func waitAfter(count int) time.Duration {
	return min(firstWait<<min(count, 20), lastWait)
}

func (a *Agent) nextAttempt(system time.Time, p *verify.Permit, c Change, touched bool) Attempt {
	order, pol := p.Verdict().Order().Digest(), p.Verdict().Release().Policy().Digest()
	count := 0
	if last := a.state.Attempts[c.Deployment]; last.Order == order && last.Policy == pol {
		count = last.Count
	}
	wait := waitAfter(count)
	if count == 0 && !gather.Complete(a.store, p.Verdict().Blobs()) {
		wait = 0 // content was damaged on the disk: the next cycle fetches it again
	}
	return Attempt{
		Order: order, Policy: pol, Reason: c.Reason, At: system.UTC(), Text: c.Message,
		Touched: touched, Count: count + 1, NotBefore: system.UTC().Add(wait),
	}
}

func (a *Agent) kindOfChange(p *verify.Permit) Action {
	in, ok := a.state.Installed[p.Verdict().Order().Deployment().ID]
	switch {
	case !ok:
		return Installed
	case in.Bundle != p.Verdict().Release().Digest():
		return Upgraded
	default:
		return Updated
	}
}

// settle records that what the permit allows is what runs.
func (a *Agent) settle(system time.Time, p *verify.Permit, kept digest.Digest) error {
	v := p.Verdict()
	order, rel := v.Order(), v.Release()
	id := order.Deployment().ID
	in := Installation{
		Deployment: id, Application: rel.Bundle().Application, Version: rel.Bundle().Version,
		Highest: highest(a.state.highest(id), rel.Bundle().Version),
		Bundle:  rel.Digest(), Order: order.Digest(), OrderSize: order.Size(),
		Policy: rel.Policy().Digest(), Manifest: digest.SHA256.FromBytes(p.Manifest()), Documents: v.Documents(),
		Inputs: kept, AppliedAt: system.UTC(),
	}
	for _, part := range p.Components() {
		in.Components = append(in.Components, InstalledComponent{
			Part: apply.PartOf(part), Render: part.Digest, Size: int64(len(part.Render)),
		})
	}
	a.state.retire(id)
	delete(a.state.Attempts, id)
	a.state.Installed[id] = in
	a.moved = true
	if err := a.dirs.saveState(a.state); err != nil {
		return err
	}
	return a.dropCopies()
}

// highest returns the higher of two versions, "" being the lowest.
func highest(a, b string) string {
	if a == "" || b == "" {
		return a + b
	}
	// Both versions passed the verifier, so the comparison cannot fail; were it
	// to, the floor must not sink.
	if c, err := margo.CompareVersions(b, a); err == nil && c > 0 {
		return b
	}
	return a
}
