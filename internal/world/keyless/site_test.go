package keyless

import (
	"encoding/json"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/consign-dev/consign/internal/agent"
	"github.com/consign-dev/consign/internal/reason"
	"github.com/consign-dev/consign/internal/sigstoretest"
	"github.com/consign-dev/consign/internal/world"
)

// site is a world with a device that runs hello 1.0.0. Version 1.1.0 was released
// by the pipeline that the operator trusts, too, and is not ordered.
type site struct {
	*world.World
	s *sigstoretest.Stack
	d *world.Recorded
}

var (
	once     sync.Once
	template *world.Template
)

// fresh is a site of a test's own. One is in use at a time.
func fresh(t *testing.T) *site {
	t.Helper()
	s := sigstoretest.Shared(t)
	once.Do(func() {
		template = world.NewTemplate(t, func(w *world.World) []*world.Recorded {
			d := w.Recorded("press-07")
			w.Signers, w.TrustedRoot, w.Keyless = signers(s), s.TrustedRoot, as(t, s, tag("1.0.0"))
			w.SetPolicy("")
			w.Publish("acme", "1.0.0", nil)
			w.Deploy(d.ID, "1.0.0", nil)
			_, err := d.Sync()
			w.Must(err)
			w.Keyless = as(t, s, tag("1.1.0"))
			w.Publish("acme", "1.1.0", nil)
			return []*world.Recorded{d}
		})
	})
	if template == nil {
		t.Fatal("the world that all tests begin with could not be made")
	}
	w, devices := template.World(t)
	w.Signers, w.TrustedRoot = signers(s), s.TrustedRoot
	return &site{w, s, devices[0]}
}

// refuses is the rule of every attack: the device refuses with the reason, writes
// one entry that says so, and leaves what runs alone; after the repair it follows
// the order. It returns what the refusal says.
func (s *site) refuses(t *testing.T, code reason.Code, attack, repair func()) string {
	t.Helper()
	said := s.refused(t, code, attack)
	repair()
	s.recovers(t)
	return said
}

func (s *site) refused(t *testing.T, code reason.Code, attack func()) string {
	t.Helper()
	runs, journal, entries := s.d.Runs(), len(s.d.Journal()), s.refusals(code)
	attack()
	res, err := s.d.Sync()
	if !reason.Is(err, code) {
		t.Fatalf("the device says %v, want a refusal with reason %s; it did %+v", err, code, res.Changes)
	}
	if got := s.refusals(code) - entries; got != 1 {
		t.Errorf("the log has %d new refusals with reason %s, want 1: %q", got, code, s.d.Events())
	}
	s.untouched(t, runs, journal)
	return err.Error()
}

func (s *site) untouched(t *testing.T, runs []string, journal int) {
	t.Helper()
	if now := s.d.Runs(); !slices.Equal(now, runs) {
		t.Errorf("what runs changed from %q to %q", runs, now)
	}
	if now := s.d.Journal(); len(now) != journal {
		t.Errorf("the applier was asked to do %q", now[journal:])
	}
}

func (s *site) refusals(code reason.Code) int {
	n := 0
	for _, e := range s.d.Events() {
		if e == "refused:"+string(code) {
			n++
		}
	}
	return n
}

// recovers fails unless the device carries out the order of 1.1.0.
func (s *site) recovers(t *testing.T) {
	t.Helper()
	s.Deploy(s.d.ID, "1.1.0", map[string]string{"greeting": "recovered"})
	res, err := s.d.Sync()
	if err != nil || len(res.Changes) != 1 || !slices.Contains([]agent.Action{agent.Upgraded, agent.Updated, agent.Installed}, res.Changes[0].Action) {
		t.Fatalf("after the repair: %v, %+v", err, res.Changes)
	}
	if runs := s.d.Runs(); len(runs) != 1 || !strings.Contains(runs[0], res.Changes[0].Deployment) {
		t.Fatalf("after the repair %q run", runs)
	}
}

// edited is a signature bundle that edit has changed.
func (s *site) edited(data []byte, edit func(bundle, material map[string]any)) []byte {
	s.T.Helper()
	var doc map[string]any
	s.Must(json.Unmarshal(data, &doc))
	edit(doc, doc["verificationMaterial"].(map[string]any))
	out, err := json.Marshal(doc)
	s.Must(err)
	return out
}
