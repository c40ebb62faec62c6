package agent_test

import (
	"os"
	"path/filepath"
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

// An engine or a cluster has to be named, and neither by something that a caller's
// place could change.
func TestEnginesOfTheConfiguration(t *testing.T) {
	for text, want := range map[string]string{
		"kubeconfig: /k\n":                   "",
		"engine: ''\nkubeconfig: /k\n":       "",
		"engine: ''\n":                       "one of them is needed",
		"engine: ''\nkubeconfig: k\n":        `kubeconfig: "k" is not an absolute path`,
		"engine: tcp://127.0.0.1:2375\n":     "not unix:///absolute/path",
		"engine: unix://e\nkubeconfig: /k\n": "not unix:///absolute/path",
	} {
		file := filepath.Join(t.TempDir(), "agent.yaml")
		if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		_, err := agent.LoadConfig(file)
		if want == "" && err != nil || want != "" && (err == nil || !strings.Contains(err.Error(), want)) {
			t.Errorf("%q: got %v, want %q", text, err, want)
		}
	}
}
