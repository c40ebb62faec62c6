package attacks

import (
	"fmt"
	"log/slog"
	"maps"
	"os"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/consign-dev/consign/internal/agent"
	"github.com/consign-dev/consign/internal/audit"
	"github.com/consign-dev/consign/internal/reason"
	"github.com/consign-dev/consign/internal/world"
)

func TestMain(m *testing.M) {
	audit.SetTesseraLogger(slog.New(slog.DiscardHandler))
	if spec := os.Getenv(limitedVariable); spec != "" {
		if err := runLimited(spec); err != nil {
			fmt.Fprintln(os.Stderr, "limited cycle:", err)
			os.Exit(1)
		}
		os.Exit(0)
	}
	os.Exit(world.Main(m))
}

// The device of every site, and its neighbour, which runs nothing yet.
const (
	device    = "press-07"
	neighbour = "press-08"
)

// site is a world with a device that runs hello 1.0.0. Version 1.1.0 is released
// and not ordered.
type site struct {
	*world.World
	d, neighbour *world.Recorded
	good         int
}

var (
	once     sync.Once
	template *world.Template
)

// fresh is a site of a test's own. One is in use at a time.
func fresh(t *testing.T) *site {
	t.Helper()
	once.Do(func() { template = world.NewTemplate(t, begin) })
	if template == nil {
		t.Fatal("the world that all tests begin with could not be made")
	}
	w, devices := template.World(t)
	return &site{World: w, d: devices[0], neighbour: devices[1]}
}

func begin(w *world.World) []*world.Recorded {
	d, n := w.Recorded(device), w.Recorded(neighbour)
	w.Publish("acme", "1.0.0", nil)
	w.Deploy(device, "1.0.0", map[string]string{"greeting": "first", "port": "8080"})
	_, err := d.Sync()
	w.Must(err)
	w.Publish("acme", "1.1.0", nil)
	return []*world.Recorded{d, n}
}

// refuses is the rule of every attack: after it the device refuses with the
// reason, writes one entry that says so, and leaves what runs alone; after the
// repair it follows the next good order. It returns what the refusal says.
func (s *site) refuses(t *testing.T, code reason.Code, attack, repair func()) (said string) {
	t.Helper()
	said = s.refused(t, code, attack)
	repair()
	s.recovers(t)
	return said
}

// refused is the first half of the rule: for attacks that follow each other.
func (s *site) refused(t *testing.T, code reason.Code, attack func()) (said string) {
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

// untouched fails unless the same runs as before and the applier was not asked
// to change anything.
func (s *site) untouched(t *testing.T, runs []string, journal int) {
	t.Helper()
	if now := s.d.Runs(); !slices.Equal(now, runs) {
		t.Errorf("the attack changed what runs from %q to %q", runs, now)
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

// recovers gives a new good order and fails unless it is carried out.
func (s *site) recovers(t *testing.T) {
	t.Helper()
	s.good++
	greeting := fmt.Sprintf("good %d", s.good)
	s.Deploy(s.d.ID, "1.1.0", map[string]string{"greeting": greeting, "port": "8080"})
	res, err := s.d.Sync()
	if err != nil {
		t.Fatalf("the good order after the attack: %v", err)
	}
	if len(res.Changes) != 1 || !slices.Contains([]agent.Action{agent.Installed, agent.Upgraded, agent.Updated}, res.Changes[0].Action) {
		t.Fatalf("the good order after the attack led to %+v", res.Changes)
	}
	if runs := s.d.Runs(); len(runs) != 1 || !strings.Contains(runs[0], res.Changes[0].Deployment) {
		t.Fatalf("after the good order %q run", runs)
	}
}

func nothing() {}

// with is a copy of files with some of them replaced.
func with(files map[string][]byte, changed map[string][]byte) map[string][]byte {
	out := maps.Clone(files)
	maps.Copy(out, changed)
	return out
}

// replaced is a text with one replacement, which must be possible.
func replaced(t *testing.T, text, old, new string) string {
	t.Helper()
	if !strings.Contains(text, old) {
		t.Fatalf("%q does not contain %q", text, old)
	}
	return strings.Replace(text, old, new, 1)
}
