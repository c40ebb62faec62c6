package world_test

import (
	"strings"
	"testing"

	"github.com/consign-dev/consign/internal/agent"
	"github.com/consign-dev/consign/internal/reason"
	"github.com/consign-dev/consign/internal/world"
)

// TestWhatThePolicyRulesOut: a running version that the operator rules out stays
// or is stopped, as onNoGood says, although no update failed.
func TestWhatThePolicyRulesOut(t *testing.T) {
	w := world.New(t)
	w.Publish("acme", "1.0.0", nil)
	d := w.Device("press-07", engine(t))
	t.Cleanup(func() { w.Cleanup(); w.SetPolicy(""); takeAway(w, d) })
	port := world.FreePort(t)
	w.Deploy(d.ID, "1.0.0", map[string]string{"port": port, "greeting": "old"})
	res, err := d.Sync()
	wantAction(t, res, err, agent.Installed)

	w.SetPolicy("    mayRemove: true\n    minimumVersion: 2.0.0\n")
	_, err = d.Sync()
	wantReason(t, err, reason.Downgrade)
	if got := get(t, port); got != "old (hello 1.0.0)" {
		t.Errorf("kept, it answers %q", got)
	}
	w.SetPolicy("    mayRemove: true\n    minimumVersion: 2.0.0\n    onNoGood: stop\n")
	_, err = d.Sync()
	if err == nil || !strings.Contains(err.Error(), string(reason.Downgrade)) {
		t.Errorf("stopped, the cycle says %v", err)
	}
	if got := get(t, port); !strings.Contains(got, "refused") {
		t.Errorf("stopped, it answers %q", got)
	}
	if kinds := d.Events(); kinds[len(kinds)-1] != "removed" {
		t.Errorf("the log ends with %q", kinds)
	}
}
