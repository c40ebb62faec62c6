package helmcli_test

import (
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/consign-dev/consign/internal/bundle"
	"github.com/consign-dev/consign/internal/kubetest"
	"github.com/consign-dev/consign/internal/oci"
	"github.com/consign-dev/consign/internal/world"
	"github.com/consign-dev/consign/internal/world/charts"
)

func TestMain(m *testing.M) { os.Exit(world.Main(m)) }

const version = "1.0.0"

// TestHelmTakesWhatIsPublished: helm pulls a chart that we have packed, its bytes as
// they are, and makes the same of it as of its source.
func TestHelmTakesWhatIsPublished(t *testing.T) {
	t.Parallel()
	s := newScene(t)
	r := s.publish("library", nil)
	dir := t.TempDir()
	said := s.helm("pull", r.component, "--version", version, "--plain-http", "--destination", dir)
	if !strings.Contains(said, "Digest: "+r.manifest.String()) {
		t.Errorf("helm pull says %s, published was %s", said, r.manifest)
	}
	if got := digestOf(t, filepath.Join(dir, "library-"+version+".tgz")); got != r.archive {
		t.Errorf("helm has pulled %s, published was %s", got, r.archive)
	}
	want := s.helm("template", "site", chart("library").Source())
	got := s.helm("template", "site", r.component, "--version", version, "--plain-http")
	if _, got, _ = strings.Cut(got, "---"); "---"+got != want {
		t.Errorf("helm renders from the registry\n%s\nfrom the source\n%s", got, want)
	}
}

// TestPushedChartIsAComponent: what helm package and helm push have put into a
// registry is published as it is, and can still be pulled.
func TestPushedChartIsAComponent(t *testing.T) {
	t.Parallel()
	s := newScene(t)
	const full, revision = version + "+build.5", version + "_build.5"
	dir := t.TempDir()
	s.helm("package", chart("subcharts").Source(), "--version", full, "--destination", dir)
	file := filepath.Join(dir, "subcharts-"+full+".tgz")
	said := s.helm("push", file, "oci://"+s.Host+"/charts", "--plain-http")
	r := s.publish("subcharts", func(dir string) {
		s.Must(os.RemoveAll(filepath.Join(dir, "components")))
		s.Edit(filepath.Join(dir, "margo.yaml"), "registry.example.com", s.Host)
		s.Edit(filepath.Join(dir, "margo.yaml"), "revision: "+version, "revision: "+revision)
	})
	if !strings.Contains(said, "Digest: "+r.manifest.String()) {
		t.Errorf("helm push says %s, published was %s", said, r.manifest)
	}
	pushed := digestOf(t, file)
	again := t.TempDir()
	s.helm("pull", r.component, "--version", full, "--plain-http", "--destination", again)
	if got := digestOf(t, filepath.Join(again, filepath.Base(file))); pushed != r.archive || got != pushed {
		t.Errorf("pushed %s, published %s, pulled %s", pushed, r.archive, got)
	}
}

// TestHelmInstallsWhatIsPublished: helm installs a chart of ours on a cluster, from
// the registry that its image comes from.
func TestHelmInstallsWhatIsPublished(t *testing.T) {
	t.Parallel()
	s, n := newScene(t), kubetest.New(t)
	r := s.publish("dashboard", nil)
	s.StopRegistry()
	host := kubetest.Serve(t, s.RegistryDir)
	s.inNode = true
	helm := func(args ...string) string {
		return s.helm(append(args, "--kubeconfig", n.Kubeconfig, "--namespace", n.Name)...)
	}
	helm("install", "dash", strings.Replace(r.component, s.Host, host, 1), "--version", version, "--plain-http",
		"--set", "image="+host+r.repository+"@"+r.image.String(), "--wait", "--timeout", "3m")
	list := helm("list", "--output", "json")
	if !strings.Contains(list, `"status":"deployed","chart":"dashboard-`+version+`"`) {
		t.Errorf("helm list says %s", list)
	}
	if got := n.Kubectl("get", "deployment", "dash", "--output", "jsonpath={.status.readyReplicas}"); got != "1" {
		t.Errorf("%q pods are ready", got)
	}
	helm("uninstall", "dash")
}

func digestOf(t *testing.T, file string) digest.Digest {
	t.Helper()
	data, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	return digest.FromBytes(data)
}

// scene is a registry with a release channel, a publisher and a user of helm.
type scene struct {
	*world.World
	tools, home string
	inNode      bool // helm runs where the cluster is
}

func newScene(t *testing.T) *scene {
	tools := os.Getenv("CONSIGN_HELM_BIN")
	if tools == "" {
		t.Fatal("CONSIGN_HELM_BIN does not name the helm program: run this with make test")
	}
	return &scene{World: world.New(t), tools: tools, home: t.TempDir()}
}

// helm runs the command line, with nothing of the user's, and returns what it says.
func (s *scene) helm(args ...string) string {
	s.T.Helper()
	cmd := exec.Command(filepath.Join(s.tools, "helm"), args...)
	cmd.Env = []string{"HOME=" + s.home, "PATH=" + os.Getenv("PATH")}
	if s.inNode {
		kubetest.InNode(s.T, cmd)
	}
	return s.run(cmd)
}

func (s *scene) run(cmd *exec.Cmd) string {
	s.T.Helper()
	out, err := cmd.CombinedOutput()
	if err != nil {
		s.T.Fatalf("%s: %v: %s", strings.Join(cmd.Args, " "), err, out)
	}
	return string(out)
}

func chart(name string) charts.Chart {
	for _, c := range charts.All {
		if c.Name == name {
			return c
		}
	}
	panic("no chart " + name)
}

// publish releases a chart with the publisher's program.
func (s *scene) publish(name string, edit func(dir string)) *released {
	s.T.Helper()
	dir := s.Package(version, chart(name).Put(s.World, version))
	if edit != nil {
		edit(dir)
	}
	pass := filepath.Join(s.Dir, "pass")
	s.Must(os.WriteFile(pass, []byte("test\n"), 0o600))
	cmd := exec.Command(filepath.Join(world.Programs(s.T), "publisher"), "publish", dir, "--output", "json",
		"--channel", s.Releases, "--keys", filepath.Join(s.Dir, "acme"), "--passphrase-file", pass)
	cmd.Env = []string{"HOME=" + s.home, "PATH=" + os.Getenv("PATH")}
	var said struct{ Bundle digest.Digest }
	s.Must(json.Unmarshal([]byte(s.run(cmd)), &said))
	return s.read(name, said.Bundle)
}

// released is what a release of a chart consists of.
type released struct {
	repository string // without the registry's address
	component  string // where helm finds it
	image      digest.Digest
	manifest   digest.Digest
	archive    digest.Digest
}

// read takes a bundle apart that has one component and one image.
func (s *scene) read(name string, d digest.Digest) *released {
	s.T.Helper()
	repo := s.Application(name)
	_, data, err := repo.Manifest(s.Context(), d, bundle.MaxManifestBytes)
	s.Must(err)
	b, err := bundle.Parse(data)
	s.Must(err)
	component, err := s.componentOf(repo, b.Components[0].Manifest)
	s.Must(err)
	repository := strings.TrimSuffix(strings.TrimPrefix(s.Releases, s.Host), "releases") + name
	return &released{
		repository: repository, component: "oci://" + s.Host + repository + "/" + name,
		image: b.Images[0].Manifest.Digest, manifest: b.Components[0].Manifest.Digest, archive: component.Archive.Digest,
	}
}

func (s *scene) componentOf(repo *oci.Repository, d ocispec.Descriptor) (*bundle.ChartComponent, error) {
	_, data, err := repo.Manifest(s.Context(), d.Digest, d.Size)
	if err != nil {
		return nil, err
	}
	return bundle.ParseChartComponent(data)
}
