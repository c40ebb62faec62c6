package cluster_test

import (
	"slices"
	"strings"
	"testing"

	"github.com/consign-dev/consign/internal/apply/task"
	"github.com/consign-dev/consign/internal/reason"
)

// secretive is web with a greeting from a Secret, as a variable and as a file, beside
// something that has none.
var secretive = strings.Replace(web, "value: {{ .Values.greeting | quote }}}]", `valueFrom: {secretKeyRef: {name: {{ .Values.words }}, key: value}}}]
        volumeMounts: [{name: words, mountPath: /words, readOnly: true}]`, 1) + `
---
apiVersion: apps/v1
kind: Deployment
metadata: {name: other}
spec:
  replicas: 1
  selector: {matchLabels: {app: other}}
  template:
    metadata: {labels: {app: other}}
    spec:
      terminationGracePeriodSeconds: 1
      containers:
      - {name: hello, image: localhost/hello:1.0.0, ports: [{containerPort: 8080}]}
`

func secretiveChart() string {
	return strings.Replace(secretive, "      containers:\n      - name: hello\n", "      volumes: [{name: words, secret: {secretName: {{ .Values.words }}}}]\n      containers:\n      - name: hello\n", 1)
}

const planted = "planted-S3cret"

func (s *site) give(content, version string) {
	s.secrets = map[string]string{"words": "line-7"}
	s.given = map[string]task.Secret{"line-7": {Content: task.SecretContent(content), Version: version}}
}

// pods are the names of those of an app, sorted by the server.
func (s *site) pods(app string) string {
	s.t.Helper()
	return s.Kubectl("get", "pods", "--selector", "app="+app, "--output", "jsonpath={.items[*].metadata.name}")
}

func TestSecretsOfTheDevice(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	s.give(planted+"-1", "version-1")
	r := s.render(secretiveChart(), nil)
	if strings.Contains(string(r.Render), planted) || !strings.Contains(string(r.Render), `"secrets":["line-7"]`) {
		t.Fatalf("the render is %s", r.Render)
	}
	s.good(r)
	s.inOrder(r)
	object := task.SecretObject(s.release, "line-7")
	holds := func() string {
		return s.Kubectl("get", "secret", object, "--output", "go-template={{ .data.value | base64decode }}")
	}
	if got := holds(); got != planted+"-1" {
		t.Errorf("the Secret holds %q", got)
	}
	// Pods are made once: the stamp is there from the beginning.
	if sets := strings.Fields(s.Kubectl("get", "replicasets", "--selector", "app=web", "--output", "name")); len(sets) != 1 {
		t.Errorf("one installation made %q", sets)
	}
	s.secretIsChangedByHand(r, object, holds)
	s.secretIsRotated(r, holds)

	// Helm's record has the render and no stamp, so it is the one that is expected.
	if out := s.good(r); len(out.Notes) > 0 {
		t.Errorf("notes %q", out.Notes)
	}
	s.secrets, s.given = nil, nil
	plain := s.render(web, nil)
	s.good(plain)
	s.inOrder(plain)
	if left := s.Kubectl("get", "secret", object, "--ignore-not-found", "--output", "name"); left != "" {
		t.Errorf("%s is left of a version that had it", left)
	}
	s.remove(true)
}

// secretIsChangedByHand: what somebody in the cluster did is drift and named without a
// value.
func (s *site) secretIsChangedByHand(r task.ChartResult, object string, holds func() string) {
	s.t.Helper()
	before := s.pods("web")
	s.Kubectl("patch", "secret", object, "--patch", `{"stringData":{"value":"`+planted+`-forged"}}`)
	seen := s.observe(r)
	if len(seen.Drift) != 1 || seen.Drift[0] != "Secret/"+object+": data.value differ" || len(seen.Rotated) > 0 {
		s.t.Errorf("changed by hand: drift %q, rotated %q", seen.Drift, seen.Rotated)
	}
	s.good(r)
	s.Kubectl("patch", "deployment", "other", "--patch", `{"spec":{"template":{"metadata":{"annotations":{"`+task.AnnotationSecrets+`":"forged"}}}}}`)
	if seen := s.observe(r); len(seen.Drift) != 1 || !strings.Contains(seen.Drift[0], "Deployment.apps/other: spec.template.metadata.annotations") {
		s.t.Errorf("a stamp on what has no secret: %q", seen.Drift)
	}
	s.good(r)
	s.Kubectl("delete", "secret", object)
	if seen := s.observe(r); len(seen.Drift) != 1 || seen.Drift[0] != "Secret/"+object+" is not there" {
		s.t.Errorf("removed by hand: %q", seen.Drift)
	}
	s.good(r)
	if got := holds(); got != planted+"-1" {
		s.t.Errorf("the Secret holds %q", got)
	}
	if now := s.pods("web"); now != before {
		s.t.Errorf("pods %q became %q", before, now)
	}
}

// secretIsRotated: another content is another version, and restarts what has it.
func (s *site) secretIsRotated(r task.ChartResult, holds func() string) {
	s.t.Helper()
	web, other := s.pods("web"), s.pods("other")
	s.give(planted+"-2", "version-2")
	want := []string{
		"Secret/" + task.SecretObject(s.release, "line-7") + " holds another version of the secret",
		"Deployment.apps/web runs with another version of its secrets",
	}
	seen := s.observe(r)
	slices.Sort(want)
	slices.Sort(seen.Rotated)
	if len(seen.Drift) > 0 || !slices.Equal(seen.Rotated, want) {
		s.t.Errorf("drift %q, rotated %q", seen.Drift, seen.Rotated)
	}
	// One that cannot be read now is no drift and no rotation.
	given := s.given
	s.given = nil
	if seen := s.observe(r); len(seen.Drift)+len(seen.Rotated) > 0 {
		s.t.Errorf("without the secret: %+v", seen)
	}
	if _, err := s.apply(r); !reason.Is(err, reason.Malformed) {
		s.t.Errorf("an apply without the secret: %v", err)
	}
	s.given = given
	// So far a change came that was killed before it touched the Deployment.
	s.Kubectl("patch", "secret", task.SecretObject(s.release, "line-7"), "--patch",
		`{"metadata":{"annotations":{"`+task.AnnotationSecrets+`":"version-2"}},"stringData":{"value":"`+planted+`-2"}}`)
	if seen := s.observe(r); len(seen.Drift) > 0 || !slices.Equal(seen.Rotated, want[:1]) {
		s.t.Errorf("after a kill: drift %q, rotated %q", seen.Drift, seen.Rotated)
	}
	s.good(r)
	s.inOrder(r)
	if got := holds(); got != planted+"-2" {
		s.t.Errorf("the Secret holds %q", got)
	}
	if now := s.pods("web"); now == web {
		s.t.Error("what has the secret was not restarted")
	}
	if now := s.pods("other"); now != other {
		s.t.Errorf("%q, which has no secret, became %q", other, now)
	}
}

// Somebody else's Secret is not written to, and nothing is changed.
func TestAttackH14SecretOfSomebodyElse(t *testing.T) {
	t.Parallel()
	s := newStillSite(t)
	s.give(planted, "version-1")
	object := task.SecretObject(s.release, "line-7")
	s.Kubectl("create", "namespace", s.Name)
	s.Kubectl("label", "namespace", s.Name, task.LabelDeployment+"="+s.deployment)
	s.Kubectl("create", "secret", "generic", object, "--from-literal=value=theirs")
	_, err := s.apply(s.render(secretiveChart(), nil))
	if !reason.Is(err, reason.Conflict) || !strings.Contains(err.Error(), object) || strings.Contains(err.Error(), planted) {
		t.Errorf("got %v", err)
	}
	if got := s.Kubectl("get", "secret", object, "--output", "go-template={{ .data.value | base64decode }}"); got != "theirs" {
		t.Errorf("the Secret holds %q", got)
	}
}
