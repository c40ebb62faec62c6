package world_test

import (
	"path/filepath"
	"testing"

	"github.com/consign-dev/consign/internal/apply"
	"github.com/consign-dev/consign/internal/plan"
	"github.com/consign-dev/consign/internal/publish"
	"github.com/consign-dev/consign/internal/reason"
	"github.com/consign-dev/consign/internal/world"
)

// A plan is worth what the device makes of the order afterwards: the same
// refusals, and acceptance where it accepts.
func TestPlanSaysWhatTheDeviceSays(t *testing.T) {
	w := world.New(t)
	w.Publish("acme", "1.0.0", nil)
	w.Publish("acme", "1.1.0", func(dir string) {
		w.Edit(filepath.Join(dir, "components", "hello-stack", "compose.yaml"), "read_only: true", "privileged: true")
	})
	w.Publish("acme", "1.2.0", func(dir string) {
		w.Edit(filepath.Join(dir, "components", "hello-stack", "compose.yaml"), "8080\"", "8080\"\n    volumes: [\"/var/lib/consign:/x\"]")
	})
	for n, c := range []struct {
		version string
		want    reason.Code
	}{{"1.0.0", ""}, {"1.1.0", reason.Grant}, {"1.2.0", reason.Grant}} {
		id := []string{"press-01", "press-02", "press-03"}[n]
		d := w.Device(id, "")
		planned := planFor(t, w, publish.DeployInput{Application: "hello", Version: c.version, Values: map[string]string{"greeting": "Hi"}}, id)
		w.Deploy(id, c.version, map[string]string{"greeting": "Hi"})
		_, device := d.Verify()
		told := planned.Policy.Err
		if reason.Of(device) != c.want || reason.Of(told) != c.want {
			t.Errorf("%s: the device says %v, the plan %v", c.version, device, told)
		}
		if c.want != "" && device.Error() != told.Error() {
			t.Errorf("%s: the device says %q, the plan %q", c.version, device, told)
		}
	}
}

// What the publisher knows of the floor, it says; and allows what deploy is told to allow.
func TestPlanOfADowngrade(t *testing.T) {
	w := world.New(t)
	w.Publish("acme", "1.0.0", nil)
	w.Publish("acme", "1.1.0", nil)
	w.Device("press-01", "")
	w.Deploy("press-01", "1.1.0", nil)
	in := publish.DeployInput{Application: "hello", Version: "1.0.0"}
	if o := planFor(t, w, in, "press-01"); !reason.Is(o.Policy.Err, reason.Downgrade) || len(o.Objects) != 0 {
		t.Errorf("got %v, want downgrade", o.Policy.Err)
	}
	in.AllowDowngrade = true
	o := planFor(t, w, in, "press-01")
	if !o.Policy.Accepted || o.From != "1.1.0" || len(o.Images) != 2 || len(o.Replaced) != 1 {
		t.Errorf("plan %+v", o)
	}
	for _, i := range o.Images {
		if want := map[string]string{plan.Removed: "localhost/hello:1.1.0", plan.Added: "localhost/hello:1.0.0"}[i.How]; i.Reference != want {
			t.Errorf("image %+v", i)
		}
	}
}

func planFor(t *testing.T, w *world.World, in publish.DeployInput, device string) *plan.Order {
	t.Helper()
	program, err := apply.NewProgram(filepath.Join(world.Programs(t), "applier-compose"))
	w.Must(err)
	in.Channel = w.Deployments
	planned, err := w.Party("plant").PlanDeploy(w.Context(), publish.PlanInput{
		Order: in, Devices: []string{device},
		Renderer: func(device string) plan.Renderer {
			return &apply.Compose{Program: program, Registry: "127.0.0.1:5127", Device: device}
		},
	})
	w.Must(err)
	return planned.Orders[0]
}
