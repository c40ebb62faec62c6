package cluster_test

import (
	"bufio"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/consign-dev/consign/internal/apply/helm/cluster"
	"github.com/consign-dev/consign/internal/apply/task"
	"github.com/consign-dev/consign/internal/reason"
	"github.com/consign-dev/consign/internal/testprograms"
)

// still is a chart without pods, which is applied in no time.
const still = `
apiVersion: v1
kind: ConfigMap
metadata: {name: settings}
data: {greeting: {{ .Values.greeting | quote }}}
---
apiVersion: v1
kind: Service
metadata: {name: web}
spec: {selector: {app: web}, ports: [{port: 80}]}
`

// stopped runs the program with an armed fault, and returns whether it answered.
func (s *site) stopped(bin string, in task.ChartApplyInput, env string) bool {
	s.t.Helper()
	request, err := json.Marshal(map[string]any{"task": "apply", "input": in})
	if err != nil {
		s.t.Fatal(err)
	}
	cmd := exec.Command(filepath.Join(bin, "applier-helm"), "apply")
	cmd.Env = []string{env}
	to, err := cmd.StdinPipe()
	if err != nil {
		s.t.Fatal(err)
	}
	from, err := cmd.StdoutPipe()
	if err != nil {
		s.t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		s.t.Fatal(err)
	}
	if _, err := to.Write(append(request, '\n')); err != nil {
		s.t.Fatal(err)
	}
	answer, _ := bufio.NewReader(from).ReadString('\n')
	_ = to.Close()
	_ = cmd.Wait()
	return strings.Contains(answer, `"result"`)
}

// points are those that an upgrade passes, in the order of their first passage.
func (s *site) points(bin string, in task.ChartApplyInput) []string {
	s.t.Helper()
	file := filepath.Join(s.t.TempDir(), "trace")
	if !s.stopped(bin, in, "CONSIGN_FAULT_TRACE="+file) {
		s.t.Fatal("an upgrade without a fault does not end")
	}
	data, err := os.ReadFile(file)
	if err != nil {
		s.t.Fatal(err)
	}
	var out []string
	for _, point := range strings.Fields(string(data)) {
		if strings.HasPrefix(point, "engine.") && !slices.Contains(out, point) {
			out = append(out, point)
		}
	}
	return out
}

// statuses are those of Helm's records of the release, the last one last.
func (s *site) statuses() []string {
	s.t.Helper()
	return strings.Fields(s.Kubectl("get", "secrets", "--selector", "owner=helm", "--sort-by", "{.metadata.creationTimestamp}", "--output", "jsonpath={.items[*].metadata.labels.status}"))
}

// Attack H13: a change that is killed anywhere is taken up by the next.
func TestAttackH13UpgradeIsKilledAtEveryStep(t *testing.T) {
	t.Parallel()
	bin, err := testprograms.Build("faults", "faults", "./cmd/applier-helm")
	if err != nil {
		t.Fatal(err)
	}
	s := newStillSite(t)
	s.good(s.render(still, nil))
	traced := s.render(still, map[string]string{"greeting": "traced"})
	points := s.points(bin, s.input(traced))
	s.before = traced.Render
	for _, needed := range []string{"engine.namespace", "engine.rehearse", "engine.record", "engine.install", "engine.compare", "engine.settle"} {
		if !slices.Contains(points, needed) {
			t.Errorf("an upgrade passes %q, and not %s", points, needed)
		}
	}
	// Helm writes a record when it begins an upgrade and when it ends one.
	points = append(points, "engine.record:2", "engine.record:3")
	for n, point := range points {
		next := s.render(still, map[string]string{"greeting": fmt.Sprint("after ", n)})
		if s.stopped(bin, s.input(next), "CONSIGN_FAULT="+point) {
			t.Errorf("%s: it was not killed", point)
		}
		s.good(next)
		s.inOrder(next)
		statuses := s.statuses()
		if last := statuses[len(statuses)-1]; last != "deployed" || slices.ContainsFunc(statuses, func(s string) bool { return strings.HasPrefix(s, "pending") }) {
			t.Errorf("killed at %s: the records say %q", point, statuses)
		}
	}
}

// Attack H14: what is somebody else's stays, and what would take its place is refused
// before anything is changed.
func TestAttackH14ObjectsOfOthersAreInTheWay(t *testing.T) {
	t.Parallel()
	s := newStillSite(t)
	first := s.render(still, nil)
	s.good(first)
	more := s.render(still+"---\napiVersion: v1\nkind: ConfigMap\nmetadata: {name: theirs}\ndata: {text: ours}\n", map[string]string{"greeting": "hello"})
	for name, metadata := range map[string]string{
		"nobody's":             `{"name":"theirs"}`,
		"another deployment's": `{"name":"theirs","labels":{"dev.consign.deployment":"other"},"annotations":{"meta.helm.sh/release-name":"` + s.release + `"}}`,
		"another component's":  `{"name":"theirs","labels":{"dev.consign.deployment":"` + s.deployment + `"},"annotations":{"meta.helm.sh/release-name":"other"}}`,
	} {
		s.Apply(`{"apiVersion":"v1","kind":"ConfigMap","metadata":` + metadata + `,"data":{"text":"theirs"}}`)
		if _, err := s.apply(more); !reason.Is(err, reason.Conflict) || !strings.Contains(err.Error(), "ConfigMap/theirs") {
			t.Errorf("%s: got %v", name, err)
		}
		s.inOrder(first)
		if text := s.Kubectl("get", "configmap", "theirs", "--output", "jsonpath={.data.text}"); text != "theirs" {
			t.Errorf("%s: it became %q", name, text)
		}
		s.Kubectl("delete", "configmap", "theirs")
	}
	foreign := newStillSite(t)
	foreign.Kubectl("create", "namespace", foreign.Name)
	if _, err := foreign.apply(foreign.render(still, nil)); !reason.Is(err, reason.Conflict) || !strings.Contains(err.Error(), "namespace "+foreign.Name) {
		t.Errorf("a namespace of somebody else: %v", err)
	}
	if there := foreign.Kubectl("get", "service,secret", "--output", "name"); there != "" {
		t.Errorf("in a namespace of somebody else: %q", there)
	}
}

// A removal takes what is ours where somebody relabelled the namespace, and leaves
// the namespace where somebody keeps something in it.
func TestAttackH14RemovalBesideOthers(t *testing.T) {
	t.Parallel()
	s := newStillSite(t)
	s.good(s.render(still, nil))
	s.Kubectl("create", "configmap", "notes")
	s.Kubectl("label", "namespace", s.Name, "dev.consign.deployment=other", "--overwrite")
	if removed := s.remove(true); !slices.Contains(removed.Objects, "Service/web") {
		t.Errorf("removed %q", removed.Objects)
	}
	s.Kubectl("label", "namespace", s.Name, "dev.consign.deployment="+s.deployment, "--overwrite")
	s.remove(true)
	if phase := s.Kubectl("get", "namespace", s.Name, "--output", "jsonpath={.status.phase}"); phase != "Active" {
		t.Errorf("the namespace is %s", phase)
	}
	s.Kubectl("get", "configmap", "notes")
}

// Attack H12: Secrets that Helm would take for records, under other names, with no
// information or with too much of it.
func TestAttackH12SecretsThatPassForRecords(t *testing.T) {
	t.Parallel()
	s, other := newStillSite(t), newStillSite(t)
	s.good(s.render(still, nil))
	theirs := other.render(still, nil)
	other.good(theirs)
	manifest := `{"apiVersion":"v1","kind":"ConfigMap","metadata":{"name":"settings","namespace":"` + other.Name + `"}}`
	for n, record := range []map[string]any{
		{"name": s.release, "namespace": s.Name, "version": 1000, "manifest": manifest, "info": map[string]any{"status": "deployed"}, "chart": map[string]any{"metadata": map[string]any{"name": "web"}}},
		{"name": s.release, "namespace": s.Name, "version": 1001},
	} {
		packed, err := packRecord(record)
		if err != nil {
			t.Fatal(err)
		}
		for _, name := range []string{fmt.Sprint("other-", n), fmt.Sprintf("sh.helm.release.v1.%s.v%d", s.release, 1000+n)} {
			secret, err := json.Marshal(map[string]any{
				"apiVersion": "v1", "kind": "Secret", "type": "helm.sh/release.v1", "data": map[string][]byte{"release": packed},
				"metadata": map[string]any{"name": name, "labels": map[string]string{"owner": "helm", "name": s.release, "status": "deployed", "version": fmt.Sprint(1000 + n)}},
			})
			if err != nil {
				t.Fatal(err)
			}
			s.Apply(string(secret))
		}
		next := s.render(still, map[string]string{"greeting": fmt.Sprint("hello ", n)})
		s.good(next)
		s.inOrder(next)
		other.inOrder(theirs)
	}
}

// What an operator makes for a custom object of a render, with the labels of that
// object, stays; what only says so goes.
func TestWhatAnOperatorMadeStays(t *testing.T) {
	t.Parallel()
	s := newStillSite(t)
	group := s.customKind("engines", "Engine", "Namespaced")
	first := s.render(still+"---\napiVersion: "+group+"/v1\nkind: Engine\nmetadata: {name: main}\nspec: {speed: 1}\n", nil)
	s.good(first)
	engine, settings := s.uid("engines/main"), s.uid("configmap/settings")
	s.owned("copy", group+"/v1", "Engine", "main", engine, true)
	s.owned("helper", group+"/v1", "Engine", "main", engine, false)
	s.owned("forged", "v1", "ConfigMap", "settings", settings, true)
	made := s.uid("secret/copy")
	var found []string
	for _, d := range s.observe(first).Drift {
		found = append(found, strings.Fields(d)[0])
	}
	if slices.Sort(found); !slices.Equal(found, []string{"Secret/forged", "Secret/helper"}) {
		t.Errorf("%q differ", found)
	}
	s.good(first)
	s.inOrder(first)
	if left := s.Kubectl("get", "secrets", "--selector", "dev.consign.deployment", "--output", "jsonpath={.items[*].metadata.uid}"); left != made {
		t.Errorf("of the secrets %q are left, want %q", left, made)
	}
	without := s.render(still, nil)
	s.good(without)
	s.Kubectl("wait", "--for=delete", "secret/copy", "--timeout=1m")
	s.inOrder(without)
}

// owned makes a Secret of the deployment that names an owner.
func (s *site) owned(name, apiVersion, kind, owner, uid string, controller bool) {
	s.t.Helper()
	s.Apply(fmt.Sprintf(`{"apiVersion":"v1","kind":"Secret","metadata":{"name":%q,"labels":{"dev.consign.deployment":%q},`+
		`"ownerReferences":[{"apiVersion":%q,"kind":%q,"name":%q,"uid":%q,"controller":%t}]}}`, name, s.deployment, apiVersion, kind, owner, uid, controller))
}

// customKind defines a kind that has a speed, in a group of the test's own.
func (s *site) customKind(plural, kind, scope string) (group string) {
	s.t.Helper()
	group = strings.ToLower(s.Name) + ".example.com"
	s.Apply(`{"apiVersion":"apiextensions.k8s.io/v1","kind":"CustomResourceDefinition","metadata":{"name":"` + plural + `.` + group + `"},"spec":{"group":"` + group + `","scope":"` + scope + `",` +
		`"names":{"kind":"` + kind + `","plural":"` + plural + `"},"versions":[{"name":"v1","served":true,"storage":true,"schema":{"openAPIV3Schema":{"type":"object","properties":{"spec":{"type":"object","properties":{"speed":{"type":"integer"}}}}}}}]}}`)
	s.t.Cleanup(func() { s.Kubectl("delete", "customresourcedefinition", plural+"."+group, "--wait=false") })
	s.Kubectl("wait", "--for=condition=Established", "customresourcedefinition/"+plural+"."+group, "--timeout=1m")
	return group
}

// Whether the cluster takes a render is known before anything is changed.
func TestWhatTheClusterDoesNotTake(t *testing.T) {
	t.Parallel()
	s := newStillSite(t)
	unknown := strings.Replace(still, "ports: [", "unknown: true, ports: [", 1)
	if _, err := s.apply(s.render(unknown, nil)); !reason.Is(err, reason.Ineligible) || !strings.Contains(err.Error(), "Service/web") {
		t.Errorf("an unknown field at first: %v", err)
	}
	first := s.render(still, nil)
	s.good(first)
	group := s.customKind("lines", "Line", "Cluster")
	for name, c := range map[string]struct{ chart, want string }{
		"an unknown field":       {strings.Replace(unknown, "port: 80", "port: 81", 1), "unknown"},
		"a bad value":            {strings.Replace(still, "port: 80", "port: 800000", 1), "800000"},
		"an unknown kind":        {still + "---\napiVersion: none.example.com/v1\nkind: None\nmetadata: {name: a}\n", "does not know None"},
		"the whole cluster's":    {still + "---\napiVersion: " + group + "/v1\nkind: Line\nmetadata: {name: a}\nspec: {speed: 1}\n", "the whole cluster's"},
		"of the namespace, too":  {still + "---\napiVersion: " + group + "/v1\nkind: Line\nmetadata: {name: a, namespace: " + s.Name + "}\nspec: {speed: 1}\n", "the whole cluster's"},
		"a second one of a name": {still + "---\napiVersion: v1\nkind: Secret\ntype: 7/x y\nmetadata: {name: a}\nimmutable: 1\n", "Secret/a"},
	} {
		if _, err := s.apply(s.render(c.chart, map[string]string{"greeting": "other"})); !reason.Is(err, reason.Ineligible) || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: got %v, want %q", name, err, c.want)
		}
		s.inOrder(first)
	}
}

// What is not ready in time is refused with what was waited for, and what nobody
// removes ends a removal in its time.
func TestTimeIsKept(t *testing.T) {
	t.Parallel()
	s := newStillSite(t)
	s.good(s.render(still, nil))
	in := s.input(s.render(strings.Replace(still, "spec: {selector", "spec: {type: LoadBalancer, selector", 1), nil))
	in.TimeoutSeconds = 30
	if _, err := cluster.Apply(t.Context(), in); !reason.Is(err, reason.Health) || !strings.Contains(err.Error(), "Service/web is not ready") {
		t.Errorf("got %v", err)
	}
	s.Kubectl("patch", "configmap", "settings", "-p", `{"metadata":{"finalizers":["example.com/stays"]}}`)
	_, err := cluster.Remove(t.Context(), task.ChartRemoveInput{
		Kubeconfig: s.Kubeconfig, Release: s.release, Namespace: s.Name, Deployment: s.deployment, TimeoutSeconds: 20,
	})
	if !reason.Is(err, reason.Unreachable) || !strings.Contains(err.Error(), "ConfigMap/settings") {
		t.Errorf("a finalizer that nobody removes: got %v", err)
	}
	s.Kubectl("patch", "configmap", "settings", "-p", `{"metadata":{"finalizers":null}}`)
	s.remove(false)
}

// Data outlives the version that made it, and is there for the next that names it.
func TestClaimsOutliveTheirVersion(t *testing.T) {
	t.Parallel()
	s := newStillSite(t)
	claim := "---\napiVersion: v1\nkind: PersistentVolumeClaim\nmetadata: {name: papers}\nspec: {accessModes: [ReadWriteOnce], resources: {requests: {storage: 1Mi}}}\n"
	with, without := s.render(still+claim, nil), s.render(still, nil)
	s.good(with)
	uid := s.uid("persistentvolumeclaim/papers")
	s.good(without)
	s.inOrder(without)
	s.good(with)
	s.inOrder(with)
	if now := s.uid("persistentvolumeclaim/papers"); now != uid {
		t.Error("the claim is another one")
	}
}
