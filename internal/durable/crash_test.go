//go:build faults

package durable

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"github.com/consign-dev/consign/internal/fault"
)

// TestKilledAtEveryPoint runs a small history in a child process, kills it at
// its first fault point, then at its second, and so on to the end, and checks
// each time that what is on disk is a state that the history passed through.
// Run it with: go test -tags faults ./internal/durable
func TestKilledAtEveryPoint(t *testing.T) {
	if dir := os.Getenv("DURABLE_HISTORY"); dir != "" {
		history(t, dir)
		return
	}
	for n := 1; ; n++ {
		dir := t.TempDir()
		child := exec.Command(os.Args[0], "-test.run=^TestKilledAtEveryPoint$")
		child.Env = append(os.Environ(), "DURABLE_HISTORY="+dir, fmt.Sprintf("%s=*:%d:kill", fault.Variable, n))
		out, err := child.CombinedOutput()
		checkHistory(t, dir)
		if err == nil {
			if n < 20 {
				t.Errorf("the history passed only %d points", n-1)
			}
			return
		}
		if child.ProcessState.ExitCode() != -1 {
			t.Fatalf("point %d: the child was not killed: %v\n%s", n, err, out)
		}
	}
}

func history(t *testing.T, dir string) {
	j, err := OpenJournal(filepath.Join(dir, "j"), testMax)
	must(t, err)
	must(t, WriteFile(filepath.Join(dir, "f"), []byte("a"), 0o600))
	must(t, j.Append([]byte("1")))
	must(t, j.Append([]byte("2")))
	must(t, WriteFile(filepath.Join(dir, "f"), []byte("b"), 0o600))
	must(t, j.Discard(1))
	must(t, j.Append([]byte("3")))
	must(t, CreateExclusive(filepath.Join(dir, "x"), []byte("x"), 0o600))
}

func checkHistory(t *testing.T, dir string) {
	t.Helper()
	must(t, Sweep(dir))
	f, err := os.ReadFile(filepath.Join(dir, "f"))
	if err == nil && string(f) != "a" && string(f) != "b" {
		t.Errorf("f holds %q", f)
	}
	j, err := OpenJournal(filepath.Join(dir, "j"), testMax)
	must(t, err)
	defer j.Close()
	got := ""
	for _, r := range j.Records() {
		got += string(r)
	}
	switch got {
	case "", "1", "12", "2", "23":
	default:
		t.Errorf("the journal holds %q", got)
	}
	x, err := os.ReadFile(filepath.Join(dir, "x"))
	if err == nil && (string(x) != "x" || got != "23") {
		t.Errorf("x holds %q beside a journal with %q", x, got)
	}
}
