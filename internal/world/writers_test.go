package world_test

import (
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/consign-dev/consign/internal/audit"
	"github.com/consign-dev/consign/internal/channel"
	"github.com/consign-dev/consign/internal/publish"
	"github.com/consign-dev/consign/internal/reason"
	"github.com/consign-dev/consign/internal/world"
)

// unconditional is a registry that knows no If-Match, and that holds the next
// move of a channel's tag until it is let go.
type unconditional struct {
	mu   sync.Mutex
	held chan struct{} // closed by a test to let the held move go on
	came chan struct{} // closed when it has come
	// delay is the longest time that a move is under way, drawn by its number.
	delay time.Duration
	moves atomic.Int64
}

func (u *unconditional) intercept(_ http.ResponseWriter, r *http.Request) (handled bool) {
	r.Header.Del("If-Match")
	r.Header.Del("If-None-Match")
	if r.Method == http.MethodPut && strings.HasSuffix(r.URL.Path, "/manifests/"+channel.Tag) {
		u.move()
	}
	return false
}

func (u *unconditional) move() {
	u.mu.Lock()
	held, came := u.held, u.came
	u.held, u.came = nil, nil
	u.mu.Unlock()
	if held != nil {
		close(came)
		<-held
	}
	if u.delay > 0 {
		time.Sleep(time.Duration(u.moves.Add(1)*7919%97) * u.delay / 97)
	}
}

// between runs slow until its tag is about to move, then everything of fast,
// and then lets slow's tag move: both have looked before, and both read their
// own back.
func (u *unconditional) between(t *testing.T, slow, fast func() error) {
	t.Helper()
	held, came, done := make(chan struct{}), make(chan struct{}), make(chan error, 1)
	u.mu.Lock()
	u.held, u.came = held, came
	u.mu.Unlock()
	go func() { done <- slow() }()
	<-came
	if err := fast(); err != nil {
		t.Errorf("the faster command: %v", err)
	}
	close(held)
	if err := <-done; err != nil {
		t.Fatalf("the slower command: %v", err)
	}
}

// writers is a world with machines that hold copies of the operator's keys.
type writers struct {
	*testing.T
	w    *world.World
	reg  *unconditional
	keys sync.Map
	name string // before the names of machines and devices
}

func newWriters(t *testing.T, honest bool) *writers {
	s := &writers{T: t, reg: &unconditional{}}
	s.w = world.New(t)
	if !honest {
		s.w.Intercept(s.reg.intercept)
	}
	return s
}

func (s *writers) machine(name string) *publish.Publisher { return s.w.Machine("plant", s.name+name) }

// add enrols a device from a machine: one change of one target.
func (s *writers) add(p *publish.Publisher, device string) func() error {
	device = s.name + device
	key := s.logKey(device)
	return func() error { return p.AddDevice(s.w.Context(), s.w.Deployments, device, key) }
}

// logKey is always the same for a device.
func (s *writers) logKey(device string) string {
	_, public, err := audit.GenerateKey(device)
	s.w.Must(err)
	key, _ := s.keys.LoadOrStore(device, public)
	return key.(string)
}

func (s *writers) refresh(p *publish.Publisher) error {
	_, err := p.RefreshChannel(s.w.Context(), s.w.Deployments, channel.KindDeployments)
	return err
}

func (s *writers) show(p *publish.Publisher) *publish.ChannelInfo {
	s.Helper()
	info, err := p.ShowChannel(s.w.Context(), s.w.Deployments, channel.KindDeployments)
	s.w.Must(err)
	return info
}

// lists says which of the devices the channel lists.
func (s *writers) lists(p *publish.Publisher, devices ...string) {
	s.Helper()
	there := map[string]bool{}
	for _, t := range s.show(p).Targets {
		there[t.Name] = true
	}
	for _, d := range devices {
		if want := !strings.HasPrefix(d, "-"); there[channel.DeviceTarget(s.name+strings.TrimPrefix(d, "-"))] != want {
			s.Errorf("the channel lists %v, want %q", there, d)
		}
	}
}

func (s *writers) follow(d *world.Device) {
	s.Helper()
	if _, err := d.Sync(); err != nil {
		s.Errorf("the device does not follow: %v", err)
	}
}

// TestWritersWithoutIfMatch holds what happens to commits that get lost. The
// parts share one world, each with machines of its own.
func TestWritersWithoutIfMatch(t *testing.T) {
	s := newWriters(t, false)
	s.w.Publish("acme", "1.0.0", nil)
	for _, part := range []struct {
		name string
		test func(*writers)
	}{
		{"lost commit is committed again", lostCommit},
		{"lost under later commits", lostUnderLater},
		{"different roles", differentRoles},
		{"undone on purpose", undoneOnPurpose},
		{"same target", sameTarget},
		{"old states", oldStates},
	} {
		t.Run(part.name, func(t *testing.T) {
			own := &writers{T: t, w: s.w, reg: s.reg, name: strings.ReplaceAll(part.name, " ", "-") + "-"}
			part.test(own)
		})
	}
}

// lostCommit: two machines pass the look before and read
// their own back. The one whose change is gone finds out at its next command,
// whatever that is, and signs it above both branches; devices of both follow.
func lostCommit(s *writers) {
	ofA, ofB := s.w.Device(s.name+"press-01", noEngine), s.w.Device(s.name+"press-02", noEngine)
	a, b := s.machine("a"), s.machine("b")
	s.reg.between(s.T, s.add(a, "from-a"), func() error {
		err := s.add(b, "from-b")()
		s.follow(ofB)
		return err
	})
	s.follow(ofA)
	s.lists(a, "from-a", "-from-b")
	_, err := ofB.Sync()
	wantReason(s.T, err, reason.Equivocation)
	_, err = b.ShowChannel(s.w.Context(), s.w.Deployments, channel.KindDeployments)
	wantReason(s.T, err, reason.Conflict)

	var notes []string
	b.Note = func(text string) { notes = append(notes, text) }
	s.w.Must(s.add(b, "more-of-b")())
	if len(notes) != 1 || !strings.Contains(notes[0], "from-b") {
		s.Errorf("notes: %q", notes)
	}
	s.follow(ofA)
	s.follow(ofB)
	for _, p := range []*publish.Publisher{a, b} {
		s.w.Must(s.refresh(p))
		s.lists(p, "from-a", "from-b", "more-of-b")
	}
	s.follow(ofA)
	s.follow(ofB)
	if proof, _ := filepath.Glob(filepath.Join(b.Keys.Path, "state", "evidence", "*")); len(proof) != 2 {
		s.Errorf("the proof of the two branches was not kept: %q", proof)
	}
}

// lostUnderLater: the branch that won has grown before the loser
// comes back, so that nothing contradicts what it saw; its change is missed all
// the same.
func lostUnderLater(s *writers) {
	a, b := s.machine("a"), s.machine("b")
	s.reg.between(s.T, s.add(a, "from-a"), s.add(b, "from-b"))
	for n := range 3 {
		s.w.Must(s.add(a, fmt.Sprint("later-", n))())
	}
	s.w.Must(s.refresh(b))
	s.lists(a, "from-a", "from-b", "later-0", "later-2")
}

// differentRoles: a new policy and an order, each signed by a role of
// its own, and a timer's refresh, which has no change of its own.
func differentRoles(s *writers) {
	d := s.w.Device(s.name+"press-01", noEngine)
	a, b := s.machine("a"), s.machine("b")
	policy := filepath.Join(s.w.Dir, "policy.yaml")
	text, err := os.ReadFile(policy)
	s.w.Must(err)
	s.w.Must(os.WriteFile(policy, append(text, '\n'), 0o600))
	setPolicy := func() error {
		_, err := a.SetPolicy(s.w.Context(), s.w.Deployments, policy)
		return err
	}
	s.reg.between(s.T, setPolicy, func() error { err := s.add(b, "from-b")(); s.follow(d); return err })
	changed := s.show(a).Versions["targets"]
	s.w.Must(s.refresh(b))
	s.lists(a, "from-b")
	if got := s.show(a).Versions["targets"]; got != changed {
		s.Errorf("the policy has version %d, want %d, which machine a signed", got, changed)
	}
	s.follow(d)

	s.reg.between(s.T, func() error { return s.refresh(a) }, func() error { err := s.add(b, "again-b")(); s.follow(d); return err })
	s.lists(a, "-again-b")
	s.w.Must(s.refresh(b))
	s.lists(a, "from-b", "again-b")
	s.follow(d)

	s.reg.between(s.T, s.add(a, "third-a"), func() error { err := s.refresh(b); s.follow(d); return err })
	s.w.Must(s.refresh(b))
	s.lists(b, "third-a")
	s.follow(d)
}

// undoneOnPurpose: what another writer took back with ours in
// sight is not committed again.
func undoneOnPurpose(s *writers) {
	a, b := s.machine("a"), s.machine("b")
	s.w.Must(s.add(a, "press-01")())
	policy := filepath.Join(s.w.Dir, "policy.yaml")
	before, err := os.ReadFile(policy)
	s.w.Must(err)
	set := func(p *publish.Publisher, text string) string {
		s.w.Must(os.WriteFile(policy, []byte(text), 0o600))
		d, err := p.SetPolicy(s.w.Context(), s.w.Deployments, policy)
		s.w.Must(err)
		return string(d)
	}
	set(a, string(before)+"\n")
	undone := set(b, string(before))
	s.w.Must(s.refresh(a))
	for _, target := range s.show(a).Targets {
		if target.Name == channel.PolicyTarget && string(target.Digest) != undone {
			s.Errorf("the policy is %s, want %s, to which machine b went back", target.Digest, undone)
		}
	}
}

// sameTarget: two machines change one device. The loser is told
// once, and which command to run.
func sameTarget(s *writers) {
	d := s.w.Device(s.name+"press", noEngine)
	a, b := s.machine("a"), s.machine("b")
	deploy := func(p *publish.Publisher, greeting string) func() error {
		return func() error {
			_, err := p.Deploy(s.w.Context(), publish.DeployInput{
				Channel: s.w.Deployments, Application: "hello", Version: "1.0.0", Device: d.ID, Values: map[string]string{"greeting": greeting},
			})
			return err
		}
	}
	s.reg.between(s.T, deploy(a, "a"), deploy(b, "b"))
	won := s.show(a).Targets
	err := s.refresh(b)
	wantReason(s.T, err, reason.Conflict)
	for _, part := range []string{channel.DeviceTarget(d.ID), "publisher deploy"} {
		if !strings.Contains(err.Error(), part) {
			s.Errorf("the refusal does not name %q: %v", part, err)
		}
	}
	if got := s.show(b).Targets; fmt.Sprint(got) != fmt.Sprint(won) {
		s.Errorf("targets are %v, want those of machine a, %v", got, won)
	}
	s.w.Must(deploy(b, "b")())
	_, err = d.Verify()
	s.w.Must(err)
}

// oldStates: a registry that serves an older state, or an
// old branch that lost, gets nothing of it signed anew.
func oldStates(s *writers) {
	d := s.w.Device(s.name+"press-01", noEngine)
	a, b := s.machine("a"), s.machine("b")
	old, oldBytes := s.w.Head(s.w.Deployments)
	var branch, branchBytes = old, oldBytes
	s.reg.between(s.T, s.add(a, "from-a"), func() error {
		err := s.add(b, "from-b")()
		branch, branchBytes = s.w.Head(s.w.Deployments)
		return err
	})
	s.w.Must(s.add(b, "second-b")())
	s.w.Must(s.add(a, "second-a")())
	s.follow(d)

	s.w.PutBack(s.w.Deployments, branch, branchBytes)
	s.w.Must(s.refresh(a))
	s.lists(a, "from-a", "from-b", "second-a", "second-b")
	s.follow(d)
	s.w.PutBack(s.w.Deployments, old, oldBytes)
	s.w.Must(s.add(a, "third-a")())
	s.lists(a, "from-a", "from-b", "second-a", "second-b", "third-a")
	s.follow(d)

	// Who has lost nothing himself does not put anything right.
	c := s.machine("c")
	s.lists(c, "third-a")
	s.w.Must(os.Remove(filepath.Join(c.Keys.Path, "commits.json")))
	s.w.PutBack(s.w.Deployments, old, oldBytes)
	wantReason(s.T, s.refresh(c), reason.Rollback)
}

const crowd = 20

// race lets as many machines as the crowd change a target each, at once.
func (s *writers) race() (machines []*publish.Publisher, devices []string, errs []error) {
	s.Helper()
	var begin sync.WaitGroup
	errs = make([]error, crowd)
	begin.Add(1)
	var all sync.WaitGroup
	for n := range crowd {
		devices = append(devices, fmt.Sprintf("press-%02d", n))
		machines = append(machines, s.machine(fmt.Sprint("machine-", n)))
		add := s.add(machines[n], devices[n])
		all.Go(func() { begin.Wait(); errs[n] = add() })
	}
	begin.Done()
	all.Wait()
	return machines, devices, errs
}

// TestManyWritersWithIfMatch: on the embedded registry every race is settled
// exactly, and who loses goes on from the new state: all succeed at once.
func TestManyWritersWithIfMatch(t *testing.T) {
	s := newWriters(t, true)
	d := s.w.Device("watcher", noEngine)
	before := s.show(s.w.Party("plant")).Versions
	stop := s.watch(d, false)
	machines, devices, errs := s.race()
	stop()
	for n, err := range errs {
		if err != nil {
			t.Errorf("machine %d: %v", n, err)
		}
	}
	s.lists(machines[0], devices...)
	after := s.show(machines[0]).Versions
	for _, role := range []string{"timestamp", "snapshot", "deploy"} {
		if after[role] < before[role]+crowd {
			t.Errorf("%s went from version %d to %d in %d commits", role, before[role], after[role], crowd)
		}
	}
	s.follow(d)
}

// watch syncs a device all along. Where the registry knows no If-Match it may
// see two branches meanwhile.
func (s *writers) watch(d *world.Device, branches bool) (stop func()) {
	end, ended := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(ended)
		for {
			_, err := d.Sync()
			if err != nil && !(branches && (reason.Is(err, reason.Equivocation) || reason.Is(err, reason.Rollback))) {
				s.Errorf("the device meanwhile: %v", err)
			}
			select {
			case <-end:
				return
			case <-time.After(50 * time.Millisecond):
			}
		}
	}()
	return func() { close(end); <-ended }
}

// TestManyWritersWithoutIfMatch: on other registries commits get lost, and are
// there after at most one further command of each machine; a device that saw
// whatever there was to see ends with the final state.
func TestManyWritersWithoutIfMatch(t *testing.T) {
	s := newWriters(t, false)
	d := s.w.Device("watcher", noEngine)
	s.reg.delay = 100 * time.Millisecond
	stop := s.watch(d, true)
	machines, devices, errs := s.race()
	s.reg.delay = 0
	lost := map[string]bool{}
	for _, d := range devices {
		lost[channel.DeviceTarget(d)] = true
	}
	if info, err := s.w.Party("plant").ShowChannel(s.w.Context(), s.w.Deployments, channel.KindDeployments); err == nil {
		for _, target := range info.Targets {
			delete(lost, target.Name)
		}
	}
	t.Logf("%d of %d changes were missing at first", len(lost), crowd)
	for n, p := range machines {
		if errs[n] != nil {
			t.Logf("machine %d: %v", n, errs[n])
			errs[n] = s.add(p, devices[n])()
		} else {
			errs[n] = s.refresh(p)
		}
		if errs[n] != nil {
			t.Errorf("machine %d, again: %v", n, errs[n])
		}
	}
	stop()
	s.lists(machines[crowd-1], devices...)
	s.follow(d)
}
