package kubetest_test

import (
	"bufio"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/consign-dev/consign/internal/kubetest"
)

// serveHello makes an image of the example application, serves it in the node's
// network namespace with the registry that publishers use, and returns its name with
// its digest.
func serveHello(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	root := filepath.Join("..", "..")
	for _, args := range [][]string{
		{"build", "-trimpath", "-buildvcs=false", "-o", filepath.Join(dir, "hello"), "./examples/hello"},
		{"run", "-buildvcs=false", "./tools/mkimage", "-binary", filepath.Join(dir, "hello"), "-out", filepath.Join(dir, "registry", "hello"),
			"-ref", "1.0.0", "-platform", "linux/" + runtime.GOARCH, "-env", "VERSION=1.0.0"},
	} {
		build := exec.Command("go", args...)
		build.Dir, build.Env = root, append(os.Environ(), "CGO_ENABLED=0")
		if out, err := build.CombinedOutput(); err != nil {
			t.Fatalf("go %q: %v: %s", args, err, out)
		}
	}
	raw, err := os.ReadFile(filepath.Join(dir, "registry", "hello", "index.json"))
	if err != nil {
		t.Fatal(err)
	}
	var index struct{ Manifests []struct{ Digest string } }
	if err := json.Unmarshal(raw, &index); err != nil || len(index.Manifests) != 1 {
		t.Fatalf("index.json: %v: %s", err, raw)
	}
	return serve(t, filepath.Join(dir, "registry")) + "/hello@" + index.Manifests[0].Digest
}

// serve returns the address, on the node's loopback, of a registry for a directory.
func serve(t *testing.T, dir string) string {
	t.Helper()
	bin := os.Getenv("CONSIGN_BIN")
	if bin == "" {
		t.Fatal("CONSIGN_BIN does not name the built programs: run this with make test")
	}
	cmd := exec.Command(filepath.Join(bin, "publisher"), "registry", "serve", "--dir", dir, "--listen", "127.0.0.1:0")
	kubetest.InNode(t, cmd)
	var log strings.Builder
	cmd.Stderr = &log
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = cmd.Process.Signal(syscall.SIGTERM)
		if err := cmd.Wait(); err != nil {
			t.Errorf("registry: %v: %s", err, log.String())
		}
	})
	line, err := bufio.NewReader(out).ReadString('\n')
	address, ok := strings.CutPrefix(strings.TrimSpace(line), "serving on ")
	if err != nil || !ok {
		t.Fatalf("registry: %v: %q", err, line)
	}
	return address
}

const web = `
apiVersion: apps/v1
kind: Deployment
metadata: {name: web}
spec:
  replicas: 2
  selector: {matchLabels: {app: web}}
  template:
    metadata: {labels: {app: web}}
    spec:
      terminationGracePeriodSeconds: 5
      containers:
      - name: hello
        image: %s
        imagePullPolicy: IfNotPresent
        env: [{name: GREETING, valueFrom: {configMapKeyRef: {name: web, key: greeting}}}]
        ports: [{containerPort: 8080}]
        readinessProbe: {httpGet: {path: /healthz, port: 8080}, periodSeconds: 1}
        livenessProbe: {exec: {command: [/hello, health]}}
        resources: {limits: {memory: 64Mi, cpu: 500m}}
        securityContext: {readOnlyRootFilesystem: true, allowPrivilegeEscalation: false, capabilities: {drop: [ALL]}}
---
apiVersion: v1
kind: ConfigMap
metadata: {name: web}
data: {greeting: good day}
---
apiVersion: v1
kind: Service
metadata: {name: web}
spec: {selector: {app: web}, ports: [{port: 80, targetPort: 8080}]}
`

func TestApplicationFromRegistryRuns(t *testing.T) {
	t.Parallel()
	n := kubetest.New(t)
	n.Apply(fmt.Sprintf(web, serveHello(t)))
	n.Kubectl("rollout", "status", "deployment/web", "--timeout", "2m")
	pods := strings.Fields(n.Kubectl("get", "pods", "--output", "jsonpath={.items[*].status.podIP}"))
	if len(pods) != 2 {
		t.Errorf("pods at %q, want two", pods)
	}
	service := n.Kubectl("get", "service", "web", "--output", "jsonpath={.spec.clusterIP}")
	for _, address := range append([]string{service + ":80"}, pods...) {
		if !strings.Contains(address, ":") {
			address += ":8080"
		}
		if got := get(t, "http://"+address+"/"); got != "good day (hello 1.0.0)\n" {
			t.Errorf("%s says %q", address, got)
		}
	}
	if got := n.Kubectl("exec", "deployment/web", "--", "/hello", "version"); got != "hello 1.0.0\n" {
		t.Errorf("exec says %q", got)
	}
	if got := n.Kubectl("logs", "deployment/web"); !strings.Contains(got, "listening") {
		t.Errorf("logs say %q", got)
	}
	n.Kubectl("delete", "deployment/web", "--timeout", "2m")
	n.Kubectl("wait", "--for=delete", "pod", "--selector=app=web", "--timeout=2m")
}

// get asks until there is an answer: kube-proxy learns of a service's pods a moment
// after they are ready.
func get(t *testing.T, address string) string {
	t.Helper()
	client := http.Client{Timeout: 5 * time.Second, Transport: &http.Transport{}}
	defer client.CloseIdleConnections()
	var last error
	for deadline := time.Now().Add(time.Minute); time.Now().Before(deadline); time.Sleep(50 * time.Millisecond) {
		resp, err := client.Get(address)
		if last = err; err != nil {
			continue
		}
		text, err := io.ReadAll(resp.Body)
		_ = resp.Body.Close()
		if err != nil {
			t.Fatal(err)
		}
		return string(text)
	}
	t.Fatal(last)
	return ""
}

// An image that no registry of the cluster has is not looked for anywhere else.
func TestNothingIsPulledFromOutside(t *testing.T) {
	t.Parallel()
	n := kubetest.New(t)
	n.Kubectl("run", "lost", "--image", "docker.io/library/busybox:1.36", "--image-pull-policy", "IfNotPresent", "--restart", "Never")
	n.Kubectl("wait", "pod/lost", "--for", "jsonpath={.status.containerStatuses[0].state.waiting.reason}=ErrImagePull", "--timeout", "2m")
}
