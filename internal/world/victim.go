package world

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/consign-dev/consign/internal/agent"
	"github.com/consign-dev/consign/internal/reason"
)

// Victim is a world with a device that is attacked. It runs hello 1.0.0; version
// 1.1.0 is released and not ordered.
type Victim struct {
	*World
	D    *Recorded
	good int
}

// Refuses is the rule of every attack: after it the device refuses with the
// reason, writes one entry that says so, and leaves what runs alone; after the
// repair it follows the next good order. It returns what the refusal says.
func (v *Victim) Refuses(t *testing.T, code reason.Code, attack, repair func()) (said string) {
	t.Helper()
	said = v.Refused(t, code, attack)
	repair()
	v.Recovers(t)
	return said
}

// Refused is the first half of the rule: for attacks that follow each other.
func (v *Victim) Refused(t *testing.T, code reason.Code, attack func()) (said string) {
	t.Helper()
	runs, journal, entries := v.D.Runs(), len(v.D.Journal()), v.Refusals(code)
	attack()
	res, err := v.D.Sync()
	if !reason.Is(err, code) {
		t.Fatalf("the device says %v, want a refusal with reason %s; it did %+v", err, code, res.Changes)
	}
	if got := v.Refusals(code) - entries; got != 1 {
		t.Errorf("the log has %d new refusals with reason %s, want 1: %q", got, code, v.D.Events())
	}
	v.Untouched(t, runs, journal)
	return err.Error()
}

// Untouched fails unless the same runs as before and the applier was not asked
// to change anything.
func (v *Victim) Untouched(t *testing.T, runs []string, journal int) {
	t.Helper()
	if now := v.D.Runs(); !slices.Equal(now, runs) {
		t.Errorf("the attack changed what runs from %q to %q", runs, now)
	}
	if now := v.D.Journal(); len(now) != journal {
		t.Errorf("the applier was asked to do %q", now[journal:])
	}
}

// Refusals counts the refusals in the log that have the reason.
func (v *Victim) Refusals(code reason.Code) int {
	n := 0
	for _, e := range v.D.Events() {
		if e == "refused:"+string(code) {
			n++
		}
	}
	return n
}

// Recovers gives a new good order and fails unless it is carried out.
func (v *Victim) Recovers(t *testing.T) {
	t.Helper()
	v.good++
	v.Deploy(v.D.ID, "1.1.0", map[string]string{"greeting": fmt.Sprintf("good %d", v.good), "port": "8080"})
	res, err := v.D.Sync()
	if err != nil {
		t.Fatalf("the good order after the attack: %v", err)
	}
	if len(res.Changes) != 1 || !slices.Contains([]agent.Action{agent.Installed, agent.Upgraded, agent.Updated}, res.Changes[0].Action) {
		t.Fatalf("the good order after the attack led to %+v", res.Changes)
	}
	if runs := v.D.Runs(); len(runs) != 1 || !strings.Contains(runs[0], res.Changes[0].Deployment) {
		t.Fatalf("after the good order %q run", runs)
	}
}
