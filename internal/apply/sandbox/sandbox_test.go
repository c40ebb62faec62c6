package sandbox

import (
	"bytes"
	"encoding/json"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"
	"testing"
	"time"
)

// buildProbe compiles testdata/probe as the applier programs are compiled. It
// is a program of its own because a test binary may hold C code.
func buildProbe(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	for d := dir; d != os.TempDir() && d != "/"; d = filepath.Dir(d) {
		if err := os.Chmod(d, 0o755); err != nil { // user 65534 has to reach it
			t.Fatal(err)
		}
	}
	path := filepath.Join(dir, "probe")
	cmd := exec.Command("go", "build", "-o", path, "./testdata/probe")
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("build probe: %v\n%s", err, out)
	}
	return path
}

// run starts the probe as a user and returns what each attempt did.
func run(t *testing.T, probe string, uid int, attempts ...string) (map[string]string, string, error) {
	t.Helper()
	var stdout, stderr bytes.Buffer
	cmd := exec.Command(probe, append([]string{"launch"}, attempts...)...)
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	cmd.Env = append(os.Environ(), "SECRET=1")
	cmd.Dir = "/"
	if uid != os.Geteuid() {
		cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: uint32(uid), Gid: uint32(uid)}}
	}
	err := cmd.Run()
	results := map[string]string{}
	if stdout.Len() > 0 {
		if err := json.Unmarshal(stdout.Bytes(), &results); err != nil {
			t.Fatalf("probe said %q: %v", stdout.String(), err)
		}
	}
	return results, stderr.String(), err
}

// parents are the users that start a sandbox: root and, when the tests run as
// root, somebody else, who needs a user namespace.
func parents() map[string]int {
	if os.Geteuid() != 0 {
		return map[string]int{"user": os.Geteuid()}
	}
	return map[string]int{"root": 0, "user": 12345}
}

func TestInsideThereIsNothing(t *testing.T) {
	probe := buildProbe(t)
	tcp, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer tcp.Close()
	dir := filepath.Dir(probe)
	socket := filepath.Join(dir, "engine.sock")
	engine, err := net.Listen("unix", socket)
	if err != nil {
		t.Fatal(err)
	}
	defer engine.Close()
	if err := os.Chmod(socket, 0o777); err != nil {
		t.Fatal(err)
	}
	abstract, err := net.Listen("unix", "@consign-sandbox-test")
	if err != nil {
		t.Fatal(err)
	}
	defer abstract.Close()

	attempts := []string{
		"dial=tcp," + tcp.Addr().String(), "dial=unix," + socket, "dial=unix,@consign-sandbox-test",
		"dial=udp,192.0.2.1:53", "read=/etc/passwd", "read=" + probe, "read=/proc/self/status", "read=../../../../etc/passwd",
		"write=/file", "write=/proc/file", "exec=" + probe, "exec=/proc/self/exe", "mount", "setuid", "listen",
	}
	for name, uid := range parents() {
		t.Run(name, func(t *testing.T) {
			results, stderr, err := run(t, probe, uid, append(attempts, "state")...)
			if err != nil {
				t.Fatalf("%v: %s", err, stderr)
			}
			for _, a := range attempts {
				if !strings.HasPrefix(results[a], "refused: ") {
					t.Errorf("%s %s", a, results[a])
				}
			}
			if os.Geteuid() != 0 { // a user's supplementary groups stay, with nothing they could open
				results["state"] = regexp.MustCompile(`groups=\d+`).ReplaceAllString(results["state"], "groups=0")
			}
			const want = "uid=65534 gid=65534 groups=0 pid=1 env=0 files=0 nnp=1 caps=0 err=<nil>"
			if results["state"] != want {
				t.Errorf("state %s\nwant  %s", results["state"], want)
			}
		})
	}
}

func TestBombsEndByTheirLimit(t *testing.T) {
	probe := buildProbe(t)
	for name, uid := range parents() {
		for _, bomb := range []string{"memory", "cpu"} {
			t.Run(name+" "+bomb, func(t *testing.T) {
				start := time.Now()
				results, stderr, err := run(t, probe, uid, bomb)
				if err == nil || len(results) > 0 {
					t.Errorf("survived: %v", results)
				}
				if took := time.Since(start); took > time.Minute {
					t.Errorf("ended only after %s", took)
				}
				if bomb == "memory" && !strings.Contains(stderr, "out of memory") {
					t.Errorf("ended otherwise: %.300s", stderr)
				}
				if bomb == "cpu" && !strings.Contains(stderr, "signal: killed") {
					t.Errorf("ended otherwise: %.300s", stderr)
				}
			})
		}
	}
}

// Started by hand, a program must not take the machine's root directory away.
func TestEnterRefusesOutsideOfNamespaces(t *testing.T) {
	probe := buildProbe(t)
	out, err := exec.Command(probe, "state").CombinedOutput()
	if err == nil || !strings.Contains(string(out), "not started in namespaces of its own") {
		t.Errorf("%v: %s", err, out)
	}
}

func TestExplainSaysWhatTheKernelLacks(t *testing.T) {
	for err, want := range map[syscall.Errno]string{
		syscall.ENOSPC: "max_user_namespaces", syscall.EPERM: "kernel.unprivileged_userns_clone", syscall.EINVAL: "CONFIG_USER_NS",
	} {
		if got := Explain(&os.PathError{Op: "fork/exec", Path: "x", Err: err}); !strings.Contains(got.Error(), want) {
			t.Errorf("%v: %v", err, got)
		}
	}
}
