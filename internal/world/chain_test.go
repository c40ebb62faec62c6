package world_test

import (
	"context"
	"errors"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/opencontainers/go-digest"

	"github.com/consign-dev/consign/internal/agent"
	"github.com/consign-dev/consign/internal/audit"
	"github.com/consign-dev/consign/internal/reason"
	"github.com/consign-dev/consign/internal/verify"
	"github.com/consign-dev/consign/internal/world"
)

func TestMain(m *testing.M) { os.Exit(world.Main(m)) }

func engine(t *testing.T) string {
	t.Helper()
	e := os.Getenv("CONSIGN_TEST_ENGINE")
	if e == "" {
		t.Fatal("no Docker engine for tests: run this with make test")
	}
	return e
}

func get(t *testing.T, port string) string {
	t.Helper()
	client := http.Client{Timeout: 10 * time.Second}
	resp, err := client.Get("http://127.0.0.1:" + port + "/")
	if err != nil {
		return err.Error()
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(io.LimitReader(resp.Body, 1<<16))
	if err != nil {
		t.Fatal(err)
	}
	return strings.TrimSpace(string(body))
}

func wantAction(t *testing.T, res *agent.Result, err error, want agent.Action) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
	if len(res.Changes) != 1 || res.Changes[0].Action != want {
		t.Fatalf("changes %+v, want one that is %s", res.Changes, want)
	}
}

func wantReason(t *testing.T, err error, want reason.Code) {
	t.Helper()
	if !reason.Is(err, want) {
		t.Fatalf("error %v, want reason %s", err, want)
	}
}

// TestMainJob is the whole life of an application on a device: install, idle
// polls, a changed parameter, an upgrade, four attacks on the way, removal.
func TestMainJob(t *testing.T) {
	w := world.New(t)
	w.Publish("acme", "1.0.0", nil)
	d := w.Device("press-07", engine(t))
	t.Cleanup(func() { takeAway(w, d) })
	port := world.FreePort(t)
	// What Compose would interpolate reaches the container unchanged.
	greeting := "Hi ${HOME} $$x {{y}}"
	w.Deploy(d.ID, "1.0.0", map[string]string{"greeting": greeting, "port": port})

	res, err := d.Sync()
	wantAction(t, res, err, agent.Installed)
	first := greeting + " (hello 1.0.0)"
	if got := get(t, port); got != first {
		t.Fatalf("the application answers %q, want %q", got, first)
	}

	logged := len(d.Events())
	res, err = d.Sync()
	wantAction(t, res, err, agent.Unchanged)
	if n := len(d.Events()); n != logged {
		t.Fatalf("a poll that found nothing wrote %d event(s)", n-logged)
	}

	older, olderBytes := w.Head(w.Deployments)
	bundle := w.Publish("acme", "1.1.0", nil)
	w.Deploy(d.ID, "1.1.0", nil)
	attack := func(name string, want reason.Code) {
		t.Helper()
		_, err := d.Sync()
		wantReason(t, err, want)
		if got := get(t, port); got != first {
			t.Fatalf("%s: the application answers %q, want %q", name, got, first)
		}
		if kinds := d.Events(); kinds[len(kinds)-1] != "refused:"+string(want) {
			t.Fatalf("%s: the log ends with %q", name, kinds[len(kinds)-1])
		}
	}

	repair := w.Overwrite("acme/hello", w.ImageConfig("hello", bundle))
	attack("O7 overwritten blob", reason.DigestMismatch)
	repair()

	newest, newestBytes := w.Head(w.Deployments)
	w.PutBack(w.Deployments, older, olderBytes)
	attack("T2 older tag", reason.Rollback)
	w.PutBack(w.Deployments, newest, newestBytes)

	w.Publish("acme", "1.2.0", func(dir string) {
		w.Edit(filepath.Join(dir, "components/hello-stack/compose.yaml"), "    read_only: true", "    read_only: true\n    privileged: true")
	})
	w.Deploy(d.ID, "1.2.0", nil)
	attack("C2 privileged", reason.Grant)

	w.Deploy(d.ID, "1.1.0", nil)
	res, err = d.Sync()
	wantAction(t, res, err, agent.Upgraded)
	if got, want := get(t, port), greeting+" (hello 1.1.0)"; got != want {
		t.Fatalf("after the upgrade the application answers %q, want %q", got, want)
	}

	w.Undeploy("hello", d.ID)
	res, err = d.Sync()
	wantAction(t, res, err, agent.Removed)
	if got := get(t, port); !strings.Contains(got, "refused") {
		t.Fatalf("after the removal the application still answers %q", got)
	}
}

func takeAway(w *world.World, d *world.Device) {
	ctx := context.Background()
	if err := w.Party("plant").Undeploy(ctx, w.Deployments, "hello", d.ID); err == nil {
		_, _ = d.Sync()
	}
}

// TestRefusedBeforeAnythingIsTouched needs no engine: each order is refused
// before a container would be touched.
func TestRefusedBeforeAnythingIsTouched(t *testing.T) {
	replace := func(old, new string) func([][]byte) [][]byte {
		return func(docs [][]byte) [][]byte {
			for n, doc := range docs {
				if !strings.Contains(string(doc), old) {
					t.Fatalf("deployment does not contain %q:\n%s", old, doc)
				}
				docs[n] = []byte(strings.ReplaceAll(string(doc), old, new))
			}
			return docs
		}
	}
	tests := []struct {
		name   string
		attack func(w *world.World, d *world.Device)
		want   reason.Code
		step   string
	}{
		{"T24 another device's order", func(w *world.World, d *world.Device) {
			w.Reorder(d.ID, replace("deviceId: press-07", "deviceId: press-08"))
		}, reason.WrongDevice, "order"},
		{"T29 another pointer", func(w *world.World, d *world.Device) {
			w.Reorder(d.ID, replace("pointer: GREETING", "pointer: PATH"))
		}, reason.DeploymentMismatch, "fit"},
		{"T29 a value that the schema forbids", func(w *world.World, d *world.Device) {
			w.Reorder(d.ID, replace("value: 18080", "value: 80"))
		}, reason.DeploymentMismatch, "fit"},
		{"T29 a longer timeout", func(w *world.World, d *world.Device) {
			w.Reorder(d.ID, replace("timeout: 1m0s", "timeout: 9m0s"))
		}, reason.DeploymentMismatch, "fit"},
		{"T3 below the policy's minimum", func(w *world.World, _ *world.Device) {
			w.SetPolicy("    minimumVersion: 2.0.0\n")
		}, reason.Downgrade, "admit"},
		{"T4 freeze", func(w *world.World, d *world.Device) {
			if _, err := d.Sync(); err == nil {
				t.Fatal("without an engine the first cycle cannot succeed")
			}
			w.Now = w.Now.Add(8 * 24 * time.Hour)
		}, reason.Freeze, ""},
		{"T19 a digest that is not released", func(w *world.World, d *world.Device) {
			other := digest.SHA256.FromString("other")
			w.Reorder(d.ID, func(docs [][]byte) [][]byte {
				for n, doc := range docs {
					at := strings.Index(string(doc), "sha256:")
					docs[n] = []byte(string(doc[:at]) + string(other) + string(doc[at+len(other):]))
				}
				return docs
			})
		}, reason.NotReleased, "release"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			w := world.New(t)
			w.Publish("acme", "1.0.0", nil)
			d := w.Device("press-07", "unix:///nonexistent/engine.sock")
			w.Deploy(d.ID, "1.0.0", nil)
			tt.attack(w, d)
			_, err := d.Sync()
			wantReason(t, err, tt.want)
			var r *verify.Refusal
			if tt.step != "" && (!errors.As(err, &r) || r.Step() != tt.step) {
				t.Fatalf("refused at another step than %q: %v", tt.step, err)
			}
			kinds := d.Events()
			if kinds[len(kinds)-1] != "refused:"+string(tt.want) {
				t.Fatalf("the log ends with %q", kinds[len(kinds)-1])
			}
			for _, k := range kinds {
				if strings.HasPrefix(k, string(audit.Intent)) && tt.name != "T4 freeze" {
					t.Fatalf("the machine was about to be changed: %v", kinds)
				}
			}
		})
	}
}

// TestOtherSuppliersChannelInPlace: a channel that another supplier signed
// correctly is put where acme's was (attacks T1 and T28).
func TestOtherSuppliersChannelInPlace(t *testing.T) {
	w := world.New(t)
	w.Publish("acme", "1.0.0", nil)
	d := w.Device("press-07", "unix:///nonexistent/engine.sock")
	w.Deploy(d.ID, "1.0.0", nil)
	mallory := world.New(t)
	mallory.Publish("acme", "1.0.0", nil)
	for _, repo := range []string{"releases", "hello"} {
		to := filepath.Join(w.RegistryDir, "acme", repo)
		w.Must(os.RemoveAll(to))
		w.Must(os.CopyFS(to, os.DirFS(filepath.Join(mallory.RegistryDir, "acme", repo))))
	}
	_, err := d.Sync()
	wantReason(t, err, reason.UntrustedSigner)
}
