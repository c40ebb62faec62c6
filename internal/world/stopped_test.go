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

// TestStopIsNoFailure: an agent that is stopped in the middle of an apply, a
// correction or a removal says of it neither that it worked nor that it failed,
// counts nothing against the version, and does it at once when it runs again.
func TestStopIsNoFailure(t *testing.T) {
	w := world.New(t)
	d := w.Recorded("press-07")
	w.Must(os.MkdirAll(d.Engine, 0o700))
	w.Publish("acme", "1.0.0", nil)
	for _, c := range []struct {
		name       string
		begin      func()
		last, then []string
		action     agent.Action
	}{
		{
			"apply", func() { w.Deploy(d.ID, "1.0.0", map[string]string{"port": "8080"}) },
			[]string{"intent:apply"}, []string{"gap", "accepted", "intent:apply", "outcome"}, agent.Installed,
		},
		{
			"correction", func() { w.Must(os.Remove(filepath.Join(d.Engine, "projects", projectOf(d)))) },
			[]string{"drifted", "intent:apply"}, []string{"gap", "intent:apply", "outcome"}, agent.Corrected,
		},
		{
			"removal", func() { w.Undeploy("hello", d.ID) },
			[]string{"intent:remove"}, []string{"gap", "refreshed", "intent:remove", "removed"}, agent.Removed,
		},
	} {
		c.begin()
		stall := filepath.Join(d.Engine, "stall")
		w.Must(unix.Mkfifo(stall, 0o600))
		stopDuringApply(t, d, stall)
		before := d.Events()
		if n := max(len(before)-len(c.last), 0); !slices.Equal(before[n:], c.last) {
			t.Errorf("%s: the log ends with %q", c.name, before)
		}
		w.Must(os.Remove(stall))
		res, err := d.Sync()
		if err != nil || len(res.Changes) != 1 || res.Changes[0].Action != c.action {
			t.Errorf("%s: the next cycle: %+v, %v", c.name, res.Changes, err)
		}
		if news := d.Events()[len(before):]; !slices.Equal(news, c.then) {
			t.Errorf("%s: the log goes on with %q", c.name, news)
		}
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
