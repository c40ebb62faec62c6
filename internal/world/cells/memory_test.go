package cells

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/consign-dev/consign/internal/margo"
	"github.com/consign-dev/consign/internal/world"
)

// BenchmarkMemory runs "agent run" beside an application, idle and through an upgrade:
// idle-MB is resident then, peak-MB the most that was (VmHWM), applier-peak-MB that of
// the programs which it starts, looked at every few milliseconds. A cycle is one
// upgrade; its time says nothing.
func BenchmarkMemory(b *testing.B) {
	b.Run("compose", func(b *testing.B) {
		engine := os.Getenv("CONSIGN_TEST_ENGINE")
		if engine == "" {
			b.Fatal("no Docker engine (CONSIGN_TEST_ENGINE): run this with make test ARGS='-run ^$ -bench Memory ./internal/world/cells'")
		}
		s := &scene{World: world.New(b)}
		s.d = s.DeviceFor("press-07", engine, margo.TypeCompose)
		defer func() {
			s.Undeploy("hello", s.d.ID)
			_, err := s.d.Sync()
			s.Must(err)
		}()
		measureUpgrade(b, s, filepath.Join(world.Programs(b), "applier-compose"))
	})
	b.Run("chart", func(b *testing.B) { measureUpgrade(b, newScene(b), helm(b)) })
}

func measureUpgrade(b *testing.B, s *scene, applier string) {
	program, config := s.program(applier)
	text, err := os.ReadFile(config)
	s.Must(err)
	s.Must(os.WriteFile(config, append(text, "pollInterval: 5s\nobserveInterval: 5s\n"...), 0o600))
	values := map[string]string{"greeting": "hello", "port": world.FreePort(b)}
	next := func(n int) string {
		version := fmt.Sprintf("1.0.%d", n)
		s.Publish("acme", version, nil)
		s.deployment = s.Deploy(s.d.ID, version, values)
		return version
	}
	next(0)
	_, err = s.d.Sync()
	s.Must(err)

	run := exec.Command(program, "run", "--config", config)
	run.Stderr = os.Stderr
	s.Must(run.Start())
	defer func() {
		_ = run.Process.Kill()
		_ = run.Wait()
	}()
	time.Sleep(20 * time.Second) // four polls and four looks
	idle, anonymous := status(b, run.Process.Pid, "VmRSS"), status(b, run.Process.Pid, "RssAnon")
	stop, peak := make(chan struct{}), make(chan float64)
	go func() { peak <- peakOfChildren(run.Process.Pid, stop) }()
	b.ResetTimer()
	for n := range b.N {
		version := next(n + 1)
		s.eventually("the upgrade to "+version, func() bool {
			out, _ := exec.Command(program, "status", "--config", config).Output() // beside the agent's work it may fail
			return strings.Contains(string(out), "hello "+version+", applied ")
		})
	}
	close(stop)
	b.ReportMetric(idle, "idle-MB")
	b.ReportMetric(anonymous, "idle-anonymous-MB")
	b.ReportMetric(<-peak, "applier-peak-MB")
	b.ReportMetric(status(b, run.Process.Pid, "VmHWM"), "peak-MB")
}

// status is a number of /proc/PID/status in megabytes.
func status(b *testing.B, pid int, field string) float64 {
	b.Helper()
	data, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	if err != nil {
		b.Fatal(err)
	}
	return kilobytes(string(data), field) / 1000
}

func kilobytes(status, field string) float64 {
	_, rest, _ := strings.Cut(status, "\n"+field+":")
	number, _, _ := strings.Cut(strings.TrimSpace(rest), " ")
	n, _ := strconv.ParseFloat(number, 64)
	return n * 1.024
}

// peakOfChildren is the most that one applier of an agent had resident, in megabytes.
func peakOfChildren(parent int, stop <-chan struct{}) (peak float64) {
	for tick := time.NewTicker(3 * time.Millisecond); ; {
		lists, _ := filepath.Glob(fmt.Sprintf("/proc/%d/task/*/children", parent))
		for _, list := range lists {
			children, _ := os.ReadFile(list)
			for _, child := range strings.Fields(string(children)) {
				data, _ := os.ReadFile("/proc/" + child + "/status")    // it may have ended
				if strings.HasPrefix(string(data), "Name:\tapplier-") { // before that it has the memory of its parent
					peak = max(peak, kilobytes(string(data), "VmHWM")/1000)
				}
			}
		}
		select {
		case <-stop:
			tick.Stop()
			return peak
		case <-tick.C:
		}
	}
}
