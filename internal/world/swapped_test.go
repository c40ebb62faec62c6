package world_test

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/consign-dev/consign/internal/agent"
	"github.com/consign-dev/consign/internal/reason"
	"github.com/consign-dev/consign/internal/world"
)

// TestAttackD1SwappedFiles: between the step that verified and the step that
// applies, a document of the content store is replaced. Each is hashed again
// when it is read, so the change is noticed and nothing runs; what a render made
// is made anew. What only the engine reads leaves the store when it is whole and
// not otherwise, which is the store's own test.
func TestAttackD1SwappedFiles(t *testing.T) {
	w := world.New(t)
	w.Publish("acme", "8.0.0", nil)
	d := w.Device("press-07", engine(t))
	t.Cleanup(func() { w.Cleanup(); takeAway(w, d) })
	port := world.FreePort(t)
	w.Deploy(d.ID, "8.0.0", map[string]string{"port": port, "greeting": "whole"})
	res, err := d.SyncScope(agent.FetchOnly)
	wantAction(t, res, err, agent.Ready)

	w.StopRegistry()
	d.Config.RequireApproval = true // it waits at the last moment before the change
	refused := 0
	for _, path := range documents(w, d) {
		swapped(w, path, func() {
			_, err := d.SyncScope(agent.ApplyOnly)
			if reason.Is(err, reason.Freeze) || reason.Is(err, reason.Unreachable) {
				t.Fatal(err)
			}
			if err != nil {
				refused++
			}
		})
	}
	if refused < 8 {
		t.Errorf("only %d swapped files were noticed", refused)
	}
	w.StartRegistry()
	d.Config.RequireApproval = false
	if _, err = d.Sync(); err != nil {
		t.Fatalf("with a network again: %v", err)
	}
	if got := get(t, port); got != "whole (hello 8.0.0)" {
		t.Errorf("the application answers %q", got)
	}
}

func size(w *world.World, path string) int64 {
	info, err := os.Stat(path)
	w.Must(err)
	return info.Size()
}

// swapped replaces a file by as many zeros while do runs.
func swapped(w *world.World, path string, do func()) {
	genuine, err := os.ReadFile(path)
	w.Must(err)
	w.Must(os.WriteFile(path, make([]byte, len(genuine)), 0o600))
	do()
	w.Must(os.WriteFile(path, genuine, 0o600))
}

// documents are the files of a device's store that are no image layer.
func documents(w *world.World, d *world.Device) []string {
	dir := filepath.Join(d.Config.StateDir, "store", "blobs", "sha256")
	entries, err := os.ReadDir(dir)
	w.Must(err)
	var out []string
	for _, e := range entries {
		if path := filepath.Join(dir, e.Name()); size(w, path) < 1<<20 {
			out = append(out, path)
		}
	}
	if len(out) < 8 || len(out) == len(entries) {
		w.T.Fatalf("%d of %d files are no layers", len(out), len(entries))
	}
	return out
}
