package agent_test

import (
	"strings"
	"testing"

	"github.com/consign-dev/consign/internal/agent"
)

// What "agent init" tells the operator to enrol the device with.
func TestProfileTypesFollowFromWhatTheMachineHas(t *testing.T) {
	for _, c := range []struct{ engine, kubeconfig, want string }{
		{"unix:///e", "", "compose"}, {"", "/k", "helm"}, {"unix:///e", "/k", "compose,helm"},
	} {
		got := strings.Join(agent.Config{Engine: c.engine, Kubeconfig: c.kubeconfig}.ProfileTypes(), ",")
		if got != c.want {
			t.Errorf("%+v: %q", c, got)
		}
	}
}
