package kubetest

import (
	"fmt"
	"os"
	"os/exec"
	"strings"
	"testing"
)

// RemoveImage removes every image of a digest from the node, as one that cleans up
// does. What runs of it, runs on.
func RemoveImage(t testing.TB, digest string) {
	t.Helper()
	names := imagesOf(t, digest)
	if len(names) == 0 {
		t.Fatalf("the node has no image %s", digest)
	}
	containerd(t, append([]string{"images", "rm", "--sync"}, names...)...)
	if left := imagesOf(t, digest); len(left) > 0 {
		t.Fatalf("the node still has %s as %q", digest, left)
	}
}

// imagesOf are the names under which the node has an image.
func imagesOf(t testing.TB, digest string) []string {
	t.Helper()
	var names []string
	for line := range strings.Lines(containerd(t, "images", "ls")) {
		if f := strings.Fields(line); len(f) > 2 && f[2] == digest {
			names = append(names, f[0])
		}
	}
	return names
}

// containerd has the node's containerd do something, as root.
func containerd(t testing.TB, args ...string) string {
	t.Helper()
	pid, err := os.ReadFile(file(t, "init.pid"))
	if err != nil {
		t.Fatal(err)
	}
	enter := []string{
		"nsenter", fmt.Sprintf("--mount=/proc/%s/ns/mnt", strings.TrimSpace(string(pid))),
		"ctr", "--address", "/run/containerd/containerd.sock", "--namespace", "k8s.io",
	}
	if os.Geteuid() != 0 {
		enter = append([]string{"sudo", "-n"}, enter...)
	}
	enter = append(enter, args...)
	out, err := output(exec.Command(enter[0], enter[1:]...))
	if err != nil {
		t.Fatalf("%q: %v: %s", enter, err, out)
	}
	return out
}
