package agent

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/consign-dev/consign/internal/apply"
	"github.com/consign-dev/consign/internal/audit"
	"github.com/consign-dev/consign/internal/reason"
	"github.com/consign-dev/consign/internal/verify"
	"github.com/consign-dev/consign/policy"
)

// watch compares what runs with what was applied, and corrects or reports the
// difference as the policy says. It needs no network and no fresh metadata: a
// device that is offline for months keeps its applications as they were
// verified. What the cycle has just changed is left out.
func (a *Agent) watch(ctx context.Context, system time.Time, res *Result) error {
	for _, id := range sortedKeys(a.state.Installed) {
		if err := ctx.Err(); err != nil {
			return err
		}
		if res.settled(id) {
			continue
		}
		seen, err := a.watchOne(ctx, system, a.state.Installed[id])
		if err != nil {
			return err
		}
		res.merge(seen)
	}
	return nil
}

// settled reports whether this cycle has just seen a deployment run as it should.
func (r *Result) settled(id string) bool {
	return slices.ContainsFunc(r.Changes, func(c Change) bool {
		return c.Deployment == id && (slices.Contains([]Action{Installed, Upgraded, Updated}, c.Action) || c.Returned != "")
	})
}

// merge adds what watch saw of an installation: to the Change of an order that
// is settled, or beside that of one that waits or was refused.
func (r *Result) merge(seen Change) {
	if seen.Action == Unchanged && seen.err == nil {
		return
	}
	for n := range r.Changes {
		c := &r.Changes[n]
		if c.Deployment == seen.Deployment && c.Action == Unchanged {
			seen.err = errors.Join(c.err, seen.err)
			*c = seen
			return
		}
	}
	r.Changes = append(r.Changes, seen)
}

func (a *Agent) watchOne(ctx context.Context, system time.Time, in Installation) (Change, error) {
	c := Change{Deployment: in.Deployment, Application: in.Application, Version: in.Version, Action: Unchanged}
	_, dirty := a.state.Begun[in.Deployment]
	rules := a.rules(ctx, in.Application)
	seen, err := a.difference(ctx, in, rules)
	switch {
	case err != nil:
		c.Reason, c.Message, c.err = reason.Of(err), err.Error(), err
		return c, nil
	case seen.none() && !dirty:
		c.setUnfit(seen.unfit)
		return c, a.noteInOrder(system, in.Deployment)
	case seen.none():
		seen.drift = []string{"an apply was interrupted"}
	}
	c.Action, c.Message = Drifted, seen.String()
	if err := a.noteDrift(system, in, c.Message, dirty); err != nil {
		return c, err
	}
	c.setUnfit(seen.unfit)
	if !dirty && !a.mayCorrect(system, rules, seen) {
		return c, nil
	}
	return a.correct(ctx, system, c, in, seen)
}

// setUnfit reports a secret that is not as it must be. What runs with it, runs on.
func (c *Change) setUnfit(err error) {
	if err != nil {
		c.Reason, c.err = reason.Of(err), err
		c.Message = strings.TrimPrefix(c.Message+"; "+err.Error(), "; ")
	}
}

// difference is what differs between what was applied and what runs.
type difference struct {
	// drift is what somebody or something changed, rotated which services run with
	// a secret that whoever administers the device has changed since.
	drift, rotated []string
	// excess says that something runs with more than its grants (attack C1 and C2,
	// done by hand), anew that it is more than objects beside the render of a chart.
	excess, anew bool
	// unfit is a secret that could not be delivered again.
	unfit error
}

func (d difference) none() bool { return len(d.drift)+len(d.rotated) == 0 }

func (d difference) String() string {
	return strings.Join(append(slices.Clone(d.drift), d.rotated...), "; ")
}

// mayCorrect decides about a difference. What has more rights than were granted
// is not only reported. A new secret is an instruction, not an accident: it is
// carried out whatever the policy says about drift, but, since it restarts
// services, in the window of changes.
func (a *Agent) mayCorrect(system time.Time, rules *policy.Application, seen difference) bool {
	if seen.excess || len(seen.rotated) > 0 && a.cfg.ApplyWindow.open(system) {
		return true
	}
	return len(seen.drift) > 0 && rules != nil && rules.Drift != policy.Report
}

func (a *Agent) difference(ctx context.Context, in Installation, rules *policy.Application) (difference, error) {
	var out difference
	for _, part := range in.Components {
		render, err := a.appliedRender(ctx, part)
		if err != nil {
			return out, err
		}
		seen, err := a.applier.Observe(ctx, apply.Observe{Deployment: in.Deployment, Part: part.Part, Render: render})
		if err != nil {
			return out, fmt.Errorf("component %s: %w", part.Name, err)
		}
		for _, d := range seen.Drift {
			out.drift = append(out.drift, part.Name+": "+d)
		}
		for _, r := range seen.Rotated {
			out.rotated = append(out.rotated, part.Name+": "+r)
		}
		if err := a.secrets.CheckRender(part.Type, render); err != nil {
			out.unfit = errors.Join(out.unfit, fmt.Errorf("component %s: %w", part.Name, err))
		}
		if rules == nil {
			continue
		}
		grants := rules.Grants.Reserving(a.device.Reserved...)
		live := verify.Live{Services: seen.Services, Objects: seen.Objects}
		if err := verify.CheckLive(grants, part.Type, part.Project, render, live); err != nil {
			out.drift, out.excess = append(out.drift, part.Name+": "+logText(err)), true
			out.anew = out.anew || !verify.BesideOnly(grants, part.Type, part.Project, render, live)
		}
	}
	return out, nil
}

// rules are what the policy says of an application, as it was read last; nil
// when it says nothing.
func (a *Agent) rules(ctx context.Context, application string) *policy.Application {
	pol, err := a.storedPolicy(ctx)
	if err != nil {
		return nil
	}
	app, err := pol.Trust().Application(application)
	if err != nil {
		return nil
	}
	return app
}

// noteInOrder forgets a deviation that is gone, and how often it was corrected
// when that has lasted: an application that ends a minute after each start would
// otherwise be started again every minute for ever (attack D14).
func (a *Agent) noteInOrder(system time.Time, id string) error {
	d, ok := a.state.Deviations[id]
	lasted := !system.Before(d.NotBefore.Add(waitAfter(d.Count)))
	switch {
	case !ok || d.Text == "" && !lasted:
		return nil
	case lasted:
		delete(a.state.Deviations, id)
	default:
		d.Text = ""
		a.state.Deviations[id] = d
	}
	return a.dirs.saveState(a.state)
}

// noteDrift logs a deviation unless it is the one that was logged last.
func (a *Agent) noteDrift(system time.Time, in Installation, text string, dirty bool) error {
	d, known := a.state.Deviations[in.Deployment]
	if dirty || known && d.Text == text {
		return nil
	}
	event := audit.Event{Kind: audit.Drifted, Deployment: in.Deployment, Application: in.Application, Release: in.Version, Message: text}
	if _, err := a.log.Append(system, event); err != nil {
		return err
	}
	d.Text, d.At = text, system.UTC()
	a.state.Deviations[in.Deployment] = d
	return a.dirs.saveState(a.state)
}

// correct makes an installation run again as it was applied, with growing waits
// when that does not last: an application that cannot stay up must not be
// restarted at every look for ever. Where something exceeds its grants everything
// is taken away first: which of two containers of one service is the right one is
// not for Compose to guess. Objects beside the render of a chart go with its apply,
// which leaves alone what is as it should be; if that does not succeed, everything
// goes, too.
func (a *Agent) correct(ctx context.Context, system time.Time, c Change, in Installation, seen difference) (Change, error) {
	d := a.state.Deviations[in.Deployment]
	if early(d.NotBefore, system) {
		return c, nil
	}
	last, q, err := a.recall(ctx, in)
	if err != nil {
		c.Reason, c.err = reason.Of(err), err
		c.Message += fmt.Sprintf("; it is not corrected: %s may not run: %v", in.Version, err)
		return c, nil
	}
	d.NotBefore = system.UTC().Add(waitAfter(d.Count))
	d.Count++
	a.state.Deviations[in.Deployment] = d
	note, failed, err := a.restore(ctx, system, audit.Apply, in, last, q, seen.anew)
	if failed != nil && err == nil && seen.excess && !seen.anew {
		c.Message += note
		note, failed, err = a.restore(ctx, system, audit.Apply, in, last, q, true)
	}
	if err != nil {
		return c, err
	}
	c.Action = Corrected
	c.Message += note
	if failed != nil {
		c.Action, c.Reason, c.err = Failed, reason.Of(failed), failed
		c.Message += "; the correction failed: " + failed.Error()
	} else if len(seen.drift) == 0 {
		// A secret that was rotated is no fault that could come back.
		delete(a.state.Deviations, in.Deployment)
	}
	return c, a.dirs.saveState(a.state)
}

// early reports whether a time that was set by waitAfter is still to come. One
// further off than any wait comes from a clock that was wrong.
func early(notBefore, now time.Time) bool {
	return now.Before(notBefore) && notBefore.Sub(now) <= lastWait
}
