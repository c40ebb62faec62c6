package agent

import (
	"context"
	"path/filepath"
	"time"

	"github.com/consign-dev/consign/internal/apply"
	"github.com/consign-dev/consign/internal/audit"
	"github.com/consign-dev/consign/internal/durable"
	"github.com/consign-dev/consign/internal/reason"
)

// Status is what a person asks a device first: what runs, how fresh is what it
// knows, what went wrong last.
type Status struct {
	Identity
	// Operator is how fresh the deployment channel is.
	Operator Freshness `json:"operator"`
	// LastChange is when a cycle last ended well and found something new; zero
	// for never.
	LastChange    time.Time            `json:"lastChange"`
	Installations []InstallationStatus `json:"installations"`
	// Attempts are the refusals and failures that have not been overcome, by
	// deployment; the key "" is about the deployment channel, [ChannelKey] gives
	// those of release channels.
	Attempts map[string]Attempt `json:"attempts"`
	// Deviations are what was seen to differ from what was applied, by deployment.
	Deviations map[string]Deviation `json:"deviations"`
	// Log is what a whole check of the device log says.
	Log audit.Report `json:"log"`
}

// Freshness says until when trusted metadata may be used for changes.
type Freshness struct {
	SignedAt time.Time `json:"signedAt"`
	Expires  time.Time `json:"expires"`
	// Reason is empty while the metadata is current.
	Reason  reason.Code `json:"reason,omitempty"`
	Message string      `json:"message,omitempty"`
}

// InstallationStatus is an installation with what the engine says about it.
type InstallationStatus struct {
	Installation
	Services []apply.Service `json:"services"`
	// Notes say what the engine cannot hold the containers to, such as a bound on
	// what they write.
	Notes []string `json:"notes,omitempty"`
	// Unknown says why the engine could not be asked.
	Unknown string `json:"unknown,omitempty"`
}

// Status gathers the status and touches neither network nor state.
func (a *Agent) Status(ctx context.Context, system time.Time) (*Status, error) {
	s := &Status{
		Identity: a.identity, Operator: a.freshness(system), LastChange: a.state.LastChange,
		Installations: []InstallationStatus{}, Attempts: a.state.Attempts, Deviations: a.state.present(),
	}
	for _, id := range sortedKeys(a.state.Installed) {
		s.Installations = append(s.Installations, a.observe(ctx, a.state.Installed[id]))
	}
	var err error
	s.Log, err = a.Events(ctx, nil)
	return s, err
}

// Events checks the whole device log against this device's own key and lends
// each event to visit, which may be nil, before the result is known. The check
// is for the device's own use: an auditor takes the key from the operator.
func (a *Agent) Events(ctx context.Context, visit func(audit.Entry) error) (audit.Report, error) {
	key, err := a.dirs.loadLogKey()
	if err != nil {
		return audit.Report{}, err
	}
	return audit.Verify(ctx, a.dirs.log(), key.Public(), nil, visit)
}

func (a *Agent) observe(ctx context.Context, in Installation) InstallationStatus {
	out := InstallationStatus{Installation: in, Services: []apply.Service{}}
	for _, part := range in.Components {
		seen, err := a.applier.Observe(ctx, apply.Observe{Deployment: in.Deployment, Part: part.Part})
		if err != nil {
			out.Unknown = err.Error()
			return out
		}
		out.Services = append(out.Services, seen.Services...)
		for _, n := range seen.Notes {
			out.Notes = append(out.Notes, part.Name+": "+n)
		}
	}
	return out
}

func (a *Agent) freshness(system time.Time) Freshness {
	meta, err := a.operator.Stored(a.now(system))
	if err != nil {
		return Freshness{Reason: reason.Of(err), Message: err.Error()}
	}
	return Freshness{SignedAt: meta.SignedAt(), Expires: meta.Expires()}
}

// SignedCheckpoint returns the newest signed checkpoint of the device log, byte
// for byte (C2SP tlog-checkpoint).
func (a *Agent) SignedCheckpoint() ([]byte, error) {
	return durable.ReadFile(filepath.Join(a.dirs.log(), "checkpoint"), 4<<10)
}

// present are the deviations that are there now.
func (s *state) present() map[string]Deviation {
	out := map[string]Deviation{}
	for id, d := range s.Deviations {
		if d.Text != "" {
			out[id] = d
		}
	}
	return out
}
