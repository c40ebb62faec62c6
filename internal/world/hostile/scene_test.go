package hostile_test

import (
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/consign-dev/consign/internal/agent"
	"github.com/consign-dev/consign/internal/oci"
	"github.com/consign-dev/consign/internal/reason"
	"github.com/consign-dev/consign/internal/world"
	"github.com/consign-dev/consign/internal/world/hostile"
)

func TestMain(m *testing.M) { os.Exit(world.Main(m)) }

const (
	user, password = "line", "correct horse battery staple"
	// auth is both as docker login keeps them.
	auth     = "bGluZTpjb3JyZWN0IGhvcnNlIGJhdHRlcnkgc3RhcGxl"
	noEngine = "unix:///nonexistent/engine.sock"
	// fair is what a client may take of an answer that never ends: all buffers of
	// both kernels' sockets and the largest object here, several times.
	fair = 64 << 20
	// prompt is far above what any row takes, also on a busy machine.
	prompt = 2 * time.Minute
)

// scene is a world whose registry may turn hostile: acme has released hello
// 1.0.0, and plant has ordered it for a device, which has not asked yet.
type scene struct {
	*world.World
	front     *hostile.Front
	elsewhere *hostile.Elsewhere
	device    *world.Device
	toll      hostile.Toll // of the last attack
	clients   []*oci.Client
}

// client is a publisher's for one attack. It is closed before the attack is looked
// at: a connection that waits for more work is no request that was not given up.
func (s *scene) client(l oci.Limits) *oci.Client {
	c := s.ClientWith(l)
	s.clients = append(s.clients, c)
	return c
}

// shared is made once: signing a world costs seconds. Tests leave it as it was,
// but for newer versions of documents, and do not run in parallel.
var shared *scene

func newScene(t *testing.T) *scene {
	t.Helper()
	if shared != nil {
		s := *shared
		s.T = t
		return &s
	}
	s := &scene{front: &hostile.Front{User: user, Password: password}}
	var good http.Handler
	s.World = world.NewIn(t, world.Options{
		Dir:   filepath.Join(world.Shared(), "scene"),
		Front: func(h http.Handler) http.Handler { good = h; return s.front.Wrap(h) },
	})
	s.elsewhere = hostile.NewElsewhere(t, func() http.Handler { return good })
	s.Must(os.WriteFile(filepath.Join(s.Dir, "docker.json"), []byte(`{"auths":{"`+s.Host+`":{"auth":"`+auth+`"}}}`), 0o600))
	s.Publish("acme", "1.0.0", nil)
	s.device = s.Device("press-07", noEngine)
	s.Deploy(s.device.ID, "1.0.0", nil)
	shared = s
	return newScene(t)
}

// path is one way in which clients of ours use a registry.
type path struct {
	// on are the kinds of requests that it makes, and most how many of them are
	// attacked in each row, in turn; 0 is all.
	on   hostile.Class
	most int
	// attacked does the work, from the attacked registry, with a client that has
	// the limits of the row.
	attacked func(t *testing.T, r row, on hostile.Class)
	// good does the work of a group from a good registry.
	good func(t *testing.T)
}

// walk goes through all rows of all groups, each a subtest, and after each group
// through good times.
func (s *scene) walk(t *testing.T, begin func(t *testing.T) path) {
	t.Helper()
	turn := 0
	for _, g := range groups(s.elsewhere.URL) {
		p := begin(t)
		hit := false
		for _, r := range g.rows {
			kinds := pick(r.on&p.on, p.most, turn)
			turn++
			for _, class := range kinds {
				hit = true
				t.Run(r.name+"/"+class.String(), func(t *testing.T) {
					s.T = t
					p.attacked(t, r, class)
				})
			}
		}
		if s.T = t; hit {
			t.Run("good again after "+g.name, func(t *testing.T) {
				s.T = t
				p.good(t)
			})
		}
		s.T = t
	}
}

// pick returns at most so many of the kinds in a set, others at each turn.
func pick(on hostile.Class, most, turn int) []hostile.Class {
	var kinds []hostile.Class
	for class := hostile.Tag; class < hostile.Other; class <<= 1 {
		if on&class != 0 {
			kinds = append(kinds, class)
		}
	}
	if most == 0 || len(kinds) <= most {
		return kinds
	}
	turn %= len(kinds)
	return append(kinds[turn:], kinds[:turn]...)[:most]
}

// endure is [scene.suffer] by a client with limits. When an honest answer was too
// late for short ones, before anything was attacked, as on a busy machine, they are
// doubled.
func (s *scene) endure(t *testing.T, a hostile.Attack, want []reason.Code, l oci.Limits, do func(oci.Limits) error) {
	t.Helper()
	s.suffer(t, a, want, func() error {
		for {
			err := do(l)
			if s.front.Hits() > 0 || !reason.Is(err, reason.TooSlow) || l.HeaderTimeout > prompt {
				return err
			}
			for _, d := range []*time.Duration{&l.RateWindow, &l.ObjectTimeout, &l.RequestTimeout, &l.HeaderTimeout} {
				*d *= 2
			}
		}
	})
}

// suffer does something while the registry attacks, and checks what holds for
// every client: it ends, it took no more than is fair, and nothing reached
// another host that was not meant for it.
func (s *scene) suffer(t *testing.T, a hostile.Attack, want []reason.Code, do func() error) {
	t.Helper()
	s.elsewhere.Got()
	begin := time.Now()
	s.front.Begin(a)
	err := do()
	for _, c := range s.clients {
		_ = c.Close()
	}
	s.clients = nil
	s.toll = s.front.Relent()
	if took := time.Since(begin); took > prompt {
		t.Errorf("it took %s", took)
	}
	if s.toll.Hits == 0 {
		t.Fatalf("nothing was attacked by %q: %v", s.toll.Requests, err)
	}
	if s.toll.Stuck != 0 {
		t.Errorf("%d request(s) were not given up", s.toll.Stuck)
	}
	if limit := int64(s.toll.Hits) * fair; s.toll.Wrote > limit {
		t.Errorf("the client took %d bytes, %d would be fair", s.toll.Wrote, limit)
	}
	if leaked := hostile.Leaked(s.elsewhere.Got(), password, auth); leaked != nil {
		t.Errorf("credentials were sent elsewhere: %q", leaked)
	}
	if !oneOf(err, want) {
		t.Errorf("attacked on %s in %q: error %v, want one of %q", a.On, a.In, err, want)
	}
	if err != nil && (strings.Contains(err.Error(), password) || strings.Contains(err.Error(), auth)) {
		t.Errorf("the error holds credentials: %v", err)
	}
}

// done among the wanted reasons says that the work may also be done.
const done reason.Code = ""

// oneOf reports whether err has one of the reasons, or there is none and none is
// wanted.
func oneOf(err error, want []reason.Code) bool {
	if len(want) == 0 || err == nil {
		return err == nil && (len(want) == 0 || slices.Contains(want, done))
	}
	return slices.Contains(want, reason.Of(err))
}

// fetch is a cycle up to the moment before the machine would be changed.
func fetch(d *world.Device) error {
	res, err := d.SyncScope(agent.FetchOnly)
	if err == nil && (len(res.Changes) != 1 || res.Changes[0].Action != agent.Ready) {
		err = reason.New(reason.Internal, "changes %+v", res.Changes)
	}
	return err
}

// untouched checks what a device did about a refusal: it is in the log, unless
// the registry was just not there, and nothing else was begun.
func untouched(t *testing.T, d *world.Device, err error) {
	t.Helper()
	kinds := d.Events()
	for _, k := range kinds {
		if strings.HasPrefix(k, "intent") || strings.HasPrefix(k, "outcome") {
			t.Errorf("the machine was about to be changed: %q", kinds)
		}
	}
	if code := reason.Of(err); err != nil && code != reason.Unreachable && !slices.Contains(kinds, "refused:"+string(code)) {
		t.Errorf("the refusal %q is not in the log: %q", code, kinds)
	}
}

// layer is where the image's layer, the largest blob of the bundle, is asked for.
func (s *scene) layer() string {
	s.T.Helper()
	entries, err := os.ReadDir(filepath.Join(s.RegistryDir, "acme", "hello", "blobs", "sha256"))
	s.Must(err)
	largest, size := "", int64(0)
	for _, e := range entries {
		info, err := e.Info()
		s.Must(err)
		if info.Size() > size {
			largest, size = e.Name(), info.Size()
		}
	}
	return "acme/hello/blobs/sha256:" + largest
}
