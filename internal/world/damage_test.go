package world_test

import (
	"bytes"
	"context"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/consign-dev/consign/internal/agent"
	"github.com/consign-dev/consign/internal/reason"
	"github.com/consign-dev/consign/internal/world"
)

// stored is what a device's content store holds by file, but for layers.
func stored(w *world.World, d *world.Recorded) map[string][]byte {
	w.T.Helper()
	out := map[string][]byte{}
	for _, f := range documents(w, d.Device) {
		data, err := os.ReadFile(f)
		w.Must(err)
		out[f] = data
	}
	return out
}

// The beginnings of two papers.
const (
	renderText = "{\n  \"name\":"
	orderText  = "id: "
)

// paper finds the only file of a store that begins with text.
func paper(w *world.World, d *world.Recorded, text string) (path string) {
	w.T.Helper()
	for f, data := range stored(w, d) {
		if bytes.HasPrefix(data, []byte(text)) {
			if path != "" {
				w.T.Fatalf("two files begin with %q", text)
			}
			path = f
		}
	}
	if path == "" {
		w.T.Fatalf("no file begins with %q", text)
	}
	return path
}

// flip changes a bit of a file.
func flip(w *world.World, path string) {
	w.T.Helper()
	data, err := os.ReadFile(path)
	w.Must(err)
	data[len(data)/2] ^= 1
	w.Must(os.WriteFile(path, data, 0o600))
}

// running is a world with a device that runs hello 1.0.0.
func running(t *testing.T) (*world.World, *world.Recorded) {
	t.Helper()
	w := world.New(t)
	d := w.Recorded("press-07")
	w.Publish("acme", "1.0.0", nil)
	w.Deploy(d.ID, "1.0.0", map[string]string{"greeting": "first", "port": "8080"})
	_, err := d.Sync()
	w.Must(err)
	return w, d
}

// TestLostPapersAreMadeAgain: what a device needs to go back to, and what the
// log is read by, is fetched or made again when the disk lost it, without a
// restart of what runs; and what is not in the store is never used.
func TestLostPapersAreMadeAgain(t *testing.T) {
	w, d := running(t)
	_, err := d.Sync()
	w.Must(err)
	papers, journal, runs := stored(w, d), len(d.Journal()), d.Runs()
	lost := map[string]bool{}
	for f := range papers {
		w.Must(os.Remove(f))
		_, err := d.Sync()
		w.Must(err)
		if back, err := os.ReadFile(f); err != nil {
			lost[f] = true // no judgement rests on it: configurations of images that the engine has
		} else if !bytes.Equal(back, papers[f]) {
			t.Errorf("%s came back as something else", filepath.Base(f))
		}
	}
	if len(papers)-len(lost) < 8 {
		t.Errorf("of %d papers %d did not come back", len(papers), len(lost))
	}
	if len(d.Journal()) != journal || !slices.Equal(d.Runs(), runs) {
		t.Errorf("the applier was asked to do %q", d.Journal()[journal:])
	}
	w.StopRegistry()
	w.Must(os.Remove(filepath.Join(d.Engine, "projects", projectOf(d))))
	if res, err := d.Watch(); err != nil || len(res.Changes) != 1 || res.Changes[0].Action != agent.Corrected {
		t.Errorf("without a network the device corrects nothing by what came back: %v, %+v", err, res)
	}
}

// TestDamagedRender: the look that finds it says so, the next cycle makes it again.
func TestDamagedRender(t *testing.T) {
	w, d := running(t)
	flip(w, paper(w, d, renderText))
	if _, err := d.Sync(); !reason.Is(err, reason.DigestMismatch) {
		t.Errorf("the look at what runs says %v", err)
	}
	if _, err := d.Sync(); err != nil {
		t.Errorf("the cycle after it says %v", err)
	}
}

// TestLostOrder: the next order is compared with the one that was applied last,
// which is fetched again; where the channel has lost it, too, the new order is
// refused, and the application can still be removed.
func TestLostOrder(t *testing.T) {
	w, d := running(t)
	order := paper(w, d, orderText)
	w.Must(os.Remove(order))
	w.Deploy(d.ID, "1.0.0", map[string]string{"greeting": "second", "port": "8080"})
	var gone atomic.Value // the name of what the channel has lost
	gone.Store(filepath.Base(order))
	w.Intercept(func(rw http.ResponseWriter, req *http.Request) bool {
		if strings.HasSuffix(req.URL.Path, gone.Load().(string)) {
			http.NotFound(rw, req)
			return true
		}
		return false
	})
	runs := d.Runs()
	_, err := d.Sync()
	if err == nil || !strings.Contains(err.Error(), "the deployment that was applied last") {
		t.Errorf("without the deployment that runs the device says %v", err)
	}
	if now := d.Runs(); !slices.Equal(now, runs) {
		t.Errorf("it changed what runs to %q", now)
	}
	gone.Store("nothing")
	res, err := d.Sync()
	wantAction(t, res, err, agent.Updated)
	w.Must(os.Remove(order)) // of the past: two would be one too many
	order = paper(w, d, orderText)
	w.Must(os.Remove(order))
	w.Undeploy("hello", d.ID)
	gone.Store(filepath.Base(order))
	res, err = d.Sync()

	wantAction(t, res, err, agent.Removed)
}

// TestDamageIsNoJudgement: where the policy wants an application stopped that
// has no version that may run, a damaged disk is no reason to stop it.
func TestDamageIsNoJudgement(t *testing.T) {
	w, d := running(t)
	w.SetPolicy("    mayRemove: true\n    onNoGood: stop\n")
	_, err := d.Sync()
	w.Must(err)
	runs := d.Runs()
	w.PublishForged("acme", "1.1.0", world.Forgery{Archive: w.Archive(map[string]string{
		"compose.yaml": "services:\n  web:\n    image: localhost/hello:1.1.0\n    privileged: true\n",
	})})
	w.Deploy(d.ID, "1.1.0", map[string]string{"greeting": "second", "port": "8080"})
	flip(w, paper(w, d, renderText))
	for range 2 {
		_, err = d.Sync()
		if err == nil || !strings.Contains(err.Error(), "privileged") {
			t.Errorf("the device says %v", err)
		}
		if now := d.Runs(); !slices.Equal(now, runs) {
			t.Fatalf("it changed what runs to %q", now)
		}
	}
	w.SetPolicy("    mayRemove: true\n    onNoGood: stop\n    minimumVersion: 2.0.0\n")
	_, err = d.Sync()
	if err == nil || len(d.Runs()) != 0 {
		t.Errorf("damage hid that the version may not run: %v", err)
	}
}

// fetched orders 1.1.0 of hello and lets the device fetch it, and nothing more.
func fetched(t *testing.T, w *world.World, d *world.Recorded) {
	t.Helper()
	w.Publish("acme", "1.1.0", nil)
	w.Deploy(d.ID, "1.1.0", map[string]string{"greeting": "second", "port": "8080"})
	res, err := d.SyncScope(agent.FetchOnly)
	wantAction(t, res, err, agent.Ready)
}

// TestDamagedContentIsFetchedAgain: a component that turns out damaged when it is
// rendered, in the same cycle; a layer that the engine finds damaged, by the next
// one, without the wait after a failure.
func TestDamagedContentIsFetchedAgain(t *testing.T) {
	t.Run("component", func(t *testing.T) {
		w, d := running(t)
		had := stored(w, d)
		fetched(t, w, d)
		archives := 0
		for f, data := range stored(w, d) {
			if _, old := had[f]; !old && bytes.HasPrefix(data, []byte("\x1f\x8b")) {
				flip(w, f)
				archives++
			}
		}
		if archives != 1 {
			t.Fatalf("%d archives were fetched", archives)
		}
		res, err := d.Sync()
		wantAction(t, res, err, agent.Upgraded)
	})
	t.Run("layer", func(t *testing.T) {
		w, d := running(t)
		fetched(t, w, d)
		content := filepath.Join(d.Engine, "content")
		w.Must(os.RemoveAll(content)) // an engine that has nothing yet
		w.Must(os.MkdirAll(content, 0o700))
		documents := stored(w, d)
		files, err := filepath.Glob(filepath.Join(d.Config.StateDir, "store", "blobs", "sha256", "*"))
		w.Must(err)
		for _, f := range files {
			if _, small := documents[f]; !small {
				flip(w, f)
			}
		}
		if _, err := d.Sync(); err == nil {
			t.Fatal("an engine runs what is damaged")
		}
		res, err := d.Sync()
		wantAction(t, res, err, agent.Upgraded)
	})
}

// TestStopWhileTheLastOrderIsFetched: an agent that is stopped while it asks what
// was ordered about the volumes decides nothing about them, and begins nothing.
func TestStopWhileTheLastOrderIsFetched(t *testing.T) {
	w, d := running(t)
	order := paper(w, d, orderText)
	w.Must(os.Remove(order))
	w.Undeploy("hello", d.ID)
	before := d.Events()
	ctx, stop := context.WithCancel(t.Context())
	defer stop()
	w.Intercept(func(_ http.ResponseWriter, req *http.Request) bool {
		if !strings.HasSuffix(req.URL.Path, filepath.Base(order)) {
			return false
		}
		stop()
		<-req.Context().Done()
		return true
	})
	w.Must(d.Run(ctx, func(*agent.Result, error) {}))
	if news := d.Events()[len(before):]; slices.ContainsFunc(news, func(e string) bool { return e != "refreshed" }) {
		t.Errorf("the log goes on with %q", news)
	}
	w.Intercept(nil)
	res, err := d.Sync()
	wantAction(t, res, err, agent.Removed)
}
