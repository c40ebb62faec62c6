package sigstoretest_test

import (
	"bufio"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/consign-dev/consign/internal/sigstoretest"
)

// alive reports whether a process of this id runs one of the servers. A zombie,
// which waits only for its parent, runs nothing.
func alive(t *testing.T, pid int) bool {
	t.Helper()
	bin, err := filepath.EvalSymlinks(os.Getenv(sigstoretest.Bin))
	if err != nil {
		t.Fatal(err)
	}
	program, err := os.Readlink(filepath.Join("/proc", strconv.Itoa(pid), "exe"))
	return err == nil && filepath.Dir(program) == bin
}

// TestNothingIsLeftAfterStop: a second stack runs beside the shared one, with
// keys of its own; what it signed is verified after it is gone, and of it remain
// neither processes nor files.
func TestNothingIsLeftAfterStop(t *testing.T) {
	other := sigstoretest.Shared(t)
	t.Setenv("TMPDIR", t.TempDir())
	s, err := sigstoretest.Start()
	if err != nil {
		t.Fatal(err)
	}
	made, err := signKeyless(t.Context(), s, sigstoretest.GitHub, mainClaims())
	if err != nil {
		t.Error(err, s.Logs())
	}
	pids := s.PIDs()
	if len(pids) != 5 {
		t.Errorf("the stack is %d processes", len(pids))
	}
	for _, pid := range pids {
		if !alive(t, pid) {
			t.Errorf("process %d is not of the stack", pid)
		}
	}
	for range 2 {
		if err := s.Stop(); err != nil {
			t.Fatal(err)
		}
	}

	if err := verifyKeyless(made, wantedOf(s)); err != nil {
		t.Errorf("verification offline: %v", err)
	}
	w := wantedOf(s)
	w.trustedRoot = other.TrustedRoot
	if verifyKeyless(made, w) == nil {
		t.Error("the signature is good for the trusted root of another stack")
	}
	for _, pid := range pids {
		if alive(t, pid) {
			t.Errorf("process %d is left", pid)
		}
	}
	wantEmpty(t, os.Getenv("TMPDIR"))
}

func wantEmpty(t *testing.T, dir string) {
	t.Helper()
	left, err := os.ReadDir(dir)
	if err != nil || len(left) != 0 {
		t.Errorf("left in the temporary directory: %v, %v", left, err)
	}
}

// TestServersEndWithAKilledProcess: a test binary that is killed takes its
// servers along.
func TestServersEndWithAKilledProcess(t *testing.T) {
	holder := exec.Command(os.Args[0])
	holder.Env = append(os.Environ(), held+"=1", "TMPDIR="+t.TempDir())
	holder.Stderr = os.Stderr
	out, err := holder.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := holder.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = holder.Process.Kill() })
	var pids []int
	for lines := bufio.NewScanner(out); lines.Scan() && lines.Text() != ""; {
		pid, err := strconv.Atoi(lines.Text())
		if err != nil || !alive(t, pid) {
			t.Fatalf("%q is no server of the stack: %v", lines.Text(), err)
		}
		pids = append(pids, pid)
		t.Cleanup(func() {
			if alive(t, pid) {
				_ = syscall.Kill(pid, syscall.SIGKILL)
			}
		})
	}
	if err := holder.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	_ = holder.Wait()
	if len(pids) != 5 {
		t.Fatalf("the stack is %d processes", len(pids))
	}
	for _, pid := range pids {
		for end := time.Now().Add(time.Minute); alive(t, pid); time.Sleep(10 * time.Millisecond) {
			if time.Now().After(end) {
				t.Fatalf("process %d outlives the one that started it", pid)
			}
		}
	}
}

func TestWithoutServersStartSaysWhatToDo(t *testing.T) {
	t.Setenv("TMPDIR", t.TempDir())
	for dir, says := range map[string]string{"": "make test", t.TempDir(): "make interop"} {
		t.Setenv(sigstoretest.Bin, dir)
		if _, err := sigstoretest.Start(); err == nil || !strings.Contains(err.Error(), says) {
			t.Errorf("servers in %q: want an error that says %q, got: %v", dir, says, err)
		}
	}
	wantEmpty(t, os.Getenv("TMPDIR"))
}

// TestServerThatEndsShowsItsLog: Fulcio cannot start without a CA's key.
func TestServerThatEndsShowsItsLog(t *testing.T) {
	bin, broken := os.Getenv(sigstoretest.Bin), t.TempDir()
	for _, program := range []string{"idp", "ctlog", "tsa", "posix"} {
		if err := os.Symlink(filepath.Join(bin, program), filepath.Join(broken, program)); err != nil {
			t.Fatal(err)
		}
	}
	script := "#!/bin/sh\necho no key today >&2\nexit 3\n"
	if err := os.WriteFile(filepath.Join(broken, "fulcio"), []byte(script), 0o700); err != nil {
		t.Fatal(err)
	}
	t.Setenv("TMPDIR", t.TempDir())
	t.Setenv(sigstoretest.Bin, broken)
	_, err := sigstoretest.Start()
	if err == nil || !strings.Contains(err.Error(), "fulcio ended: exit status 3") || !strings.Contains(err.Error(), "no key today") {
		t.Errorf("want the server's name, status and log, got: %v", err)
	}
	wantEmpty(t, os.Getenv("TMPDIR"))
}
