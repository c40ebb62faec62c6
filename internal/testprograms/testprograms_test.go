package testprograms

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

func TestBuildOnce(t *testing.T) {
	dir, err := Build("once", "", "./tools/mkimage=maker")
	if err != nil {
		t.Fatal(err)
	}
	first := stat(t, filepath.Join(dir, "maker"))
	if out, _ := exec.Command(filepath.Join(dir, "maker"), "-help").CombinedOutput(); !strings.Contains(string(out), "-binary") {
		t.Errorf("it does not say how to use it: %s", out)
	}
	// Programs of a set may be running when it is asked for again.
	if again, err := Build("once", "", "./tools/mkimage=maker"); err != nil || again != dir {
		t.Fatal(again, err)
	}
	if !os.SameFile(first, stat(t, filepath.Join(dir, "maker"))) {
		t.Error("a program that is current was built again")
	}
}

func TestBuildSaysWhatFails(t *testing.T) {
	if _, err := Build("once", "", "./tools/absent"); err == nil || !strings.Contains(err.Error(), "build ./tools/absent") {
		t.Error(err)
	}
}

func stat(t *testing.T, file string) os.FileInfo {
	t.Helper()
	info, err := os.Stat(file)
	if err != nil {
		t.Fatal(err)
	}
	return info
}
