package cells

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/consign-dev/consign/internal/agent"
	"github.com/consign-dev/consign/internal/apply/task"
)

// pods are the UIDs of the deployment's pods that are not going.
func (s *scene) pods() []string {
	s.T.Helper()
	var out []string
	for _, pod := range strings.Fields(s.ask("pods", "{range .items[*]}{.metadata.uid},{.metadata.deletionTimestamp} {end}")) {
		if id, going, _ := strings.Cut(pod, ","); going == "" {
			out = append(out, id)
		}
	}
	slices.Sort(out)
	return out
}

// corrected has the agent look without a network, and find something privileged.
func (s *scene) corrected() {
	s.T.Helper()
	res, err := s.d.Watch()
	s.Must(err)
	if len(res.Changes) != 1 || res.Changes[0].Action != agent.Corrected || !strings.Contains(res.Changes[0].Message, "privileged") {
		s.T.Fatalf("the look led to %+v", res.Changes)
	}
	if now := s.ask("pods,deployments", "{..securityContext.privileged}"); strings.Contains(now, "true") {
		s.T.Errorf("after the correction something is still privileged: %s", now)
	}
}

// TestWhatExceedsGoesAlone: a pod with all rights of the machine is slipped in beside
// the deployment's own, which serve on while it is taken away, although differences
// are only reported. Where the deployment itself was given such rights, its pods are
// replaced.
func TestWhatExceedsGoesAlone(t *testing.T) {
	s := newScene(t)
	s.SetPolicy("    mayRemove: true\n    drift: report\n")
	s.installed("1.0.0", "granted")
	s.StopRegistry()
	own, namespace := s.pods(), s.namespace()
	image := s.ask("deployments", "{.items[0].spec.template.spec.containers[0].image}")
	privileged := []string{"label", "namespace", namespace, "--overwrite", "pod-security.kubernetes.io/enforce=privileged"}
	s.kubectl(privileged...)
	s.kubectl("run", "meddler", "--namespace", namespace, "--image", image, "--overrides", fmt.Sprintf(
		`{"metadata":{"labels":{%q:%q}},"spec":{"hostPID":true,"terminationGracePeriodSeconds":86400,"containers":[{"name":"meddler","image":%q,"securityContext":{"privileged":true}}]}}`,
		task.LabelDeployment, s.deployment, image))
	s.corrected()
	if now := s.pods(); !slices.Equal(now, own) {
		t.Errorf("the pods %q became %q", own, now)
	}

	s.Now = s.Now.Add(time.Hour) // past the wait after a correction
	s.kubectl(privileged...)
	s.kubectl("patch", "deployment", s.ask("deployments", "{.items[0].metadata.name}"), "--namespace", namespace, "--type=json",
		`--patch=[{"op":"replace","path":"/spec/template/spec/containers/0/securityContext","value":{"privileged":true}}]`)
	s.corrected()
	if now := s.pods(); len(now) != len(own) {
		t.Errorf("the pods %q became %q", own, now)
	}
	s.greets("granted")
	res, err := s.d.Watch()
	s.Must(err)
	if len(res.Changes) != 0 {
		t.Errorf("a look at what is in order led to %+v", res.Changes)
	}
}
