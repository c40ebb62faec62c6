package cells

import (
	"path/filepath"
	"strings"
	"testing"

	"github.com/consign-dev/consign/internal/agent"
	"github.com/consign-dev/consign/internal/margo"
	"github.com/consign-dev/consign/internal/reason"
	"github.com/consign-dev/consign/internal/world"
)

// TestProfileChanges: a device with an engine and a cluster gets a version of its
// application as containers, then as a chart, and as containers again. What the
// former was is gone from its engine when the next runs; a chart that does not become
// ready leaves the containers, and nothing in the cluster.
func TestProfileChanges(t *testing.T) {
	s := newScene(t, margo.TypeCompose)
	engine := filepath.Join(s.Dir, "engine")
	s.d.Config.Engine = "unix://" + engine
	program, _ := s.program(helm(t), filepath.Join(world.Recorder(t), "applier-compose"))
	s.d.Programs = filepath.Dir(program)
	contained := &world.Recorded{Device: s.d, Engine: engine}
	runs := func(containers, objects bool) {
		t.Helper()
		if list := contained.Runs(); (len(list) > 0) != containers {
			t.Errorf("the engine runs %q, want something: %v", list, containers)
		}
		s.eventually("what the cluster has", func() bool { // a namespace goes after what is in it
			return (len(s.objects()) > 0) == objects && (len(s.pods()) > 0) == objects
		})
	}
	logEnds := func(want string) {
		t.Helper()
		if events := strings.Join(s.d.Events(), " "); !strings.HasSuffix(events, want) {
			t.Errorf("the log says %q, want %q at its end", events, want)
		}
	}

	s.Publish("acme", "1.0.0", s.WithoutChart)
	s.order("1.0.0", "contained")
	s.sync(agent.Installed)
	runs(true, false)

	s.Publish("acme", "2.0.0", func(dir string) {
		s.withoutCompose(dir)
		s.Edit(filepath.Join(dir, chart, "templates/deployment.yaml"), "readinessProbe:\n            httpGet: {path: /healthz, port: http}", "readinessProbe:\n            httpGet: {path: /unwell, port: http}")
		s.Edit(filepath.Join(dir, "margo.yaml"), "timeout: 2m0s", "timeout: 0m15s")
	})
	s.order("2.0.0", "sick")
	if res, err := s.d.Sync(); !reason.Is(err, reason.Health) || len(res.Changes) != 1 || res.Changes[0].Returned != "1.0.0" {
		t.Fatalf("a chart that does not become ready led to %+v: %v", res.Changes, err)
	}
	runs(true, false)
	logEnds("accepted intent:apply outcome:health intent:rollback rolled-back")

	s.Publish("acme", "2.1.0", s.withoutCompose)
	s.order("2.1.0", "pod")
	s.sync(agent.Upgraded)
	runs(false, true)
	s.greets("pod")
	logEnds("accepted intent:apply outcome")
	s.sync(agent.Unchanged)

	s.Publish("acme", "3.0.0", s.WithoutChart)
	s.order("3.0.0", "contained again")
	s.sync(agent.Upgraded)
	runs(true, false)
	logEnds("accepted intent:apply outcome")
	s.sync(agent.Unchanged)
}
