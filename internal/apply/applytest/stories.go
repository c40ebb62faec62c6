package applytest

import (
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/consign-dev/consign/internal/agent"
	"github.com/consign-dev/consign/internal/reason"
	"github.com/consign-dev/consign/internal/world"
)

func lifeOfAnApplication(_ *testing.T, s *site) {
	s.publish("1.0.0")
	// What Compose or a template engine would interpret arrives unchanged.
	greeting := "Hi ${HOME} $$x {{y}}"
	s.order("1.0.0", greeting)
	s.sync(agent.Installed)
	s.answers(greeting + " (hello 1.0.0)")
	s.logEnds("accepted", "intent:apply", "outcome")

	first, logged := s.running(), len(s.d.Events())
	s.sync(agent.Unchanged)
	if again := s.running(); !slices.Equal(again, first) || len(first) == 0 {
		s.Errorf("a cycle without news replaced %q by %q", first, again)
	}
	if n := len(s.d.Events()); n != logged {
		s.Errorf("a cycle without news wrote %d event(s)", n-logged)
	}

	s.order("1.0.0", "changed")
	s.sync(agent.Updated)
	s.answers("changed (hello 1.0.0)")
	s.publish("1.1.0")
	s.order("1.1.0", "changed")
	s.sync(agent.Upgraded)
	s.answers("changed (hello 1.1.0)")

	s.w.Undeploy("hello", s.d.ID)
	s.sync(agent.Removed)
	s.logEnds("intent:remove", "removed")
	if left := s.running(); len(left) > 0 {
		s.Errorf("after the removal %q still run", left)
	}
}

// Attack C14: a version that never becomes healthy costs its own timeout and no
// more: the one before runs again by itself.
func failedUpgradeReturns(_ *testing.T, s *site) {
	s.publish("1.0.0")
	s.order("1.0.0", "good")
	s.sync(agent.Installed)
	s.publish("1.1.0", Sick)
	s.order("1.1.0", "bad")
	changes := s.fail(reason.Health)
	if len(changes) != 1 || changes[0].Action != agent.Failed || changes[0].Returned != "1.0.0" {
		s.Fatalf("changes %+v, want one that failed and returned to 1.0.0", changes)
	}
	s.answers("good (hello 1.0.0)")
	s.logEnds("accepted", "intent:apply", "outcome:health", "intent:rollback", "rolled-back")

	// It is not tried again, and nothing is written about that.
	before, logged := s.running(), len(s.d.Events())
	s.fail(reason.Health)
	if again := s.running(); !slices.Equal(again, before) || len(s.d.Events()) != logged {
		s.Errorf("a cycle after the failure touched something: %q, then %q", before, again)
	}
	// The floor is the version that was healthy: the next one is no downgrade.
	s.publish("1.0.1")
	s.order("1.0.1", "better")
	s.sync(agent.Upgraded)
	s.answers("better (hello 1.0.1)")
}

// A component that fails takes back the ones before it, too.
func failedComponentReturnsAll(_ *testing.T, s *site) {
	s.publish("1.0.0")
	s.order("1.0.0", "good")
	s.sync(agent.Installed)
	alone := len(s.running())
	s.publish("1.1.0", SickPair)
	s.order("1.1.0", "bad")
	s.fail(reason.Health)
	s.answers("good (hello 1.0.0)")
	if n := len(s.running()); n != alone {
		s.Errorf("%d objects run after the return, %d did before", n, alone)
	}
	s.publish("1.2.0", Pair)
	s.order("1.2.0", "both")
	s.sync(agent.Upgraded)
	if n := len(s.running()); n <= alone {
		s.Errorf("%d objects run of two components", n)
	}
	// A component that a version no longer has goes.
	s.publish("1.3.0")
	s.order("1.3.0", "one")
	s.sync(agent.Upgraded)
	if n := len(s.running()); n != alone {
		s.Errorf("%d objects run of one component, want %d", n, alone)
	}
}

func failedInstallationLeavesNothing(_ *testing.T, s *site) {
	s.publish("1.0.0", Sick)
	s.order("1.0.0", "bad")
	s.fail(reason.Health)
	if left := s.running(); len(left) > 0 {
		s.Errorf("%q run after a failed installation", left)
	}
	s.logEnds("intent:apply", "outcome:health", "intent:remove", "removed")
}

func driftIsCorrected(_ *testing.T, s *site) {
	s.publish("1.0.0")
	s.order("1.0.0", "good")
	s.sync(agent.Installed)
	s.k.Disturb(s.T, s.deployment)
	// Nobody can be reached: what runs is looked after all the same.
	s.w.StopRegistry()
	res, err := s.d.Watch()
	if err != nil {
		s.Fatal(err)
	}
	if c := s.only(res, agent.Corrected); !strings.Contains(c.Message, "hello") {
		s.Errorf("the correction does not name what differed: %q", c.Message)
	}
	s.answers("good (hello 1.0.0)")
	s.logEnds("drifted", "intent:apply", "outcome")
	s.w.StartRegistry()
	s.sync(agent.Unchanged)

	// What does not last is corrected after growing waits, not at every look.
	s.k.Disturb(s.T, s.deployment)
	s.sync(agent.Drifted)
	s.w.Now = s.w.Now.Add(time.Minute)
	s.sync(agent.Corrected)
	s.w.Now = s.w.Now.Add(time.Minute)
	s.sync(agent.Unchanged)
	s.k.Disturb(s.T, s.deployment)
	s.sync(agent.Drifted)
	// What has lasted is forgotten.
	s.w.Now = s.w.Now.Add(time.Hour)
	s.sync(agent.Corrected)
	s.w.Now = s.w.Now.Add(time.Hour)
	s.sync(agent.Unchanged)
	s.k.Disturb(s.T, s.deployment)
	s.sync(agent.Corrected)
	s.answers("good (hello 1.0.0)")
}

func driftIsReported(_ *testing.T, s *site) {
	s.w.SetPolicy("    mayRemove: true\n    drift: report\n")
	s.publish("1.0.0")
	s.order("1.0.0", "good")
	s.sync(agent.Installed)
	s.k.Disturb(s.T, s.deployment)
	disturbed := s.running()
	s.sync(agent.Drifted)
	s.logEnds("outcome", "drifted")
	logged := len(s.d.Events())
	s.sync(agent.Drifted)
	if len(s.d.Events()) != logged || !slices.Equal(s.running(), disturbed) {
		s.Error("a deviation that is only to be reported was reported twice, or corrected")
	}
}

// Attacks C1 and C2 on what runs: something with more rights than the policy
// grants does not stay, even where drift is only reported.
func excessIsTakenAway(_ *testing.T, s *site) {
	s.w.SetPolicy("    mayRemove: true\n    drift: report\n")
	s.publish("1.0.0")
	s.order("1.0.0", "good")
	s.sync(agent.Installed)
	alone := len(s.running())
	s.k.Meddle(s.T, s.deployment)
	c := s.sync(agent.Corrected)
	if !strings.Contains(c.Message, "privileged") {
		s.Errorf("what was found says %q", c.Message)
	}
	if n := len(s.running()); n != alone {
		s.Errorf("%d objects run, want %d", n, alone)
	}
	s.answers("good (hello 1.0.0)")
	s.logEnds("drifted", "intent:apply", "outcome")
	s.sync(agent.Unchanged)
}

func refusedGrantTouchesNothing(_ *testing.T, s *site) {
	s.publish("1.0.0")
	s.order("1.0.0", "good")
	s.sync(agent.Installed)
	before := s.running()
	s.publish("1.1.0", Privileged)
	s.order("1.1.0", "bad")
	s.fail(reason.Grant)
	if now := s.running(); !slices.Equal(now, before) {
		s.Errorf("a refused version replaced %q by %q", before, now)
	}
	s.answers("good (hello 1.0.0)")
	s.logEnds("refused:grant")
}

// Attacks C8 and H14: what belongs to one application is not another's.
func twoApplicationsStayApart(_ *testing.T, s *site) {
	s.w.Applications = []string{"hello", "other"}
	s.w.SetPolicy("")
	s.publish("1.0.0")
	s.order("1.0.0", "first")
	s.sync(agent.Installed)
	s.w.Publish("acme", "2.0.0", func(dir string) { s.w.Edit(dir+"/margo.yaml", "id: hello\n", "id: other\n") })
	first := s.running()
	other := s.w.DeployApp("other", s.d.ID, "2.0.0", map[string]string{"greeting": "second", "port": world.FreePort(s.T)})
	if _, err := s.d.Sync(); err != nil {
		s.Fatal(err)
	}
	if now := s.running(); !slices.Equal(now, first) || len(s.k.Running(s.T, other)) == 0 {
		s.Errorf("beside the second application %q became %q", first, now)
	}
	s.w.Undeploy("other", s.d.ID)
	if _, err := s.d.Sync(); err != nil {
		s.Fatal(err)
	}
	if now := s.running(); !slices.Equal(now, first) || len(s.k.Running(s.T, other)) > 0 {
		s.Errorf("after the second application's removal %q became %q", first, now)
	}
	s.answers("first (hello 1.0.0)")
}

// Attack H11: a version that the operator has since ruled out does not come back
// by way of a failed update.
func lastGoodMustStillBeAllowed(_ *testing.T, s *site) {
	s.publish("1.0.0")
	s.order("1.0.0", "old")
	s.sync(agent.Installed)
	s.publish("1.1.0", Sick)
	s.order("1.1.0", "bad")
	s.w.SetPolicy("    mayRemove: true\n    minimumVersion: 1.1.0\n    onNoGood: stop\n")
	changes := s.fail(reason.Downgrade)
	if len(changes) != 1 || changes[0].Reason != reason.Health || changes[0].Returned != "" {
		s.Fatalf("changes %+v", changes)
	}
	if left := s.running(); len(left) > 0 {
		s.Errorf("%q run although neither version may", left)
	}
	s.logEnds("outcome:health", "intent:remove", "removed")
}

// Fetch while there is a line, apply when the machine may stop.
func twoSteps(_ *testing.T, s *site) {
	s.publish("1.0.0")
	s.order("1.0.0", "good")
	if _, err := s.d.SyncScope(agent.ApplyOnly); !reasoned(err, reason.Unreachable) {
		s.Errorf("to apply what was never fetched: %v", err)
	}
	res, err := s.d.SyncScope(agent.FetchOnly)
	if err != nil {
		s.Fatal(err)
	}
	s.only(res, agent.Ready)
	s.w.StopRegistry()
	s.d.Config.RequireApproval = true
	res, err = s.d.SyncScope(agent.ApplyOnly)
	if err != nil {
		s.Fatal(err)
	}
	s.only(res, agent.Waiting)
	if n := len(s.running()); n > 0 {
		s.Fatalf("%d objects run before anyone approved", n)
	}
	s.w.Must(s.d.Approve())
	res, err = s.d.SyncScope(agent.ApplyOnly)
	if err != nil {
		s.Fatal(err)
	}
	s.only(res, agent.Installed)
	s.answers("good (hello 1.0.0)")
	s.logEnds("approved", "accepted", "intent:apply", "outcome")
	s.w.StartRegistry()

	// An approval is for the orders that were there, not for the next ones, and
	// a window holds up what is approved.
	s.order("1.0.0", "next")
	s.sync(agent.Waiting)
	s.w.Must(s.d.Approve())
	at := s.w.Now.Add(2 * time.Hour)
	s.d.Config.ApplyWindow = agent.Window{Hours: at.Format("15:04") + "-" + at.Add(time.Hour).Format("15:04")}
	s.sync(agent.Waiting)
	s.w.Now = at.Add(time.Minute)
	s.sync(agent.Updated)
	s.d.Config.RequireApproval, s.d.Config.ApplyWindow = false, agent.Window{}
	s.answers("next (hello 1.0.0)")
}
