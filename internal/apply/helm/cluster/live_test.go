package cluster_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/consign-dev/consign/internal/apply/task"
	"github.com/consign-dev/consign/internal/reason"
	"github.com/consign-dev/consign/policy"
)

// everything has one object of each kind that controllers and the API server add to.
const everything = web + `
---
apiVersion: apps/v1
kind: StatefulSet
metadata: {name: store}
spec:
  serviceName: store
  selector: {matchLabels: {app: store}}
  template:
    metadata: {labels: {app: store}}
    spec:
      containers: [{name: store, image: "localhost/hello:1.0.0", volumeMounts: [{name: data, mountPath: /data}], securityContext: {allowPrivilegeEscalation: false, capabilities: {drop: [ALL]}}}]
  volumeClaimTemplates:
  - metadata: {name: data}
    spec: {accessModes: [ReadWriteOnce], resources: {requests: {storage: 1Mi}}}
---
apiVersion: v1
kind: Service
metadata: {name: store}
spec: {clusterIP: None, selector: {app: store}, ports: [{port: 80}]}
---
apiVersion: apps/v1
kind: DaemonSet
metadata: {name: watcher}
spec:
  selector: {matchLabels: {app: watcher}}
  template:
    metadata: {labels: {app: watcher}}
    spec:
      serviceAccountName: watcher
      containers: [{name: watcher, image: "localhost/hello:1.0.0", securityContext: {allowPrivilegeEscalation: false, capabilities: {drop: [ALL]}}}]
---
apiVersion: v1
kind: ServiceAccount
metadata: {name: watcher}
---
apiVersion: batch/v1
kind: Job
metadata: {name: once}
spec:
  template:
    metadata: {}
    spec:
      restartPolicy: Never
      containers: [{name: once, image: "localhost/hello:1.0.0", command: [/hello, version], securityContext: {allowPrivilegeEscalation: false, capabilities: {drop: [ALL]}}}]
---
apiVersion: batch/v1
kind: CronJob
metadata: {name: nightly}
spec:
  schedule: "0 3 * * *"
  concurrencyPolicy: Forbid
  jobTemplate:
    spec:
      template:
        metadata: {}
        spec:
          restartPolicy: Never
          containers: [{name: nightly, image: "localhost/hello:1.0.0", command: [/hello, version], securityContext: {allowPrivilegeEscalation: false, capabilities: {drop: [ALL]}}}]
---
apiVersion: autoscaling/v2
kind: HorizontalPodAutoscaler
metadata: {name: web}
spec: {scaleTargetRef: {apiVersion: apps/v1, kind: Deployment, name: web}, minReplicas: 1, maxReplicas: 2, metrics: [{type: Resource, resource: {name: cpu, target: {type: Utilization, averageUtilization: 80}}}]}
---
apiVersion: policy/v1
kind: PodDisruptionBudget
metadata: {name: web}
spec: {minAvailable: 1, selector: {matchLabels: {app: web}}}
---
apiVersion: networking.k8s.io/v1
kind: NetworkPolicy
metadata: {name: web}
spec: {podSelector: {matchLabels: {app: web}}, ingress: [{ports: [{port: 8080}]}]}
---
apiVersion: v1
kind: Secret
metadata: {name: words}
stringData: {password: correct horse}
---
apiVersion: v1
kind: PersistentVolumeClaim
metadata: {name: papers}
spec: {accessModes: [ReadWriteOnce], resources: {requests: {storage: 1Mi}}}
`

// What the API server and its controllers add to objects is neither a difference
// from the render nor more than was granted.
func TestWhatTheClusterAddsIsNobodysDoing(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	r := s.render(everything, nil)
	if err := (policy.Grants{}).CheckKubernetes(r.Render); err != nil {
		t.Fatalf("the chart of the test is refused: %v", err)
	}
	in := s.input(r)
	in.Wait = false // no claim is ever bound here
	s.start(in, r)
	s.Kubectl("rollout", "status", "deployment/web", "--timeout=2m")
	s.Kubectl("rollout", "status", "daemonset/watcher", "--timeout=2m")
	s.Kubectl("wait", "--for=condition=complete", "job/once", "--timeout=2m")
	seen := s.observe(r)
	if len(seen.Drift) > 0 {
		t.Errorf("drift %q", seen.Drift)
	}
	if err := (policy.Grants{}).CheckKubernetesLive(r.Render, seen.Objects); err != nil {
		t.Errorf("what runs: %v", err)
	}
	for _, kind := range []string{"Pod", "Deployment", "Secret", "Job"} {
		if !slices.ContainsFunc(seen.Objects, func(o task.LiveObject) bool { return strings.Contains(string(o.Object), `"kind":"`+kind+`"`) }) {
			t.Errorf("no %s among the %d objects", kind, len(seen.Objects))
		}
	}
	if text := fmt.Sprintf("%s", seen.Objects); strings.Contains(text, "Y29ycmVjdCBob3JzZQ") || strings.Contains(text, "correct horse") {
		t.Error("an observation has a secret's value")
	}
	s.start(in, r) // again, over what is there
	if drift := s.observe(r).Drift; len(drift) > 0 {
		t.Errorf("after a second apply: drift %q", drift)
	}
	removed := s.remove(false)
	if slices.Contains(removed.Objects, "PersistentVolumeClaim/papers") {
		t.Errorf("data was removed: %q", removed.Objects)
	}
	if claims := s.Kubectl("get", "persistentvolumeclaims", "--output", "name"); strings.Count(claims, "\n") != 2 {
		t.Errorf("claims that are left: %q", claims)
	}
	s.remove(true)
	s.Kubectl("wait", "--for=delete", "namespace/"+s.Name, "--timeout=1m")
}

// Each change by hand is named, and a correction takes it back.
func TestChangesByHand(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	r := s.render(web, nil)
	s.good(r)
	s.Kubectl("label", "namespace", s.Name, "pod-security.kubernetes.io/enforce=privileged", "--overwrite")
	labels := `"labels":{"dev.consign.deployment":"` + s.deployment + `"}`
	for _, c := range []struct {
		name, drift, excess string
		do                  []string
	}{
		{"the namespace is opened", "metadata.labels[pod-security.kubernetes.io/enforce] differs", "",
			[]string{"label", "namespace", s.Name, "pod-security.kubernetes.io/enforce=privileged", "--overwrite"}},
		{"a field is changed", "Service/web: spec.ports[0].port differ", "",
			[]string{"patch", "service", "web", "--type=json", "-p", `[{"op":"replace","path":"/spec/ports/0/port","value":81}]`}},
		{"a container is added", "Deployment.apps/web: spec.template.spec.containers, spec.template.spec.volumes differ", "hostPath",
			[]string{"patch", "deployment", "web", "-p", `{"spec":{"template":{"spec":{"volumes":[{"name":"host","hostPath":{"path":"/"}}],"containers":[{"name":"more","image":"` + s.image + `","command":["/hello","serve"]}]}}}}`}},
		{"rights are added", "securityContext", "SYS_ADMIN",
			[]string{"patch", "deployment", "web", "-p", `{"spec":{"template":{"spec":{"containers":[{"name":"hello","securityContext":{"capabilities":{"add":["SYS_ADMIN"]}}}]}}}}`}},
		{"more run", "Deployment.apps/web: spec.replicas differ", "", []string{"scale", "deployment", "web", "--replicas=2"}},
		{"an object is gone", "ConfigMap/settings is not there", "", []string{"delete", "configmap", "settings"}},
		{"data is changed", "ConfigMap/settings: data.text differ", "", []string{"patch", "configmap", "settings", "-p", `{"data":{"text":"other"}}`}},
		{"somebody's pod", "Pod/meddler is not of the application", "hostPID",
			[]string{"run", "meddler", "--image", s.image, "--overrides", `{"metadata":{` + labels + `},"spec":{"hostPID":true,"containers":[{"name":"meddler","image":"` + s.image + `"}]}}`}},
		{"a forged maker", "Pod/forged is not of the application", "",
			[]string{"run", "forged", "--image", s.image, "--overrides", `{"metadata":{` + labels + `,"ownerReferences":[{"apiVersion":"v1","kind":"Service","name":"web","uid":"` + s.uid("service/web") + `","controller":true}]}}`}},
	} {
		s.Kubectl(c.do...)
		seen := s.observe(r)
		if text := strings.Join(seen.Drift, "; "); !strings.Contains(text, c.drift) {
			t.Errorf("%s: drift %q, want %q", c.name, text, c.drift)
		}
		err := policy.Grants{}.CheckKubernetesLive(r.Render, seen.Objects)
		if c.excess == "" && err != nil && !strings.Contains(c.name, "maker") || c.excess != "" && (!reason.Is(err, reason.Grant) || !strings.Contains(err.Error(), c.excess)) {
			t.Errorf("%s: what runs is judged %v, want %q", c.name, err, c.excess)
		}
		if _, err := s.apply(r); err != nil {
			t.Fatalf("%s: correct: %v", c.name, err)
		}
		s.inOrder(r)
		s.Kubectl("label", "namespace", s.Name, "pod-security.kubernetes.io/enforce=privileged", "--overwrite")
	}
}

// Attack H12: the record of a release is not believed.
func TestAttackH12RecordOfAReleaseIsForged(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	first := s.render(web, nil)
	s.good(first)
	other := newSite(t) // another application, whose objects a forged record claims
	theirs := other.render(strings.ReplaceAll(web, "name: web", "name: theirs"), nil)
	other.good(theirs)

	s.forgeRecord(func(manifest string) string {
		return manifest + "\n---\n# Source: web/templates/more.json\n" +
			`{"apiVersion":"v1","kind":"ConfigMap","metadata":{"name":"settings","namespace":"` + other.Name + `"}}` + "\n"
	})
	second := s.render(web, map[string]string{"greeting": "hello"})
	out := s.good(second)
	if len(out.Notes) != 1 || !strings.Contains(out.Notes[0], "was not that of the last good version") {
		t.Errorf("notes %q", out.Notes)
	}
	s.inOrder(second)
	other.inOrder(theirs)

	// Gone, it is written anew; forged before a removal, it removes nothing else.
	s.Kubectl("delete", "secret", "--selector", "owner=helm")
	if out := s.good(first); len(out.Notes) != 1 || !strings.Contains(out.Notes[0], "was gone") {
		t.Errorf("notes %q", out.Notes)
	}
	s.forgeRecord(func(manifest string) string { return strings.ReplaceAll(manifest, s.Name, other.Name) })
	s.remove(false)
	other.inOrder(theirs)
}
