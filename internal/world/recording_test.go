package world_test

import (
	"strings"
	"testing"

	"github.com/consign-dev/consign/internal/agent"
	"github.com/consign-dev/consign/internal/world"
)

// TestRecorder: a device with the recording applier does all that others do, so
// what is shown with it holds for the agent.
func TestRecorder(t *testing.T) {
	w := world.New(t)
	d := w.Recorded("press-07")
	w.Publish("acme", "1.0.0", nil)
	w.Deploy("press-07", "1.0.0", map[string]string{"greeting": "recorded", "port": "8080"})
	for _, want := range []agent.Action{agent.Installed, agent.Unchanged} {
		res, err := d.Sync()
		w.Must(err)
		if len(res.Changes) != 1 || res.Changes[0].Action != want {
			t.Fatalf("%+v, want %s", res.Changes, want)
		}
	}
	if runs := d.Runs(); len(runs) != 1 || !strings.Contains(runs[0], `"healthy"`) {
		t.Errorf("runs %q", runs)
	}
	w.Undeploy("hello", "press-07")
	_, err := d.Sync()
	w.Must(err)
	if runs := d.Runs(); len(runs) != 0 {
		t.Errorf("after the removal %q run", runs)
	}
	if journal := strings.Join(d.Journal(), "\n"); !strings.Contains(journal, "pull sha256:") || !strings.Contains(journal, "stop ") {
		t.Errorf("the journal is %s", journal)
	}
}
