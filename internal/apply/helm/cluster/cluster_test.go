package cluster_test

import (
	"bytes"
	"compress/gzip"
	"context"
	"crypto/rand"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/opencontainers/go-digest"

	"github.com/consign-dev/consign/internal/apply/helm"
	"github.com/consign-dev/consign/internal/apply/helm/cluster"
	"github.com/consign-dev/consign/internal/apply/task"
	"github.com/consign-dev/consign/internal/chartfile"
	"github.com/consign-dev/consign/internal/kubetest"
	"github.com/consign-dev/consign/internal/reason"
)

// site is one deployment in the cluster.
type site struct {
	*kubetest.Namespace
	t          *testing.T
	release    string
	deployment string
	image      string
	before     []byte
	// secrets are the device's by the pointer at which the chart wants them, given is
	// what they hold.
	secrets map[string]string
	given   map[string]task.Secret
}

func newSite(t *testing.T) *site {
	t.Helper()
	s := newStillSite(t)
	s.image = kubetest.Hello(t)
	return s
}

// newStillSite is a site of which no pod runs: its image is nowhere.
func newStillSite(t *testing.T) *site {
	t.Helper()
	id := strings.ToLower(rand.Text()[:10])
	return &site{
		Namespace: kubetest.Of(t, "of-"+id), t: t, release: "web-" + id, deployment: "deployment-" + id,
		image: "127.0.0.1:1/hello@" + string(digest.FromString("hello")),
	}
}

// web is a chart of one Deployment with its Service and settings.
const web = `
apiVersion: apps/v1
kind: Deployment
metadata: {name: web}
spec:
  replicas: 1
  selector: {matchLabels: {app: web}}
  template:
    metadata: {labels: {app: web}}
    spec:
      terminationGracePeriodSeconds: 1
      containers:
      - name: hello
        image: localhost/hello:1.0.0
        env: [{name: GREETING, value: {{ .Values.greeting | quote }}}]
        ports: [{containerPort: 8080}]
        readinessProbe: {httpGet: {path: /healthz, port: 8080}, periodSeconds: 1}
        securityContext: {readOnlyRootFilesystem: true, allowPrivilegeEscalation: false, capabilities: {drop: [ALL]}}
---
apiVersion: v1
kind: Service
metadata: {name: web}
spec: {selector: {app: web}, ports: [{port: 80, targetPort: 8080}]}
---
apiVersion: v1
kind: ConfigMap
metadata: {name: settings}
data: {text: "{{ "{{" }} no action }} \u0085 \u007f"}
`

// render makes the objects of a chart.
func (s *site) render(template string, values map[string]string) task.ChartResult {
	s.t.Helper()
	dir := s.t.TempDir()
	for file, text := range map[string]string{
		"Chart.yaml": "apiVersion: v2\nname: web\nversion: 1.0.0\n", "values.yaml": "greeting: good day\n", "templates/all.yaml": template,
	} {
		if err := os.MkdirAll(filepath.Join(dir, "templates"), 0o755); err != nil {
			s.t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(dir, file), []byte(text), 0o644); err != nil {
			s.t.Fatal(err)
		}
	}
	chart, _, err := chartfile.Pack(dir)
	if err != nil {
		s.t.Fatal(err)
	}
	in := task.ChartInput{
		Chart: chart, Release: s.release, Namespace: s.Name, Values: map[string]json.RawMessage{}, Secrets: s.secrets,
		Images:       map[string]string{"localhost/hello:1.0.0": s.image},
		Labels:       map[string]string{task.LabelDeployment: s.deployment},
		Annotations:  map[string]string{task.AnnotationComponent: "web", task.AnnotationDevice: "cell-02"},
		Limits:       task.Limits{CPUs: 0.5, Memory: 64 << 20, Tmpfs: 16 << 20, PIDs: 64, LogFile: 1 << 20, LogFiles: 2},
		Capabilities: task.Capabilities{KubeVersion: "v1.37.2", APIVersions: []string{"v1", "apps/v1"}},
		Previous:     s.before,
	}
	for pointer, value := range values {
		in.Values[pointer], _ = json.Marshal(value)
	}
	out, err := helm.Render(s.t.Context(), in)
	if err != nil {
		s.t.Fatal(err)
	}
	return out
}

func (s *site) input(r task.ChartResult) task.ChartApplyInput {
	in := task.ChartApplyInput{
		Kubeconfig: s.Kubeconfig, Release: s.release, Namespace: s.Name, Deployment: s.deployment,
		Render: r.Render, Digest: r.Digest, Images: r.Images, PodSecurity: "baseline", Wait: true, TimeoutSeconds: 120,
		Secrets: s.given,
	}
	if s.before != nil {
		in.Before, in.BeforeDigest = s.before, digest.FromBytes(s.before)
	}
	return in
}

func (s *site) apply(r task.ChartResult) (task.ApplyResult, error) {
	s.t.Helper()
	return cluster.Apply(context.WithoutCancel(s.t.Context()), s.input(r))
}

// good applies a render, which becomes the last good one.
func (s *site) good(r task.ChartResult) task.ApplyResult {
	s.t.Helper()
	out, err := s.apply(r)
	if err != nil {
		s.t.Fatal(err)
	}
	s.before = r.Render
	return out
}

func (s *site) observe(r task.ChartResult) task.ObserveResult {
	s.t.Helper()
	out, err := cluster.Observe(s.t.Context(), task.ChartObserveInput{
		Kubeconfig: s.Kubeconfig, Release: s.release, Namespace: s.Name, Deployment: s.deployment,
		Render: r.Render, Digest: r.Digest, PodSecurity: "baseline", Secrets: s.given,
	})
	if err != nil {
		s.t.Fatal(err)
	}
	return out
}

func (s *site) inOrder(r task.ChartResult) {
	s.t.Helper()
	if drift := s.observe(r).Drift; len(drift) > 0 {
		s.t.Fatalf("drift: %q", drift)
	}
}

func (s *site) remove(volumes bool) task.RemoveResult {
	s.t.Helper()
	out, err := cluster.Remove(s.t.Context(), task.ChartRemoveInput{
		Kubeconfig: s.Kubeconfig, Release: s.release, Namespace: s.Name, Deployment: s.deployment, Volumes: volumes, TimeoutSeconds: 120,
	})
	if err != nil {
		s.t.Fatal(err)
	}
	return out
}

// podNames are the pods of the namespace, or those that further arguments of kubectl choose.
func (s *site) podNames(which ...string) []string {
	s.t.Helper()
	args := append([]string{"get", "pods", "--output", "jsonpath={range .items[*]}{.metadata.name} {end}"}, which...)
	return strings.Fields(s.Kubectl(args...))
}

func TestLifeOfARelease(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	first := s.render(web, nil)
	out := s.good(first)
	if len(out.Services) != 1 || out.Services[0].Name != "web" || out.Services[0].State != "running" || out.Services[0].Health != "healthy" || out.Services[0].Image != s.image {
		t.Errorf("services %+v", out.Services)
	}
	if len(out.Notes) > 0 {
		t.Errorf("notes %q", out.Notes)
	}
	s.inOrder(first)
	pods := s.podNames()

	// The same again changes nothing that runs.
	s.good(first)
	if again := s.podNames(); !slices.Equal(again, pods) {
		t.Errorf("pods %q became %q", pods, again)
	}
	second := s.render(web, map[string]string{"greeting": "hello"})
	s.good(second)
	s.inOrder(second)
	if drift := s.observe(first).Drift; len(drift) != 1 || !strings.Contains(drift[0], "Deployment.apps/web: spec.template.spec.containers[hello].env[GREETING].value differ") {
		t.Errorf("drift %q", drift)
	}
	removed := s.remove(false)
	if !slices.Contains(removed.Objects, "Deployment.apps/web") {
		t.Errorf("removed %q", removed.Objects)
	}
	s.Kubectl("wait", "--for=delete", "namespace/"+s.Name, "--timeout=1m")
	if gone := s.remove(true); len(gone.Objects) > 0 {
		t.Errorf("a second removal removed %q", gone.Objects)
	}
}

func TestAVersionThatDoesNotStayUp(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	good := s.render(web, nil)
	s.good(good)
	bad := s.render(strings.Replace(web, "ports:", "command: [/hello, unknown-command]\n        ports:", 1), nil)
	_, err := s.apply(bad)
	if !reason.Is(err, reason.Health) || !strings.Contains(fmt.Sprint(err), "does not stay up") {
		t.Fatalf("got %v", err)
	}
	s.good(good)
	s.inOrder(good)
}

// start applies a render that need not become healthy, as the last good one.
func (s *site) start(in task.ChartApplyInput, r task.ChartResult) {
	s.t.Helper()
	if _, err := cluster.Apply(s.t.Context(), in); err != nil {
		s.t.Fatal(err)
	}
	s.before = r.Render
}

func (s *site) uid(object string) string {
	s.t.Helper()
	return s.Kubectl("get", object, "--output", "jsonpath={.metadata.uid}")
}

// forgeRecord changes the manifest in the last of Helm's records, as whoever may
// write Secrets can.
func (s *site) forgeRecord(change func(manifest string) string) {
	s.t.Helper()
	names := strings.Fields(s.Kubectl("get", "secrets", "--selector", "owner=helm,status=deployed", "--output", "jsonpath={.items[*].metadata.name}"))
	name := names[len(names)-1]
	packed, err := base64.StdEncoding.DecodeString(s.Kubectl("get", "secret", name, "--output", "jsonpath={.data.release}"))
	if err != nil {
		s.t.Fatal(err)
	}
	record, err := unpackRecord(packed)
	if err != nil {
		s.t.Fatal(err)
	}
	manifest, _ := record["manifest"].(string)
	record["manifest"] = change(manifest)
	if record["manifest"] == manifest {
		s.t.Fatal("nothing was forged")
	}
	packed, err = packRecord(record)
	if err != nil {
		s.t.Fatal(err)
	}
	s.Kubectl("patch", "secret", name, "--patch", `{"data":{"release":"`+base64.StdEncoding.EncodeToString(packed)+`"}}`)
}

// A record is JSON, compressed, in base64.
func unpackRecord(data []byte) (record map[string]any, err error) {
	zipped, err := base64.StdEncoding.DecodeString(string(data))
	if err != nil {
		return nil, err
	}
	r, err := gzip.NewReader(bytes.NewReader(zipped))
	if err != nil {
		return nil, err
	}
	return record, json.NewDecoder(r).Decode(&record)
}

func packRecord(record map[string]any) ([]byte, error) {
	var buf bytes.Buffer
	w := gzip.NewWriter(&buf)
	if err := json.NewEncoder(w).Encode(record); err != nil {
		return nil, err
	}
	if err := w.Close(); err != nil {
		return nil, err
	}
	return []byte(base64.StdEncoding.EncodeToString(buf.Bytes())), nil
}
