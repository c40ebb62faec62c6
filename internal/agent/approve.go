package agent

import (
	"context"
	"errors"
	"io/fs"
	"time"

	"github.com/opencontainers/go-digest"

	"github.com/consign-dev/consign/internal/audit"
)

// Approval is approved.json: which desired state a person at the device lets
// the agent apply. Another order of the operator needs another approval.
type Approval struct {
	DesiredState digest.Digest `json:"desiredState"`
	At           time.Time     `json:"at"`
}

// Ordered is one order that an approval covers.
type Ordered struct {
	Deployment  string `json:"deployment"`
	Application string `json:"application"`
	Version     string `json:"version"`
}

// Approve lets the desired state that was fetched last be applied, where the
// configuration demands that (requireApproval). It works beside a running
// agent, which takes the approval up in its next cycle and logs it then.
func (a *Agent) Approve(ctx context.Context, system time.Time) (Approval, []Ordered, error) {
	v, err := a.stored(ctx, system)
	if err != nil {
		return Approval{}, nil, err
	}
	out := Approval{DesiredState: v.orders.State(), At: system.UTC()}
	list := []Ordered{}
	for _, o := range v.orders.List() {
		list = append(list, Ordered{Deployment: o.Deployment().ID, Application: o.Deployment().Spec.ApplicationID, Version: o.Terms().Bundle.Version})
	}
	return out, list, writeJSON(a.dirs.approved(), out)
}

// takeApproval logs an approval of what is ordered now, once.
func (a *Agent) takeApproval(system time.Time, v *view) error {
	var ap Approval
	if err := readJSON(a.dirs.approved(), &ap); errors.Is(err, fs.ErrNotExist) {
		return nil
	} else if err != nil {
		return err
	}
	if ap.DesiredState != v.orders.State() || a.state.Approved == ap.DesiredState {
		return nil
	}
	event := audit.Event{Kind: audit.Approved, DesiredState: ap.DesiredState, Policy: v.orders.Policy().Digest(), Program: a.opts.Program}
	if _, err := a.log.Append(system, event); err != nil {
		return err
	}
	a.state.Approved, a.moved = ap.DesiredState, true
	return a.dirs.saveState(a.state)
}
