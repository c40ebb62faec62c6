package architecture

import (
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"golang.org/x/mod/modfile"
	"golang.org/x/mod/semver"
)

// floors are the oldest versions without a known fault that matters here.
// A module listed here must be in go.mod under exactly this path: one that was
// renamed would otherwise slip past its floor.
var floors = map[string]string{
	"github.com/theupdateframework/go-tuf/v2":    "v2.4.2",
	"github.com/sigstore/sigstore-go":            "v1.3.0",
	"github.com/sigstore/sigstore":               "v1.10.4",
	"oras.land/oras-go/v2":                       "v2.6.2",
	"golang.org/x/mod":                           "v0.40.0",
	"github.com/docker/compose/v5":               "v5.0.0", // the floor is 2.40.2, long before v5
	"github.com/sigstore/timestamp-authority/v2": "v2.0.6",
}

func parseMod(t *testing.T, dir string) *modfile.File {
	t.Helper()
	path := filepath.Join(rootDir(t), dir, "go.mod")
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	f, err := modfile.Parse(path, data, nil)
	if err != nil {
		t.Fatal(err)
	}
	return f
}

// moduleDirs are the directories with a go.mod: the programs', that of a program
// with dependencies of its own, and one per set of tools.
func moduleDirs(t *testing.T) []string {
	t.Helper()
	dirs := []string{"."}
	for _, above := range []string{"cmd", "tools"} {
		files, err := filepath.Glob(filepath.Join(rootDir(t), above, "*", "go.mod"))
		if err != nil || len(files) == 0 {
			t.Fatalf("no modules found below %s: %v", above, err)
		}
		for _, file := range files {
			dirs = append(dirs, relative(t, filepath.Dir(file)))
		}
	}
	return dirs
}

func TestDependenciesAreAtOrAboveTheirFloors(t *testing.T) {
	for _, dir := range moduleDirs(t) {
		found := map[string]bool{}
		for _, r := range parseMod(t, dir).Require {
			floor, ok := floors[r.Mod.Path]
			found[r.Mod.Path] = true
			if ok && semver.Compare(r.Mod.Version, floor) < 0 {
				t.Errorf("%s/go.mod: %s %s is below %s", dir, r.Mod.Path, r.Mod.Version, floor)
			}
		}
		for path := range floors {
			if dir == "." && !found[path] {
				t.Errorf("go.mod: %s is not required: has it another path now? Move its floor along", path)
			}
		}
	}
}

// TestNoModuleIsReplaced: but our own, by the checkout that holds the module which
// requires it.
func TestNoModuleIsReplaced(t *testing.T) {
	for _, dir := range moduleDirs(t) {
		for _, r := range parseMod(t, dir).Replace {
			if r.Old.Path == module && filepath.Join(dir, r.New.Path) == "." {
				continue
			}
			t.Errorf("%s/go.mod replaces %s: what is built must be what the checksum database saw", dir, r.Old.Path)
		}
	}
}

// asInMain are the modules that have the main module's version of whatever both
// require, but for what is named. publisher-kms is the publisher with something
// added: a fault mended in the main module is mended there. The two tools are large,
// and a third of Kubernetes is compiled already when it is built after the checks,
// as long as not one module below it is another.
var asInMain = map[string][]string{
	"cmd/publisher-kms": nil,
	"tools/helm":        {"oras.land/oras-go/v2", "golang.org/x/exp", "go.opentelemetry.io/contrib/instrumentation/google.golang.org/grpc/otelgrpc"},
	"tools/kube":        {"github.com/containerd/containerd/api", "github.com/Microsoft/go-winio"},
}

func TestOneVersionForEveryProgram(t *testing.T) {
	versions := map[string]string{}
	for _, r := range parseMod(t, ".").Require {
		versions[r.Mod.Path] = r.Mod.Version
	}
	for dir, besides := range asInMain {
		shared := 0
		for _, r := range parseMod(t, dir).Require {
			want := versions[r.Mod.Path]
			if want == "" || slices.Contains(besides, r.Mod.Path) {
				continue
			}
			shared++
			if want != r.Mod.Version {
				t.Errorf("%s/go.mod has %s %s, the main module %s: run 'GOFLAGS=-mod=mod go -C %[1]s get %[2]s@%[4]s', and raise it in go.mod if it is above", dir, r.Mod.Path, r.Mod.Version, want)
			}
		}
		if shared == 0 {
			t.Errorf("%s/go.mod shares nothing with the main module", dir)
		}
	}
}

// direct are the modules that we chose: those that our packages or their tests
// import, those that hold a tool, and those that a tool of ours imports.
func direct(t *testing.T) map[string]bool {
	t.Helper()
	chosen := map[string]bool{}
	f := parseMod(t, ".")
	for _, p := range packages(t) {
		for _, imported := range slices.Concat(p.Imports, p.TestImports, p.XTestImports) {
			if m := moduleOf(imported, f); m != "" {
				chosen[m] = true
			}
		}
	}
	for _, dir := range moduleDirs(t) {
		f := parseMod(t, dir)
		for _, tool := range f.Tool {
			if !ours(tool.Path) {
				chosen[moduleOf(tool.Path, f)] = true
			}
		}
		for _, r := range f.Require {
			if !r.Indirect && r.Mod.Path != module { // also what is imported under a build tag only
				chosen[r.Mod.Path] = true
			}
		}
	}
	return chosen
}

// moduleOf is the required module that holds a package: the longest path that
// the package lies under. It is "" for the standard library and ourselves.
func moduleOf(path string, f *modfile.File) string {
	var module string
	for _, r := range f.Require {
		if under(path, r.Mod.Path) && len(r.Mod.Path) > len(module) {
			module = r.Mod.Path
		}
	}
	return module
}

var dependencyRow = regexp.MustCompile("(?m)^\\| `([^`]+)` \\|")

func TestEveryDirectDependencyHasItsReason(t *testing.T) {
	documented := map[string]bool{}
	for _, m := range dependencyRow.FindAllStringSubmatch(readDoc(t, "docs/dependencies.md"), -1) {
		if documented[m[1]] {
			t.Errorf("docs/dependencies.md lists %s twice", m[1])
		}
		documented[m[1]] = true
	}
	chosen := direct(t)
	for path := range chosen {
		if !documented[path] {
			t.Errorf("docs/dependencies.md does not say what %s is for", path)
		}
	}
	for path := range documented {
		if !chosen[path] {
			t.Errorf("docs/dependencies.md still lists %s, which is no direct dependency", path)
		}
	}
}

func readDoc(t *testing.T, path string) string {
	t.Helper()
	data, err := os.ReadFile(filepath.Join(rootDir(t), filepath.FromSlash(path)))
	if err != nil {
		t.Fatal(err)
	}
	return strings.ReplaceAll(string(data), "\r\n", "\n")
}
