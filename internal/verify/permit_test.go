package verify

import (
	"strings"
	"testing"

	"github.com/consign-dev/consign/internal/reason"
)

// A render comes from a program that reads what a supplier wrote; one that names
// another application's secret must not get it.
func TestARenderNamesOnlyItsOwnSecrets(t *testing.T) {
	c := Component{Name: "web", Project: "p", Secrets: map[string]string{"DB_PASSWORD": "line-7"}}
	const project = `{"name":"p","services":{},"secrets":{"db":{"environment":"NAME"}}}`
	for name, ok := range map[string]bool{"line-7": true, "line-8": false, "DB_PASSWORD": false, "": false} {
		_, err := (&Verdict{}).checkRender(c, []byte(strings.Replace(project, "NAME", name, 1)))
		if ok != (err == nil) || !ok && (!reason.Is(err, reason.DeploymentMismatch) || !strings.Contains(err.Error(), "secrets.db")) {
			t.Errorf("%q: %v", name, err)
		}
	}
	twice := strings.Replace(project, `{"environment":"NAME"}`, `{"environment":"line-8","Environment":"line-7"}`, 1)
	if _, err := (&Verdict{}).checkRender(c, []byte(twice)); !reason.Is(err, reason.Render) {
		t.Errorf("a secret with two readings: %v", err)
	}
	if _, err := (&Verdict{}).checkRender(Component{Project: "p"}, []byte(strings.Replace(project, "NAME", "line-7", 1))); err == nil {
		t.Error("a component without secrets names one")
	}
}
