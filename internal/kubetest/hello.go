package kubetest

import (
	"bufio"
	"encoding/json"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"syscall"
	"testing"
	"testing/fstest"

	"github.com/consign-dev/consign/internal/testprograms"
)

// Hello serves an image of the example application in the node's network namespace
// with the registry that publishers use, and returns its name with its digest.
func Hello(t testing.TB) string {
	t.Helper()
	image, err := helloImage()
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	if err := os.CopyFS(filepath.Join(dir, "hello"), image.files); err != nil {
		t.Fatal(err)
	}
	return Serve(t, dir) + "/hello@" + image.digest
}

// image is an OCI layout with one image.
type image struct {
	files  fs.FS
	digest string
}

// helloImage makes the image of the example application once for all tests of a program.
var helloImage = sync.OnceValues(func() (image, error) {
	dir, err := os.MkdirTemp("", "consign-hello-")
	if err != nil {
		return image{}, err
	}
	defer os.RemoveAll(dir)
	programs, err := testprograms.Build("hello", "", "./examples/hello", "./tools/mkimage")
	if err != nil {
		return image{}, err
	}
	layout := filepath.Join(dir, "layout")
	mk := exec.Command(filepath.Join(programs, "mkimage"), "-binary", filepath.Join(programs, "hello"), "-out", layout,
		"-ref", "1.0.0", "-platform", "linux/"+runtime.GOARCH, "-env", "VERSION=1.0.0")
	if out, err := mk.CombinedOutput(); err != nil {
		return image{}, fmt.Errorf("mkimage: %w: %s", err, out)
	}
	files, err := inMemory(os.DirFS(layout))
	if err != nil {
		return image{}, err
	}
	raw, err := fs.ReadFile(files, "index.json")
	if err != nil {
		return image{}, err
	}
	var index struct{ Manifests []struct{ Digest string } }
	if err := json.Unmarshal(raw, &index); err != nil {
		return image{}, fmt.Errorf("index.json: %w", err)
	}
	if len(index.Manifests) != 1 {
		return image{}, fmt.Errorf("index.json has %d images, want one: %s", len(index.Manifests), raw)
	}
	return image{files, index.Manifests[0].Digest}, nil
})

func inMemory(from fs.FS) (fstest.MapFS, error) {
	files := fstest.MapFS{}
	return files, fs.WalkDir(from, ".", func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		data, err := fs.ReadFile(from, path)
		files[path] = &fstest.MapFile{Data: data, Mode: 0o644}
		return err
	})
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
