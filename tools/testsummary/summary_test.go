package main

import (
	"context"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// A real module with a package for each way to end.
var module = map[string]string{
	"go.mod":         "module example.test/m\n\ngo 1.26\n",
	"good/a_test.go": "package good\nimport \"testing\"\nfunc TestA(t *testing.T) { t.Run(\"sub\", func(*testing.T) {}) }\nfunc TestB(t *testing.T) { t.Skip(\"why\") }\n",
	"bad/help.go":    "package bad\nimport \"testing\"\nfunc Explain(t *testing.T) { t.Log(\"a long story\") }\n",
	"bad/a_test.go":  "package bad\nimport \"testing\"\nfunc TestA(t *testing.T) { Explain(t); t.Error(\"the cause\"); Explain(t) }\nfunc TestB(t *testing.T) { t.Log(\"quiet\") }\n",
	"none/a.go":      "package none\n",
	"crash/a_test.go": "package crash\nimport (\"os\"; \"testing\")\n" +
		"func TestMain(m *testing.M) { println(\"gave up\"); os.Exit(3) }\nfunc TestA(*testing.T) {}\n",
	"broken/a_test.go": "package broken\nimport \"testing\"\nfunc TestA(*testing.T) { undefined() }\n",
}

func writeModule(t *testing.T) string {
	dir := t.TempDir()
	for name, text := range module {
		path := filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

func TestSummaryOfARealRun(t *testing.T) {
	t.Chdir(writeModule(t))
	for _, c := range []struct {
		name, packages, last string
		exit                 int
		want                 []string
	}{
		{"all passed", "./good ./none", "2 passed, 0 failed, 1 skipped", 0, []string{"ok  \texample.test/m/good"}},
		{"one failed", "./good ./bad", "3 passed, 1 failed, 1 skipped", 1, []string{"FAIL\texample.test/m/bad", "failed: example.test/m/bad TestA\n  a_test.go:3: the cause\n3 passed"}},
		{"crashed", "./crash", "0 passed, 1 failed, 0 skipped", 1, []string{"failed: example.test/m/crash\n"}},
		{"does not build", "./broken", "0 passed, 1 failed, 0 skipped", 1, []string{"failed: example.test/m/broken\n"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			file := filepath.Join(t.TempDir(), "summary")
			code, err := run(context.Background(), strings.Fields(c.packages), file)
			if err != nil || code != c.exit {
				t.Fatalf("exit %d, %v; want %d", code, err, c.exit)
			}
			data, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			got := string(data)
			if !strings.HasSuffix(got, "\n"+c.last+"\n") && got != c.last+"\n" {
				t.Errorf("summary ends otherwise than %q:\n%s", c.last, got)
			}
			for _, w := range c.want {
				if !strings.Contains(got, w) {
					t.Errorf("summary lacks %q:\n%s", w, got)
				}
			}
		})
	}
}

// However much a test says, the summary stays one.
func TestWordsOfAFailureAreFew(t *testing.T) {
	long := "    a_test.go:1: " + strings.Repeat("x", 10*widestLine) + "\n        and more\n"
	got := words(slices.Repeat([]string{long}, 3*mostWords))
	if len(got) != mostWords+1 || got[mostWords] != "..." || len(got[0]) != widestLine || !strings.HasPrefix(got[0], "a_test.go:1: x") {
		t.Errorf("%d lines, %q", len(got), got)
	}
}

func TestOutputOfAFailedTestIsShown(t *testing.T) {
	var live strings.Builder
	s := newSummary(&live)
	for _, line := range []string{
		`{"Action":"output","Package":"p","Test":"T","Output":"the cause\n"}`,
		`{"Action":"output","Package":"p","Test":"U","Output":"noise\n"}`,
		`{"Action":"pass","Package":"p","Test":"U"}`,
		`{"Action":"fail","Package":"p","Test":"T"}`,
		`go: a line of the go command`,
	} {
		s.line(line + "\n")
	}
	if got := live.String(); !strings.Contains(got, "the cause") || strings.Contains(got, "noise") || !strings.Contains(got, "go: a line") {
		t.Errorf("printed %q", got)
	}
}

func TestNothingTestedIsAFailure(t *testing.T) {
	t.Chdir(writeModule(t))
	for _, args := range []string{"-run Absent ./good", "./none"} {
		if _, err := run(context.Background(), strings.Fields(args), ""); err == nil || !strings.Contains(err.Error(), "no test ran") {
			t.Errorf("%s: %v", args, err)
		}
	}
}
