package architecture

import (
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

var (
	namedTarget   = regexp.MustCompile("`([a-z0-9]+\\.Fuzz[A-Za-z0-9]+)`")
	definedTarget = regexp.MustCompile(`(?m)^func (Fuzz[A-Za-z0-9_]+)\(`)
	packageClause = regexp.MustCompile(`(?m)^package ([a-z0-9]+?)(?:_test)?$`)
)

// TestLimitsNameEveryFuzzTarget: the inventory of parsers and the fuzz targets
// say the same, so that a parser which loses its target is noticed, and a
// target which nobody knows the input of, too.
func TestLimitsNameEveryFuzzTarget(t *testing.T) {
	var named []string
	for _, m := range namedTarget.FindAllStringSubmatch(readDoc(t, "docs/spec/limits.md"), -1) {
		named = append(named, m[1])
	}
	defined := fuzzTargets(t)
	if len(defined) == 0 {
		t.Fatal("no fuzz target was found")
	}
	for _, target := range defined {
		if !slices.Contains(named, target) {
			t.Errorf("%s is not in docs/spec/limits.md: say which input it stands for, and its bounds", target)
		}
	}
	for _, target := range named {
		if !slices.Contains(defined, target) {
			t.Errorf("docs/spec/limits.md names %s, which does not exist", target)
		}
	}
}

// fuzzTargets are the fuzz functions of the module, as "package.FuzzName".
func fuzzTargets(t *testing.T) []string {
	t.Helper()
	var targets []string
	err := filepath.WalkDir(rootDir(t), func(path string, d fs.DirEntry, err error) error {
		if err != nil || !strings.HasSuffix(path, "_test.go") {
			return err
		}
		source, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		for _, m := range definedTarget.FindAllSubmatch(source, -1) {
			name := packageClause.FindSubmatch(source)
			targets = append(targets, string(name[1])+"."+string(m[1]))
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return targets
}
