package plan

import (
	"testing"

	"github.com/consign-dev/consign/internal/apply/task"
	"github.com/consign-dev/consign/internal/bundle"
	"github.com/consign-dev/consign/internal/verify"
)

// What a plan lists of a chart has the Secrets that no object of the render is.
func TestSecretsOfAChartAreListed(t *testing.T) {
	p, err := readProject(verify.Render{Component: "web", Type: bundle.Helm, Project: []byte(
		`{"chart":{},"namespace":"n","objects":[{"apiVersion":"apps/v1","kind":"Deployment","metadata":{"name":"web"}}],"release":"r","secrets":["line-7"],"values":{}}`)})
	if err != nil {
		t.Fatal(err)
	}
	objects := p.section(chartSection)
	for _, want := range []string{"Deployment.apps/web", "Secret/" + task.SecretObject("r", "line-7")} {
		if objects[want] == nil || len(objects) != 2 {
			t.Errorf("%v lack %s, or have more", objects, want)
		}
	}
	if o := chartObject("web", objects["Secret/"+task.SecretObject("r", "line-7")], nil); o.Kind != "Secret" || o.Name != task.SecretObject("r", "line-7") {
		t.Errorf("listed as %+v", o)
	}
}
