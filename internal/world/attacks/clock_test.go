package attacks

import (
	"encoding/json"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/consign-dev/consign/internal/agent"
	"github.com/consign-dev/consign/internal/channel"
	"github.com/consign-dev/consign/internal/reason"
	"github.com/consign-dev/consign/internal/tufclient"
	"github.com/consign-dev/consign/internal/world"
)

// at lets the device's clock show another time while do runs.
func (s *site) at(clock time.Time, do func()) {
	now := s.Now
	s.Now = clock
	do()
	s.Now = now
}

var (
	never  = time.Unix(0, 0) // a clock that was never set
	y2038  = time.Date(2038, 1, 19, 3, 14, 8, 0, time.UTC)
	y2100  = time.Date(2100, 1, 1, 0, 0, 0, 0, time.UTC)
	nobody = time.Date(1904, 1, 1, 0, 0, 0, 0, time.UTC)
)

// TestAttackD2ClockFarAhead: everything looks expired. Nothing new is taken, what
// runs goes on, and a clock that is right again is believed at once.
func TestAttackD2ClockFarAhead(t *testing.T) {
	for _, clock := range []time.Time{y2038, y2100} {
		s := fresh(t)
		now := s.Now
		s.Refuses(t, reason.Freeze, func() { s.Now = clock }, func() { s.Now = now })
	}
}

// TestAttackD2ClockSetBack: a clock before everything that was signed hides no
// expiry: the latest signed time counts. It does not stop what is in order.
func TestAttackD2ClockSetBack(t *testing.T) {
	s := fresh(t)
	day0 := s.Now
	for _, clock := range []time.Time{never, nobody} {
		s.Deploy(device, "1.1.0", map[string]string{"greeting": clock.Format(time.RFC3339)})
		s.at(clock, func() {
			res, err := s.D.Sync()
			if err != nil || res.Changes[0].Action == agent.Unchanged {
				t.Errorf("at %s a good order led to %+v, %v", clock, res.Changes, err)
			}
		})
	}
	older := s.Release("1.1.0").Digest
	s.Now = day0.Add(8 * 24 * time.Hour)
	_, err := s.Party("plant").RefreshChannel(s.Context(), s.Deployments, channel.KindDeployments)
	s.Must(err)
	s.order("1.1.1", older) // no matter what: the channel that would tell is stale
	later := s.Now
	s.Refuses(t, reason.Freeze, func() { s.Now = day0 }, func() {
		s.Now = later
		_, err := s.Party("acme").RefreshChannel(s.Context(), s.Releases, channel.KindReleases)
		s.Must(err)
	})
}

// TestAttackD2JumpBetweenSteps: the clock jumps between the fetch and the apply.
func TestAttackD2JumpBetweenSteps(t *testing.T) {
	s := fresh(t)
	s.Deploy(device, "1.1.0", map[string]string{"greeting": "jump"})
	if _, err := s.D.SyncScope(agent.FetchOnly); err != nil {
		t.Fatal(err)
	}
	runs, journal := s.D.Runs(), len(s.D.Journal())
	s.at(y2100, func() {
		if _, err := s.D.SyncScope(agent.ApplyOnly); !reason.Is(err, reason.Freeze) {
			t.Errorf("after a jump ahead: %v", err)
		}
	})
	s.Untouched(t, runs, journal)
	s.at(never, func() {
		res, err := s.D.SyncScope(agent.ApplyOnly)
		if err != nil || res.Changes[0].Action != agent.Upgraded {
			t.Errorf("after a jump back: %+v, %v", res.Changes, err)
		}
	})
	s.Recovers(t)
}

// TestAttackD2SignedTimeFarAhead: a thief of the timestamp key dates a document
// in 2100. It lifts the floor under the clock by one bounded step.
func TestAttackD2SignedTimeFarAhead(t *testing.T) {
	s := fresh(t)
	files := s.Files(s.Deployments)
	s.Serve(s.Deployments, with(files, map[string][]byte{
		"timestamp.json": world.Forge(s.World, "plant", "timestamp", files["timestamp.json"], func(d *timestampDoc) {
			d.Signed.Version++
			d.Signed.Expires = y2100.Add(24 * time.Hour)
			d.Signed.UnrecognizedFields[tufclient.SignedAtField] = y2100.Format(time.RFC3339)
		}),
	}))
	runs, journal := s.D.Runs(), len(s.D.Journal())
	_, _ = s.D.Sync()
	s.Untouched(t, runs, journal)
	var floor struct{ Signed time.Time }
	data, err := os.ReadFile(filepath.Join(s.D.Config.StateDir, "time.json"))
	s.Must(err)
	s.Must(json.Unmarshal(data, &floor))
	if limit := s.Now.Add(2*365*24*time.Hour + time.Hour); floor.Signed.After(limit) {
		t.Errorf("the floor under the clock is %s, want at most %s", floor.Signed, limit)
	}
}
