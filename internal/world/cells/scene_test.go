package cells

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/consign-dev/consign/internal/agent"
	"github.com/consign-dev/consign/internal/apply/task"
	"github.com/consign-dev/consign/internal/kubetest"
	"github.com/consign-dev/consign/internal/margo"
	"github.com/consign-dev/consign/internal/world"
)

func TestMain(m *testing.M) { os.Exit(world.Main(m)) }

const chart = "components/hello-chart"

// scene is one device with a Kubernetes in a signed world.
type scene struct {
	*world.World
	d *world.Device
	// deployment is the newest order's.
	deployment string
}

func newScene(t testing.TB, types ...string) *scene {
	if t, ok := t.(*testing.T); ok {
		t.Parallel() // they wait for pods more than they compute
	}
	s := &scene{World: world.New(t)}
	s.d = s.DeviceFor("press-07", "", append(types, margo.TypeHelm)...)
	s.d.Config.Engine, s.d.Config.Kubeconfig = "", kubetest.Kubeconfig(t)
	_, port, _ := strings.Cut(s.d.Config.RegistryAddress, ":")
	kubetest.Forward(t, port)
	t.Cleanup(s.takeAway)
	return s
}

// takeAway leaves the cluster as it was.
func (s *scene) takeAway() {
	if s.T.Failed() {
		s.T.Logf("what runs: %s", s.kubectl("get", "pods,deployments,services,configmaps", "--all-namespaces", "--output=wide", s.own()))
	}
	s.kubectl("delete", "namespaces", "--wait=false", s.own())
}

// own selects what belongs to the deployment.
func (s *scene) own() string { return "--selector=" + task.LabelDeployment + "=" + s.deployment }

func (s *scene) kubectl(args ...string) string {
	s.T.Helper()
	out, err := kubetest.Command(s.T, args...).CombinedOutput()
	if err != nil {
		s.T.Fatalf("kubectl %q: %v: %s", args, err, out)
	}
	return string(out)
}

// ask looks at the deployment's objects.
func (s *scene) ask(what, path string) string {
	s.T.Helper()
	return s.kubectl("get", what, "--all-namespaces", s.own(), "--output=jsonpath="+path)
}

func (s *scene) namespace() string {
	s.T.Helper()
	return s.ask("deployments", "{.items[0].metadata.namespace}")
}

// objects are the names and kinds of all that the deployment has, without what the
// cluster itself makes of it.
func (s *scene) objects() []string {
	s.T.Helper()
	const kinds = "deployments,services,configmaps,secrets,jobs,daemonsets,statefulsets,serviceaccounts,roles,rolebindings,namespaces,clusterroles,clusterrolebindings"
	list := strings.Fields(s.ask(kinds, "{range .items[*]}{.kind}/{.metadata.name} {end}"))
	slices.Sort(list)
	return list
}

func (s *scene) order(version, greeting string) {
	s.T.Helper()
	s.deployment = s.Deploy(s.d.ID, version, map[string]string{"greeting": greeting})
}

// sync runs a cycle with one change, as asked for.
func (s *scene) sync(want agent.Action) agent.Change {
	s.T.Helper()
	res, err := s.d.Sync()
	s.Must(err)
	if len(res.Changes) != 1 || res.Changes[0].Action != want {
		s.T.Fatalf("changes %+v, want one that is %s", res.Changes, want)
	}
	return res.Changes[0]
}

// installed publishes a version, orders it and has it run.
func (s *scene) installed(version, greeting string) {
	s.T.Helper()
	s.Publish("acme", version, nil)
	s.order(version, greeting)
	s.sync(agent.Installed)
	s.greets(greeting)
}

// greets looks at what the application would say: its ConfigMap.
func (s *scene) greets(want string) {
	s.T.Helper()
	if got := s.ask("configmaps", "{.items[*].data.greeting}"); got != want {
		s.T.Errorf("the greeting in the cluster is %q, want %q", got, want)
	}
}

// eventually asks again until the answer is yes.
func (s *scene) eventually(what string, yes func() bool) {
	s.T.Helper()
	for deadline := time.Now().Add(2 * time.Minute); !yes(); time.Sleep(200 * time.Millisecond) {
		if time.Now().After(deadline) {
			s.T.Fatalf("not within two minutes: %s", what)
		}
	}
}

// program is the agent as it is installed, with its appliers beside it, and the
// device's configuration.
func (s *scene) program(appliers ...string) (agent, config string) {
	s.T.Helper()
	dir := filepath.Join(s.Dir, "installed")
	s.Must(os.MkdirAll(dir, 0o700))
	for _, from := range append(appliers, filepath.Join(world.Programs(s.T), "agent")) {
		data, err := os.ReadFile(from)
		s.Must(err)
		s.Must(os.WriteFile(filepath.Join(dir, filepath.Base(from)), data, 0o700))
	}
	etc := filepath.Join(s.Dir, "etc")
	s.Must(os.MkdirAll(etc, 0o755))
	config = filepath.Join(etc, "agent.yaml")
	c := s.d.Config
	s.Must(os.WriteFile(config, []byte("stateDir: "+c.StateDir+"\nengine: "+quoted(c.Engine)+"\nkubeconfig: "+quoted(c.Kubeconfig)+"\nregistryAddress: "+c.RegistryAddress+
		"\ndockerConfig: "+c.DockerConfig+"\nsecretsDir: "+c.SecretsDir+"\n"), 0o644))
	return filepath.Join(dir, "agent"), config
}

func quoted(s string) string { return `"` + s + `"` }

func helm(t testing.TB) string {
	t.Helper()
	return filepath.Join(world.Programs(t), "applier-helm")
}
