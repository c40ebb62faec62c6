// Package world builds signed worlds for tests: a registry over HTTP, a
// supplier and an operator with real keys, releases of a real application, and
// devices. Nothing in it is faked; an attack on a world edits what an attacker
// could edit.
package world

import (
	"context"
	"fmt"
	"net"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/opencontainers/go-digest"

	"github.com/consign-dev/consign/internal/agent"
	"github.com/consign-dev/consign/internal/channel"
	"github.com/consign-dev/consign/internal/oci"
	"github.com/consign-dev/consign/internal/pack"
	"github.com/consign-dev/consign/internal/publish"
)

// World is one registry with a supplier "acme" and an operator "plant".
type World struct {
	T testing.TB
	// Dir holds everything; RegistryDir is the registry's disk.
	Dir, RegistryDir string
	// Releases and Deployments are the repositories of the two channels.
	Releases, Deployments string
	// Now is the time of the next operation; tests move it.
	Now time.Time

	host   string
	client *oci.Client
}

// New starts a registry and makes both channels and a policy that trusts acme
// for the application "hello".
func New(t testing.TB) *World {
	t.Helper()
	w := &World{T: t, Dir: t.TempDir(), Now: time.Now().UTC().Truncate(time.Second)}
	w.RegistryDir = filepath.Join(w.Dir, "registry")
	reg, err := oci.NewRegistry(oci.RegistryOptions{Dir: w.RegistryDir, CollectEvery: -1})
	w.Must(err)
	srv := httptest.NewServer(reg)
	t.Cleanup(func() { srv.Close(); _ = reg.Close(context.Background()) })
	w.host = strings.TrimPrefix(srv.URL, "http://")
	w.Releases, w.Deployments = w.host+"/acme/releases", w.host+"/plant/deployments"
	w.client, err = oci.NewClient(oci.Options{DockerConfig: w.write("docker.json", "{}")})
	w.Must(err)
	w.init("acme", w.Releases, channel.KindReleases)
	w.init("plant", w.Deployments, channel.KindDeployments)
	w.SetPolicy("")
	return w
}

// Must ends the test on an error.
func (w *World) Must(err error) {
	w.T.Helper()
	if err != nil {
		w.T.Fatal(err)
	}
}

func (w *World) write(name, text string) string {
	path := filepath.Join(w.Dir, name)
	w.Must(os.MkdirAll(filepath.Dir(path), 0o700))
	w.Must(os.WriteFile(path, []byte(text), 0o600))
	return path
}

// Party is the publisher of "acme", "plant", or of an attacker's own keys.
func (w *World) Party(name string) *publish.Publisher {
	return &publish.Publisher{Client: w.client, Now: w.Now, Keys: publish.KeyDir{
		Path:       filepath.Join(w.Dir, name),
		Passphrase: func() ([]byte, error) { return []byte("test"), nil },
	}}
}

func (w *World) init(name, repository, kind string) {
	w.T.Helper()
	_, err := w.Party(name).InitChannel(w.Context(), publish.InitChannelInput{Repository: repository, Kind: kind, OfflineKeys: 1, Threshold: 1})
	w.Must(err)
}

// Context ends with the test.
func (w *World) Context() context.Context { return w.T.Context() }

// SetPolicy signs the policy: one key of acme for hello. more is YAML that is
// added to the application.
func (w *World) SetPolicy(more string) {
	w.T.Helper()
	root, err := os.ReadFile(filepath.Join(w.Dir, "acme", "root.json"))
	w.Must(err)
	w.write("acme-root.json", string(root))
	key, err := os.ReadFile(w.Party("acme").Keys.SigningKey() + ".pub")
	w.Must(err)
	text := fmt.Sprintf(`apiVersion: consign.dev/v1alpha1
kind: TrustPolicy
channels:
  acme:
    repository: %s
    root: acme-root.json
applications:
  - id: hello
    channel: acme
    mayRemove: true
%s    signatures:
      - role: supplier
        threshold: 1
        keys:
          - |
            %s
`, w.Releases, more, strings.ReplaceAll(strings.TrimSpace(string(key)), "\n", "\n            "))
	_, err = w.Party("plant").SetPolicy(w.Context(), w.Deployments, w.write("policy.yaml", text))
	w.Must(err)
}

// Main runs the tests of a package that makes worlds, and afterwards removes
// what was built for all of them. Call it from TestMain.
func Main(m *testing.M) int {
	dir, err := os.MkdirTemp("", "consign-world-")
	if err != nil {
		fmt.Fprintln(os.Stderr, "world:", err)
		return 1
	}
	defer os.RemoveAll(dir)
	built = dir
	return m.Run()
}

// built is the directory of Main.
var built string

var hello = sync.OnceValues(func() (string, error) {
	dir := built
	if dir == "" {
		return "", fmt.Errorf("TestMain does not call world.Main")
	}
	root := Root()
	build := exec.Command("go", "build", "-trimpath", "-buildvcs=false", "-o", filepath.Join(dir, "hello"), "./examples/hello")
	build.Dir, build.Env = root, append(os.Environ(), "CGO_ENABLED=0")
	if out, err := build.CombinedOutput(); err != nil {
		return "", fmt.Errorf("build examples/hello: %w: %s", err, out)
	}
	tool := exec.Command("go", "build", "-buildvcs=false", "-o", filepath.Join(dir, "mkimage"), "./tools/mkimage")
	tool.Dir = root
	if out, err := tool.CombinedOutput(); err != nil {
		return "", fmt.Errorf("build tools/mkimage: %w: %s", err, out)
	}
	return dir, nil
})

// Root is the directory of the module.
func Root() string {
	_, file, _, _ := runtime.Caller(0)
	return filepath.Dir(filepath.Dir(filepath.Dir(file)))
}

// Package makes a package directory of hello at a version. edit, if not nil,
// changes it before it is packed.
func (w *World) Package(version string, edit func(dir string)) string {
	w.T.Helper()
	tools, err := hello()
	w.Must(err)
	dir := filepath.Join(w.Dir, "package-"+version)
	w.Must(os.RemoveAll(dir))
	w.Must(os.CopyFS(dir, os.DirFS(filepath.Join(Root(), "examples", "hello", "package"))))
	w.Must(os.RemoveAll(filepath.Join(dir, "images")))
	for _, file := range []string{"margo.yaml", "components/hello-stack/compose.yaml"} {
		w.Edit(filepath.Join(dir, file), "1.0.0", version)
	}
	mk := exec.Command(filepath.Join(tools, "mkimage"), "-binary", filepath.Join(tools, "hello"), "-out", filepath.Join(dir, "images"),
		"-ref", "localhost/hello:"+version, "-platform", "linux/"+runtime.GOARCH, "-env", "VERSION="+version)
	if out, err := mk.CombinedOutput(); err != nil {
		w.T.Fatalf("mkimage: %v: %s", err, out)
	}
	if edit != nil {
		edit(dir)
	}
	return dir
}

// Edit replaces text in a file, which must contain it.
func (w *World) Edit(path, old, new string) {
	w.T.Helper()
	data, err := os.ReadFile(path)
	w.Must(err)
	if !strings.Contains(string(data), old) {
		w.T.Fatalf("%s does not contain %q", path, old)
	}
	w.Must(os.WriteFile(path, []byte(strings.ReplaceAll(string(data), old, new)), 0o600))
}

// Publish releases hello at a version with the keys of a party.
func (w *World) Publish(party, version string, edit func(dir string)) digest.Digest {
	w.T.Helper()
	layout, err := oci.CreateLayout(filepath.Join(w.Dir, "layout-"+party+"-"+version))
	w.Must(err)
	packed, err := pack.Pack(w.Context(), pack.Options{Dir: w.Package(version, edit), Out: layout, Client: w.client})
	w.Must(err)
	p := w.Party(party)
	_, err = p.Publish(w.Context(), publish.PublishInput{Channel: w.Releases, Layout: layout, Packed: packed, SigningKey: p.Keys.SigningKey()})
	w.Must(err)
	return packed.Descriptor.Digest
}

// Deploy orders a version of hello for a device.
func (w *World) Deploy(device, version string, values map[string]string) {
	w.T.Helper()
	_, err := w.Party("plant").Deploy(w.Context(), publish.DeployInput{
		Channel: w.Deployments, Application: "hello", Version: version, Device: device, Values: values,
	})
	w.Must(err)
}

// Device is an initialised and enrolled device.
type Device struct {
	w      *World
	ID     string
	Config agent.Config
	LogKey string
}

// Device makes a device. engine may be "" for tests that never reach an engine.
func (w *World) Device(id, engine string) *Device {
	w.T.Helper()
	cfg := agent.DefaultConfig()
	cfg.StateDir = filepath.Join(w.Dir, "device-"+id)
	cfg.DockerConfig = filepath.Join(w.Dir, "docker.json")
	cfg.RegistryAddress = freeAddress(w)
	if engine != "" {
		cfg.Engine = engine
	}
	root, err := os.ReadFile(filepath.Join(w.Dir, "plant", "root.json"))
	w.Must(err)
	identity, err := agent.Init(w.Context(), cfg, agent.InitInput{Device: id, Channel: w.Deployments, Root: root, Now: w.Now})
	w.Must(err)
	w.Must(w.Party("plant").AddDevice(w.Context(), w.Deployments, id, identity.LogKey))
	return &Device{w: w, ID: id, Config: cfg, LogKey: identity.LogKey}
}

func freeAddress(w *World) string {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	w.Must(err)
	defer l.Close()
	return l.Addr().String()
}

// Sync runs one cycle in a fresh agent, as after a restart. The error is that of
// the cycle or, if there is none, of its first change.
func (d *Device) Sync() (*agent.Result, error) {
	d.w.T.Helper()
	bin := os.Getenv("CONSIGN_BIN")
	if bin == "" {
		d.w.T.Fatal("CONSIGN_BIN does not name the built programs: run this with make test")
	}
	a, err := agent.Open(d.w.Context(), d.Config, agent.Options{ApplierDir: bin, Program: "agent test"})
	d.w.Must(err)
	defer a.Close()
	res, err := a.Sync(d.w.Context(), d.w.Now)
	if err == nil {
		err = res.Err()
	}
	return res, err
}
