package applytest

import (
	"bufio"
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/consign-dev/consign/internal/agent"
	"github.com/consign-dev/consign/internal/testprograms"
)

// stoppable is the directory of the agent and the appliers with stopping points.
var stoppable = sync.OnceValues(func() (string, error) {
	return testprograms.Build("faults", "faults", "./cmd/agent", "./cmd/applier-compose", "./cmd/applier-helm")
})

// soak makes the suite kill at every passage of a stopping point and not only at
// the first, and randomKills says how often it kills at random.
var (
	soak        bool
	randomKills = 20
)

// killedAtEveryStep kills the agent, or the applier under it, at the first
// passage of every stopping point of a change, and sees the next cycle converge
// on the new version with a whole log (attack D11).
func killedAtEveryStep(_ *testing.T, s *site) {
	bin, err := stoppable()
	s.w.Must(err)
	s.publish("1.0.0")
	s.order("1.0.0", "start")
	s.sync(agent.Installed)
	s.order("1.0.0", "traced")
	points := s.trace(bin)
	s.answers("traced (hello 1.0.0)")
	for n, point := range points {
		greeting := fmt.Sprintf("after %d", n)
		s.order("1.0.0", greeting)
		if err := s.agent(bin, "CONSIGN_FAULT="+point); err == nil {
			s.Errorf("%s: the cycle was not killed", point)
		}
		// An applier that died is tried again after a wait.
		s.w.Now = s.w.Now.Add(2 * time.Minute)
		res, err := s.d.Sync()
		if err != nil {
			s.Fatalf("killed at %s: the next cycle: %v", point, err)
		}
		if a := s.only(res, res.Changes[0].Action).Action; !slices.Contains([]agent.Action{agent.Updated, agent.Unchanged}, a) {
			s.Fatalf("killed at %s: the next cycle: %+v", point, res.Changes)
		}
		s.answers(greeting + " (hello 1.0.0)")
		if kinds := s.d.Events(); !strings.HasPrefix(kinds[len(kinds)-1], "outcome") && kinds[len(kinds)-1] != "accepted" && kinds[len(kinds)-1] != "refreshed" {
			s.Fatalf("killed at %s: the log ends with %q", point, kinds[len(kinds)-1])
		}
	}
}

// stages are the beginnings of the points that a change of the machine passes:
// the log, the state, the applier, the engine. What comes before, reading and
// storing, has tests of its own packages.
var stages = []string{"audit.", "apply.", "engine.", "durable.append", "durable.rename", "durable.sync"}

// trace runs a cycle and returns the stages' points that it passes, in the order
// of their first passage; in a soak with further passages of those of the agent,
// as "point:2".
func (s *site) trace(bin string) []string {
	s.Helper()
	file := filepath.Join(s.TempDir(), "trace")
	if err := s.agent(bin, "CONSIGN_FAULT_TRACE="+file); err != nil {
		s.Fatal(err)
	}
	data, err := os.ReadFile(file)
	s.w.Must(err)
	var out []string
	passed := map[string]int{}
	for lines := bufio.NewScanner(bytes.NewReader(data)); lines.Scan(); {
		point := lines.Text()
		stage := slices.ContainsFunc(stages, func(s string) bool { return strings.HasPrefix(point, s) })
		passed[point]++
		switch {
		case stage && passed[point] == 1:
			out = append(out, point)
		case stage && soak && !strings.HasPrefix(point, "engine."):
			out = append(out, fmt.Sprintf("%s:%d", point, passed[point]))
		}
	}
	if !slices.Contains(out, s.k.Acts()) || !slices.Contains(out, "audit.append") {
		s.Fatalf("the cycle passed only %q", out)
	}
	return out
}

// agent runs one cycle of the built program.
func (s *site) agent(bin string, env ...string) error {
	s.Helper()
	cmd := s.command(bin, env...)
	out, err := cmd.CombinedOutput()
	if err != nil {
		err = fmt.Errorf("agent sync: %w: %s", err, out)
	}
	return err
}

// command is one cycle of the built program.
func (s *site) command(bin string, env ...string) *exec.Cmd {
	s.Helper()
	config := filepath.Join(s.TempDir(), "agent.yaml")
	text := fmt.Sprintf("stateDir: %s\nengine: %q\nkubeconfig: %q\nregistryAddress: %s\ndockerConfig: %s\n",
		s.d.Config.StateDir, s.d.Config.Engine, s.d.Config.Kubeconfig, s.d.Config.RegistryAddress, s.d.Config.DockerConfig)
	s.w.Must(os.WriteFile(config, []byte(text), 0o600))
	cmd := exec.Command(filepath.Join(bin, "agent"), "sync", "--config", config)
	cmd.Env = append(os.Environ(), env...)
	return cmd
}
