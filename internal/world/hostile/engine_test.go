package hostile_test

import (
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"testing"
	"time"

	"github.com/consign-dev/consign/internal/agent"
	"github.com/consign-dev/consign/internal/oci"
	"github.com/consign-dev/consign/internal/world"
	"github.com/consign-dev/consign/internal/world/hostile"
)

// TestHostileUpgrade: an application runs, and its registry misbehaves in every
// way while a new version is ordered. The application answers all the time as
// before, and is upgraded from the first good registry.
func TestHostileUpgrade(t *testing.T) {
	engine := os.Getenv("CONSIGN_TEST_ENGINE")
	if engine == "" {
		t.Fatal("no Docker engine for tests: run this with make test")
	}
	s := newScene(t)
	d := s.Device("press-09", engine)
	t.Cleanup(func() { s.takeAway(t, d) })
	port := freePort(t)
	s.Deploy(d.ID, "1.0.0", map[string]string{"port": port})
	_, err := d.Sync()
	s.Must(err)
	running := answer(t, port)
	s.Publish("acme", "1.2.0", nil)
	s.Deploy(d.ID, "1.2.0", nil)
	for _, r := range []row{waiting[0], waiting[3], endless[0], endless[4], lies[7], lies[12], answers[1], elsewhere(s.elsewhere.URL)[1]} {
		t.Run(r.name, func(t *testing.T) {
			s.T = t
			s.endure(t, hostile.Attack{On: r.on & hostile.Bodies, In: "acme/hello", How: r.how}, r.want, r.limits, func(l oci.Limits) error {
				d.Limits = l
				_, err := d.Sync()
				return err
			})
			if got := answer(t, port); got != running {
				t.Errorf("the application answers %q, want %q", got, running)
			}
		})
	}
	s.T, d.Limits = t, oci.Limits{}
	res, err := d.Sync()
	s.Must(err)
	if len(res.Changes) != 1 || res.Changes[0].Action != agent.Upgraded {
		t.Errorf("changes %+v", res.Changes)
	}
	if got := answer(t, port); got == running {
		t.Errorf("after the upgrade the application answers %q", got)
	}
}

func (s *scene) takeAway(t *testing.T, d *world.Device) {
	s.T = t
	s.Cleanup()
	s.Undeploy("hello", d.ID)
	if _, err := d.Sync(); err != nil {
		t.Errorf("take the application away: %v", err)
	}
}

func freePort(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return fmt.Sprint(l.Addr().(*net.TCPAddr).Port)
}

func answer(t *testing.T, port string) string {
	t.Helper()
	client := http.Client{Timeout: 30 * time.Second}
	resp, err := client.Get("http://127.0.0.1:" + port + "/")
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(io.LimitReader(resp.Body, 1<<16))
	if err != nil {
		t.Fatal(err)
	}
	return string(body)
}
