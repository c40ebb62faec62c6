// Package applytest is the suite that every applier passes, as it is: what an
// operator relies on must not depend on whether a device runs Compose projects
// or Helm charts. Each story is told from the outside: a signed world, a real
// registry, the real agent and applier programs, a real engine.
//
// A [Kind] says how the stories look on one kind of applier: how the example
// application is given a fault, and how to look at, and disturb, what runs.
package applytest

import (
	"errors"
	"io"
	"net/http"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/consign-dev/consign/internal/agent"
	"github.com/consign-dev/consign/internal/reason"
	"github.com/consign-dev/consign/internal/world"
)

// Main runs a package's tests of the suite, which kill at random so often in a soak.
func Main(m *testing.M, kills int) int {
	if os.Getenv("CONSIGN_SOAK") != "" {
		soak, randomKills = true, kills
	}
	return world.Main(m)
}

// Trait is a property that a release of the example application can have.
type Trait int

const (
	// Sick never becomes healthy.
	Sick Trait = iota
	// Privileged asks for more of the machine than the policy grants.
	Privileged
	// Pair has a second component, "second", behind the first.
	Pair
	// Secret has the greeting as a secret parameter, read from a file.
	Secret
	// SickPair is Pair with a second component that never becomes healthy.
	SickPair
	// Listing keeps the list of its starts in a volume (GET /starts).
	Listing
)

// Kind is one kind of applier on a real engine.
type Kind interface {
	// Device makes an enrolled device that has this kind of applier.
	Device(w *world.World, id string) *world.Device
	// Address is where the application of a deployment answers that was ordered with
	// a port.
	Address(t *testing.T, deployment, port string) string
	// Acts is the fault point at which the applier has the engine run something.
	Acts() string
	// Empties is the fault point at which the applier takes the content of a volume
	// away, for that of its copy.
	Empties() string
	// Costs is how many times as long as with containers a change takes.
	Costs() int
	// Give edits a package directory of the example application.
	Give(w *world.World, dir string, trait Trait)
	// Running lists the ids of what runs of a deployment, sorted. An id changes
	// when the object is replaced.
	Running(t *testing.T, deployment string) []string
	// Disturb stops or removes a part of what runs of a deployment, as somebody
	// with access to the engine could.
	Disturb(t *testing.T, deployment string)
	// Meddle starts something with all rights of the machine beside what runs of a
	// deployment, marked as if it belonged there.
	Meddle(t *testing.T, deployment string)
	// Discard deletes the data that the removal of a deployment left.
	Discard(t *testing.T, deployment string)
}

// Run runs the suite.
func Run(t *testing.T, k Kind) {
	for _, story := range []struct {
		name string
		tell func(t *testing.T, s *site)
	}{
		{"LifeOfAnApplication", lifeOfAnApplication},
		{"FailedUpgradeReturns", failedUpgradeReturns},
		{"FailedComponentReturnsAll", failedComponentReturnsAll},
		{"FailedInstallationLeavesNothing", failedInstallationLeavesNothing},
		{"DriftIsCorrected", driftIsCorrected},
		{"DriftIsReported", driftIsReported},
		{"ExcessIsTakenAway", excessIsTakenAway},
		{"RefusedGrantTouchesNothing", refusedGrantTouchesNothing},
		{"TwoApplicationsStayApart", twoApplicationsStayApart},
		{"LastGoodMustStillBeAllowed", lastGoodMustStillBeAllowed},
		{"TwoSteps", twoSteps},
		{"SecretsStayOnTheDevice", secretsStayOnTheDevice},
		{"KilledAtEveryStep", killedAtEveryStep},
		{"KilledAtRandom", killedAtRandom},
		{"DataGoesBack", dataGoesBack},
		{"DataStays", dataStays},
		{"DataGoesBackAfterKill", dataGoesBackAfterKill},
	} {
		t.Run(story.name, func(t *testing.T) {
			t.Parallel() // they wait for containers more than they compute
			story.tell(t, newSite(t, k))
		})
	}
}

// site is one device in one signed world.
type site struct {
	*testing.T
	w    *world.World
	k    Kind
	d    *world.Device
	port string
	// deployment is the id of the first order.
	deployment string
}

func newSite(t *testing.T, k Kind) *site {
	w := world.New(t)
	s := &site{T: t, w: w, k: k, port: world.FreePort(t)}
	s.d = k.Device(w, "press-07")
	t.Cleanup(s.takeAway)
	return s
}

// takeAway leaves the engine as it was, whatever the story did.
func (s *site) takeAway() {
	ctx := s.w.Cleanup()
	p := s.w.Party("plant")
	for _, app := range s.w.Applications {
		_ = p.Undeploy(ctx, s.w.Deployments, app, s.d.ID)
	}
	s.w.SetPolicy("")
	if _, err := s.d.Sync(); err != nil {
		s.Errorf("clean up: %v", err)
	}
	if left := s.k.Running(s.T, s.deployment); len(left) > 0 {
		s.Errorf("after the removal %q still run", left)
	}
	s.k.Discard(s.T, s.deployment)
}

// publish releases the example application with traits.
func (s *site) publish(version string, traits ...Trait) {
	s.Helper()
	s.w.Publish("acme", version, func(dir string) {
		for _, trait := range traits {
			s.k.Give(s.w, dir, trait)
		}
	})
}

// order deploys a version, and remembers the deployment's id.
func (s *site) order(version, greeting string) {
	s.Helper()
	s.deployment = s.w.Deploy(s.d.ID, version, map[string]string{"greeting": greeting, "port": s.port})
}

// sync runs a cycle that must end with the given action for the one order.
func (s *site) sync(want agent.Action) agent.Change {
	s.Helper()
	res, err := s.d.Sync()
	if err != nil {
		s.Fatal(err)
	}
	return s.only(res, want)
}

func (s *site) only(res *agent.Result, want agent.Action) agent.Change {
	s.Helper()
	if len(res.Changes) != 1 || res.Changes[0].Action != want {
		s.Fatalf("changes %+v, want one that is %s", res.Changes, want)
	}
	return res.Changes[0]
}

// fail runs a cycle that must fail for a reason, and returns its changes.
func (s *site) fail(want reason.Code) []agent.Change {
	s.Helper()
	res, err := s.d.Sync()
	if !reasoned(err, want) {
		s.Fatalf("error %v, want reason %s", err, want)
	}
	return res.Changes
}

// reasoned looks for a reason in any of joined errors.
func reasoned(err error, want reason.Code) bool {
	if list, ok := err.(interface{ Unwrap() []error }); ok {
		return slices.ContainsFunc(list.Unwrap(), func(e error) bool { return reasoned(e, want) })
	}
	return reason.Is(err, want) || err != nil && errors.Unwrap(err) != nil && reasoned(errors.Unwrap(err), want)
}

// answers waits a moment for the application to say something.
func (s *site) answers(want string) {
	s.Helper()
	var got string
	for range 50 {
		if got = s.get(); got == want {
			return
		}
		time.Sleep(100 * time.Millisecond)
	}
	s.Fatalf("the application answers %q, want %q", got, want)
}

func (s *site) get() string { return s.ask("/") }

func (s *site) ask(path string) string {
	client := http.Client{Timeout: 5 * time.Second, Transport: &http.Transport{DisableKeepAlives: true}}
	resp, err := client.Get("http://" + s.k.Address(s.T, s.deployment, s.port) + path)
	if err != nil {
		return err.Error()
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(io.LimitReader(resp.Body, 1<<16))
	if err != nil {
		return err.Error()
	}
	return strings.TrimSpace(string(body))
}

// running is what runs of the first order's deployment.
func (s *site) running() []string { return s.k.Running(s.T, s.deployment) }

// logEnds checks the whole log and its last events.
func (s *site) logEnds(want ...string) {
	s.Helper()
	kinds := s.d.Events()
	if n := len(kinds) - len(want); n < 0 || !slices.Equal(kinds[n:], want) {
		s.Fatalf("the log ends with %q, want %q", kinds[max(0, len(kinds)-len(want)):], want)
	}
}
