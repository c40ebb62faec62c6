package world_test

import (
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/consign-dev/consign/internal/agent"
	"github.com/consign-dev/consign/internal/world"
)

// A poll that finds nothing new: no applier is started. cpu-ms is the processor
// time of the whole process, so that of the registry, which is in it, as well.
func BenchmarkNoChange(b *testing.B) { benchmarkCycles(b, agent.OrdersOnly) }

// A look at what runs, by the applier of a recording engine, with the poll.
func BenchmarkNoChangeAndObserve(b *testing.B) { benchmarkCycles(b, agent.Everything) }

func benchmarkCycles(b *testing.B, scope agent.Scope) {
	w := world.New(b)
	d := w.Recorded("press-07")
	w.Publish("acme", "1.0.0", nil)
	w.Deploy(d.ID, "1.0.0", nil)
	if _, err := d.Sync(); err != nil {
		b.Fatal(err)
	}
	a, err := d.Open()
	if err != nil {
		b.Fatal(err)
	}
	defer a.Close()
	before := processorTime(b)
	for b.Loop() {
		if _, err := a.Sync(w.Context(), w.Now, scope); err != nil {
			b.Fatal(err)
		}
	}
	b.ReportMetric(float64(processorTime(b)-before)/float64(b.N)/float64(time.Millisecond), "cpu-ms/op")
}

func processorTime(b *testing.B) time.Duration {
	b.Helper()
	var u unix.Rusage
	if err := unix.Getrusage(unix.RUSAGE_SELF, &u); err != nil {
		b.Fatal(err)
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}
