package kills

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"
)

// rounds is how often something random is done.
func rounds(short, long int) int {
	if soak {
		return long
	}
	return short
}

// after sends a signal to a command after a time, unless it has ended, and
// returns how it ended.
func (tr *trial) after(wait time.Duration, sig syscall.Signal, c command) ended {
	tr.Helper()
	cmd, out := tr.start(c)
	tr.w.Must(cmd.Start())
	defer time.AfterFunc(wait, func() { _ = cmd.Process.Signal(sig) }).Stop()
	defer time.AfterFunc(2*time.Minute, func() { _ = cmd.Process.Kill() }).Stop()
	return tr.wait(cmd, out)
}

// duration is how long a command takes undisturbed.
func (s *scene) duration(c command) time.Duration {
	s.Helper()
	var took time.Duration
	s.try(func(tr *trial) {
		begin := time.Now()
		tr.succeed("undisturbed", c)
		took = time.Since(begin)
	})
	return took
}

// TestSyncStoppedAtRandom kills "agent sync" at random moments, which are not
// only those of our own points, or asks it to end. One that was asked ends by
// itself, and leaves no gap but that of an apply that it cut off.
func TestSyncStoppedAtRandom(t *testing.T) {
	s := newScene(t)
	dev := s.upgrading()
	random, took := s.random(), s.duration(dev.sync)
	for n := range rounds(6, 300) {
		wait := time.Duration(random.Int64N(int64(took)))
		sig := []syscall.Signal{syscall.SIGKILL, syscall.SIGTERM, syscall.SIGINT}[n%3]
		step := fmt.Sprintf("%v after %v", sig, wait)
		s.try(func(tr *trial) {
			if end := tr.after(wait, sig, dev.sync); sig != syscall.SIGKILL && end.killed() {
				// A signal that comes before the program listens ends it, too.
				if report := dev.log(tr, step).report; report.Pending > 0 {
					tr.Errorf("%s: the agent did not end by itself: %s", step, end.text)
				}
			}
			dev.recovers(tr, step)
		})
		if s.Failed() {
			s.Fatalf("at %s", step)
		}
	}
}

// TestSyncKilledTwice kills the cycle that recovers from a kill.
func TestSyncKilledTwice(t *testing.T) {
	s := newScene(t)
	dev := s.upgrading()
	random := s.random()
	for range rounds(3, 200) {
		first, second := 1+random.IntN(240), 1+random.IntN(240)
		step := fmt.Sprintf("*:%d, then *:%d", first, second)
		s.try(func(tr *trial) {
			tr.run(dev.sync, fmt.Sprintf("CONSIGN_FAULT=*:%d:kill", first))
			intents := dev.log(tr, step).report.OpenIntents
			tr.run(dev.sync, fmt.Sprintf("CONSIGN_FAULT=*:%d:kill", second))
			cut := dev.log(tr, step)
			dev.recovers(tr, step)
			cut.report.OpenIntents = append(cut.report.OpenIntents, intents...)
			dev.converged(tr, step, cut)
		})
		if s.Failed() {
			s.Fatalf("at %s", step)
		}
	}
}

// TestPublishStoppedAtRandom kills a publisher at a random moment, and once more
// while it recovers.
func TestPublishStoppedAtRandom(t *testing.T) {
	s := newScene(t)
	c := s.publishing()
	random, took := s.random(), s.duration(c.cmd)
	for n := range rounds(3, 300) {
		first, second := time.Duration(random.Int64N(int64(took))), time.Duration(random.Int64N(int64(took)))
		step := fmt.Sprintf("killed after %v and %v", first, second)
		s.try(func(tr *trial) {
			tr.after(first, syscall.SIGKILL, c.cmd)
			tr.after(second, syscall.SIGKILL, c.cmd)
			tr.recovers(c, step, n%3 == 2)
		})
		if s.Failed() {
			s.Fatalf("at %s", step)
		}
	}
}

// TestRegistryKilledWhileCommitted kills "publisher registry serve" while a
// publisher publishes to it. The publisher says that it could not reach the
// registry, or is done; the registry comes back with the state before or after.
func TestRegistryKilledWhileCommitted(t *testing.T) {
	s := newScene(t)
	c := s.publishing()
	random, took := s.random(), s.duration(c.cmd)
	for range rounds(2, 100) {
		wait := time.Duration(random.Int64N(int64(took)))
		step := fmt.Sprintf("registry killed after %v", wait)
		s.try(func(tr *trial) {
			served := tr.serveProgram()
			killer := time.AfterFunc(wait, func() { _ = served.Process.Kill() })
			end := tr.run(c.cmd)
			killer.Stop()
			_ = served.Process.Kill()
			_ = served.Wait()
			if end.code != 0 && end.code != 4 {
				tr.Errorf("%s: exit %d: %s", step, end.code, end.text)
			}
			tr.reopen()
			tr.recovers(c, step, false)
		})
		if s.Failed() {
			s.Fatalf("at %s", step)
		}
	}
}

// serveProgram puts the registry program in the place of the registry.
func (tr *trial) serveProgram() *exec.Cmd {
	tr.Helper()
	tr.w.Must(tr.reg.Close(tr.w.Context()))
	cmd := exec.Command(filepath.Join(tr.bin, "publisher"), "registry", "serve", "--dir", tr.path("registry"), "--listen", "127.0.0.1:0")
	address := tr.path("address")
	out, err := os.Create(address)
	tr.w.Must(err)
	defer out.Close()
	cmd.Stdout = out
	tr.w.Must(cmd.Start())
	tr.Cleanup(func() { _ = cmd.Process.Kill() })
	deadline := time.Now().Add(time.Minute)
	for {
		data, err := os.ReadFile(address)
		tr.w.Must(err)
		if line, ok := strings.CutSuffix(string(data), "\n"); ok {
			tr.relay(strings.TrimPrefix(line, "serving on "))
			return cmd
		}
		if time.Now().After(deadline) {
			tr.Fatal("the registry does not start")
		}
		time.Sleep(10 * time.Millisecond)
	}
}
