package applytest

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"testing"
	"time"
)

// killedAtRandom kills the agent at random moments of a change, which are not
// only those of our own points, and sees the next cycle converge (attack D11).
// CONSIGN_SEED in the log names the moments.
func killedAtRandom(t *testing.T, s *site) {
	bin, err := stoppable()
	s.w.Must(err)
	s.publish("1.0.0")
	s.order("1.0.0", "start")
	s.sync("installed")
	s.order("1.0.0", "timed")
	begin := time.Now()
	s.w.Must(s.agent(bin))
	took := time.Since(begin)
	seed := uint64(begin.UnixNano())
	t.Logf("seed %d, a cycle takes %v", seed, took)
	random := rand.New(rand.NewPCG(seed, 0))
	for n := range randomKills / s.k.Costs() {
		greeting := fmt.Sprintf("after random %d", n)
		s.order("1.0.0", greeting)
		wait := time.Duration(random.Int64N(int64(took)))
		s.killAfter(bin, wait)
		s.d.Events() // checks the whole log
		// An applier whose agent died is given time to notice, as on a machine that
		// starts the agent again.
		s.w.Now = s.w.Now.Add(2 * time.Minute)
		if _, err := s.d.Sync(); err != nil {
			s.Fatalf("kill %d, after %v: the next cycle: %v", n, wait, err)
		}
		s.answers(greeting + " (hello 1.0.0)")
		s.d.Events()
	}
}

// killAfter kills a cycle of the built program after a time, unless it ended.
func (s *site) killAfter(bin string, wait time.Duration) {
	s.Helper()
	cmd := s.command(bin)
	out := &bytes.Buffer{}
	cmd.Stdout, cmd.Stderr = out, out
	// The applier inherits nothing of these; what outlives the agent is not waited for.
	cmd.WaitDelay = time.Minute
	s.w.Must(cmd.Start())
	killer := time.AfterFunc(wait, func() { _ = cmd.Process.Kill() })
	defer killer.Stop()
	if err := cmd.Wait(); err != nil && cmd.ProcessState.ExitCode() != -1 {
		s.Fatalf("agent sync: %v: %s", err, out)
	}
}
