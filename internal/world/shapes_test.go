package world_test

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/consign-dev/consign/internal/agent"
	"github.com/consign-dev/consign/internal/reason"
	"github.com/consign-dev/consign/internal/world"
)

// shape is a Compose file after a well-known pattern, below testdata/compose,
// and what becomes of it. The table of testdata/compose/README.md says the same.
type shape struct {
	name string
	// packed is why it cannot be packed, and says what the refusal names.
	packed reason.Code
	// applied is why a device does not run it without grants.
	applied reason.Code
	says    string
	// grants are what an operator would have to grant. With them it runs, unless
	// the machine lacks what was granted (absent).
	grants string
	absent bool
}

var shapes = []shape{
	{name: "anchors"},
	{name: "database"},
	{name: "env-file"},
	{name: "extends"},
	{name: "hardened"},
	{name: "inline-config"},
	{name: "migration"},
	{name: "profiles"},
	{name: "reverse-proxy"},
	{name: "crash-loop", applied: reason.Health, says: "does not stay up"},
	{name: "host-network", applied: reason.Grant, says: "services.agent.network_mode (needs the grant hostNetwork)", grants: "agent: {hostNetwork: true}"},
	{name: "engine-socket", applied: reason.Grant, says: "needs the grant engineSocket", grants: "manager: {engineSocket: true}", absent: true},
	{name: "serial-gateway", applied: reason.Grant, says: "needs the grant devices", grants: `gateway: {devices: ["/dev/ttyUSB0:rw"], ports: ["502/tcp"]}`, absent: true},
	{name: "remote-log", applied: reason.Grant, says: "needs the grant logDrivers", grants: `app: {logDrivers: [syslog], logOptions: ["syslog-address=udp://logs.example.com:514"]}`, absent: true},
	{name: "privileged-exporter", applied: reason.Grant, says: "never granted"},
	{name: "bind-mount", packed: reason.Grant, says: "services.app: grant: volumes[0]"},
	{name: "build", packed: reason.Render, says: "services.app.build"},
	{name: "image-variable", packed: reason.ImageUnpinned, says: "image reference depends on"},
	{name: "remote-include", packed: reason.Render, says: "include"},
	{name: "secret-files", packed: reason.Grant, says: "secrets"},
}

// TestComposeShapes packs, orders and runs or refuses each shape. The ones that
// are refused at once share a device without an engine.
func TestComposeShapes(t *testing.T) {
	w := world.New(t)
	w.Rules = map[string]string{}
	for _, s := range shapes {
		w.Applications = append(w.Applications, s.name)
	}
	w.SetPolicy("")
	d := w.Device("press-07", engine(t))
	t.Cleanup(func() {
		ctx := w.Cleanup()
		for _, s := range shapes {
			_ = w.Party("plant").Undeploy(ctx, w.Deployments, s.name, d.ID)
		}
		_, _ = d.Sync()
	})
	for n, s := range shapes {
		t.Run(s.name, func(t *testing.T) { s.tell(t, w, d, fmt.Sprintf("1.1.%d", n)) })
	}
}

func (s shape) tell(t *testing.T, w *world.World, d *world.Device, version string) {
	_, err := w.TryPublish("acme", version, s.put(w, version))
	if s.packed != "" {
		wantRefusal(t, err, s.packed, s.says)
		return
	}
	if err != nil {
		t.Fatal(err)
	}
	w.DeployApp(s.name, d.ID, version, map[string]string{"greeting": "shape", "port": world.FreePort(t)})
	defer func() {
		w.Undeploy(s.name, d.ID)
		if _, err := d.Sync(); err != nil {
			t.Errorf("take it away: %v", err)
		}
	}()
	res, err := d.Sync()
	if s.applied == "" {
		wantAction(t, res, err, agent.Installed)
		return
	}
	wantRefusal(t, err, s.applied, s.says)
	if s.grants == "" {
		return
	}
	w.Rules[s.name] = "    grants: {compose: {" + s.grants + "}}\n"
	w.SetPolicy("")
	if s.absent {
		res, err = d.Verify()
		wantAction(t, res, err, agent.Accepted)
		return
	}
	res, err = d.Sync()
	wantAction(t, res, err, agent.Installed)
}

func wantRefusal(t *testing.T, err error, code reason.Code, says string) {
	t.Helper()
	if !reason.Is(err, code) || !strings.Contains(err.Error(), says) {
		t.Fatalf("error %v, want reason %s and %q", err, code, says)
	}
}

// put makes a package of the shape in the place of the example's component.
func (s shape) put(w *world.World, version string) func(dir string) {
	return func(dir string) {
		w.WithoutChart(dir)
		w.Edit(filepath.Join(dir, "margo.yaml"), "id: hello\n", "id: "+s.name+"\n")
		component := filepath.Join(dir, "components", "hello-stack")
		w.Must(os.RemoveAll(component))
		w.Must(os.CopyFS(component, os.DirFS(filepath.Join(world.Root(), "testdata", "compose", s.name))))
		if text, err := os.ReadFile(filepath.Join(component, "compose.yaml")); err == nil && strings.Contains(string(text), "1.0.0") {
			w.Edit(filepath.Join(component, "compose.yaml"), "1.0.0", version)
		}
	}
}

// TestComposeShapesAreListed: every shape on the disk has its line in the table
// of its README, and its row here.
func TestComposeShapesAreListed(t *testing.T) {
	dir := filepath.Join(world.Root(), "testdata", "compose")
	readme, err := os.ReadFile(filepath.Join(dir, "README.md"))
	if err != nil {
		t.Fatal(err)
	}
	entries, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range entries {
		if !e.IsDir() {
			continue
		}
		at := slices.IndexFunc(shapes, func(s shape) bool { return s.name == e.Name() })
		if at < 0 {
			t.Errorf("%s is in no row of the test", e.Name())
			continue
		}
		outcome := "runs"
		if code := shapes[at].packed + shapes[at].applied; code != "" {
			outcome = "`" + string(code) + "`"
		}
		if row := "| `" + e.Name() + "` | "; !strings.Contains(string(readme), row) || !strings.Contains(string(readme), outcome) {
			t.Errorf("README.md has no row %q with the outcome %s", row, outcome)
		}
	}
}
