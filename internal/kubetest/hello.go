package kubetest

import (
	"bufio"
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"syscall"
	"testing"
)

// Hello makes an image of the example application, serves it in the node's network
// namespace with the registry that publishers use, and returns its name with its
// digest.
func Hello(t testing.TB) string {
	t.Helper()
	dir := t.TempDir()
	root, err := exec.Command("go", "list", "-m", "-f", "{{.Dir}}").Output()
	if err != nil {
		t.Fatal(err)
	}
	for _, args := range [][]string{
		{"build", "-trimpath", "-buildvcs=false", "-o", filepath.Join(dir, "hello"), "./examples/hello"},
		{"run", "-buildvcs=false", "./tools/mkimage", "-binary", filepath.Join(dir, "hello"), "-out", filepath.Join(dir, "registry", "hello"),
			"-ref", "1.0.0", "-platform", "linux/" + runtime.GOARCH, "-env", "VERSION=1.0.0"},
	} {
		build := exec.Command("go", args...)
		build.Dir, build.Env = strings.TrimSpace(string(root)), append(os.Environ(), "CGO_ENABLED=0")
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
	return Serve(t, filepath.Join(dir, "registry")) + "/hello@" + index.Manifests[0].Digest
}

// Serve returns the address, on the node's loopback, of a registry for a directory.
func Serve(t testing.TB, dir string) string {
	t.Helper()
	bin := os.Getenv("CONSIGN_BIN")
	if bin == "" {
		t.Fatal("CONSIGN_BIN does not name the built programs: run this with make test")
	}
	cmd := exec.Command(filepath.Join(bin, "publisher"), "registry", "serve", "--dir", dir, "--listen", "127.0.0.1:0")
	InNode(t, cmd)
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
