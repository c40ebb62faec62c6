package kubetest

import (
	"crypto/rand"
	"os/exec"
	"strings"
	"testing"
)

// Namespace is a test's own namespace in the cluster. It is deleted after the test;
// one that fails prints first what the cluster has to say about it.
type Namespace struct {
	Name       string
	Kubeconfig string // path of an administrator's configuration
	t          testing.TB
}

// New makes a namespace for a test.
func New(t testing.TB) *Namespace {
	t.Helper()
	n := &Namespace{Name: "test-" + strings.ToLower(rand.Text()[:10]), Kubeconfig: Kubeconfig(t), t: t}
	n.Kubectl("create", "namespace", n.Name)
	t.Cleanup(func() {
		if t.Failed() {
			n.explain()
		}
		// The cluster takes seconds for it, which nobody needs to wait for.
		n.Kubectl("delete", "namespace", n.Name, "--wait=false")
	})
	return n
}

// Of is a namespace that something else makes, and that is deleted after the test
// if it is still there.
func Of(t testing.TB, name string) *Namespace {
	t.Helper()
	n := &Namespace{Name: name, Kubeconfig: Kubeconfig(t), t: t}
	t.Cleanup(func() {
		if t.Failed() {
			n.explain()
		}
		n.Kubectl("delete", "namespace", n.Name, "--ignore-not-found", "--wait=false")
	})
	return n
}

// Kubectl runs kubectl in the namespace and returns what it prints. It has to
// succeed.
func (n *Namespace) Kubectl(args ...string) string {
	n.t.Helper()
	out, err := n.TryKubectl(args...)
	if err != nil {
		n.t.Fatalf("kubectl %s: %v: %s", strings.Join(args, " "), err, out)
	}
	return out
}

// TryKubectl is Kubectl for commands that may fail. What it returns has both outputs
// if it does.
func (n *Namespace) TryKubectl(args ...string) (string, error) {
	n.t.Helper()
	return output(Command(n.t, append([]string{"--namespace", n.Name}, args...)...))
}

// Apply gives the cluster objects, in YAML or JSON.
func (n *Namespace) Apply(manifest string) {
	n.t.Helper()
	cmd := Command(n.t, "--namespace", n.Name, "apply", "--filename", "-")
	cmd.Stdin = strings.NewReader(manifest)
	if out, err := output(cmd); err != nil {
		n.t.Fatalf("kubectl apply: %v: %s\n%s", err, out, manifest)
	}
}

// output is what a command prints: on standard output, and on both if it fails.
func output(cmd *exec.Cmd) (string, error) {
	var out, problems strings.Builder
	cmd.Stdout, cmd.Stderr = &out, &problems
	err := cmd.Run()
	if err != nil {
		out.WriteString(problems.String())
	}
	return out.String(), err
}

// explain prints the state of the namespace.
func (n *Namespace) explain() {
	for _, args := range [][]string{
		{"get", "all", "--output", "wide"}, {"get", "events", "--sort-by", ".lastTimestamp"}, {"describe", "pods"},
	} {
		out, err := n.TryKubectl(args...)
		n.t.Logf("kubectl %s: %v\n%s", strings.Join(args, " "), err, out)
	}
}
