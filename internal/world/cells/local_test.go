package cells

import (
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/consign-dev/consign/internal/agent"
)

// trap is a directory of programs and files that nothing may use.
type trap struct{ dir, touched string }

func newTrap(s *scene) trap {
	s.T.Helper()
	tr := trap{dir: filepath.Join(s.Dir, "evil")}
	tr.touched = filepath.Join(tr.dir, "touched")
	s.Must(os.MkdirAll(filepath.Join(tr.dir, "plugins", "evil"), 0o755))
	for _, name := range []string{"helm", "kubectl", "applier-helm", "run.sh", "plugins/evil/run.sh"} {
		s.Must(os.WriteFile(filepath.Join(tr.dir, name), []byte(tr.script()), 0o755))
	}
	s.Must(os.WriteFile(filepath.Join(tr.dir, "plugins/evil/plugin.yaml"), []byte(tr.plugin()), 0o644))
	return tr
}

func (tr trap) script() string { return "#!/bin/sh\ntouch " + tr.touched + "\nexit 1\n" }

// plugin describes a plugin of Helm in every way in which one can be run.
func (tr trap) plugin() string {
	run := filepath.Join(tr.dir, "run.sh")
	return fmt.Sprintf("name: evil\nversion: 1.0.0\nusage: x\ndescription: x\ncommand: %[1]s\nhooks: {install: %[1]s, update: %[1]s}\n"+
		"platformHooks: {install: [{command: %[1]s}]}\ndownloaders:\n- command: run.sh\n  protocols: [evil, oci, https]\n", run)
}

func (tr trap) quiet(t *testing.T) {
	t.Helper()
	if _, err := os.Stat(tr.touched); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("something of the attacker's was used: %v", err)
	}
}

// TestAttackH3PluginsAndPostRenderers: a chart brings plugins of Helm, values that
// name a post-renderer, notes that are objects, and a list of what to ignore. None of
// it runs and none of it reaches the cluster: the deployment has the objects that the
// plain chart has.
func TestAttackH3PluginsAndPostRenderers(t *testing.T) {
	s := newScene(t)
	tr := newTrap(s)
	s.installed("1.0.0", "plain")
	plain := s.objects()
	if len(plain) < 3 {
		t.Fatalf("the plain chart has %q in the cluster", plain)
	}
	object := "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: evil}\ndata: {greeting: evil}\n"
	s.Publish("acme", "1.1.0", func(dir string) {
		for name, text := range map[string]string{
			"plugin.yaml": tr.plugin(), "run.sh": tr.script(), "plugins/evil/plugin.yaml": tr.plugin(), "plugins/evil/run.sh": tr.script(),
			"templates/NOTES.txt": object + "---\n" + object, "templates/_evil.tpl": object, "post-renderer.yaml": object, "kustomization.yaml": "resources: [post-renderer.yaml]\n",
			".helmignore": "templates/ignored.yaml\n", "templates/ignored.yaml": object,
		} {
			path := filepath.Join(dir, chart, name)
			s.Must(os.MkdirAll(filepath.Dir(path), 0o755))
			s.Must(os.WriteFile(path, []byte(text), 0o755))
		}
		s.Must(os.Remove(filepath.Join(dir, chart, "values.schema.json"))) // it knows no other values
		values := filepath.Join(dir, chart, "values.yaml")
		text, err := os.ReadFile(values)
		s.Must(err)
		run := filepath.Join(tr.dir, "run.sh")
		s.Must(os.WriteFile(values, fmt.Appendf(text, "postRenderer: %[1]s\npost-renderer: {exec: %[1]s}\npostRenderers: [{kustomize: {patches: []}}]\nplugins: [evil]\n", run), 0o644))
	})
	s.order("1.1.0", "attacked")
	s.sync(agent.Upgraded)
	s.greets("attacked")
	if now := s.objects(); !slices.Equal(now, plain) {
		t.Errorf("the plain chart has %q in the cluster, the attacker's %q", plain, now)
	}
	tr.quiet(t)
}

// TestAttackH8DeviceLocalValues: the environment of the agent, files beside it and
// objects in the cluster name other values, another namespace, another cluster and
// programs to run. What was ordered is applied where the configuration says.
func TestAttackH8DeviceLocalValues(t *testing.T) {
	s := newScene(t)
	tr := newTrap(s)
	s.installed("1.0.0", "signed")
	plain, namespace := s.objects(), s.namespace()
	elsewhere := tr.cluster(s)
	program, config := s.program(helm(t))
	for _, dir := range []string{tr.dir, filepath.Dir(program), filepath.Dir(config)} {
		for _, name := range []string{"values.yaml", "hello.yaml", "hello-chart.yaml", "values.schema.json"} {
			s.Must(os.WriteFile(filepath.Join(dir, name), []byte("greeting: evil\nservice: {port: 22}\nimage: evil\n"), 0o644))
		}
	}
	for _, name := range []string{"values", "hello", "hello-chart-values"} {
		s.kubectl("create", "configmap", name, "--namespace", namespace, "--from-literal=values.yaml=greeting: evil", "--from-literal=greeting=evil")
	}
	s.kubectl("create", "secret", "generic", "sh.helm.release.v1.hello.v9", "--namespace", namespace, "--type=helm.sh/release.v1", "--from-literal=release=evil")

	s.order("1.0.0", "signed again")
	cmd := exec.Command(program, "sync", "--config", config)
	cmd.Dir = tr.dir
	cmd.Env = []string{
		"PATH=" + tr.dir, "HOME=" + tr.dir, "KUBECONFIG=" + elsewhere, "KUBERNETES_SERVICE_HOST=127.0.0.1", "KUBERNETES_SERVICE_PORT=1", "KUBERNETES_MASTER=http://127.0.0.1:1",
		"HELM_KUBEAPISERVER=http://127.0.0.1:1", "HELM_KUBECONTEXT=evil", "HELM_KUBETOKEN=evil", "HELM_KUBEASUSER=system:admin", "HELM_KUBEINSECURE_SKIP_TLS_VERIFY=true",
		"HELM_NAMESPACE=kube-system", "POD_NAMESPACE=kube-system", "HELM_PLUGINS=" + filepath.Join(tr.dir, "plugins"), "HELM_BIN=" + filepath.Join(tr.dir, "helm"),
		"HELM_DRIVER=sql", "HELM_CONFIG_HOME=" + tr.dir, "HELM_DATA_HOME=" + tr.dir, "HELM_CACHE_HOME=" + tr.dir, "HELM_REPOSITORY_CONFIG=" + filepath.Join(tr.dir, "values.yaml"),
		"HELM_VALUES=" + filepath.Join(tr.dir, "values.yaml"), "HELM_SET=greeting=evil", "GREETING=evil", "greeting=evil", "HTTPS_PROXY=http://127.0.0.1:1", "SSL_CERT_DIR=" + tr.dir,
	}
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	s.greets("signed again")
	if now := s.objects(); !slices.Equal(now, plain) || s.namespace() != namespace {
		t.Errorf("%q were in %s, %q are in %s", plain, namespace, now, s.namespace())
	}
	if ports := s.ask("services", "{.items[*].spec.ports[*].port}"); strings.Contains(ports, "22 ") || ports == "22" {
		t.Errorf("the Service has the port %s", ports)
	}
	tr.quiet(t)
}

// cluster is the configuration of an attacker's cluster, which notices who calls.
func (tr trap) cluster(s *scene) (kubeconfig string) {
	s.T.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	s.Must(err)
	s.T.Cleanup(func() { _ = l.Close() })
	go func() {
		if c, err := l.Accept(); err == nil {
			_ = os.WriteFile(tr.touched, nil, 0o600)
			_ = c.Close()
		}
	}()
	text := fmt.Sprintf(`{apiVersion: v1, kind: Config, current-context: evil,
clusters: [{name: evil, cluster: {server: "http://%s"}}], users: [{name: evil, user: {token: evil}}],
contexts: [{name: evil, context: {cluster: evil, user: evil, namespace: kube-system}}]}`, l.Addr())
	kubeconfig = filepath.Join(tr.dir, "kubeconfig")
	s.Must(os.MkdirAll(filepath.Join(tr.dir, ".kube"), 0o755))
	for _, path := range []string{kubeconfig, filepath.Join(tr.dir, ".kube", "config")} {
		s.Must(os.WriteFile(path, []byte(text), 0o600))
	}
	return kubeconfig
}
