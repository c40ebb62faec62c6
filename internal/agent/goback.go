package agent

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/consign-dev/consign/internal/apply"
	"github.com/consign-dev/consign/internal/audit"
	"github.com/consign-dev/consign/internal/gather"
	"github.com/consign-dev/consign/internal/margo"
	"github.com/consign-dev/consign/internal/reason"
	"github.com/consign-dev/consign/internal/tufclient"
	"github.com/consign-dev/consign/internal/verify"
	"github.com/consign-dev/consign/policy"
)

// goBack makes the last good version run again after an apply failed with
// something changed. Where nothing ran before, what was begun is taken away;
// where what ran is not allowed any more, the policy's onNoGood decides. The
// order that failed stays the Change's subject. Data goes back where it was
// copied before the apply, and nowhere else.
func (a *Agent) goBack(ctx context.Context, system time.Time, c Change) (Change, error) {
	in, ok := a.state.Installed[c.Deployment]
	if !ok {
		c.Message += "; nothing ran before, and what was started is taken away"
		removed, err := a.takeBegunAway(ctx, system, c.Deployment)
		c.err = errors.Join(c.err, removed.err)
		return c, err
	}
	last, q, err := a.recall(ctx, in)
	if err != nil {
		return a.noGood(ctx, system, c, in, err)
	}
	note, failed, err := a.restore(ctx, system, audit.Rollback, in, last, q, false)
	if failed != nil {
		c.Message += fmt.Sprintf("; the return to %s failed, too, and is tried again: %v", in.Version, failed)
		c.err = errors.Join(c.err, failed)
	}
	if failed != nil || err != nil {
		return c, err
	}
	c.Message += note + "; " + in.Version + " runs again"
	c.Returned = in.Version
	attempt := a.state.Attempts[c.Deployment]
	attempt.Returned, attempt.Text = in.Version, c.Message
	a.state.Attempts[c.Deployment] = attempt
	return c, a.dirs.saveState(a.state)
}

// restore makes an installation's stored render run, with its data if that was
// copied, and takes away what was begun besides: to return after a failure, or to
// correct what somebody changed. With anew, what runs is taken away first. note
// says what data was put back, "" or after "; ". failed is what the engine could
// not do; err means that log or state could not be written.
func (a *Agent) restore(ctx context.Context, system time.Time, action audit.Action, in Installation, last *verify.Permit, q *asked, anew bool) (note string, failed, err error) {
	kept, err := a.keep(ctx, q, accepted)
	if err != nil {
		return "", err, ctx.Err()
	}
	intent, err := a.logIntent(system, action, last, kept)
	if err != nil {
		return "", nil, err
	}
	var notes []string
	failed = a.withRegistry(ctx, func() (err error) {
		if anew {
			if err := apply.TakeAway(ctx, a.applier, in.Deployment, in.Parts(), false); err != nil {
				return err
			}
		}
		if note, err = a.returnData(ctx, in.Deployment, dataCopied, dataReturning); err != nil {
			return err
		}
		notes, err = apply.Restore(ctx, a.applier, last, a.state.Begun[in.Deployment].Parts)
		return err
	})
	note = joined(note, notes)
	if failed != nil && ctx.Err() != nil {
		// The agent is being stopped: the next cycle marks the gap and begins again.
		return note, failed, ctx.Err()
	}
	event := outcomeOf(Change{Deployment: in.Deployment, Application: in.Application, Version: in.Version}, intent, failed)
	if failed == nil && action == audit.Rollback {
		event = audit.Event{Kind: audit.RolledBack, Deployment: in.Deployment, Application: in.Application, Release: in.Version, Intent: intent, Bundle: in.Bundle}
	}
	if note != "" {
		event.Message = strings.TrimPrefix(event.Message+"; "+note, "; ")
		note = "; " + note
	}
	if _, err := a.log.Append(system, event); err != nil || failed != nil {
		return note, failed, err
	}
	delete(a.state.Begun, in.Deployment)
	if err := a.dirs.saveState(a.state); err != nil {
		return note, nil, err
	}
	return note, nil, a.dropCopies()
}

// recall judges an installation by today's policy and stored metadata, with
// expiry ignored, from the content store alone: a device returns to its last
// good version without a network, too.
//
// What the store has damaged is no judgement about the version: it is the reason
// unreachable, since nothing is fetched here.
func (a *Agent) recall(ctx context.Context, in Installation) (*verify.Permit, *asked, error) {
	q := askAgain(in)
	p, err := a.recallStored(ctx, in, q)
	if reason.Is(err, reason.DigestMismatch) {
		return nil, nil, reason.New(reason.Unreachable, "what version %s rests on is damaged on this device: %w", in.Version, err)
	}
	return p, q, err
}

func (a *Agent) recallStored(ctx context.Context, in Installation, q *asked) (*verify.Permit, error) {
	docs := q.record(gather.Cached{Store: a.store})
	var err error
	if q.operator, err = ever(a.operator); err != nil {
		return nil, err
	}
	pol, err := verify.ReadPolicy(ctx, q.operator.meta, docs)
	if err != nil {
		return nil, err
	}
	raw, err := a.lastOrder(ctx, nil, in)
	if err != nil {
		return nil, err
	}
	name, err := channelNamed(raw)
	if err != nil {
		return nil, err
	}
	if _, err := pol.Channel(name); err != nil {
		return nil, err
	}
	client, err := a.supplierClient(pol, name)
	if err != nil {
		return nil, err
	}
	if q.supplier, err = ever(client); err != nil {
		return nil, err
	}
	renders := func() (_ []verify.Render, err error) {
		q.renders, err = a.storedRenders(ctx, in)
		return q.renders, err
	}
	return verify.Recall(ctx, verify.RecallInput{
		Policy: pol, Channel: q.supplier.meta, Order: raw, Renders: renders, Device: a.device, Highest: in.Highest,
		Endorsements: docs,
	}, docs)
}

// channelNamed returns the policy's name of the channel that an order names.
func channelNamed(order []byte) (string, error) {
	d, err := margo.ParseDeployment(order)
	if err != nil {
		return "", err
	}
	terms, err := d.Order()
	return terms.Bundle.Channel, err
}

// storedPolicy is the operator's policy as it was read last, expired or not.
func (a *Agent) storedPolicy(ctx context.Context) (*verify.Policy, error) {
	operator, err := ever(a.operator)
	if err != nil {
		return nil, err
	}
	return verify.ReadPolicy(ctx, operator.meta, gather.Cached{Store: a.store})
}

// ever is what a channel said last, as of a time at which nothing has expired.
func ever(client *tufclient.Client) (asOf, error) {
	at := time.Unix(0, 0).UTC()
	meta, err := client.Stored(at)
	return asOf{meta, at}, err
}

func (a *Agent) storedRenders(ctx context.Context, in Installation) ([]verify.Render, error) {
	var out []verify.Render
	for _, c := range in.Components {
		data, err := a.appliedRender(ctx, c)
		if err != nil {
			return nil, err
		}
		out = append(out, verify.Render{Component: c.Name, Type: c.Type, Project: data})
	}
	return out, nil
}

// noGood acts when neither the order nor what ran before may run.
func (a *Agent) noGood(ctx context.Context, system time.Time, c Change, in Installation, why error) (Change, error) {
	c.err = errors.Join(c.err, why)
	c.Message += fmt.Sprintf("; %s may not run again: %v", in.Version, why)
	if !refusal(reason.Of(why)) || !a.mustStop(ctx, in.Application) {
		return c, nil
	}
	c.Message += "; it is stopped, as the policy says (onNoGood)"
	removed, err := a.stop(ctx, system, in)
	c.err = errors.Join(c.err, removed.err)
	return c, err
}

// stop takes an installation away and keeps its data, as the last good version
// left it where there is a copy of that.
func (a *Agent) stop(ctx context.Context, system time.Time, in Installation) (Change, error) {
	return a.takeAway(ctx, system, removal{
		Deployment: in.Deployment, Application: in.Application, Version: in.Version, Bundle: in.Bundle, Parts: in.Parts(),
	})
}

// mustStop reports whether the policy wants an application stopped that has no
// version that may run.
func (a *Agent) mustStop(ctx context.Context, application string) bool {
	app := a.rules(ctx, application)
	return app != nil && app.OnNoGood == policy.Stop
}

// takeBegunAway removes what was begun for a deployment that never became good.
func (a *Agent) takeBegunAway(ctx context.Context, system time.Time, id string) (Change, error) {
	b := a.state.Begun[id]
	return a.takeAway(ctx, system, removal{
		Deployment: id, Application: b.Application, Version: b.Version, Bundle: b.Bundle, Parts: b.Parts,
	})
}
