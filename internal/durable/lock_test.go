package durable_test

import (
	"os/exec"
	"path/filepath"
	"testing"

	"github.com/consign-dev/consign/internal/durable"
)

// What a dead process was starting has its lock for a moment longer.
func TestLockOfTheDead(t *testing.T) {
	path := filepath.Join(t.TempDir(), "lock")
	hold := exec.Command("sh", "-c", `exec 9>>"$1"; flock 9; sleep 0.3 &`, "sh", path)
	if err := hold.Run(); err != nil {
		t.Fatal(err)
	}
	lock, err := durable.TryLock(path)
	if err != nil {
		t.Fatal(err)
	}
	if err := lock.Unlock(); err != nil {
		t.Error(err)
	}
}
