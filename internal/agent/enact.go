package agent

import (
	"context"
	"fmt"
	"time"

	"github.com/opencontainers/go-digest"

	"github.com/consign-dev/consign/internal/audit"
	"github.com/consign-dev/consign/internal/margo"
	"github.com/consign-dev/consign/internal/reason"
	"github.com/consign-dev/consign/internal/verify"
)

// enact applies a permit: intent, act, outcome. Each is on disk before the next
// begins, so a crash anywhere leaves a log that says what was being done.
func (a *Agent) enact(ctx context.Context, system time.Time, c Change, p *verify.Permit) (Change, error) {
	intent, err := a.logIntent(system, c, p)
	if err != nil {
		return c, err
	}
	applyErr := a.withRegistry(ctx, func() error {
		_, err := a.compose.Apply(ctx, p)
		return err
	})
	if applyErr != nil {
		return a.failed(system, c, p, intent, applyErr)
	}
	c.Action = a.kindOfChange(p)
	outcome := audit.Event{Kind: audit.Outcome, Deployment: c.Deployment, Application: c.Application, Release: c.Version, Intent: intent, Result: audit.OK}
	if _, err := a.log.Append(system, outcome); err != nil {
		return c, err
	}
	return c, a.settle(system, p)
}

func (a *Agent) logAccepted(system time.Time, c Change, p *verify.Permit) error {
	rel := p.Verdict().Release()
	_, err := a.log.Append(system, audit.Event{
		Kind: audit.Accepted, Deployment: c.Deployment, Application: c.Application, Release: c.Version,
		Bundle: rel.Digest(), Policy: rel.Policy().Digest(), Evidence: firstFew(rel.Evidence()),
	})
	return err
}

func (a *Agent) logIntent(system time.Time, c Change, p *verify.Permit) (uint64, error) {
	if err := a.logAccepted(system, c, p); err != nil {
		return 0, err
	}
	rel := p.Verdict().Release()
	return a.log.Append(system, audit.Event{
		Kind: audit.Intent, Deployment: c.Deployment, Application: c.Application, Release: c.Version,
		Action: audit.Apply, Bundle: rel.Digest(), Policy: rel.Policy().Digest(),
		Render: digest.SHA256.FromBytes(p.Manifest()), Program: a.opts.Program,
	})
}

// firstFew keeps an event small; all evidence is named by the release channel's
// metadata, whose digest the refresh event holds.
func firstFew(evidence []digest.Digest) []digest.Digest {
	return evidence[:min(len(evidence), 8)]
}

// failed records that an apply did not work. The containers that ran before
// may have been replaced by then: Compose replaces before it checks.
func (a *Agent) failed(system time.Time, c Change, p *verify.Permit, intent uint64, err error) (Change, error) {
	c.Action, c.Reason, c.Message, c.err = Failed, reason.Of(err), err.Error(), err
	event := audit.Event{
		Kind: audit.Outcome, Deployment: c.Deployment, Application: c.Application, Release: c.Version,
		Intent: intent, Result: audit.Failed, Reason: c.Reason, Step: "apply", Message: logText(err),
	}
	if _, logErr := a.log.Append(system, event); logErr != nil {
		return c, logErr
	}
	a.state.Attempts[c.Deployment] = Attempt{
		Order: p.Verdict().Order().Digest(), Policy: p.Verdict().Release().Policy().Digest(),
		Reason: c.Reason, At: system.UTC(), Text: err.Error(), Touched: true,
	}
	return c, a.dirs.saveState(a.state)
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
func (a *Agent) settle(system time.Time, p *verify.Permit) error {
	v := p.Verdict()
	order, rel := v.Order(), v.Release()
	id := order.Deployment().ID
	before := a.state.Installed[id]
	in := Installation{
		Deployment: id, Application: rel.Bundle().Application, Version: rel.Bundle().Version,
		Highest: highest(before.Highest, rel.Bundle().Version),
		Bundle:  rel.Digest(), Order: order.Digest(), OrderSize: order.Size(),
		Policy: rel.Policy().Digest(), AppliedAt: system.UTC(),
	}
	for _, part := range p.Components() {
		in.Components = append(in.Components, InstalledComponent{
			Name: part.Name, Project: part.Project, Render: part.Digest, Size: int64(len(part.Render)),
		})
	}
	a.state.Installed[id] = in
	delete(a.state.Attempts, id)
	return a.dirs.saveState(a.state)
}

func highest(a, b string) string {
	if a == "" {
		return b
	}
	// Both versions passed the verifier, so the comparison cannot fail; were it
	// to, the floor must not sink.
	if c, err := margo.CompareVersions(b, a); err == nil && c > 0 {
		return b
	}
	return a
}

// removeUnordered takes away what is installed and no longer ordered. The
// desired state that leaves it out is signed; the policy decides whether that
// is enough.
func (a *Agent) removeUnordered(ctx context.Context, system time.Time, view *view) ([]Change, error) {
	ordered := map[string]bool{}
	for _, o := range view.orders.List() {
		ordered[o.Deployment().ID] = true
	}
	var changes []Change
	for _, id := range sortedKeys(a.state.Installed) {
		if ordered[id] {
			continue
		}
		c, err := a.remove(ctx, system, view, a.state.Installed[id])
		if err != nil {
			return changes, err
		}
		changes = append(changes, c)
	}
	return changes, nil
}

func (a *Agent) remove(ctx context.Context, system time.Time, view *view, in Installation) (Change, error) {
	c := Change{Deployment: in.Deployment, Application: in.Application, Version: in.Version, Action: Removed}
	volumes, err := a.mayRemove(view, in)
	if err != nil {
		c.Action, c.Reason, c.Message, c.err = Refused, reason.Of(err), err.Error(), err
		event := audit.Event{
			Kind: audit.Refused, Deployment: c.Deployment, Application: c.Application, Release: c.Version,
			Reason: c.Reason, Step: "remove", Message: err.Error(), Policy: view.orders.Policy().Digest(), DesiredState: view.orders.State(),
		}
		attempt := Attempt{Order: view.orders.State(), Policy: view.orders.Policy().Digest(), Reason: c.Reason, Text: err.Error()}
		if noted := a.noteRefusal(system, c.Deployment, attempt, event, err); reason.Is(noted, reason.LogUnwritable) {
			return c, noted
		}
		return c, nil
	}
	return a.takeAway(ctx, system, c, in, volumes)
}

// mayRemove decides whether an installation may go, and its volumes with it:
// volumes only if the deployment that was applied said so and the policy agrees.
func (a *Agent) mayRemove(view *view, in Installation) (volumes bool, err error) {
	app, err := view.orders.Policy().Trust().Application(in.Application)
	if err != nil {
		return false, err
	}
	if !app.MayRemove {
		return false, reason.New(reason.Rule, "the desired state no longer lists %s, and the policy does not allow its removal (mayRemove)", in.Application)
	}
	h, err := a.history(in.Deployment)
	if err != nil {
		return false, err
	}
	terms, err := h.Previous.Order()
	if err != nil {
		return false, err
	}
	return terms.OnRemove.Volumes == "delete" && app.MayDeleteVolumes, nil
}

func (a *Agent) takeAway(ctx context.Context, system time.Time, c Change, in Installation, volumes bool) (Change, error) {
	intent, err := a.log.Append(system, audit.Event{
		Kind: audit.Intent, Deployment: in.Deployment, Application: in.Application, Release: in.Version,
		Action: audit.Remove, Bundle: in.Bundle, Program: a.opts.Program,
	})
	if err != nil {
		return c, err
	}
	for n := len(in.Components) - 1; n >= 0; n-- {
		part := in.Components[n]
		if _, err := a.compose.Remove(ctx, in.Deployment, part.Project, volumes); err != nil {
			c.Action, c.Reason, c.Message, c.err = Failed, reason.Of(err), err.Error(), err
			_, logErr := a.log.Append(system, audit.Event{
				Kind: audit.Outcome, Deployment: in.Deployment, Intent: intent, Result: audit.Failed,
				Reason: c.Reason, Step: "remove", Message: fmt.Sprintf("component %s: %v", part.Name, err),
			})
			return c, logErr
		}
	}
	if _, err := a.log.Append(system, audit.Event{Kind: audit.Removed, Deployment: in.Deployment, Application: in.Application, Release: in.Version, Intent: intent}); err != nil {
		return c, err
	}
	delete(a.state.Installed, in.Deployment)
	delete(a.state.Attempts, in.Deployment)
	return c, a.dirs.saveState(a.state)
}
