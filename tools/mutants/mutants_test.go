package main

import (
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

const root = "../.."

// TestMutantsFitTheTree: every patch applies to the tree as it is, names packages
// that exist, and a test of its row is in one of them.
func TestMutantsFitTheTree(t *testing.T) {
	all, err := readMutants(filepath.Join(root, "test", "mutants"))
	if err != nil {
		t.Fatal(err)
	}
	for _, m := range all {
		if m.packages == nil {
			continue
		}
		path, err := filepath.Abs(m.path)
		if err != nil {
			t.Fatal(err)
		}
		check := exec.CommandContext(t.Context(), "git", "apply", "--check", path)
		check.Dir = root
		if out, err := check.CombinedOutput(); err != nil {
			t.Errorf("%s does not apply: %s", m.name, out)
		}
		if !hasTest(t, m) {
			t.Errorf("%s: no test TestAttack%s... in %s", m.name, m.row, strings.Join(m.packages, " "))
		}
	}
}

func hasTest(t *testing.T, m mutant) bool {
	t.Helper()
	pattern := regexp.MustCompile(`(?m)^func TestAttack` + m.row + `([^0-9]|$)`)
	for _, dir := range m.packages {
		files, err := filepath.Glob(filepath.Join(root, dir, "*_test.go"))
		if err != nil || len(files) == 0 {
			t.Errorf("%s names %s, which has no tests (%v)", m.name, dir, err)
		}
		for _, f := range files {
			if text, err := os.ReadFile(f); err == nil && pattern.Match(text) {
				return true
			}
		}
	}
	return false
}

// TestCaughtAndMissed judges mutants of a module of its own: one that its test
// notices, one that it does not, one that does not build, one that does not apply.
func TestCaughtAndMissed(t *testing.T) {
	dir := t.TempDir()
	write := func(name, text string) {
		path := filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	diff := func(line string) string {
		return "# packages: .\ndiff --git a/x.go b/x.go\n--- a/x.go\n+++ b/x.go\n@@ -1,3 +1,3 @@\n package x\n \n-func X() int { return 1 }\n+" + line + "\n"
	}
	write("go.mod", "module example.com/x\n\ngo 1.26\n")
	write("x.go", "package x\n\nfunc X() int { return 1 }\n")
	write("x_test.go", "package x\n\nimport \"testing\"\n\nfunc TestAttackT1X(t *testing.T) {\n\tif X() != 1 {\n\t\tt.Error(X())\n\t}\n}\n")
	write("test/mutants/T1.patch", diff("func X() int { return 2 }"))
	write("test/mutants/T1-missed.patch", diff("func X() int { return 2 - 1 }"))
	write("test/mutants/T1-broken.patch", diff("func X() int { return }"))
	write("test/mutants/T1-stale.patch", strings.Replace(diff("func X() int { return 2 }"), "return 1", "return 0", 1))
	write("test/mutants/T2.patch", diff("func X() int { return 2 }"))
	write("test/mutants/T5.patch", "# library: somebody else's\n")
	for _, args := range [][]string{{"init", "-q"}, {"add", "."}} {
		cmd := exec.CommandContext(t.Context(), "git", args...)
		cmd.Dir = dir
		if out, err := cmd.CombinedOutput(); err != nil {
			t.Fatalf("git %v: %v: %s", args, err, out)
		}
	}
	var out strings.Builder
	err := run(context.Background(), dir, selection{}, &out)
	if err == nil || err.Error() != "not caught: T1-broken, T1-missed, T1-stale, T2" {
		t.Errorf("error %v", err)
	}
	for _, want := range []string{"T1 ", "caught", "MISSED", "does not build", "does not apply", "no test matches"} {
		if !strings.Contains(out.String(), want) {
			t.Errorf("the output has no %q:\n%s", want, out.String())
		}
	}
	if err := run(context.Background(), dir, selection{rows: []string{"T9"}}, &out); err == nil || !strings.Contains(err.Error(), "T9") {
		t.Errorf("a row without a patch: %v", err)
	}
}
