// Package kubetest gives tests a place in the Kubernetes that "make test" provides: a
// real one with one real node, which tools/testenv starts for the whole run and
// CONSIGN_TEST_CLUSTER names. Without it tests fail and say how to get it.
//
//	func TestX(t *testing.T) {
//		n := kubetest.New(t)
//		n.Apply(manifest)
//		n.Kubectl("rollout", "status", "deployment/web", "--timeout", "2m")
//		// n.Kubeconfig for clients other than kubectl; n.Name is the namespace
//	}
//
// Each test has a namespace of its own and may run beside others; what is not in a
// namespace needs a name of its own. From the test, pods and services answer at their
// addresses. The cluster has no route to anywhere, and its 127.0.0.1 is not the machine's:
// a registry that pods' images are to be pulled from, or an agent that serves one, is
// started in the node's network namespace (see Serve and InNode), where containerd
// speaks plain HTTP to 127.0.0.1.
// There is no DNS, no ingress, and no storage but what Disk gives.
package kubetest

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// variable names the directory of the cluster.
const variable = "CONSIGN_TEST_CLUSTER"

// file returns the path of a file of the cluster's directory.
func file(t testing.TB, name string) string {
	t.Helper()
	dir := os.Getenv(variable)
	if dir == "" {
		t.Fatal("no Kubernetes: run the tests with 'make test', which provides one, or start one with 'make cluster' and set " + variable + " as it says")
	}
	path := filepath.Join(dir, name)
	if _, err := os.Stat(path); err != nil {
		t.Fatalf("%s=%s: the cluster has ended or is not ours to use: %v", variable, dir, err)
	}
	return path
}

// Kubeconfig is the path of an administrator's configuration.
func Kubeconfig(t testing.TB) string {
	t.Helper()
	return file(t, "kubeconfig")
}

// Command is kubectl of the cluster's version, without a namespace. Its environment
// is free of proxies and of a user's own clusters.
func Command(t testing.TB, args ...string) *exec.Cmd {
	t.Helper()
	config, tools := Kubeconfig(t), os.Getenv("CONSIGN_KUBE_BIN")
	if tools == "" {
		t.Fatal("CONSIGN_KUBE_BIN does not name the programs of tools/kube: run the tests with 'make test'")
	}
	cmd := exec.Command(filepath.Join(tools, "kubectl"), append([]string{"--kubeconfig", config}, args...)...)
	home := t.TempDir()
	cmd.Env = []string{"HOME=" + home, "PATH=" + os.Getenv("PATH")}
	return cmd
}

// InNode has cmd run in the node's network namespace, as the same user and with the
// same environment. It is to be called before cmd is started, once.
func InNode(t testing.TB, cmd *exec.Cmd) {
	t.Helper()
	pid, err := os.ReadFile(file(t, "init.pid"))
	if err != nil {
		t.Fatal(err)
	}
	enter := []string{"nsenter", fmt.Sprintf("--net=/proc/%s/ns/net", strings.TrimSpace(string(pid)))}
	if os.Geteuid() != 0 {
		// Root enters, then is the user again with the environment that sudo took.
		enter = append([]string{"sudo", "-n"}, enter...)
		enter = append(enter, fmt.Sprint("--setuid=", os.Getuid()), fmt.Sprint("--setgid=", os.Getgid()), "env", "-i")
		enter = append(enter, cmd.Environ()...)
	}
	cmd.Args = append(append(enter, cmd.Path), cmd.Args[1:]...)
	if cmd.Path, err = exec.LookPath(enter[0]); err != nil {
		t.Fatal(err)
	}
}
