package kubetest

import (
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// Hold keeps one of the cluster's programs from running, such as
// kube-controller-manager, until the function that it returns is called or the test
// ends: what a slow machine does to it, at a moment of the test's choice. Other tests
// are held up as well, so it is to be for a few seconds.
func Hold(t testing.TB, program string) (release func()) {
	t.Helper()
	init, err := os.ReadFile(file(t, "init.pid"))
	if err != nil {
		t.Fatal(err)
	}
	pids := below(strings.TrimSpace(string(init)), func(argv []string) bool {
		return slices.Contains(argv[:min(len(argv), 2)], program)
	})
	if len(pids) != 1 {
		t.Fatalf("%d processes of the cluster are %s, want one", len(pids), program)
	}
	signal(t, "-STOP", pids[0])
	held := true
	release = func() {
		if held {
			held = false
			signal(t, "-CONT", pids[0])
		}
	}
	t.Cleanup(release)
	return release
}

// below lists the descendants of a process that were started with such arguments.
func below(pid string, want func(argv []string) bool) []string {
	var out []string
	lists, _ := filepath.Glob("/proc/" + pid + "/task/*/children")
	for _, list := range lists {
		children, err := os.ReadFile(list)
		if err != nil {
			continue // it has just ended
		}
		for _, child := range strings.Fields(string(children)) {
			line, _ := os.ReadFile("/proc/" + child + "/cmdline")
			argv := strings.Split(strings.TrimSuffix(string(line), "\x00"), "\x00")
			argv[0] = filepath.Base(argv[0])
			if want(argv) {
				out = append(out, child)
			}
			out = append(out, below(child, want)...)
		}
	}
	return out
}

func signal(t testing.TB, which, pid string) {
	t.Helper()
	args := []string{"kill", which, pid}
	if os.Geteuid() != 0 {
		args = append([]string{"sudo", "-n"}, args...)
	}
	if out, err := exec.Command(args[0], args[1:]...).CombinedOutput(); err != nil {
		t.Errorf("%s: %v: %s", strings.Join(args, " "), err, out)
	}
}
