package cluster_test

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/opencontainers/go-digest"

	"github.com/consign-dev/consign/internal/apply/helm/cluster"
	"github.com/consign-dev/consign/internal/apply/task"
	"github.com/consign-dev/consign/internal/kubetest"
	"github.com/consign-dev/consign/internal/reason"
)

// snapshot copies what the site's deployment has into a new directory.
func (s *site) snapshot() (string, []task.Volume, error) {
	s.t.Helper()
	dir := s.t.TempDir()
	out, err := cluster.Snapshot(s.t.Context(), s.snapshotIn(dir))
	return dir, out.Volumes, err
}

func (s *site) snapshotIn(dir string) task.ChartSnapshotInput {
	return task.ChartSnapshotInput{Kubeconfig: s.Kubeconfig, Namespace: s.Name, Deployment: s.deployment, Dir: dir, Room: 1 << 30, TimeoutSeconds: 120}
}

func (s *site) restore(dir string, volumes []task.Volume) error {
	_, err := cluster.Restore(s.t.Context(), task.ChartRestoreInput{
		Kubeconfig: s.Kubeconfig, Namespace: s.Name, Deployment: s.deployment, Dir: dir, Volumes: volumes, TimeoutSeconds: 120,
	})
	return err
}

// begin makes the site's namespace as an apply would.
func (s *site) begin() {
	s.t.Helper()
	s.Apply(fmt.Sprintf("{apiVersion: v1, kind: Namespace, metadata: {name: %s, labels: {dev.consign.deployment: %s}}}", s.Name, s.deployment))
}

// claim makes a claim of the deployment and waits until it has its volume.
func (s *site) claim(name, class, besides string) {
	s.t.Helper()
	s.Apply(fmt.Sprintf(`{apiVersion: v1, kind: PersistentVolumeClaim, metadata: {name: %s, labels: {dev.consign.deployment: %s}},
  spec: {accessModes: [ReadWriteOnce], storageClassName: %s, resources: {requests: {storage: 1Mi}}%s}}`, name, s.deployment, class, besides))
	s.Kubectl("wait", "--for=jsonpath={.status.phase}=Bound", "persistentvolumeclaim/"+name, "--timeout=1m")
}

// database is a StatefulSet with claims of its own and a Deployment that uses a claim
// of the chart, as the tests' user.
func (s *site) database(sets, own string) string {
	as := fmt.Sprintf("securityContext: {runAsUser: %d, runAsGroup: %d}", os.Getuid(), os.Getgid())
	return fmt.Sprintf(`
apiVersion: apps/v1
kind: StatefulSet
metadata: {name: db}
spec:
  serviceName: db
  selector: {matchLabels: {app: db}}
  template:
    metadata: {labels: {app: db}}
    spec:
      %[1]s
      terminationGracePeriodSeconds: 1
      containers:
      - {name: db, image: localhost/hello:1.0.0, env: [{name: STARTS, value: /data/starts}], volumeMounts: [{name: data, mountPath: /data}]}
  volumeClaimTemplates:
  - metadata: {name: data}
    spec: {accessModes: [ReadWriteOnce], storageClassName: %[2]s, resources: {requests: {storage: 1Mi}}}
---
apiVersion: apps/v1
kind: Deployment
metadata: {name: web}
spec:
  strategy: {type: Recreate}
  selector: {matchLabels: {app: web}}
  template:
    metadata: {labels: {app: web}}
    spec:
      %[1]s
      terminationGracePeriodSeconds: 1
      containers:
      - {name: web, image: localhost/hello:1.0.0, env: [{name: STARTS, value: /data/starts}], volumeMounts: [{name: data, mountPath: /data}]}
      volumes: [{name: data, persistentVolumeClaim: {claimName: web}}]
---
apiVersion: v1
kind: PersistentVolumeClaim
metadata: {name: web}
spec: {accessModes: [ReadWriteOnce], storageClassName: %[3]s, resources: {requests: {storage: 1Mi}}}
`, as, sets, own)
}

// running are the pods that have not ended. One whose containers have may be in the
// cluster's lists for a moment longer.
func (s *site) running() []string {
	s.t.Helper()
	return s.podNames("--field-selector", "status.phase!=Succeeded,status.phase!=Failed")
}

func (s *site) file(path string) string {
	s.t.Helper()
	data, err := os.ReadFile(path)
	if err != nil {
		s.t.Error(err)
	}
	return string(data)
}

func (s *site) write(path, text string) {
	s.t.Helper()
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		s.t.Fatal(err)
	}
}

// Data of a Deployment and of a StatefulSet goes back as it was; what wrote it is
// stopped for the copy, and runs again after the next apply.
func TestDataGoesBackAsItWas(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	sets, own := t.TempDir(), t.TempDir()
	r := s.render(s.database(kubetest.DiskAt(t, sets), kubetest.DiskAt(t, own)), nil)
	s.good(r)
	pods := s.podNames()
	if len(pods) != 2 {
		t.Fatalf("pods %q", pods)
	}

	// A copy that does not work stops nothing, or starts it again.
	tight := s.snapshotIn(t.TempDir())
	tight.Room = 100
	if _, err := cluster.Snapshot(t.Context(), tight); !reason.Is(err, reason.NoSpace) || !slices.Equal(s.podNames(), pods) {
		t.Errorf("without room: %v, pods %q became %q", err, pods, s.podNames())
	}
	blocked := t.TempDir()
	if err := os.Mkdir(filepath.Join(blocked, "1.tar.part"), 0o700); err != nil {
		t.Fatal(err)
	}
	if _, err := cluster.Snapshot(t.Context(), s.snapshotIn(blocked)); err == nil || !strings.Contains(err.Error(), "PersistentVolumeClaim/web") {
		t.Errorf("a copy that cannot be written: %v", err)
	}
	s.Kubectl("rollout", "status", "deployment/web", "statefulset/db", "--timeout=1m")
	s.inOrder(r)

	dir, volumes, err := s.snapshot()
	if err != nil || len(volumes) != 2 || volumes[0].Name != "data-db-0" || volumes[1].Name != "web" || volumes[0].Driver != "hostPath" {
		t.Fatalf("%+v, %v", volumes, err)
	}
	if left := s.running(); len(left) > 0 {
		t.Errorf("after the copy %q run", left)
	}
	before := s.file(filepath.Join(own, "starts"))
	s.write(filepath.Join(own, "starts"), "changed")
	s.write(filepath.Join(sets, "besides"), "new")
	for range 2 { // also when it is repeated
		if err := s.restore(dir, volumes); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := os.Stat(filepath.Join(sets, "besides")); !os.IsNotExist(err) || s.file(filepath.Join(own, "starts")) != before {
		t.Errorf("after the return: %v, %q", err, s.file(filepath.Join(own, "starts")))
	}

	// A damaged copy touches nothing.
	damaged := slices.Clone(volumes)
	damaged[0].Digest = digest.FromString("other bytes") // the two copies can be alike
	if err := s.restore(dir, damaged); !reason.Is(err, reason.DigestMismatch) {
		t.Errorf("a damaged copy: %v", err)
	}
	s.good(r)
	s.inOrder(r)
	if len(s.podNames()) != 2 {
		t.Errorf("after the next apply %q run", s.podNames())
	}
}

// What cannot be copied, or is not ours alone, is refused with its name before anything
// is stopped.
func TestDataThatCannotBeCopied(t *testing.T) {
	t.Parallel()
	s := newStillSite(t)
	s.begin()
	refused := func(claim string, want reason.Code, words string) {
		t.Helper()
		if _, volumes, err := s.snapshot(); !reason.Is(err, want) || !strings.Contains(fmt.Sprint(err), words) || !strings.Contains(fmt.Sprint(err), claim) {
			t.Errorf("%s: %+v, %v", claim, volumes, err)
		}
		s.Kubectl("delete", "persistentvolumeclaim", claim)
	}
	if _, volumes, err := s.snapshot(); err != nil || len(volumes) > 0 {
		t.Errorf("without claims: %+v, %v", volumes, err)
	}
	s.claim("share", kubetest.Volume(t, "nfs: {server: 192.0.2.1, path: /data}"), "")
	refused("share", reason.Rule, "of the kind nfs")
	s.claim("driver", kubetest.Volume(t, "csi: {driver: csi.example.com, volumeHandle: x}"), "")
	refused("driver", reason.Rule, "of the kind csi")

	dir := t.TempDir()
	s.claim("outer", kubetest.DiskAt(t, dir), "")
	if _, volumes, err := s.snapshot(); err != nil || len(volumes) != 1 {
		t.Errorf("a volume of its own: %+v, %v", volumes, err)
	}
	inner := filepath.Join(dir, "inner")
	if err := os.Mkdir(inner, 0o700); err != nil {
		t.Fatal(err)
	}
	kubetest.DiskAt(t, inner)
	refused("outer", reason.Conflict, "as well")

	link := filepath.Join(t.TempDir(), "link")
	if err := os.Symlink(t.TempDir(), link); err != nil {
		t.Fatal(err)
	}
	s.claim("link", kubetest.Volume(t, fmt.Sprintf("hostPath: {path: %q}", link)), "")
	refused("link", reason.Rule, "or a link to one")

	// Not the whole machine, which would hold the volumes of other tests as well.
	state := t.TempDir()
	in := s.snapshotIn(filepath.Join(state, "copies"))
	if err := os.Mkdir(in.Dir, 0o700); err != nil {
		t.Fatal(err)
	}
	s.claim("state", kubetest.DiskAt(t, state), "")
	if out, err := cluster.Snapshot(t.Context(), in); !reason.Is(err, reason.Rule) || !strings.Contains(fmt.Sprint(err), "the agent's own state") {
		t.Errorf("a directory with the copies in it: %+v, %v", out, err)
	}
}

// A pod of somebody else that uses a claim would go on writing.
func TestDataThatOthersUse(t *testing.T) {
	t.Parallel()
	s := newStillSite(t)
	s.begin()
	s.claim("data", kubetest.Disk(t), "")
	pod := func(name, labels string) {
		s.Apply(fmt.Sprintf(`{apiVersion: v1, kind: Pod, metadata: {name: %s, labels: {%s}}, spec: {containers: [{name: a, image: %q}],
  volumes: [{name: data, persistentVolumeClaim: {claimName: data}}]}}`, name, labels, s.image))
	}
	pod("stranger", "a: b")
	if _, _, err := s.snapshot(); !reason.Is(err, reason.Conflict) || !strings.Contains(fmt.Sprint(err), "Pod/stranger") {
		t.Errorf("a stranger's pod: %v", err)
	}
	s.Kubectl("delete", "pod", "stranger", "--now")
	dir, volumes, err := s.snapshot()
	if err != nil {
		t.Fatal(err)
	}
	pod("alone", task.LabelDeployment+": "+s.deployment)
	if _, _, err := s.snapshot(); !reason.Is(err, reason.Rule) || !strings.Contains(fmt.Sprint(err), "Pod/alone") {
		t.Errorf("a pod of its own: %v", err)
	}
	// When the data goes back, it goes.
	if err := s.restore(dir, volumes); err != nil {
		t.Error(err)
	}
	if left := s.running(); len(left) > 0 {
		t.Errorf("%q are left", left)
	}
	other := slices.Clone(volumes)
	other[0].Labels = map[string]string{task.LabelDeployment: "another"}
	if err := s.restore(dir, other); !reason.Is(err, reason.Malformed) {
		t.Errorf("the copy of another's: %v", err)
	}
	s.Kubectl("delete", "persistentvolumeclaim", "data")
	if err := s.restore(dir, volumes); !reason.Is(err, reason.Conflict) || !strings.Contains(fmt.Sprint(err), "is not there any more") {
		t.Errorf("a claim that is gone: %v", err)
	}
}

// A caller that is gone starts nothing again: its successor may be at work.
func TestSnapshotWhoseCallerIsGone(t *testing.T) {
	t.Parallel()
	s := newStillSite(t)
	s.begin()
	s.claim("data", kubetest.Disk(t), "")
	gone, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := cluster.Snapshot(gone, s.snapshotIn(t.TempDir())); err == nil {
		t.Error("it went on")
	}
}

// A controller that has not seen yet that it is to run nothing may be about to make a
// pod: nothing is copied or put back until it has.
func TestDataWaitsForControllersThatLag(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	class := kubetest.DiskAt(t, t.TempDir())
	s.good(s.render(s.database(class, kubetest.Disk(t)), nil))
	dir, volumes, err := s.snapshot()
	if err != nil || len(volumes) != 2 {
		t.Fatalf("%+v, %v", volumes, err)
	}
	for _, workload := range []string{"deployment/web", "statefulset/db"} {
		for what, work := range map[string]func() error{
			"copied":   func() error { _, _, err := s.snapshot(); return err },
			"put back": func() error { return s.restore(dir, volumes) },
		} {
			release := kubetest.Hold(t, "kube-controller-manager")
			s.Kubectl("scale", workload, "--replicas=1")
			done := make(chan error, 1)
			go func() { done <- work() }()
			select {
			case err := <-done:
				t.Errorf("%s while the controller of %s lagged: %v", what, workload, err)
				release()
			case <-time.After(2 * time.Second):
				release()
				if err := <-done; err != nil {
					t.Errorf("%s after the controller of %s lagged: %v", what, workload, err)
				}
			}
			if left := s.running(); len(left) > 0 {
				t.Fatalf("%s for %s: %q run", what, workload, left)
			}
		}
	}
}
