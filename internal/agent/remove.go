package agent

import (
	"context"
	"time"

	"github.com/opencontainers/go-digest"

	"github.com/consign-dev/consign/internal/apply"
	"github.com/consign-dev/consign/internal/audit"
	"github.com/consign-dev/consign/internal/reason"
)

// removal is what is to be taken away of a deployment.
type removal struct {
	Deployment, Application, Version string
	Bundle                           digest.Digest
	Parts                            []apply.Part
	// Volumes deletes the data, too.
	Volumes bool
}

// removeUnordered takes away what is installed, or was begun, and is no longer
// ordered. The desired state that leaves it out is signed; the policy decides
// whether that is enough.
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
	for _, id := range sortedKeys(a.state.Begun) {
		if _, installed := a.state.Installed[id]; installed || ordered[id] {
			continue
		}
		// Nothing good ever ran under this id: there is nothing to protect.
		c, err := a.takeBegunAway(ctx, system, id)
		if err != nil {
			return changes, err
		}
		changes = append(changes, c)
	}
	return changes, nil
}

func (a *Agent) remove(ctx context.Context, system time.Time, view *view, in Installation) (Change, error) {
	c := Change{Deployment: in.Deployment, Application: in.Application, Version: in.Version, Action: Removed}
	volumes, err := a.mayRemove(ctx, view, in)
	if err != nil {
		c.Action, c.Reason, c.Message, c.err = Refused, reason.Of(err), err.Error(), err
		event := audit.Event{
			Kind: audit.Refused, Deployment: c.Deployment, Application: c.Application, Release: c.Version,
			Reason: c.Reason, Step: "remove", Message: err.Error(), Policy: view.orders.Policy().Digest(), DesiredState: view.orders.State(),
		}
		attempt := Attempt{Order: view.orders.State(), Policy: view.orders.Policy().Digest(), Reason: c.Reason, Text: err.Error()}
		if noted := a.noteRefusal(ctx, system, c.Deployment, attempt, event, nil, err); unwritable(noted) {
			return c, noted
		}
		return c, nil
	}
	if wait := a.mustWait(system, view); wait != "" {
		c.Action, c.Message = Waiting, wait
		return c, nil
	}
	c, err = a.takeAway(ctx, system, removal{
		Deployment: in.Deployment, Application: in.Application, Version: in.Version, Bundle: in.Bundle,
		Parts: mergeParts(in.Parts(), a.state.Begun[in.Deployment].Parts), Volumes: volumes,
	})
	if c.Action == Removed {
		delete(a.state.Attempts, in.Deployment)
	}
	return c, err
}

// mayRemove decides whether an installation may go, and its volumes with it:
// volumes only if the deployment that was applied said so and the policy agrees.
// Where that deployment was lost, nobody has said so.
func (a *Agent) mayRemove(ctx context.Context, view *view, in Installation) (volumes bool, err error) {
	app, err := view.orders.Policy().Trust().Application(in.Application)
	if err != nil {
		return false, err
	}
	if !app.MayRemove {
		return false, reason.New(reason.Rule, "the desired state no longer lists %s, and the policy does not allow its removal (mayRemove)", in.Application)
	}
	last, err := a.lastDeployment(ctx, view, in)
	if err != nil {
		a.warn("the volumes stay: nobody knows what was ordered about them", "deployment", in.Deployment, "error", err.Error())
		return false, ctx.Err()
	}
	terms, err := last.Order()
	if err != nil {
		return false, err
	}
	return terms.OnRemove.Volumes == "delete" && app.MayDeleteVolumes, nil
}

// takeAway removes components: intent, act, event. An engine that fails is in
// the Change, and what is left is tried again by the next cycle.
func (a *Agent) takeAway(ctx context.Context, system time.Time, r removal) (Change, error) {
	c := Change{Deployment: r.Deployment, Application: r.Application, Version: r.Version, Action: Removed}
	intent, err := a.log.Append(system, audit.Event{
		Kind: audit.Intent, Deployment: r.Deployment, Application: r.Application, Release: r.Version,
		Action: audit.Remove, Bundle: r.Bundle, Program: a.opts.Program,
	})
	if err != nil {
		return c, err
	}
	if c.Message, err = a.dismantle(ctx, r); err != nil {
		c.Action, c.Reason, c.Message, c.err = Failed, reason.Of(err), err.Error(), err
		if ctx.Err() != nil {
			return c, ctx.Err() // no failure, see failed
		}
		event := outcomeOf(c, intent, err)
		event.Step = "remove"
		_, logErr := a.log.Append(system, event)
		return c, logErr
	}
	event := audit.Event{Kind: audit.Removed, Deployment: r.Deployment, Application: r.Application, Release: r.Version, Intent: intent, Message: c.Message}
	if _, err := a.log.Append(system, event); err != nil {
		return c, err
	}
	a.state.retire(r.Deployment)
	a.moved = true
	if err := a.dirs.saveState(a.state); err != nil {
		return c, err
	}
	return c, a.dropCopies()
}

// dismantle removes components. Data that stays is put back if an update that
// nothing settled may have changed it; note says so.
func (a *Agent) dismantle(ctx context.Context, r removal) (note string, err error) {
	if err := apply.TakeAway(ctx, a.applier, r.Deployment, r.Parts, r.Volumes); err != nil {
		return "", err
	}
	if d := a.state.Begun[r.Deployment].Data; r.Volumes || d != dataCopied && d != dataReturning {
		return "", nil
	}
	err = a.withRegistry(ctx, func() (err error) {
		note, err = a.returnData(ctx, r.Deployment, dataCopied, dataReturning)
		return err
	})
	return note, err
}
