// Package kubernetes_test holds the appliers' suite on a real Kubernetes.
package kubernetes_test

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/consign-dev/consign/internal/apply/applytest"
	"github.com/consign-dev/consign/internal/apply/task"
	"github.com/consign-dev/consign/internal/kubetest"
	"github.com/consign-dev/consign/internal/margo"
	"github.com/consign-dev/consign/internal/world"
)

func TestMain(m *testing.M) { os.Exit(applytest.Main(m, 1200)) }

func TestHelm(t *testing.T) { applytest.Run(t, chart{}) }

// chart is the kind that applier-helm applies, on a real Kubernetes.
type chart struct{}

// Device has its agent serve the node's loopback, as one that runs there would.
func (chart) Device(w *world.World, id string) *world.Device {
	d := w.DeviceFor(id, "", margo.TypeHelm)
	d.Config.Engine, d.Config.Kubeconfig = "", kubetest.Kubeconfig(w.T)
	_, port, _ := strings.Cut(d.Config.RegistryAddress, ":")
	kubetest.Forward(w.T, port)
	disks.Store(w, kubetest.Disk(w.T))
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

func (chart) Empties() string { return "engine.empty" }

// disks are the storage classes of the worlds, each with one volume.
var disks sync.Map // *world.World to string

// list has the application keep the list of its starts in a claim, as the user of the
// tests: nobody else needs to be able to read and to make its files.
func (chart) list(w *world.World, dir string) {
	class, _ := disks.Load(w)
	file := filepath.Join(dir, deployment)
	w.Must(os.WriteFile(filepath.Join(dir, charts, "templates/claim.yaml"), []byte(fmt.Sprintf(`apiVersion: v1
kind: PersistentVolumeClaim
metadata: {name: {{ .Release.Name }}}
spec: {accessModes: [ReadWriteOnce], storageClassName: %s, resources: {requests: {storage: 16Mi}}}
`, class)), 0o600))
	// Asked also while it is not ready, as a container is.
	w.Edit(filepath.Join(dir, charts, "templates/service.yaml"), "spec:\n", "spec:\n  publishNotReadyAddresses: true\n")
	// One at a time: what comes next finds what was before has ended.
	w.Edit(file, "  replicas: 1\n", "  replicas: 1\n  strategy: {type: Recreate}\n")
	w.Edit(file, "          env:\n", "          env:\n            - {name: STARTS, value: /data/starts}\n")
	w.Edit(file, "          readinessProbe:\n", "          volumeMounts: [{name: data, mountPath: /data}]\n          readinessProbe:\n")
	w.Edit(file, "      securityContext:\n        runAsNonRoot: true\n        runAsUser: 65534\n        runAsGroup: 65534\n", fmt.Sprintf(
		"      volumes: [{name: data, persistentVolumeClaim: {claimName: {{ .Release.Name }}}}]\n      securityContext:\n        runAsUser: %d\n        runAsGroup: %d\n",
		os.Getuid(), os.Getgid()))
}

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
	case applytest.Listing:
		c.list(w, dir)
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
		var failed *exec.ExitError
		if errors.As(err, &failed) {
			err = fmt.Errorf("%w: %s", err, failed.Stderr)
		}
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
