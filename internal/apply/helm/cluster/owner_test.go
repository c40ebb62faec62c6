package cluster

import (
	"testing"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	"github.com/consign-dev/consign/internal/apply/task"
	"github.com/consign-dev/consign/internal/reason"
)

// Attack H14: whose an object is says its label, and of which component its
// annotation, never its name.
func TestAttackH14OwnersAreCompared(t *testing.T) {
	for name, c := range map[string]struct {
		deployment, release string
		ours                bool
	}{
		"ours": {"d-1", "web", true}, "ours, not yet of a release": {"d-1", "", true}, "nobody's": {"", "", false},
		"nobody's, with the release's name": {"", "web", false}, "another deployment's": {"d-2", "web", false}, "another component's": {"d-1", "other", false},
	} {
		o := &unstructured.Unstructured{}
		o.SetKind("ConfigMap")
		o.SetName("settings")
		if c.deployment != "" {
			o.SetLabels(map[string]string{task.LabelDeployment: c.deployment})
		}
		if c.release != "" {
			o.SetAnnotations(map[string]string{annotationRelease: c.release})
		}
		if err := of.owns(o); c.ours && err != nil || !c.ours && !reason.Is(err, reason.Conflict) {
			t.Errorf("%s: %v", name, err)
		}
	}
}
