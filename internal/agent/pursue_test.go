package agent

import (
	"fmt"
	"strings"
	"testing"

	"github.com/consign-dev/consign/internal/reason"
	"github.com/consign-dev/consign/policy"
)

// A refusal of grants tells the log which element wants which grant, and keeps
// what a parameter could have filled in to the terminal.
func TestLogTextOfARefusedGrant(t *testing.T) {
	const project = `{"name":"press","services":{"web":{"image":"x","cap_add":["HUNTER2"],"privileged":true,
		"environment":{"HUNTER2":null},"dns":["10.9.8.7"]}}}`
	err := fmt.Errorf("component web: %w", policy.Grants{}.CheckCompose([]byte(project)))
	if !reason.Is(err, reason.Grant) || !strings.Contains(err.Error(), "HUNTER2") || !strings.Contains(err.Error(), "10.9.8.7") {
		t.Fatalf("the terminal's text: %v", err)
	}
	got := logText(err)
	if strings.Contains(got, "HUNTER2") || strings.Contains(got, "10.9.8.7") {
		t.Errorf("the log would hold values: %s", got)
	}
	for _, want := range []string{"services.web.privileged (needs the grant privileged)", "services.web.dns[0] (needs the grant dns)", "services.web.environment.* (has no value"} {
		if !strings.Contains(got, want) {
			t.Errorf("the log lacks %q: %s", want, got)
		}
	}
}

// Other refusals keep their texts, but for those that may quote parameters.
func TestLogTextOfOtherRefusals(t *testing.T) {
	for code, want := range map[reason.Code]string{
		reason.Rollback: "rollback: version 3", reason.DeploymentMismatch: "details are left out", reason.Render: "details are left out",
	} {
		if got := logText(reason.New(code, "version 3")); !strings.HasPrefix(got, want) {
			t.Errorf("%s: %q", code, got)
		}
	}
}

// The agent's state, its secrets and the engine's socket are of no application, wherever
// the configuration puts them.
func TestReservedPathsAreThoseOfTheConfiguration(t *testing.T) {
	c := DefaultConfig()
	c.StateDir, c.SecretsDir, c.Engine = "/data/consign", "/data/secrets", "unix:///data/engine.sock"
	g := policy.Grants{}.Reserving(c.reserved()...)
	for _, path := range []string{"/data/consign", "/data/consign/log", "/data/secrets", "/data/secrets/line-7", "/data/engine.sock", "/data"} {
		g.Compose = map[string]policy.ServiceGrants{"web": {HostPaths: []string{path + ":ro"}}}
		project := `{"name":"press","services":{"web":{"image":"x","volumes":[{"type":"bind","source":"` + path + `","target":"/x","read_only":true}]}}}`
		if err := g.CheckCompose([]byte(project)); err == nil || !strings.Contains(err.Error(), "services.web.volumes[0] (never granted") {
			t.Errorf("%s: %v", path, err)
		}
	}
}
