package cells

import (
	"errors"
	"os"
	"path/filepath"
	"testing"

	"github.com/consign-dev/consign/internal/agent"
	"github.com/consign-dev/consign/internal/audit"
)

// TestAttackD4OlderStateWithACluster: the device's disk goes back to an older state,
// the cluster does not. Alone, the device takes what it remembers for what is to run
// and reports the difference; the next contact brings back what was ordered last; and
// whoever kept a checkpoint of the log sees that the log went back.
func TestAttackD4OlderStateWithACluster(t *testing.T) {
	s := newScene(t)
	s.installed("1.0.0", "old")
	older := filepath.Join(s.Dir, "older")
	s.Must(os.CopyFS(older, os.DirFS(s.d.Config.StateDir)))
	s.Publish("acme", "1.1.0", nil)
	s.order("1.1.0", "new")
	s.sync(agent.Upgraded)
	s.greets("new")
	log := filepath.Join(s.d.Config.StateDir, "log")
	kept, err := os.ReadFile(filepath.Join(log, "checkpoint"))
	s.Must(err)

	s.Must(os.RemoveAll(s.d.Config.StateDir))
	s.Must(os.Rename(older, s.d.Config.StateDir))
	s.StopRegistry()
	res, err := s.d.Watch()
	s.Must(err)
	if len(res.Changes) != 1 || res.Changes[0].Action != agent.Corrected {
		t.Fatalf("the look led to %+v", res.Changes)
	}
	s.greets("old")

	s.StartRegistry()
	s.sync(agent.Upgraded)
	s.greets("new")
	s.sync(agent.Unchanged)
	var found *audit.TamperError
	if _, err := audit.Verify(t.Context(), log, s.d.LogKey, kept, nil); !errors.As(err, &found) {
		t.Errorf("against a checkpoint from before, the log says %v", err)
	}
}
