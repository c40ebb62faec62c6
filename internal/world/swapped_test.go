package world_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/consign-dev/consign/internal/agent"
	"github.com/consign-dev/consign/internal/reason"
	"github.com/consign-dev/consign/internal/world"
)

// TestAttackD1SwappedFiles: between the step that verified and the step that
// applies, a file of the content store is replaced. Each is hashed again
// whenever it is used, so nothing runs, whichever file it was, and the next
// cycle with a network fetches it anew. Layers are left out, since the engine may
// hold them from another test and not ask for them; that they leave the store
// only when they are whole is the store's own test.
func TestAttackD1SwappedFiles(t *testing.T) {
	w := world.New(t)
	w.Publish("acme", "8.0.0", nil)
	d := w.Device("press-07", engine(t))
	t.Cleanup(func() { w.Cleanup(); takeAway(w, d) })
	port := freePort(t)
	w.Deploy(d.ID, "8.0.0", map[string]string{"port": port, "greeting": "whole"})
	res, err := d.SyncScope(agent.FetchOnly)
	wantAction(t, res, err, agent.Ready)

	w.StopRegistry()
	for _, path := range documents(w, d) {
		genuine, err := os.ReadFile(path)
		w.Must(err)
		w.Must(os.WriteFile(path, make([]byte, len(genuine)), 0o600))
		res, err := d.SyncScope(agent.ApplyOnly)
		if err == nil || reason.Is(err, reason.Freeze) {
			t.Errorf("%s: a swapped file gave %+v, %v", filepath.Base(path), res.Changes, err)
		}
		if got := get(t, port); !strings.Contains(got, "refused") {
			t.Fatalf("%s: with a swapped file the application answers %q", filepath.Base(path), got)
		}
		w.Must(os.WriteFile(path, genuine, 0o600))
		w.Now = w.Now.Add(time.Hour)
	}
	w.StartRegistry()
	if _, err = d.Sync(); err != nil {
		t.Fatalf("with a network again: %v", err)
	}
	if got := get(t, port); got != "whole (hello 8.0.0)" {
		t.Errorf("the application answers %q", got)
	}
}

// documents are the files of a device's store that are no image layer.
func documents(w *world.World, d *world.Device) []string {
	dir := filepath.Join(d.Config.StateDir, "store", "blobs", "sha256")
	entries, err := os.ReadDir(dir)
	w.Must(err)
	var out []string
	for _, e := range entries {
		info, err := e.Info()
		w.Must(err)
		if info.Size() < 1<<20 {
			out = append(out, filepath.Join(dir, e.Name()))
		}
	}
	if len(out) < 8 || len(out) == len(entries) {
		w.T.Fatalf("%d of %d files are no layers", len(out), len(entries))
	}
	return out
}
