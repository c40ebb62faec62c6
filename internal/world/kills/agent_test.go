package kills

import (
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/opencontainers/go-digest"

	"github.com/consign-dev/consign/internal/audit"
	"github.com/consign-dev/consign/internal/inputs"
	"github.com/consign-dev/consign/internal/world"
)

// device is a device that runs version 1.0.0 and is about to take 2.0.0.
type device struct {
	d *world.Recorded
	// before and after are what runs, as the engine says it.
	before, after []string
}

// upgrading makes one.
func (s *scene) upgrading() *device {
	s.Helper()
	dev := &device{d: s.w.Recorded("press-07")}
	s.w.Publish("acme", "1.0.0", nil)
	s.w.Publish("acme", "2.0.0", nil)
	s.w.Deploy("press-07", "1.0.0", map[string]string{"greeting": "one", "port": "8080"})
	_, err := dev.d.Sync()
	s.w.Must(err)
	s.w.Deploy("press-07", "2.0.0", map[string]string{"greeting": "two"})
	s.freeze(map[string]string{"registry": s.w.RegistryDir, "state": dev.d.Config.StateDir, "engine": dev.d.Engine})
	dev.before = dev.d.Runs()
	s.try(func(tr *trial) {
		tr.succeed("undisturbed", dev.sync)
		dev.after = dev.runs(tr)
	})
	if slices.Equal(dev.before, dev.after) {
		s.Fatalf("the upgrade changed nothing: %q", dev.after)
	}
	return dev
}

// runs is what runs in a trial.
func (dev *device) runs(tr *trial) []string {
	r := *dev.d
	r.Engine = tr.path("engine")
	return r.Runs()
}

// sync is "agent sync" in a trial.
func (dev *device) sync(tr *trial) []string { return dev.agent(tr, "sync") }

func (dev *device) agent(tr *trial, args ...string) []string {
	cfg := dev.d.Config
	text := fmt.Sprintf("stateDir: %s\nengine: unix://%s\nregistryAddress: %s\ndockerConfig: %s\nsecretsDir: %s\n",
		tr.path("state"), tr.path("engine"), cfg.RegistryAddress, cfg.DockerConfig, cfg.SecretsDir)
	tr.w.Must(os.WriteFile(tr.path("agent.yaml"), []byte(text), 0o600))
	return append(append([]string{"agent"}, args...), "--config", tr.path("agent.yaml"))
}

// logged is what a device's log says.
type logged struct {
	report audit.Report
	events []audit.Entry
}

// log checks the whole log of the trial's device.
func (dev *device) log(tr *trial, when string) logged {
	tr.Helper()
	var l logged
	var err error
	l.report, err = audit.Verify(tr.w.Context(), filepath.Join(tr.path("state"), "log"), dev.d.LogKey, nil, func(e audit.Entry) error {
		l.events = append(l.events, e)
		return nil
	})
	if err != nil {
		tr.Fatalf("%s: the log: %v", when, err)
	}
	dev.archived(tr, when, l)
	return l
}

// archived checks that what a decision was made from was there before its event.
func (dev *device) archived(tr *trial, when string, l logged) {
	tr.Helper()
	read := func(kept string, d digest.Digest) []byte {
		data, err := os.ReadFile(filepath.Join(tr.path("state"), kept, "blobs", "sha256", d.Encoded()))
		if err != nil || digest.FromBytes(data) != d {
			tr.Errorf("%s: %s of a decision that the log tells is not there: %v", when, d, err)
		}
		return data
	}
	for _, e := range l.events {
		if e.Kind == audit.Accepted != (e.Inputs != "") && e.Kind != audit.Intent {
			tr.Errorf("%s: event %d names the inputs %q", when, e.Seq, e.Inputs)
		}
		if e.Inputs == "" {
			continue
		}
		doc, err := inputs.Parse(read("inputs", e.Inputs))
		if err != nil {
			tr.Fatalf("%s: event %d: %v", when, e.Seq, err)
		}
		for _, ref := range doc.Refs() {
			read("store", ref.Digest)
		}
	}
}

// recovers checks what a cut off cycle left, and that the next one converges.
func (dev *device) recovers(tr *trial, step string) {
	tr.Helper()
	cut := dev.log(tr, step)
	if runs := dev.runs(tr); !slices.Equal(runs, dev.before) && !slices.Equal(runs, dev.after) {
		tr.Errorf("%s: there runs %q", step, runs)
	}
	kept := dev.stored(tr)
	tr.asked()
	dev.again(tr, step)
	for _, r := range tr.asked() {
		if d := r.path[strings.LastIndex(r.path, "/")+1:]; r.method == http.MethodGet && kept[d] {
			tr.Errorf("%s: %s was there and was fetched again", step, r.path)
		}
	}
	dev.converged(tr, step, cut)
}

// again is the next cycle. Where the applier died the agent lives on, tells a
// failure, and tries again after a wait: that cycle is of a later time.
func (dev *device) again(tr *trial, step string) {
	tr.Helper()
	if !strings.HasPrefix(step, "engine.") {
		tr.succeed(step+", again", dev.sync)
		return
	}
	dev.later(tr, step)
}

// later is a cycle of some minutes later.
func (dev *device) later(tr *trial, step string) {
	tr.Helper()
	now := tr.w.Now
	defer func() { tr.w.Now = now }()
	tr.w.Now = time.Now().Add(2 * time.Minute)
	d := *dev.d.Device
	d.Config.StateDir, d.Config.Engine = tr.path("state"), "unix://"+tr.path("engine")
	if _, err := d.Sync(); err != nil {
		tr.Fatalf("%s, again: %v", step, err)
	}
}

// stored lists the content that the device has, but for archived metadata: that
// is for auditors, and what a channel says is never taken from there.
func (dev *device) stored(tr *trial) map[string]bool {
	tr.Helper()
	entries, err := os.ReadDir(filepath.Join(tr.path("state"), "store", "blobs", "sha256"))
	tr.w.Must(err)
	out := map[string]bool{}
	for _, e := range entries {
		data, err := os.ReadFile(filepath.Join(tr.path("state"), "store", "blobs", "sha256", e.Name()))
		tr.w.Must(err)
		var metadata struct{ Signed, Signatures json.RawMessage }
		if json.Unmarshal(data, &metadata) != nil || metadata.Signed == nil || metadata.Signatures == nil {
			out["sha256:"+e.Name()] = true
		}
	}
	return out
}

func (dev *device) converged(tr *trial, step string, cut logged) {
	tr.Helper()
	if runs := dev.runs(tr); !slices.Equal(runs, dev.after) {
		tr.Errorf("%s: in the end there runs %q, want %q", step, runs, dev.after)
	}
	l := dev.log(tr, step+", in the end")
	if l.report.Pending > 0 || l.report.Torn > 0 || len(l.report.OpenIntents) > 0 || len(l.report.Strays) > 0 {
		tr.Errorf("%s: in the end the log has %+v", step, l.report)
	}
	for n, e := range cut.events {
		if string(l.events[n].Raw) != string(e.Raw) {
			tr.Fatalf("%s: event %d was %s and became %s", step, n, e.Raw, l.events[n].Raw)
		}
	}
	for _, seq := range cut.report.OpenIntents {
		if !slices.ContainsFunc(l.events, func(e audit.Entry) bool { return e.Kind == audit.Gap && e.Intent == seq }) {
			tr.Errorf("%s: intent %d was cut off and no gap says so", step, seq)
		}
	}
	if cut.report.Torn > 0 && !slices.ContainsFunc(l.events, func(e audit.Entry) bool { return e.Kind == audit.Gap && e.Intent == 0 }) {
		tr.Errorf("%s: an event was cut off and no gap says so", step)
	}
	dev.tells(tr, step, l)
	tr.noLitter(step, "state")
}

// tells checks that the log says by which states of the channels the device
// acts, and what it did.
func (dev *device) tells(tr *trial, step string, l logged) {
	tr.Helper()
	var state struct {
		Heads     map[string]string
		Begun     map[string]json.RawMessage
		Installed map[string]struct{ Version string }
	}
	data, err := os.ReadFile(filepath.Join(tr.path("state"), "installed.json"))
	tr.w.Must(err)
	tr.w.Must(json.Unmarshal(data, &state))
	if len(state.Heads) != 2 || len(state.Begun) != 0 {
		tr.Errorf("%s: in the end the state is %s", step, data)
	}
	for repository, head := range state.Heads {
		if !slices.ContainsFunc(l.events, func(e audit.Entry) bool {
			return e.Kind == audit.Refreshed && e.Channel == repository && string(e.State) == head
		}) {
			tr.Errorf("%s: the device acts by %s of %s, and its log does not say so", step, head, repository)
		}
	}
	done := 0
	for _, e := range l.events {
		if e.Kind == audit.Outcome && e.Result == audit.OK && e.Release == "2.0.0" {
			done++
		}
	}
	for id, in := range state.Installed {
		if in.Version != "2.0.0" || done == 0 {
			tr.Errorf("%s: %s is at %s, and the log has %d outcomes", step, id, in.Version, done)
		}
	}
}

func TestSyncKilled(t *testing.T) {
	s := newScene(t)
	dev := s.upgrading()
	for _, step := range s.steps(dev.sync) {
		s.try(func(tr *trial) {
			end := tr.run(dev.sync, "CONSIGN_FAULT="+step)
			if !end.killed() && end.code != 0 && !strings.HasPrefix(step, "engine.") {
				tr.Fatalf("%s: exit %d: %s", step, end.code, end.text)
			}
			dev.recovers(tr, step)
		})
		if s.Failed() {
			s.Fatalf("at %s", step)
		}
	}
}

// TestAttackD11ActWithoutRecord kills the agent before each event of its log is
// written. What runs on the machine was announced in the log before; the cycle
// that follows says for each intent that the outcome was lost.
func TestAttackD11ActWithoutRecord(t *testing.T) {
	s := newScene(t)
	dev := s.upgrading()
	gaps := 0
	for n, done := 1, false; !done; n++ {
		step := fmt.Sprintf("audit.append:%d:kill", n)
		s.try(func(tr *trial) {
			if end := tr.run(dev.sync, "CONSIGN_FAULT="+step); !end.killed() {
				done = true
				return
			}
			cut := dev.log(tr, step)
			acted := slices.Equal(dev.runs(tr), dev.after)
			announced := slices.ContainsFunc(cut.events, func(e audit.Entry) bool { return e.Kind == audit.Intent && e.Release == "2.0.0" })
			if acted && !announced {
				tr.Errorf("%s: 2.0.0 runs, and the log knows nothing of it", step)
			}
			gaps += len(cut.report.OpenIntents)
			dev.recovers(tr, step)
		})
	}
	if gaps == 0 {
		s.Error("no kill left an intent open: the test is not about what it says")
	}
}
