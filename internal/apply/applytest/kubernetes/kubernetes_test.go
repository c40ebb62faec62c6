// Package kubernetes_test holds the appliers' suite on a real Kubernetes.
package kubernetes_test

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/consign-dev/consign/internal/apply/applytest"
	"github.com/consign-dev/consign/internal/apply/task"
	"github.com/consign-dev/consign/internal/kubetest"
	"github.com/consign-dev/consign/internal/margo"
	"github.com/consign-dev/consign/internal/reason"
	"github.com/consign-dev/consign/internal/world"
)

func TestMain(m *testing.M) { os.Exit(applytest.Main(m, 1200)) }

func TestHelm(t *testing.T) {
	// Data of a cluster is copied by the cluster's storage, see TestHelmRefuses.
	applytest.Run(t, chart{}, "DataGoesBack", "DataStays", "DataGoesBackAfterKill")
}

// What a device with a Kubernetes does not do is said, and touches nothing.
func TestHelmRefuses(t *testing.T) {
	t.Parallel()
	w := world.New(t)
	d := chart{}.Device(w, "cell-02")
	values := map[string]string{"greeting": "good", "port": world.FreePort(t)}
	w.SetPolicy("    mayRemove: true\n    dataPolicy: snapshot\n")
	w.Publish("acme", "1.0.0", nil)
	id := w.Deploy(d.ID, "1.0.0", values)
	t.Cleanup(func() {
		_ = w.Party("plant").Undeploy(w.Cleanup(), w.Deployments, "hello", d.ID)
		if _, err := d.Sync(); err != nil {
			t.Error(err)
		}
		chart{}.Discard(t, id)
	})
	if _, err := d.Sync(); err != nil {
		t.Fatal(err)
	}
	before := chart{}.Running(t, id)
	values["greeting"] = "other"
	w.Deploy(d.ID, "1.0.0", values)
	if _, err := d.Sync(); !reason.Is(err, reason.Rule) || !strings.Contains(err.Error(), "the data of charts cannot be copied") {
		t.Errorf("an update whose data is to be copied: %v", err)
	}
	if now := (chart{}).Running(t, id); !slices.Equal(now, before) {
		t.Errorf("%q became %q", before, now)
	}
}

// chart is the kind that applier-helm applies, on a real Kubernetes.
type chart struct{}

// Device has its agent serve the node's loopback, as one that runs there would.
func (chart) Device(w *world.World, id string) *world.Device {
	d := w.DeviceFor(id, "", margo.TypeHelm)
	d.Config.Engine, d.Config.Kubeconfig = "", kubetest.Kubeconfig(w.T)
	_, port, _ := strings.Cut(d.Config.RegistryAddress, ":")
	kubetest.Forward(w.T, port)
	return d
}

func (c chart) Address(t *testing.T, deployment, port string) string {
	t.Helper()
	ip := c.ask(t, deployment, "services", "{.items[0].spec.clusterIP}")
	return ip + ":" + port
}

// Costs: pods are replaced one after the other, and probed by the second.
func (chart) Costs() int { return 4 }

func (chart) Acts() string { return "engine.install" }

const (
	charts     = "components/hello-chart"
	deployment = charts + "/templates/deployment.yaml"
)

func (c chart) Give(w *world.World, dir string, trait applytest.Trait) {
	switch trait {
	case applytest.Sick:
		c.sicken(w, filepath.Join(dir, deployment))
		w.Edit(filepath.Join(dir, "margo.yaml"), "timeout: 2m0s", "timeout: 0m15s")
	case applytest.Privileged:
		w.Edit(filepath.Join(dir, deployment), "allowPrivilegeEscalation: false", "privileged: true")
	case applytest.Secret:
		c.secret(w, dir)
	case applytest.Pair:
		c.pair(w, dir, "2m0s")
	case applytest.SickPair:
		c.pair(w, dir, "0m15s")
		c.sicken(w, filepath.Join(dir, "components/second/templates/deployment.yaml"))
	}
}

func (chart) sicken(w *world.World, file string) {
	w.Edit(file, "readinessProbe:\n            httpGet: {path: /healthz, port: http}", "readinessProbe:\n            httpGet: {path: /unwell, port: http}")
}

// secret has the greeting from a Secret, the name of which is the chart's value. The
// same parameter is secret in the other profile, where it is a file.
func (chart) secret(w *world.World, dir string) {
	applytest.MarkGreeting(w, dir, "hello-compose", "hello-helm")
	w.Must(os.Remove(filepath.Join(dir, charts, "templates/configmap.yaml")))
	w.Edit(filepath.Join(dir, charts, "values.yaml"), "greeting: Hello from the edge\n", "greeting: \"\"\n")
	w.Edit(filepath.Join(dir, deployment), "{configMapKeyRef: {name: {{ .Release.Name }}, key: greeting}}",
		`{secretKeyRef: {name: {{ required "greeting names no Secret" .Values.greeting }}, key: value}}`)
	stack := filepath.Join(dir, "components/hello-stack/compose.yaml")
	w.Edit(stack, "      GREETING: ${GREETING}\n", "      GREETING_FILE: /run/secrets/words\n")
	w.Edit(stack, "    read_only: true\n", "    secrets: [{source: words, uid: \"65534\", gid: \"65534\", mode: 0400}]\n")
	w.Edit(stack, "services:\n", "secrets: {words: {environment: GREETING}}\nservices:\n")
}

// pair adds a second component: the first again, without its port.
func (chart) pair(w *world.World, dir, timeout string) {
	second := filepath.Join(dir, "components/second")
	w.Must(os.CopyFS(second, os.DirFS(filepath.Join(dir, charts))))
	w.Edit(filepath.Join(second, "Chart.yaml"), "name: hello-chart", "name: second")
	w.Must(os.Remove(filepath.Join(second, "templates/service.yaml")))
	description := filepath.Join(dir, "margo.yaml")
	text, err := os.ReadFile(description)
	w.Must(err)
	_, revision, _ := strings.Cut(string(text), "revision: ")
	revision, _, _ = strings.Cut(revision, "\n")
	w.Edit(description, "# A parameter reaches", `      - name: second
        properties:
          repository: oci://registry.example.com/hello/second
          revision: `+revision+`
          wait: true
          timeout: `+timeout+"\n# A parameter reaches")
}

// ask looks at objects of a deployment, in whichever namespace.
func (chart) ask(t *testing.T, deployment, what, path string) string {
	t.Helper()
	out, err := kubetest.Command(t, "get", what, "--all-namespaces", "--selector", task.LabelDeployment+"="+deployment, "--output", "jsonpath="+path).Output()
	if err != nil {
		t.Logf("kubectl get %s: %v", what, err)
	}
	return string(out)
}

func (c chart) Running(t *testing.T, deployment string) []string {
	t.Helper()
	ids := []string{}
	if deployment == "" {
		return ids
	}
	const each = "{range .items[*]}{.metadata.uid},{.metadata.deletionTimestamp} {end}"
	for _, pod := range strings.Fields(c.ask(t, deployment, "pods", each)) {
		if id, going, _ := strings.Cut(pod, ","); going == "" {
			ids = append(ids, id)
		}
	}
	slices.Sort(ids)
	return ids
}

// Disturb removes the Deployment: a pod alone would come back by itself.
func (c chart) Disturb(t *testing.T, deployment string) {
	t.Helper()
	namespace := c.ask(t, deployment, "deployments", "{.items[0].metadata.namespace}")
	c.do(t, "delete", "deployments", "--namespace", namespace, "--selector", task.LabelDeployment+"="+deployment, "--cascade=foreground", "--timeout=1m")
}

func (c chart) Meddle(t *testing.T, deployment string) {
	t.Helper()
	namespace := c.ask(t, deployment, "deployments", "{.items[0].metadata.namespace}")
	image := c.ask(t, deployment, "deployments", "{.items[0].spec.template.spec.containers[0].image}")
	c.do(t, "label", "namespace", namespace, "--overwrite", "pod-security.kubernetes.io/enforce=privileged")
	c.do(t, "run", "meddler", "--namespace", namespace, "--image", image, "--overrides", fmt.Sprintf(
		`{"metadata":{"labels":{%q:%q}},"spec":{"hostPID":true,"containers":[{"name":"meddler","image":%q,"securityContext":{"privileged":true}}]}}`,
		task.LabelDeployment, deployment, image))
}

func (c chart) Discard(t *testing.T, deployment string) {
	t.Helper()
	c.do(t, "delete", "namespaces", "--selector", task.LabelDeployment+"="+deployment, "--wait=false")
}

func (chart) do(t *testing.T, args ...string) {
	t.Helper()
	if out, err := kubetest.Command(t, args...).CombinedOutput(); err != nil {
		t.Fatalf("kubectl %q: %v: %s", args, err, out)
	}
}
