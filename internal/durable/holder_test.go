package durable

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestHolderIsSeenAndNotDisturbed(t *testing.T) {
	path := filepath.Join(t.TempDir(), "lock")
	want := func(wantPID int, wantHeld bool) {
		t.Helper()
		pid, held, err := Holder(path)
		if err != nil || pid != wantPID || held != wantHeld {
			t.Errorf("held %t by %d (%v), want %t by %d", held, pid, err, wantHeld, wantPID)
		}
	}
	want(0, false)
	if _, err := os.Lstat(path); err == nil {
		t.Error("looking created the file")
	}
	lock, err := TryLock(path)
	if err != nil {
		t.Fatal(err)
	}
	want(os.Getpid(), true)
	if err := lock.Unlock(); err != nil {
		t.Fatal(err)
	}
	want(0, false)
}

func TestFindLock(t *testing.T) {
	const list = "1: POSIX  ADVISORY  WRITE 7 fe:00:10 0 EOF\n2: -> FLOCK  ADVISORY  WRITE 8 fe:00:10 0 EOF\n3: FLOCK  ADVISORY  WRITE 9 fe:00:11 0 EOF\n4: FLOCK  ADVISORY  WRITE %s fe:00:10 0 EOF\n"
	for pid, want := range map[string]int{"12": 12, "0": 0, "-1": 0} {
		got, held, err := findLock(strings.NewReader(strings.ReplaceAll(list, "%s", pid)), "fe:00:10")
		if err != nil || !held || got != want {
			t.Errorf("%s: %d %t %v", pid, got, held, err)
		}
	}
	if _, held, err := findLock(strings.NewReader(strings.ReplaceAll(list, "%s", "1")), "fe:00:12"); held || err != nil {
		t.Errorf("another file's lock was taken for it: %v", err)
	}
	if _, _, err := findLock(strings.NewReader(strings.ReplaceAll(list, "%s", "x")), "fe:00:10"); err == nil {
		t.Error("a line that is none was read")
	}
}
