package agent

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/consign-dev/consign/internal/audit"
	"github.com/consign-dev/consign/internal/reason"
	"github.com/consign-dev/consign/internal/tufclient"
	"github.com/consign-dev/consign/internal/verify"
)

// Action says what a cycle did about one deployment.
type Action string

// The actions of a cycle.
const (
	Unchanged Action = "unchanged"
	Installed Action = "installed"
	Upgraded  Action = "upgraded"
	Updated   Action = "updated"
	Removed   Action = "removed"
	Refused   Action = "refused"
	Failed    Action = "failed"
	// Ready: verified and fetched, and not applied, as was asked.
	Ready Action = "ready"
	// Waiting: verified and fetched, to be applied at its time.
	Waiting Action = "waiting"
	// Drifted: what runs is not what was applied, and stays so for now.
	Drifted Action = "drifted"
	// Corrected: what was applied runs again after somebody changed it.
	Corrected Action = "corrected"
)

// Scope says which part of a cycle is done.
type Scope int

const (
	// Everything: refresh, verify, fetch, apply, look at what runs.
	Everything Scope = iota
	// FetchOnly ends before the machine would be changed.
	FetchOnly
	// ApplyOnly uses no network: what was fetched before is verified again, with
	// today's time, and applied.
	ApplyOnly
	// OrdersOnly is Everything but the look at what runs.
	OrdersOnly
)

// Change is what a cycle did about one deployment.
type Change struct {
	Deployment  string      `json:"deployment"`
	Application string      `json:"application"`
	Version     string      `json:"version,omitempty"`
	Action      Action      `json:"action"`
	Reason      reason.Code `json:"reason,omitempty"`
	Message     string      `json:"message,omitempty"`
	// Returned is the version that was made to run again after this one failed.
	Returned string        `json:"returned,omitempty"`
	Steps    []verify.Step `json:"steps,omitempty"`
	err      error
	// moved says that the installation is another one than before the cycle.
	moved bool
}

// Result is what a cycle did.
type Result struct {
	Device  string   `json:"device"`
	Changes []Change `json:"changes"`
	// Events is the number of events in the device log after the cycle.
	Events uint64 `json:"events"`
}

// Err joins what went wrong with single deployments; nil when nothing did.
func (r *Result) Err() error {
	var errs []error
	for _, c := range r.Changes {
		if c.err != nil {
			errs = append(errs, c.err)
		}
	}
	if len(errs) == 1 {
		return errs[0]
	}
	return errors.Join(errs...)
}

// Sync is one cycle at time system, the reading of the system clock. A refusal
// of one deployment does not keep the others from theirs; see [Result.Err]. A
// refusal of the channel, or no way to reach it, is the error, and changes nothing.
func (a *Agent) Sync(ctx context.Context, system time.Time, scope Scope) (*Result, error) {
	res := &Result{Device: a.identity.Device, Changes: []Change{}}
	a.moved = false
	err := a.markGaps(system)
	if err == nil {
		err = a.cycle(ctx, system, scope, res)
	}
	// What happened is put under a signed checkpoint also when the cycle failed
	// or was cancelled: the story of a failure matters most.
	if logErr := a.log.Integrate(context.WithoutCancel(ctx)); logErr != nil {
		err = errors.Join(err, logErr)
	}
	res.Events = a.log.Size()
	return res, err
}

func (a *Agent) cycle(ctx context.Context, system time.Time, scope Scope, res *Result) error {
	err := a.followOrders(ctx, system, scope, res)
	if unwritable(err) || ctx.Err() != nil {
		return err
	}
	// What runs is looked after also when the channel cannot be reached.
	if scope == Everything || scope == ApplyOnly {
		err = errors.Join(err, a.watch(ctx, system, res))
	}
	return errors.Join(err, a.finish(system, err == nil && res.Err() == nil))
}

// Watch looks at what runs, without a word from outside, and corrects or
// reports what differs from what was applied.
func (a *Agent) Watch(ctx context.Context, system time.Time) (*Result, error) {
	res := &Result{Device: a.identity.Device, Changes: []Change{}}
	err := a.watch(ctx, system, res)
	if a.log.Pending() > 0 {
		err = errors.Join(err, a.log.Integrate(context.WithoutCancel(ctx)))
	}
	res.Events = a.log.Size()
	return res, err
}

func (a *Agent) followOrders(ctx context.Context, system time.Time, scope Scope, res *Result) error {
	view, err := a.look(ctx, system, scope)
	if err != nil {
		err = a.noteRefusal(ctx, system, "", Attempt{Reason: reason.Of(err), Text: err.Error()}, refusalOf(err, a.identity.Channel), view.asked, err)
		return errors.Join(err, a.thin())
	}
	if _, refused := a.state.Attempts[""]; refused {
		delete(a.state.Attempts, "")
		a.moved = true
	}
	if err := errors.Join(a.noteSuppliers(ctx, system, view), a.takeApproval(system, view)); err != nil {
		return err
	}
	for _, o := range view.orders.List() {
		if err := ctx.Err(); err != nil {
			return err
		}
		c, err := a.pursue(ctx, system, scope, view, o)
		res.Changes = append(res.Changes, c)
		if err != nil {
			return err
		}
	}
	if scope == FetchOnly {
		return nil
	}
	removals, err := a.removeUnordered(ctx, system, view)
	res.Changes = append(res.Changes, removals...)
	if err != nil {
		return err
	}
	crowded, err := a.crowded()
	if err == nil && (crowded || slices.ContainsFunc(res.Changes, func(c Change) bool { return c.moved })) {
		return a.collect(ctx, view)
	}
	return err
}

// look is how a cycle learns what is ordered: from the channels or, without the
// network, from what they said last.
func (a *Agent) look(ctx context.Context, system time.Time, scope Scope) (*view, error) {
	if scope == ApplyOnly {
		return a.stored(ctx, system)
	}
	return a.refresh(ctx, system)
}

// finish keeps what the cycle learned. A poll that found nothing writes nothing:
// flash memory is worn out by less.
func (a *Agent) finish(system time.Time, well bool) error {
	if !a.moved {
		return nil
	}
	if well {
		a.state.LastChange = system.UTC()
	}
	return a.dirs.saveState(a.state)
}

// markGaps records what a crash interrupted: the outcome of that work is not
// known, and the cycle that follows finds out by doing it again.
func (a *Agent) markGaps(now time.Time) error {
	for _, e := range a.log.OpenIntents() {
		gap := audit.Event{
			Kind: audit.Gap, Intent: e.Seq, Deployment: e.Deployment, Application: e.Application, Release: e.Release,
			Message: fmt.Sprintf("the agent stopped during %s; the outcome is not known", e.Action),
		}
		if _, err := a.log.Append(now, gap); err != nil {
			return err
		}
	}
	if a.log.Torn() {
		if _, err := a.log.Append(now, audit.Event{Kind: audit.Gap, Message: "the device stopped while an event was being written; that event had no effect yet"}); err != nil {
			return err
		}
	}
	return nil
}

// refusalOf makes the log's event of a refusal that concerns a whole channel.
func refusalOf(err error, channel string) audit.Event {
	step := "refresh"
	var r *verify.Refusal
	if errors.As(err, &r) {
		step = r.Step()
	}
	return audit.Event{Kind: audit.Refused, Reason: reason.Of(err), Step: step, Message: err.Error(), Channel: channel}
}

// noteRefusal logs a refusal unless it is the one that was logged last for the
// same deployment: a device that polls a broken registry for a month writes one
// event and not nine thousand. It returns err, or the log's own error.
// What fails since the agent is being stopped is not noted. q is what the verifier
// was asked, nil where it was not.
func (a *Agent) noteRefusal(ctx context.Context, now time.Time, deployment string, attempt Attempt, event audit.Event, q *asked, err error) error {
	if ctx.Err() != nil {
		return err
	}
	attempt.At = now.UTC()
	last, known := a.state.Attempts[deployment]
	same := known && last.Order == attempt.Order && last.Policy == attempt.Policy && last.Reason == attempt.Reason
	if !same {
		// Not reaching the other side is no decision; only a refusal is logged.
		if attempt.Reason != reason.Unreachable {
			event.Inputs = a.keepRefusal(ctx, q, event, err)
			if logErr := a.logRefusal(now, event, err); logErr != nil {
				return errors.Join(err, logErr)
			}
		}
		a.state.Attempts[deployment] = attempt
		if saveErr := a.dirs.saveState(a.state); saveErr != nil {
			return errors.Join(err, saveErr)
		}
	}
	return err
}

// logRefusal writes a refusal and, when it is one, the proof of an equivocation.
func (a *Agent) logRefusal(now time.Time, event audit.Event, err error) error {
	var twice *tufclient.Equivocation
	if errors.As(err, &twice) && event.Channel != "" {
		proof := audit.Event{Kind: audit.Equivocation, Channel: event.Channel, Message: twice.Error(), Evidence: twice.Documents[:]}
		if _, err := a.log.Append(now, proof); err != nil {
			return err
		}
	}
	_, logErr := a.log.Append(now, event)
	return logErr
}
