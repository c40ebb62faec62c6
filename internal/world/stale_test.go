package world_test

import (
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"github.com/consign-dev/consign/internal/agent"
	"github.com/consign-dev/consign/internal/channel"
	"github.com/consign-dev/consign/internal/reason"
	"github.com/consign-dev/consign/internal/world"
)

// TestStaleReleaseChannelIsReported: a release channel that runs out stops no
// application, and its operator learns of it although nothing is new.
func TestStaleReleaseChannelIsReported(t *testing.T) {
	w := world.New(t)
	w.Publish("acme", "1.0.0", nil)
	d := w.Device("press-07", engine(t))
	t.Cleanup(func() { takeAway(w, d) })
	port := world.FreePort(t)
	w.Deploy(d.ID, "1.0.0", map[string]string{"port": port})
	res, err := d.Sync()
	wantAction(t, res, err, agent.Installed)

	w.Now = w.Now.Add(8 * 24 * time.Hour)
	_, err = w.Party("plant").RefreshChannel(w.Context(), w.Deployments, channel.KindDeployments)
	w.Must(err)
	for range 2 {
		res, err = d.Sync()
		wantReason(t, err, reason.Freeze)
		if len(res.Changes) != 1 || res.Changes[0].Action != agent.Unchanged {
			t.Fatalf("changes %+v", res.Changes)
		}
	}
	if kinds := d.Events(); kinds[len(kinds)-1] != "refused:freeze" || kinds[len(kinds)-2] == "refused:freeze" {
		t.Errorf("the log ends with %q, want one refusal", kinds[len(kinds)-2:])
	}
	_, err = w.Party("acme").RefreshChannel(w.Context(), w.Releases, channel.KindReleases)
	w.Must(err)
	res, err = d.Sync()
	wantAction(t, res, err, agent.Unchanged)
}

// TestEquivocationIsProven: a supplier's keys sign two histories (attack T3).
// Both documents are kept, and the log says so.
func TestEquivocationIsProven(t *testing.T) {
	w := world.New(t)
	w.Publish("acme", "1.0.0", nil)
	d := w.Device("press-07", "unix:///nonexistent/engine.sock")
	w.Deploy(d.ID, "1.0.0", nil)
	before, beforeBytes := w.Head(w.Releases)
	w.Must(os.CopyFS(filepath.Join(w.Dir, "copy"), os.DirFS(filepath.Join(w.Dir, "acme"))))
	for _, f := range []string{"targets", "snapshot", "timestamp", "signing", "root"} {
		w.Must(os.Chmod(filepath.Join(w.Dir, "copy", f+".pem"), 0o600))
	}
	w.Publish("acme", "1.1.0", nil)
	if _, err := d.Sync(); err == nil {
		t.Fatal("without an engine the first cycle cannot succeed")
	}
	w.PutBack(w.Releases, before, beforeBytes)
	copied := w.Party("copy")
	_, err := copied.RefreshChannel(w.Context(), w.Releases, channel.KindReleases)
	w.Must(err)
	_, err = d.Sync()
	wantReason(t, err, reason.Equivocation)
	kinds := d.Events()
	if n := slices.Index(kinds, "equivocation"); n < 0 || kinds[n+1] != "refused:equivocation" {
		t.Errorf("the log does not hold the proof: %q", kinds)
	}
}

// TestWhatIsNotNeededIsCollected: an upgrade leaves the papers of the version
// before, and not its image.
func TestWhatIsNotNeededIsCollected(t *testing.T) {
	w := world.New(t)
	w.Publish("acme", "1.0.0", nil)
	d := w.Device("press-07", engine(t))
	t.Cleanup(func() { takeAway(w, d) })
	w.Deploy(d.ID, "1.0.0", map[string]string{"port": world.FreePort(t)})
	res, err := d.Sync()
	wantAction(t, res, err, agent.Installed)
	size := func() (total int64, files int) {
		entries, err := os.ReadDir(filepath.Join(d.Config.StateDir, "store", "blobs", "sha256"))
		w.Must(err)
		for _, e := range entries {
			info, err := e.Info()
			w.Must(err)
			total += info.Size()
		}
		return total, len(entries)
	}
	before, papers := size()
	for _, v := range []string{"1.1.0", "1.2.0"} {
		w.Publish("acme", v, func(dir string) { w.Edit(filepath.Join(dir, "margo.yaml"), "Greets whoever asks", "Greets "+v) })
		w.Deploy(d.ID, v, nil)
		res, err = d.Sync()
		wantAction(t, res, err, agent.Upgraded)
	}
	after, files := size()
	if after > before+before/2 {
		t.Errorf("after two upgrades the store has %d bytes, after the installation it had %d", after, before)
	}
	if files <= papers {
		t.Errorf("%d files are left, the papers of the earlier versions are not among them", files)
	}
}
