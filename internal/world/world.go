// Package world builds signed worlds for tests: a registry over HTTP, a
// supplier and an operator with real keys, releases of a real application, and
// devices. Nothing in it is faked; an attack on a world edits what an attacker
// could edit.
package world

import (
	"cmp"
	"context"
	"crypto"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/opencontainers/go-digest"

	"github.com/consign-dev/consign/internal/agent"
	"github.com/consign-dev/consign/internal/apply"
	"github.com/consign-dev/consign/internal/audit"
	"github.com/consign-dev/consign/internal/channel"
	"github.com/consign-dev/consign/internal/margo"
	"github.com/consign-dev/consign/internal/oci"
	"github.com/consign-dev/consign/internal/pack"
	"github.com/consign-dev/consign/internal/publish"
	"github.com/consign-dev/consign/internal/sign"
	"github.com/consign-dev/consign/internal/testprograms"
)

// World is one registry with a supplier "acme" and an operator "plant".
type World struct {
	T testing.TB
	// Dir holds everything; RegistryDir is the registry's disk.
	Dir, RegistryDir string
	// Host is the registry's host and port.
	Host string
	// Releases and Deployments are the repositories of the two channels.
	Releases, Deployments string
	// Now is the time of the next operation; tests move it.
	Now time.Time
	// Applications are what the policy allows: "hello", and whatever a test adds
	// before it calls SetPolicy.
	Applications []string
	// Rules are further YAML of the policy for an application, such as its grants.
	Rules map[string]string
	// ComposeOnly leaves the chart out of what is published, see [World.WithoutChart].
	ComposeOnly bool
	// Keyless signs what a party publishes in the place of its key; nil for the key.
	Keyless *sign.Keyless
	// Attest makes the statements that are attached to what a party publishes, given
	// the digest of the bundle; nil for none.
	Attest func(bundle digest.Digest) []string
	// Asked is the file of a policy that publishing asks first; "" for none.
	Asked string
	// Signers is YAML of the policy in the place of the key of acme: whose
	// signatures count. TrustedRoot is the Sigstore instance "private" of it.
	Signers     string
	TrustedRoot []byte

	opts   Options
	host   *host // nil for a registry with a server of its own
	stop   func()
	ending context.Context
	opened map[string]crypto.Signer
	client *oci.Client

	traffic traffic
}

// Options say which registry a world lives in. The zero value is the embedded
// one, started for it.
type Options struct {
	// Registry is the host[:port] of another registry that runs already.
	// RegistryDir is empty then.
	Registry string
	// CAFile and DockerConfig are what publishers and devices are given to
	// reach it; "" is nothing.
	CAFile, DockerConfig string
	// Passphrase protects all keys; "" is "test".
	Passphrase string
	// CollectEvery is how often the embedded registry collects its garbage; 0
	// is never.
	CollectEvery time.Duration
	// Dir is where everything of the world lies, for one that several tests of a
	// package share: it is theirs to remove, the registry serves until the process
	// ends, and each test sets T. "" is a directory of the test.
	Dir string
	// Front stands before the embedded registry and sees every request first;
	// nil is nothing.
	Front func(registry http.Handler) http.Handler
}

// New is [NewIn] the embedded registry.
func New(t testing.TB) *World {
	t.Helper()
	return NewIn(t, Options{})
}

// NewIn makes both channels and a policy that trusts acme for the application
// "hello".
func NewIn(t testing.TB, o Options) *World {
	t.Helper()
	return newWorld(t, o, nil)
}

func newWorld(t testing.TB, o Options, h *host) *World {
	t.Helper()
	shared := o.Dir != ""
	if !shared {
		o.Dir = t.TempDir()
	}
	w := &World{T: t, Dir: o.Dir, Now: time.Now().UTC().Truncate(time.Second), Applications: []string{"hello"}, opened: map[string]crypto.Signer{}, opts: o, host: h}
	if o.Registry == "" {
		w.RegistryDir = filepath.Join(w.Dir, "registry")
		w.StartRegistry()
		if !shared {
			t.Cleanup(w.StopRegistry)
		}
	}
	if o.DockerConfig == "" {
		w.opts.DockerConfig = w.write("docker.json", "{}")
	}
	w.Host = w.opts.Registry
	w.Releases, w.Deployments = w.opts.Registry+"/acme/releases", w.opts.Registry+"/plant/deployments"
	var err error
	w.client, err = oci.NewClient(oci.Options{CAFile: o.CAFile, DockerConfig: w.opts.DockerConfig})
	w.Must(err)
	w.init("acme", w.Releases, channel.KindReleases)
	w.init("plant", w.Deployments, channel.KindDeployments)
	w.SetPolicy("")
	return w
}

// Client is a registry client with the world's certificates and credentials.
func (w *World) Client() *oci.Client { return w.client }

// ClientWith is another client of the same kind, which gives up a registry by
// the given limits.
func (w *World) ClientWith(l oci.Limits) *oci.Client {
	w.T.Helper()
	c, err := oci.NewClient(oci.Options{CAFile: w.opts.CAFile, DockerConfig: w.opts.DockerConfig, Limits: l})
	w.Must(err)
	w.T.Cleanup(func() { _ = c.Close() })
	return c
}

// StartRegistry serves the registry's directory, after StopRegistry under the
// same address as before.
func (w *World) StartRegistry() {
	w.T.Helper()
	every := w.opts.CollectEvery
	if every == 0 {
		every = -1
	}
	reg, err := oci.NewRegistry(oci.RegistryOptions{Dir: w.RegistryDir, CollectEvery: every})
	w.Must(err)
	var h http.Handler = reg
	if w.opts.Front != nil {
		h = w.opts.Front(h)
	}
	if w.host != nil {
		w.host.serve(w.watched(h))
		w.opts.Registry = strings.TrimPrefix(w.host.srv.URL, "http://")
		w.stop = func() { w.host.silence(); _ = reg.Close(context.Background()) }
		return
	}
	srv := httptest.NewUnstartedServer(w.watched(h))
	if w.opts.Registry != "" {
		_ = srv.Listener.Close()
		srv.Listener, err = net.Listen("tcp", w.opts.Registry)
		w.Must(err)
	}
	srv.Start()
	w.opts.Registry = strings.TrimPrefix(srv.URL, "http://")
	w.stop = func() { srv.Close(); _ = reg.Close(context.Background()) }
}

// StopRegistry makes the registry unreachable.
func (w *World) StopRegistry() {
	if w.stop != nil {
		w.stop()
	}
	w.stop = nil
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
		Passphrase: func() ([]byte, error) { return []byte(cmp.Or(w.opts.Passphrase, "test")), nil },
		Opened:     w.opened,
		Cost:       1, // programs open these keys again and again
	}}
}

// Machine copies a party's key directory, as for a second machine, and returns the
// publisher that works with the copy. Several may work at the same time.
func (w *World) Machine(party, name string) *publish.Publisher {
	w.T.Helper()
	from, to := filepath.Join(w.Dir, party), filepath.Join(w.Dir, name)
	w.Must(os.CopyFS(to, os.DirFS(from)))
	p := w.Party(name)
	p.Keys.Opened = map[string]crypto.Signer{}
	for path, key := range w.opened {
		if filepath.Dir(path) == from {
			p.Keys.Opened[filepath.Join(to, filepath.Base(path))] = key
		}
	}
	return p
}

func (w *World) init(name, repository, kind string) {
	w.T.Helper()
	_, err := w.Party(name).InitChannel(w.Context(), publish.InitChannelInput{Repository: repository, Kind: kind, OfflineKeys: 1, Threshold: 1})
	w.Must(err)
}

// Context ends with the test, before what the test hands to Cleanup.
func (w *World) Context() context.Context {
	if w.ending != nil {
		return w.ending
	}
	return w.T.Context()
}

// Cleanup makes the world usable once more after the test has ended, for what
// has to be taken away, and returns the context for that.
func (w *World) Cleanup() context.Context {
	w.ending = context.Background()
	if w.stop == nil {
		w.StartRegistry()
	}
	return w.ending
}

// SetPolicy signs the policy: one key of acme for each application. more is YAML
// that is added to every application, in place of "mayRemove: true".
func (w *World) SetPolicy(more string) {
	w.T.Helper()
	root, err := os.ReadFile(filepath.Join(w.Dir, "acme", "root.json"))
	w.Must(err)
	w.write("acme-root.json", string(root))
	key, err := os.ReadFile(w.Party("acme").Keys.SigningKey() + ".pub")
	w.Must(err)
	if more == "" {
		more = "    mayRemove: true\n"
	}
	var text strings.Builder
	fmt.Fprintf(&text, "apiVersion: consign.dev/v1alpha1\nkind: TrustPolicy\nchannels:\n  acme:\n    repository: %s\n    root: acme-root.json\n", w.Releases)
	if w.TrustedRoot != nil {
		w.write("trusted_root.json", string(w.TrustedRoot))
		text.WriteString("trustedRoots:\n  private: {file: trusted_root.json}\n")
	}
	signers := w.Signers
	if signers == "" {
		signers = "        keys:\n          - |\n            " + strings.ReplaceAll(strings.TrimSpace(string(key)), "\n", "\n            ") + "\n"
	}
	text.WriteString("applications:\n")
	for _, id := range w.Applications {
		fmt.Fprintf(&text, `  - id: %s
    channel: acme
%s%s    signatures:
      - role: supplier
        threshold: 1
%s`, id, more, w.Rules[id], signers)
	}
	_, err = w.Party("plant").SetPolicy(w.Context(), w.Deployments, w.write("policy.yaml", text.String()))
	w.Must(err)
}

// Main runs the tests of a package that makes worlds, and afterwards removes
// what they share. Call it from TestMain.
func Main(m *testing.M) int {
	dir, err := os.MkdirTemp("", "consign-world-")
	if err != nil {
		fmt.Fprintln(os.Stderr, "world:", err)
		return 1
	}
	defer os.RemoveAll(dir)
	shared = dir
	return m.Run()
}

// shared is the directory of Main.
var shared string

// hello is the directory of the example application and of mkimage.
var hello = sync.OnceValues(func() (string, error) {
	return testprograms.Build("hello", "", "./examples/hello", "./tools/mkimage")
})

// images are those of the example application, each made once for all tests of a
// package.
var images = imageCache{made: map[string]string{}}

type imageCache struct {
	mu   sync.Mutex
	made map[string]string // directories by version
}

// of returns the directory of an OCI image layout, which is not to be changed.
func (c *imageCache) of(tools, version string) (string, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if dir := c.made[version]; dir != "" {
		return dir, nil
	}
	if shared == "" {
		return "", errors.New("TestMain does not call world.Main")
	}
	dir := filepath.Join(shared, "images-"+version)
	mk := exec.Command(filepath.Join(tools, "mkimage"), "-binary", filepath.Join(tools, "hello"), "-out", dir,
		"-ref", "localhost/hello:"+version, "-platform", "linux/"+runtime.GOARCH, "-env", "VERSION="+version)
	if out, err := mk.CombinedOutput(); err != nil {
		return "", fmt.Errorf("mkimage: %w: %s", err, out)
	}
	c.made[version] = dir
	return dir, nil
}

// Shared is a directory for what tests of a package share; [Main] removes it.
func Shared() string { return shared }

// Hello is the directory of the example application and of mkimage, which makes
// images of it.
func Hello(t testing.TB) string {
	t.Helper()
	return built(t, hello)
}

func built(t testing.TB, programs func() (string, error)) string {
	t.Helper()
	dir, err := programs()
	if err != nil {
		t.Fatal(err)
	}
	return dir
}

// Root is the directory of the checkout, see [testprograms.Root].
func Root() string {
	dir, err := testprograms.Root()
	if err != nil {
		panic(err)
	}
	return dir
}

// Package makes a package directory of hello at a version. edit, if not nil,
// changes it before it is packed.
func (w *World) Package(version string, edit func(dir string)) string {
	w.T.Helper()
	dir := filepath.Join(w.Dir, "package-"+version)
	w.Must(os.RemoveAll(dir))
	w.Must(os.CopyFS(dir, os.DirFS(filepath.Join(Root(), "examples", "hello", "package"))))
	w.Must(os.RemoveAll(filepath.Join(dir, "images")))
	for _, file := range []string{"margo.yaml", "components/hello-stack/compose.yaml", "components/hello-chart/Chart.yaml"} {
		w.Edit(filepath.Join(dir, file), "1.0.0", version)
	}
	if w.ComposeOnly {
		w.WithoutChart(dir)
	}
	image, err := images.of(Hello(w.T), version)
	w.Must(err)
	w.Must(os.CopyFS(filepath.Join(dir, "images"), os.DirFS(image)))
	if edit != nil {
		edit(dir)
	}
	return dir
}

// WithoutChart takes the chart out of a package directory of hello, for tests
// that change the only profile or the only component of a package.
func (w *World) WithoutChart(dir string) {
	w.T.Helper()
	w.Must(os.RemoveAll(filepath.Join(dir, "components", "hello-chart")))
	file := filepath.Join(dir, "margo.yaml")
	data, err := os.ReadFile(file)
	w.Must(err)
	head, rest, found := strings.Cut(string(data), "  - type: helm\n")
	_, rest, ends := strings.Cut(rest, "# A parameter reaches")
	target := regexp.MustCompile(`      - pointer: [a-z.]+\n        components: \["hello-chart"\]\n`)
	if !found || !ends || len(target.FindAllString(rest, -1)) != 2 {
		w.T.Fatalf("%s is not the example's:\n%s", file, data)
	}
	w.Must(os.WriteFile(file, []byte(head+"# A parameter reaches"+target.ReplaceAllString(rest, "")), 0o600))
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
	d, err := w.TryPublish(party, version, edit)
	w.Must(err)
	return d
}

// TryPublish is [World.Publish] of a package that may be refused.
func (w *World) TryPublish(party, version string, edit func(dir string)) (digest.Digest, error) {
	w.T.Helper()
	layout, err := oci.CreateLayout(filepath.Join(w.Dir, "layout-"+party+"-"+version))
	w.Must(err)
	packed, err := pack.Pack(w.Context(), w.PackOptions(w.Package(version, edit), layout))
	if err != nil {
		return "", err
	}
	p := w.Party(party)
	_, err = p.Publish(w.Context(), publish.PublishInput{Channel: w.Releases, Layout: layout, Packed: packed, SigningKey: p.Keys.SigningKey(), Keyless: w.Keyless, Attestations: w.attestations(packed.Descriptor.Digest), Policy: w.Asked})
	return packed.Descriptor.Digest, err
}

// PackOptions pack a package directory with the programs that a publisher has.
func (w *World) PackOptions(dir string, out *oci.Layout) pack.Options {
	return pack.Options{Dir: dir, Out: out, Client: w.client, ChartImages: w.chartImages}
}

// chartImages renders a chart as the publisher program does. The program is looked
// for when there is a chart.
func (w *World) chartImages(ctx context.Context, chart []byte, values map[string]json.RawMessage) ([]string, error) {
	helm, err := apply.NewProgram(filepath.Join(Programs(w.T), "applier-helm"))
	if err != nil {
		return nil, err
	}
	c := apply.Chart{Program: helm, Capabilities: apply.AnyCluster}
	return c.Images(ctx, chart, values)
}

// attestations are the statements of Attest, read from files as a publisher does.
func (w *World) attestations(bundle digest.Digest) []publish.Attestation {
	if w.Attest == nil {
		return nil
	}
	var out []publish.Attestation
	for n, text := range w.Attest(bundle) {
		a, err := publish.ReadAttestation(w.write(fmt.Sprintf("statement-%d.json", n), text), "")
		w.Must(err)
		out = append(out, a)
	}
	return out
}

// Deploy orders a version of hello for a device.
func (w *World) Deploy(device, version string, values map[string]string) string {
	w.T.Helper()
	return w.DeployApp("hello", device, version, values)
}

// DeployApp orders a version of an application, in the profile that fits the
// device, and returns the deployment's id.
func (w *World) DeployApp(application, device, version string, values map[string]string) string {
	w.T.Helper()
	done, err := w.Party("plant").Deploy(w.Context(), publish.DeployInput{
		Channel: w.Deployments, Application: application, Version: version, Device: device, Values: values,
	})
	w.Must(err)
	return done.Deployment
}

// TryDeploy orders a version of hello with secrets, names of files by parameter,
// and returns the deployment's id or why it was refused.
func (w *World) TryDeploy(device, version string, values, secrets map[string]string) (string, error) {
	w.T.Helper()
	done, err := w.Party("plant").Deploy(w.Context(), publish.DeployInput{
		Channel: w.Deployments, Application: "hello", Version: version, Device: device, Values: values, Secrets: secrets,
	})
	if err != nil {
		return "", err
	}
	return done.Deployment, nil
}

// Undeploy takes an application out of a device's desired state.
func (w *World) Undeploy(application, device string) {
	w.T.Helper()
	w.Must(w.Party("plant").Undeploy(w.Context(), w.Deployments, application, device))
}

// Device is an initialised and enrolled device.
type Device struct {
	w      *World
	ID     string
	Config agent.Config
	LogKey string
	// Programs is where the agent finds its applier programs; "" is [Programs].
	Programs string
	// Limits are what its agent gives up a registry by.
	Limits oci.Limits
	// from is what SyncFrom reads; "" for registries.
	from string
}

func (d *Device) programs() string {
	if d.Programs != "" {
		return d.Programs
	}
	return Programs(d.w.T)
}

// Device makes a device that applies Compose profiles. engine may be "" for tests
// that never reach an engine.
func (w *World) Device(id, engine string) *Device {
	w.T.Helper()
	return w.DeviceFor(id, engine, margo.TypeCompose)
}

// DeviceFor is [World.Device] with the types of profiles that it is enrolled for;
// none is an enrolment that does not say.
func (w *World) DeviceFor(id, engine string, profileTypes ...string) *Device {
	w.T.Helper()
	cfg := agent.DefaultConfig()
	cfg.StateDir = filepath.Join(w.Dir, "device-"+id)
	cfg.CAFile, cfg.DockerConfig = w.opts.CAFile, w.opts.DockerConfig
	cfg.RegistryAddress = "127.0.0.1:" + FreePort(w.T)
	cfg.SecretsDir = filepath.Join(w.Dir, "secrets-"+id)
	w.Must(os.MkdirAll(cfg.SecretsDir, 0o700))
	if engine != "" {
		cfg.Engine = engine
	}
	root, err := os.ReadFile(filepath.Join(w.Dir, "plant", "root.json"))
	w.Must(err)
	identity, err := agent.Init(w.Context(), cfg, agent.InitInput{Device: id, Channel: w.Deployments, Root: root, Now: w.Now})
	w.Must(err)
	w.Must(w.Party("plant").AddDevice(w.Context(), w.Deployments, id, identity.LogKey, profileTypes...))
	return &Device{w: w, ID: id, Config: cfg, LogKey: identity.LogKey}
}

// Sync runs one cycle in a fresh agent, as after a restart. The error is that of
// the cycle or, if there is none, of its first change.
func (d *Device) Sync() (*agent.Result, error) { return d.SyncScope(agent.Everything) }

// SyncScope is [Device.Sync] of a part of a cycle.
func (d *Device) SyncScope(scope agent.Scope) (*agent.Result, error) {
	d.w.T.Helper()
	return d.open(func(a *agent.Agent) (*agent.Result, error) { return a.Sync(d.w.Context(), d.w.Now, scope) })
}

// Verify judges what is ordered, in a fresh agent: everything is fetched and
// rendered, nothing is changed.
func (d *Device) Verify() (*agent.Result, error) {
	d.w.T.Helper()
	return d.open(func(a *agent.Agent) (*agent.Result, error) { return a.Verify(d.w.Context(), d.w.Now, "") })
}

// Watch looks at what runs once, in a fresh agent.
func (d *Device) Watch() (*agent.Result, error) {
	d.w.T.Helper()
	return d.open(func(a *agent.Agent) (*agent.Result, error) { return a.Watch(d.w.Context(), d.w.Now) })
}

// Run is "agent run" in a fresh agent, until ctx ends.
func (d *Device) Run(ctx context.Context, report func(*agent.Result, error)) error {
	a, err := agent.Open(ctx, d.Config, agent.Options{ApplierDir: d.programs(), Program: "agent test", Limits: d.Limits})
	if err != nil {
		return err
	}
	defer a.Close()
	return a.Run(ctx, func() time.Time { return d.w.Now }, report)
}

// Approve is what a person at the device does where the configuration asks.
func (d *Device) Approve() error {
	a, err := agent.Look(d.Config, agent.Options{ApplierDir: d.programs()})
	if err != nil {
		return err
	}
	_, _, err = a.Approve(d.w.Context(), d.w.Now)
	return err
}

// Open opens the device's agent, for several cycles of one process.
func (d *Device) Open() (*agent.Agent, error) {
	return agent.Open(d.w.Context(), d.Config, agent.Options{ApplierDir: d.programs(), Program: "agent test", From: d.from, Limits: d.Limits})
}

func (d *Device) open(do func(*agent.Agent) (*agent.Result, error)) (*agent.Result, error) {
	d.w.T.Helper()
	a, err := agent.Open(d.w.Context(), d.Config, agent.Options{ApplierDir: d.programs(), Program: "agent test", From: d.from, Limits: d.Limits})
	d.w.Must(err)
	defer a.Close()
	res, err := do(a)
	if err == nil {
		err = res.Err()
	}
	return res, err
}

// Programs is the directory of the built programs.
func Programs(t testing.TB) string {
	t.Helper()
	bin := os.Getenv("CONSIGN_BIN")
	if bin == "" {
		t.Fatal("CONSIGN_BIN does not name the built programs: run this with make test")
	}
	return bin
}

// Events checks a device's whole log and returns its kinds in order, each with
// its action or reason: "intent:rollback", "outcome:health", "drifted".
func (d *Device) Events() []string {
	d.w.T.Helper()
	var kinds []string
	_, err := audit.Verify(d.w.Context(), filepath.Join(d.Config.StateDir, "log"), d.LogKey, nil, func(e audit.Entry) error {
		k := string(e.Kind)
		if e.Action != "" {
			k += ":" + string(e.Action)
		}
		if e.Reason != "" {
			k += ":" + string(e.Reason)
		}
		kinds = append(kinds, k)
		return nil
	})
	d.w.Must(err)
	return kinds
}
