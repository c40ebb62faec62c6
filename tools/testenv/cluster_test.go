package main

import (
	"bufio"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"
)

// TestMain lets the test binary be testenv too, which starts itself for the parts of
// a cluster.
func TestMain(m *testing.M) {
	if len(os.Args) > 1 && os.Args[1] == "cluster" {
		main()
	}
	os.Exit(m.Run())
}

// asRoot runs the test as root, by way of sudo if need be, and reports whether this
// is the one to do it.
func asRoot(t *testing.T) bool {
	t.Helper()
	if os.Geteuid() == 0 {
		return true
	}
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command("sudo", "-n", "env", "CONSIGN_KUBE_BIN="+os.Getenv("CONSIGN_KUBE_BIN"), self, "-test.run", "^"+t.Name()+"$", "-test.v")
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("as root: %v: %s", err, out)
	}
	return false
}

// running is a testenv with a cluster in which a pod runs, and a command that waits.
type running struct {
	*cluster
	testenv *exec.Cmd
	server  int    // the testenv that has the cluster
	space   string // process namespace of the cluster
}

// startRunning starts a testenv and returns what waits until its command runs.
func startRunning(t *testing.T, dir string) (wait func() *running) {
	t.Helper()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(self, "cluster", "run", "--dir", dir, "--", "sh", "-c", "echo $$; exec sleep 1000")
	cmd.Env = append(os.Environ(), clusterVariable+"=")
	cmd.Stderr = os.Stderr
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
	})
	return func() *running {
		line, err := bufio.NewReader(out).ReadString('\n')
		pid, numberErr := strconv.Atoi(strings.TrimSpace(line))
		if err != nil || numberErr != nil {
			t.Fatalf("the command says %q, %v", line, err)
		}
		t.Cleanup(func() { _ = syscall.Kill(pid, syscall.SIGKILL) }) // where its testenv could not
		r := &running{cluster: newCluster(dir, fmt.Sprintf("run-%d", cmd.Process.Pid), os.Getgid()), testenv: cmd}
		r.look(t)
		r.runPod(t)
		return r
	}
}

// look finds the cluster's processes.
func (r *running) look(t *testing.T) {
	t.Helper()
	raw, err := os.ReadFile(filepath.Join(r.data, "init.pid"))
	if err != nil {
		t.Fatal(err)
	}
	init := strings.TrimSpace(string(raw))
	if r.space, err = os.Readlink("/proc/" + init + "/ns/pid"); err != nil {
		t.Fatal(err)
	}
	stat, err := os.ReadFile("/proc/" + init + "/stat")
	if err != nil {
		t.Fatal(err)
	}
	// PID (NAME) STATE PARENT
	_, rest, _ := strings.Cut(string(stat), ") ")
	if r.server, err = strconv.Atoi(strings.Fields(rest)[1]); err != nil {
		t.Fatal(err)
	}
}

// runPod has a container run, with its shim, control groups, mounts and network.
func (r *running) runPod(t *testing.T) {
	t.Helper()
	kubectl := func(args ...string) {
		cmd := exec.Command(filepath.Join(os.Getenv("CONSIGN_KUBE_BIN"), "kubectl"), append([]string{"--kubeconfig", r.kubeconfig()}, args...)...)
		cmd.Env = []string{"HOME=" + t.TempDir()}
		if out, err := cmd.CombinedOutput(); err != nil {
			t.Fatalf("kubectl %q: %v: %s", args, err, out)
		}
	}
	kubectl("run", "pause", "--image", "localhost/pause:1", "--image-pull-policy", "Never")
	kubectl("wait", "pod/pause", "--for", "condition=Ready", "--timeout", "2m")
	if left := r.traces(t); len(left) < 10 {
		t.Fatalf("of a running cluster only this is seen: %q", left)
	}
}

// traces lists what a cluster has on the machine.
func (r *running) traces(t *testing.T) []string {
	t.Helper()
	var out []string
	spaces, _ := filepath.Glob("/proc/[0-9]*/ns/pid_for_children")
	for _, file := range spaces {
		if space, err := os.Readlink(file); err == nil && space == r.space {
			out = append(out, file)
		}
	}
	for _, file := range []string{"/proc/self/mounts", "/proc/net/route", "/proc/net/dev"} {
		raw, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		for _, line := range strings.Split(string(raw), "\n") {
			if strings.Contains(line, r.data) || strings.Contains(line, r.veth()) {
				out = append(out, file+": "+line)
			}
		}
	}
	if _, err := os.Stat(r.data); err == nil {
		out = append(out, r.data)
	}
	return append(out, controlGroups(r.cgroup())...)
}

// awaitGone waits until a cluster that is ending has nothing on the machine, and
// clears up meanwhile.
func (r *running) awaitGone(t *testing.T, clear func()) {
	t.Helper()
	var left []string
	for deadline := time.Now().Add(2 * time.Minute); time.Now().Before(deadline); time.Sleep(50 * time.Millisecond) {
		clear()
		if left = r.traces(t); len(left) == 0 {
			return
		}
	}
	t.Errorf("left behind: %q", left)
}

// settings are what Kubernetes would set for the whole machine.
func settings(t *testing.T) string {
	t.Helper()
	var out string
	for name := range sysctls {
		raw, err := os.ReadFile("/proc/sys/" + name)
		if err != nil {
			t.Fatal(err)
		}
		out += name + "=" + strings.TrimSpace(string(raw)) + " "
	}
	lines := strings.Fields(out)
	slices.Sort(lines)
	return strings.Join(lines, " ")
}

func TestClustersSideBySideLeaveNothingBehind(t *testing.T) {
	if !asRoot(t) {
		return
	}
	before, dir := settings(t), t.TempDir()
	waits := []func() *running{startRunning(t, dir), startRunning(t, dir)}
	killed, serverKilled := waits[0](), waits[1]()

	if err := killed.testenv.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	killed.awaitGone(t, func() {})

	// Nobody is left to clear up the files, so the next one does, once the threads of
	// the killed one are all gone.
	if err := syscall.Kill(serverKilled.server, syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	serverKilled.awaitGone(t, func() {
		if err := newCluster(dir, "next", os.Getgid()).sweepClusters(); err != nil {
			t.Error(err)
		}
	})
	if err := serverKilled.testenv.Process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	_ = serverKilled.testenv.Wait()
	if code := serverKilled.testenv.ProcessState.ExitCode(); code != 130 {
		t.Errorf("the interrupted testenv ends with %d", code)
	}

	if after := settings(t); after != before {
		t.Errorf("settings of the machine were %s and are %s", before, after)
	}
}

func TestTheCommandOfAClusterMustBeGivenItsPrograms(t *testing.T) {
	t.Setenv("CONSIGN_KUBE_BIN", "")
	t.Setenv(clusterVariable, "")
	code, err := run(t.Context(), []string{"cluster", "run", "--dir", t.TempDir(), "--", "true"}, nil)
	if code != 1 || err == nil || !strings.Contains(err.Error(), "make cluster") {
		t.Errorf("code %d, %v", code, err)
	}
}

func TestAClusterAskedForByNameMustRun(t *testing.T) {
	for _, data := range []string{t.TempDir(), "/nonexistent/cluster"} {
		t.Setenv(clusterVariable, data)
		code, err := run(t.Context(), []string{"cluster", "run", "--dir", t.TempDir(), "--", "true"}, nil)
		if code != 1 || err == nil || !strings.Contains(err.Error(), data) {
			t.Errorf("%s: code %d, %v", data, code, err)
		}
	}
}
