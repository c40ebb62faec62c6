package world_test

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/consign-dev/consign/internal/agent"
	"github.com/consign-dev/consign/internal/world"
)

// A poll that finds nothing new: no applier is started. The registry is a process of
// its own; cpu-ms is the processor time of the device alone.
func BenchmarkNoChange(b *testing.B) {
	if started := benchmarkCycles(b, agent.OrdersOnly); started != 0 {
		b.Fatalf("%d appliers were started in %d cycles that found nothing new", started, b.N)
	}
}

// A look at what runs, by the applier of a recording engine, with the poll. cpu-ms is
// the processor time of the agent, applier-cpu-ms that of the applier it starts.
func BenchmarkNoChangeAndObserve(b *testing.B) {
	if started := benchmarkCycles(b, agent.Everything); started != b.N {
		b.Fatalf("%d appliers were started in %d looks at one component", started, b.N)
	}
}

// One agent that goes on running polls without an applier, looks with one, and sees
// what is published meanwhile.
func TestAPollStartsNoApplier(t *testing.T) {
	t.Parallel()
	w := world.New(t)
	d := w.Recorded("press-07")
	d.Programs = counting(t, d.Programs)
	w.Publish("acme", "1.0.0", nil)
	w.Deploy(d.ID, "1.0.0", nil)
	a, err := d.Open()
	w.Must(err)
	defer a.Close()
	sync := func(scope agent.Scope, want agent.Action) (started int) {
		t.Helper()
		before := starts(t, d.Programs)
		res, err := a.Sync(w.Context(), w.Now, scope)
		if err != nil || len(res.Changes) != 1 || res.Changes[0].Action != want {
			t.Fatalf("%+v, %v; want %s", res, err, want)
		}
		return starts(t, d.Programs) - before
	}
	sync(agent.Everything, agent.Installed)
	for range 2 {
		if n := sync(agent.OrdersOnly, agent.Unchanged); n != 0 {
			t.Errorf("a poll that found nothing new started %d appliers", n)
		}
	}
	if n := sync(agent.Everything, agent.Unchanged); n != 1 {
		t.Errorf("a look at one component started %d appliers", n)
	}
	w.Publish("acme", "1.1.0", nil)
	w.Deploy(d.ID, "1.1.0", nil)
	sync(agent.OrdersOnly, agent.Upgraded)
	w.SetPolicy("    mayRemove: true\n")
	sync(agent.OrdersOnly, agent.Unchanged)
}

// benchmarkCycles returns how many appliers the cycles started.
func benchmarkCycles(b *testing.B, scope agent.Scope) int {
	w := world.New(b)
	d := w.Recorded("press-07")
	d.Programs = counting(b, d.Programs)
	w.Publish("acme", "1.0.0", nil)
	w.Deploy(d.ID, "1.0.0", nil)
	if _, err := d.Sync(); err != nil {
		b.Fatal(err)
	}
	w.StopRegistry()
	serve(b, w.RegistryDir, w.Host)
	a, err := d.Open()
	if err != nil {
		b.Fatal(err)
	}
	defer a.Close()
	cycle := func() {
		if res, err := a.Sync(w.Context(), w.Now, scope); err != nil || len(res.Changes) != 1 || res.Changes[0].Action != agent.Unchanged {
			b.Fatal(res, err)
		}
	}
	cycle() // the first connects and reads what is stored
	before, own, children := starts(b, d.Programs), processorTime(b, unix.RUSAGE_SELF), processorTime(b, unix.RUSAGE_CHILDREN)
	for b.Loop() {
		cycle()
	}
	b.ReportMetric(perCycle(b, processorTime(b, unix.RUSAGE_SELF)-own), "cpu-ms/op")
	if scope == agent.Everything {
		b.ReportMetric(perCycle(b, processorTime(b, unix.RUSAGE_CHILDREN)-children), "applier-cpu-ms/op")
	}
	return starts(b, d.Programs) - before
}

func perCycle(b *testing.B, d time.Duration) float64 {
	return float64(d) / float64(b.N) / float64(time.Millisecond)
}

func processorTime(b *testing.B, whose int) time.Duration {
	b.Helper()
	var u unix.Rusage
	if err := unix.Getrusage(whose, &u); err != nil {
		b.Fatal(err)
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

// counting is a directory with the applier of another, each start of which is
// written down.
func counting(tb testing.TB, programs string) string {
	tb.Helper()
	dir := tb.TempDir()
	script := fmt.Sprintf("#!/bin/sh\necho >>%s/starts\nexec %s/applier-compose \"$@\"\n", dir, programs)
	if err := os.WriteFile(filepath.Join(dir, "applier-compose"), []byte(script), 0o700); err != nil {
		tb.Fatal(err)
	}
	return dir
}

// starts is how often the applier of such a directory was started.
func starts(tb testing.TB, dir string) int {
	tb.Helper()
	data, err := os.ReadFile(filepath.Join(dir, "starts"))
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		tb.Fatal(err)
	}
	return bytes.Count(data, []byte("\n"))
}
