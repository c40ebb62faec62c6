package agent

import (
	"context"
	"time"

	"github.com/consign-dev/consign/internal/reason"
	"github.com/consign-dev/consign/internal/verify"
)

// Accepted is the action of [Agent.Verify] for an order that would be applied.
const Accepted Action = "accepted"

// Verify judges what is ordered, up to the moment before the machine would be
// changed, and writes nothing into the device log. With application not empty
// only that one is judged.
func (a *Agent) Verify(ctx context.Context, system time.Time, application string) (*Result, error) {
	res := &Result{Device: a.identity.Device, Changes: []Change{}, Events: a.log.Size()}
	view, err := a.refresh(ctx, system)
	if err != nil {
		return res, err
	}
	for _, o := range view.orders.List() {
		d := o.Deployment()
		if application != "" && d.Spec.ApplicationID != application {
			continue
		}
		c := Change{Deployment: d.ID, Application: d.Spec.ApplicationID, Version: o.Terms().Bundle.Version, Action: Accepted}
		permit, err := a.approve(ctx, view, o, view.ask(o))
		if err != nil {
			c.Action, c.Reason, c.Message, c.Steps, c.err = Refused, reason.Of(err), err.Error(), verify.StepsOf(err), err
		} else {
			c.Steps = permit.Steps()
		}
		c.Steps = append(append([]verify.Step(nil), view.orders.Steps()...), c.Steps...)
		res.Changes = append(res.Changes, c)
	}
	if application != "" && len(res.Changes) == 0 {
		return res, reason.New(reason.NoOrder, "no deployment of application %q is ordered for device %s", application, a.identity.Device)
	}
	return res, nil
}
