package world_test

import (
	"context"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/consign-dev/consign/internal/agent"
	"github.com/consign-dev/consign/internal/world"
)

// TestLooksGoOnDuringAFetch: a registry that does not come to an end with a blob
// keeps nobody from seeing, and putting right, what is done to an application
// meanwhile. When the blob comes after all, the update is made.
func TestLooksGoOnDuringAFetch(t *testing.T) {
	w := world.New(t)
	d := w.Recorded("press-07")
	w.Publish("acme", "1.0.0", nil)
	w.Deploy(d.ID, "1.0.0", nil)
	if _, err := d.Sync(); err != nil {
		t.Fatal(err)
	}
	image := w.ImageConfig("hello", w.Publish("acme", "1.1.0", nil))
	w.Deploy(d.ID, "1.1.0", nil)
	asked, resume := make(chan struct{}), make(chan struct{})
	var once, open sync.Once
	w.Intercept(func(_ http.ResponseWriter, req *http.Request) bool {
		if strings.HasSuffix(req.URL.Path, string(image)) {
			once.Do(func() { close(asked) })
			<-resume
		}
		return false
	})
	t.Cleanup(func() { open.Do(func() { close(resume) }) })
	ctx, stop := context.WithTimeout(w.Context(), 2*time.Minute)
	defer stop()
	go func() {
		<-asked
		_ = os.Remove(filepath.Join(d.Engine, "projects", projectOf(d)))
	}()
	var done []string
	d.Config.PollInterval, d.Config.ObserveInterval = "1h", "20ms"
	err := d.Run(ctx, func(res *agent.Result, err error) {
		if err != nil && ctx.Err() == nil {
			t.Error(err)
		}
		for _, c := range res.Changes {
			switch c.Action {
			case agent.Corrected:
				done = append(done, "corrected "+c.Version)
				open.Do(func() { close(resume) })
			case agent.Upgraded:
				done = append(done, "upgraded "+c.Version)
				stop()
			}
		}
	})
	if err != nil || strings.Join(done, ", ") != "corrected 1.0.0, upgraded 1.1.0" {
		t.Errorf("%v: %q", err, done)
	}
}

// projectOf is the name of the one project that a device runs.
func projectOf(d *world.Recorded) string {
	name, _, _ := strings.Cut(d.Runs()[0], " ")
	return name
}
