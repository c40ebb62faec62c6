package world

import (
	"path/filepath"

	"github.com/consign-dev/consign/internal/agent"
	"github.com/consign-dev/consign/internal/auditor"
)

// Export is "agent log export" into a directory that is not there yet.
func (d *Device) Export(dir string) (agent.Exported, error) {
	a, err := agent.Look(d.Config, agent.Options{ApplierDir: d.programs()})
	if err != nil {
		return agent.Exported{}, err
	}
	defer a.Close()
	return a.Export(d.w.Context(), dir)
}

// Replay is "auditor replay" of an export with the true key and root; event nil is
// every decision.
func (d *Device) Replay(dir string, event *uint64) (auditor.Replayed, error) {
	return auditor.Replay(d.w.Context(), d.ReplayRequest(dir, event))
}

// ReplayRequest is what [Device.Replay] asks.
func (d *Device) ReplayRequest(dir string, event *uint64) auditor.ReplayRequest {
	return auditor.ReplayRequest{
		Request: auditor.Request{Key: d.LogKey}, Export: dir, Root: filepath.Join(d.w.Dir, "plant", "root.json"), Event: event,
	}
}
