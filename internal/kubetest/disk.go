package kubetest

import (
	"crypto/rand"
	"fmt"
	"os"
	"strings"
	"testing"
)

// Disk gives the cluster one volume: a directory of this machine. It returns the storage
// class by which one claim can have it, which is the name of the volume, too. What
// something writes there is removed after the test, as far as the test's user may.
func Disk(t testing.TB) (class string) {
	t.Helper()
	return DiskAt(t, t.TempDir())
}

// DiskAt is Disk with a directory of the test's.
func DiskAt(t testing.TB, dir string) (class string) {
	t.Helper()
	if err := os.Chmod(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	return Volume(t, fmt.Sprintf("hostPath: {path: %q, type: Directory}", dir))
}

// Volume gives the cluster a volume of any source, in YAML, as Disk does.
func Volume(t testing.TB, source string) (class string) {
	t.Helper()
	name := "disk-" + strings.ToLower(rand.Text()[:10])
	cmd := Command(t, "apply", "--filename", "-")
	cmd.Stdin = strings.NewReader(fmt.Sprintf(`apiVersion: v1
kind: PersistentVolume
metadata: {name: %s}
spec:
  storageClassName: %[1]s
  capacity: {storage: 1Gi}
  accessModes: [ReadWriteOnce]
  persistentVolumeReclaimPolicy: Retain
  %s
`, name, source))
	if out, err := output(cmd); err != nil {
		t.Fatalf("kubectl apply: %v: %s", err, out)
	}
	t.Cleanup(func() {
		// It goes when its claim has gone, which nobody needs to wait for.
		if out, err := output(Command(t, "delete", "persistentvolume", name, "--wait=false")); err != nil {
			t.Errorf("kubectl delete: %v: %s", err, out)
		}
	})
	return name
}
