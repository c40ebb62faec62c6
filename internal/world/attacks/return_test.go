package attacks

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/consign-dev/consign/internal/agent"
	"github.com/consign-dev/consign/internal/audit"
	"github.com/consign-dev/consign/internal/reason"
	"github.com/consign-dev/consign/internal/world"
)

// sicken has the device's engine find every container of a version unhealthy.
func (s *site) sicken(version string) {
	s.T.Helper()
	s.Must(os.WriteFile(filepath.Join(s.D.Engine, "sick"), []byte(s.Bundle(version).Images[0].Manifest.Digest+"\n"), 0o600))
}

// TestAttackH11LastGoodIsRuledOut: the policy rules out the version that runs, and
// the one that takes its place does not become healthy. The former does not come
// back by way of that failure.
func TestAttackH11LastGoodIsRuledOut(t *testing.T) {
	s := fresh(t)
	s.sicken("1.1.0")
	s.Deploy(device, "1.1.0", nil)
	s.SetPolicy("    mayRemove: true\n    minimumVersion: 1.1.0\n    onNoGood: stop\n")
	res, err := s.D.Sync()
	if err == nil || !strings.Contains(err.Error(), "lower than 1.1.0") {
		t.Errorf("the device says %v, want the reason %s", err, reason.Downgrade)
	}
	if len(res.Changes) != 1 || res.Changes[0].Reason != reason.Health || res.Changes[0].Returned != "" {
		t.Errorf("the device did %+v", res.Changes)
	}
	if runs := s.D.Runs(); len(runs) > 0 {
		t.Errorf("%q run although neither version may", runs)
	}
	if kinds := strings.Join(s.D.Events(), " "); !strings.HasSuffix(kinds, "outcome:health intent:remove removed") {
		t.Errorf("the log says %s", kinds)
	}
	s.Must(os.Remove(filepath.Join(s.D.Engine, "sick")))
	s.Recovers(t)
}

// TestAttackD4OlderState: the device's disk goes back to an older state and the
// engine does not. Alone, the device takes what it remembers for what is to run and
// says so; the next contact brings back what was ordered last; and whoever kept a
// checkpoint of the log sees that it went back, also when it has grown past it.
func TestAttackD4OlderState(t *testing.T) {
	s := fresh(t)
	older := filepath.Join(s.Dir, "older")
	s.Must(world.CopyTree(s.D.Config.StateDir, older))
	first := s.D.Runs()
	s.Recovers(t)
	kept, newest := s.checkpoint(s.D), s.D.Runs()

	s.Must(os.RemoveAll(s.D.Config.StateDir))
	s.Must(os.Rename(older, s.D.Config.StateDir))
	s.StopRegistry()
	res, err := s.D.Watch()
	s.Must(err)
	if len(res.Changes) != 1 || res.Changes[0].Action != agent.Corrected {
		t.Errorf("the look led to %+v", res.Changes)
	}
	if runs := s.D.Runs(); len(runs) != 1 || runs[0] != first[0] {
		t.Errorf("%q run, want %q", runs, first)
	}

	s.StartRegistry()
	if res, err := s.D.Sync(); err != nil || len(res.Changes) != 1 || res.Changes[0].Action != agent.Upgraded {
		t.Fatalf("the next contact led to %+v: %v", res.Changes, err)
	}
	if runs := s.D.Runs(); len(runs) != 1 || runs[0] != newest[0] {
		t.Errorf("%q run, want %q", runs, newest)
	}
	for range 2 {
		if _, err := s.audit(s.D, kept); !audit.IsTampering(err) {
			t.Errorf("against a checkpoint from before, the log says %v", err)
		}
		s.Recovers(t)
	}
}
