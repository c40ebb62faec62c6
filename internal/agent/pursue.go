package agent

import (
	"context"
	"errors"
	"maps"
	"slices"
	"time"

	"github.com/consign-dev/consign/internal/audit"
	"github.com/consign-dev/consign/internal/bundle"
	"github.com/consign-dev/consign/internal/reason"
	"github.com/consign-dev/consign/internal/verify"
)

// pursue carries out one order. The error is only for what must end the cycle:
// the log or the state cannot be written. What is refused or fails about the
// order itself is in the Change.
func (a *Agent) pursue(ctx context.Context, system time.Time, scope Scope, view *view, o *verify.Order) (Change, error) {
	c := Change{Deployment: o.Deployment().ID, Application: o.Deployment().Spec.ApplicationID, Version: o.Terms().Bundle.Version}
	stale := view.suppliers[view.channelOf(o)].err
	switch settled := a.settled(view, o); {
	case settled && stale == nil:
		c.Action = Unchanged
		return c, nil
	case stale != nil:
		// The refusal of the channel is in the log; what runs goes on running.
		c.Reason, c.Message, c.Steps, c.err = reason.Of(stale), stale.Error(), verify.StepsOf(stale), stale
		c.Action = unapplied(c.Reason)
		if settled {
			c.Action = Unchanged
		}
		return c, nil
	}
	if last, held := a.heldBack(system, view, o); held {
		c.Action, c.Reason, c.Message, c.Returned = Failed, last.Reason, last.Text, last.Returned
		c.err = reason.New(last.Reason, "%s %s: %s (tried at %s; %s)", c.Application, c.Version, last.Text, last.At.Format(time.RFC3339), next(last))
		return c, nil
	}
	q := view.ask(o)
	permit, err := a.approve(ctx, view, o, q)
	if err != nil {
		return a.refused(ctx, system, view, o, c, q, err)
	}
	c.Steps = permit.Steps()
	if a.sameRenders(permit) {
		// The policy or the words of the order changed, the objects did not: the
		// new judgement is recorded and nothing is restarted.
		kept, err := a.keep(ctx, q, accepted)
		if err != nil {
			return a.refused(ctx, system, view, o, c, nil, err)
		}
		c.Action = Unchanged
		if err := a.logAccepted(system, c, permit, kept); err != nil {
			return c, err
		}
		return c, a.settle(system, permit, kept)
	}
	if scope == FetchOnly {
		c.Action = Ready
		return c, nil
	}
	if wait := a.mustWait(system, view); wait != "" {
		c.Action, c.Message = Waiting, wait
		return c, nil
	}
	kept, err := a.keep(ctx, q, accepted)
	if err != nil {
		return a.refused(ctx, system, view, o, c, nil, err)
	}
	c, err = a.enact(ctx, system, c, permit, kept)
	c.moved = err == nil && c.err == nil
	return c, err
}

// heldBack reports an order that failed on this machine and is not tried now.
// One that was started and did not become healthy is not tried again until
// something about it changes; what may pass by itself waits longer each time.
func (a *Agent) heldBack(system time.Time, view *view, o *verify.Order) (Attempt, bool) {
	last, ok := a.state.Attempts[o.Deployment().ID]
	same := ok && last.Order == o.Digest() && last.Policy == view.orders.Policy().Digest()
	return last, same && (last.unhealthy() || early(last.NotBefore, system))
}

func (at Attempt) unhealthy() bool { return at.Touched && at.Reason == reason.Health }

// next says when a failed order is tried again.
func next(at Attempt) string {
	if at.unhealthy() {
		return "not again until its order, its release or the policy changes"
	}
	return "again after " + at.NotBefore.Format(time.RFC3339)
}

// settled reports whether an order is applied and was judged under this very
// policy, so that there is nothing to do about it. Where a paper of that judgement
// was lost, it is made again while what it rests on can be fetched.
func (a *Agent) settled(view *view, o *verify.Order) bool {
	id := o.Deployment().ID
	in, ok := a.state.Installed[id]
	_, pending := a.state.Attempts[id]
	same := ok && !pending && in.Order == o.Digest() && in.Policy == view.orders.Policy().Digest()
	return same && (view.offline || a.whole(in))
}

// approve takes an order from signed words to exact objects: verdict, content,
// render, permit. Nothing on the machine but our own store is touched. q notes
// what the verifier is asked.
func (a *Agent) approve(ctx context.Context, view *view, o *verify.Order, q *asked) (*verify.Permit, error) {
	v, repo, err := a.judge(ctx, view, o, q)
	if err != nil {
		return nil, err
	}
	if err := a.fetch(ctx, repo, v.Blobs()); err != nil {
		return nil, err
	}
	if err := a.secrets.Check(slices.Collect(maps.Values(v.Order().Terms().Secrets))); err != nil {
		return nil, err
	}
	renders, err := a.render(ctx, repo, v)
	if err != nil {
		return nil, err
	}
	q.renders = renders
	permit, err := v.Permit(renders)
	if err != nil {
		return nil, err
	}
	return permit, a.keepRenders(ctx, permit)
}

// history is what an order is compared with. The one that was applied last is
// fetched again where it was lost: without it nobody can tell whether a setting
// that must not change has changed.
func (a *Agent) history(ctx context.Context, view *view, o *verify.Order) (verify.History, error) {
	in, ok := a.state.Installed[o.Deployment().ID]
	if !ok {
		return verify.History{Highest: a.state.highest(o.Deployment().ID)}, nil
	}
	previous, err := a.lastDeployment(ctx, view, in)
	if err != nil {
		return verify.History{}, err
	}
	return verify.History{Highest: in.Highest, Previous: previous}, nil
}

// keepRenders stores what will be applied, so that the log's digests can be
// read back years later.
func (a *Agent) keepRenders(ctx context.Context, p *verify.Permit) error {
	for _, part := range p.Components() {
		if err := a.store.Put(ctx, bundle.Describe("application/json", part.Render), part.Render); err != nil {
			return err
		}
	}
	list := p.Manifest()
	return a.store.Put(ctx, bundle.Describe("application/json", list), list)
}

// sameRenders reports whether exactly these objects run already, as far as the
// state knows: then an order that changed only in words restarts nothing.
func (a *Agent) sameRenders(p *verify.Permit) bool {
	in, ok := a.state.Installed[p.Verdict().Order().Deployment().ID]
	if !ok || len(in.Components) != len(p.Components()) {
		return false
	}
	if _, dirty := a.state.Begun[in.Deployment]; dirty {
		return false
	}
	for n, part := range p.Components() {
		if in.Components[n].Render != part.Digest || in.Components[n].Project != part.Project {
			return false
		}
	}
	return true
}

func (a *Agent) refused(ctx context.Context, system time.Time, view *view, o *verify.Order, c Change, q *asked, err error) (Change, error) {
	c.Reason, c.Message, c.Steps, c.err = reason.Of(err), err.Error(), verify.StepsOf(err), err
	c.Action = unapplied(c.Reason)
	event := audit.Event{
		Kind: audit.Refused, Deployment: c.Deployment, Application: c.Application, Release: c.Version,
		Reason: c.Reason, Step: stepOf(err), Message: logText(err), Channel: view.repositoryOf(o),
		Policy: view.orders.Policy().Digest(), DesiredState: view.orders.State(),
	}
	attempt := Attempt{Order: o.Digest(), Policy: view.orders.Policy().Digest(), Reason: c.Reason, Text: err.Error()}
	if noted := a.noteRefusal(ctx, system, c.Deployment, attempt, event, q, err); unwritable(noted) {
		return c, noted
	}
	return a.stopDisallowed(ctx, system, c)
}

// stopDisallowed stops what runs in the place of a refused order when the
// policy does not allow it any more either, and says that it must not stay.
func (a *Agent) stopDisallowed(ctx context.Context, system time.Time, c Change) (Change, error) {
	in, ok := a.state.Installed[c.Deployment]
	if !ok || !a.mustStop(ctx, in.Application) {
		return c, nil
	}
	if _, _, err := a.recall(ctx, in); err != nil {
		return a.noGood(ctx, system, c, in, err)
	}
	return c, nil
}

// unapplied is the action for an order that was not applied for a reason.
func unapplied(code reason.Code) Action {
	if refusal(code) {
		return Refused
	}
	return Failed
}

// refusal tells a judgement about signed documents from a circumstance that the
// next cycle may find changed.
func refusal(code reason.Code) bool {
	switch code {
	case reason.Unreachable, reason.TooSlow, reason.Conflict, reason.NoSpace, reason.Internal, reason.LogUnwritable:
		return false
	default:
		return true
	}
}

func stepOf(err error) string {
	var r *verify.Refusal
	if errors.As(err, &r) {
		return r.Step()
	}
	switch reason.Of(err) {
	case reason.Render, reason.Archive, reason.Path:
		return "render"
	case reason.Ineligible: // what the verifier finds ineligible says its own step
		return "secrets"
	default:
		return "fetch"
	}
}

// logText is what the log says about a refusal. Texts that quote what an
// operator entered stay out of it: the log is read by people who may not know
// parameter values. The reason, the step and the digests in the event lead to
// the same documents.
func logText(err error) string {
	// A refusal that knows its values apart says itself what a log may hold.
	var careful interface{ LogText() string }
	if errors.As(err, &careful) {
		return careful.LogText()
	}
	switch reason.Of(err) {
	case reason.DeploymentMismatch, reason.Render:
		return "details are left out since they may quote parameter values: 'agent verify --explain' on the device prints them"
	default:
		return err.Error()
	}
}
