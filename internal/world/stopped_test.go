package world_test

import (
	"context"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/consign-dev/consign/internal/agent"
	"github.com/consign-dev/consign/internal/world"
)

// TestStopIsNoFailure: an agent that is stopped in the middle of an apply says of
// it neither that it worked nor that it failed, counts nothing against the
// version, and does it at once when it runs again.
func TestStopIsNoFailure(t *testing.T) {
	w := world.New(t)
	d := w.Recorded("press-07")
	w.Publish("acme", "1.0.0", nil)
	w.Deploy(d.ID, "1.0.0", map[string]string{"port": "8080"})
	w.Must(os.MkdirAll(d.Engine, 0o700))
	stall := filepath.Join(d.Engine, "stall")
	w.Must(unix.Mkfifo(stall, 0o600))
	stopDuringApply(t, d, stall)
	before := d.Events()
	if last := before[len(before)-1]; last != "intent:apply" {
		t.Errorf("the log ends with %q: %q", last, before)
	}
	w.Must(os.Remove(stall))
	res, err := d.Sync()
	if err != nil || len(res.Changes) != 1 || res.Changes[0].Action != agent.Installed {
		t.Errorf("the next cycle: %+v, %v", res.Changes, err)
	}
	if news := d.Events()[len(before):]; !slices.Equal(news, []string{"gap", "accepted", "intent:apply", "outcome"}) {
		t.Errorf("the log goes on with %q", news)
	}
}

// stopDuringApply runs the agent until the applier stalls, and then stops it.
func stopDuringApply(t *testing.T, d *world.Recorded, stall string) {
	t.Helper()
	ctx, stop := context.WithCancel(t.Context())
	defer stop()
	began, cycle, ended := make(chan error, 1), make(chan error, 1), make(chan error, 1)
	go func() {
		_, err := os.ReadFile(stall)
		began <- err
	}()
	go func() {
		ended <- d.Run(ctx, func(_ *agent.Result, err error) {
			select {
			case cycle <- err:
			default:
			}
		})
	}()
	select {
	case err := <-began:
		if err != nil {
			t.Fatal(err)
		}
	case err := <-cycle:
		t.Errorf("a cycle ended before the applier stalled: %v", err)
	case err := <-ended:
		t.Fatalf("the agent ended before the applier stalled: %v", err)
	}
	stop()
	<-ended
}
