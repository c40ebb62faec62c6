package architecture

import (
	"encoding/json"
	"errors"
	"io"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
)

const module = "github.com/consign-dev/consign"

// pkg is what "go list -json" says of a package. GoFiles and Imports are
// without its tests.
type pkg struct {
	ImportPath   string
	Dir          string
	GoFiles      []string
	Imports      []string
	TestImports  []string
	XTestImports []string
}

// path is the import path without the module: "internal/cli", "" at the root.
func (p pkg) path() string { return inModule(p.ImportPath) }

// inModule shortens an import path of this module; another one stays whole.
func inModule(path string) string {
	return strings.TrimPrefix(strings.TrimPrefix(path, module), "/")
}

func ours(path string) bool { return path == module || strings.HasPrefix(path, module+"/") }

// under reports whether path is one of dirs or lies below one.
func under(path string, dirs ...string) bool {
	for _, d := range dirs {
		if path == d || strings.HasPrefix(path, d+"/") {
			return true
		}
	}
	return false
}

var root = sync.OnceValues(func() (string, error) {
	out, err := exec.Command("go", "list", "-m", "-f", "{{.Dir}}").Output()
	return strings.TrimSpace(string(out)), err
})

func rootDir(t *testing.T) string {
	t.Helper()
	dir, err := root()
	if err != nil {
		t.Fatal(err)
	}
	return dir
}

func goList(t *testing.T, args ...string) []byte {
	t.Helper()
	cmd := exec.Command("go", append([]string{"list"}, args...)...)
	cmd.Dir = rootDir(t)
	out, err := cmd.Output()
	if err != nil {
		var exit *exec.ExitError
		if errors.As(err, &exit) {
			t.Fatalf("go list %s: %s", strings.Join(args, " "), exit.Stderr)
		}
		t.Fatal(err)
	}
	return out
}

var loaded struct {
	sync.Once
	pkgs []pkg
}

// packages lists every package of the module, also (-e) those that do not
// build just now: that is another test's failure.
func packages(t *testing.T) []pkg {
	t.Helper()
	loaded.Do(func() {
		dec := json.NewDecoder(strings.NewReader(string(goList(t, "-e", "-json=ImportPath,Dir,GoFiles,Imports,TestImports,XTestImports", "./..."))))
		for {
			var p pkg
			if err := dec.Decode(&p); errors.Is(err, io.EOF) {
				return
			} else if err != nil {
				t.Fatal(err)
			}
			loaded.pkgs = append(loaded.pkgs, p)
		}
	})
	if len(loaded.pkgs) == 0 {
		t.Fatal("no packages listed")
	}
	return loaded.pkgs
}

// relative is a file's path from the root of the repository.
func relative(t *testing.T, file string) string {
	t.Helper()
	rel, err := filepath.Rel(rootDir(t), file)
	if err != nil {
		t.Fatal(err)
	}
	return filepath.ToSlash(rel)
}
