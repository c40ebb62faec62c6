package applytest

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/consign-dev/consign/internal/agent"
	"github.com/consign-dev/consign/internal/reason"
)

const snapshotPolicy = "    mayRemove: true\n    dataPolicy: snapshot\n"

// starts are the versions that were started on the application's data.
func (s *site) starts() []string {
	s.Helper()
	return strings.Fields(s.ask("/starts"))
}

func (s *site) started(want ...string) {
	s.Helper()
	if got := s.starts(); !slices.Equal(got, want) {
		s.Errorf("the data says that %q were started, want %q", got, want)
	}
}

// copies are the deployments of which the device holds a copy.
func (s *site) copies() []string {
	s.Helper()
	found, err := filepath.Glob(filepath.Join(s.d.Config.StateDir, "snapshots", "*", "copy.json"))
	s.w.Must(err)
	return found
}

func (s *site) noCopies() {
	s.Helper()
	if left, err := os.ReadDir(filepath.Join(s.d.Config.StateDir, "snapshots")); err == nil && len(left) > 0 {
		s.Errorf("%d copies of data are left", len(left))
	}
}

// What a version that never became good wrote goes with it.
func dataGoesBack(_ *testing.T, s *site) {
	s.w.SetPolicy(snapshotPolicy)
	s.publish("1.0.0", Listing)
	s.order("1.0.0", "good")
	s.sync(agent.Installed)
	s.publish("1.1.0", Listing, Sick)
	s.order("1.1.0", "bad")
	changes := s.fail(reason.Health)
	if len(changes) != 1 || changes[0].Returned != "1.0.0" || !strings.Contains(changes[0].Message, "the data of 1 volume(s) of 1.0.0") {
		s.Fatalf("changes %+v, want one that returned to 1.0.0 with its data", changes)
	}
	s.answers("good (hello 1.0.0)")
	s.started("1.0.0", "1.0.0")
	s.logEnds("intent:apply", "outcome:health", "intent:rollback", "rolled-back")
	s.noCopies()

	// What is good stays, with what it wrote; so does what only another policy or
	// another hand touched.
	s.order("1.0.0", "changed")
	if c := s.sync(agent.Updated); !strings.Contains(c.Message, "was copied first") {
		s.Errorf("an update of parameters copied nothing: %q", c.Message)
	}
	s.started("1.0.0", "1.0.0", "1.0.0")
	s.w.SetPolicy(snapshotPolicy + "    onNoGood: stop\n")
	s.sync(agent.Unchanged)
	s.k.Disturb(s.T, s.deployment)
	s.sync(agent.Corrected)
	s.answers("changed (hello 1.0.0)")
	s.started("1.0.0", "1.0.0", "1.0.0", "1.0.0")
	s.noCopies()
}

// Without dataPolicy, data is as the failed version left it.
func dataStays(_ *testing.T, s *site) {
	s.publish("1.0.0", Listing)
	s.order("1.0.0", "good")
	s.sync(agent.Installed)
	s.publish("1.1.0", Listing, Sick)
	s.order("1.1.0", "bad")
	s.fail(reason.Health)
	s.answers("good (hello 1.0.0)")
	s.started("1.0.0", "1.1.0", "1.0.0")
	s.noCopies()
}

// whileNotKnown is the outcome of an apply, the fourth event of a cycle that
// found one channel refreshed: so it cannot be the first moment after a release.
const whileNotKnown = "audit.append:4"

// moments are steps of an update with a copy, and of the return from it, at
// which the agent or the applier under it is killed.
var moments = []string{
	"engine.stop",   // nothing is stopped yet
	"engine.copy",   // everything is stopped, nothing is copied
	"apply.apply",   // everything is copied, nothing new is started
	whileNotKnown,   // the new version ran and wrote; the agent does not know how it ended
	"apply.restore", // the return has begun
	"",              // what the new version wrote is about to go, or has gone: see Kind
	"engine.fill",   // the volume is empty
	"apply.apply:2", // the data is back, nothing is started
}

// moments are two of them where a change takes long: in a copy, and in a return.
// The others are left to a soak.
func (s *site) moments() []string {
	if s.k.Costs() == 1 || soak {
		return moments
	}
	return []string{"engine.copy", "engine.fill"}
}

// A kill at any moment leaves either the data of the last good version or a copy
// of it, and the cycles that follow bring it back (attack D11).
func dataGoesBackAfterKill(_ *testing.T, s *site) {
	bin, err := stoppable()
	s.w.Must(err)
	s.w.SetPolicy(snapshotPolicy)
	s.publish("1.0.0", Listing)
	s.order("1.0.0", "good")
	s.sync(agent.Installed)
	s.publish("1.1.0", Listing, Sick)
	for n, moment := range s.moments() {
		if moment == "" {
			moment = s.k.Empties()
		}
		s.order("1.1.0", "bad at "+moment)
		if err := s.agent(bin, "CONSIGN_FAULT="+moment); err == nil {
			s.Fatalf("%s: the cycle was not killed", moment)
		}
		if moment == whileNotKnown && (len(s.copies()) != 1 || s.get() != "bad at "+moment+" (hello 1.1.0)") {
			s.Fatalf("killed too early or too late: copies %q, the application answers %q", s.copies(), s.get())
		}
		for tries := 0; tries == 0 || tries < 6 && s.get() != "good (hello 1.0.0)"; tries++ {
			s.w.Now = s.w.Now.Add(10 * time.Minute)
			_, err := s.d.Sync() // the version is still sick
			s.Logf("killed at %s, then: %v", moment, err)
		}
		s.answers("good (hello 1.0.0)")
		if got := s.starts(); slices.Contains(got, "1.1.0") || len(got) < n+2 {
			s.Errorf("killed at %s: the data says that %q were started", moment, got)
		}
		s.noCopies()
		s.d.Events() // the log is whole
	}

	// Taken away in the middle, the application leaves the data of 1.0.0.
	s.order("1.1.0", "bad")
	if err := s.agent(bin, "CONSIGN_FAULT="+whileNotKnown); err == nil || len(s.copies()) != 1 {
		s.Fatalf("%v, copies %q", err, s.copies())
	}
	s.w.Undeploy("hello", s.d.ID)
	if c := s.sync(agent.Removed); !strings.Contains(c.Message, "was put back") {
		s.Errorf("the removal says %q", c.Message)
	}
	s.noCopies()
}
