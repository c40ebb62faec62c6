package kubetest_test

import (
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/consign-dev/consign/internal/kubetest"
)

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
	n.Apply(fmt.Sprintf(web, kubetest.Hello(t)))
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
