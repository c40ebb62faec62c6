package world_test

import (
	"bytes"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/consign-dev/consign/internal/agent"
	"github.com/consign-dev/consign/internal/publish"
	"github.com/consign-dev/consign/internal/world"
)

const noEngine = "unix:///nonexistent/engine.sock"

// TestCollectionKeepsChannels: a registry that collects all the time, with
// everything in it older than its grace period, loses nothing that a channel
// lists, that carries a retention tag, or that refers to something kept.
func TestCollectionKeepsChannels(t *testing.T) {
	w := world.NewIn(t, world.Options{CollectEvery: 200 * time.Millisecond})
	bundle := w.Publish("acme", "1.0.0", nil)
	var devices []*world.Device
	for _, id := range []string{"press-07", "press-08"} {
		d := w.Device(id, noEngine)
		devices = append(devices, d)
		w.Deploy(d.ID, "1.0.0", nil)
	}

	app := strings.TrimSuffix(w.Releases, "releases") + "hello"
	for _, d := range devices { // each has everything to fetch
		repo, err := w.Client().Repository(app)
		w.Must(err)
		lost, data := blobOf("lost")
		w.Must(repo.PushBlob(w.Context(), lost, func() (io.ReadCloser, error) { return io.NopCloser(bytes.NewReader(data)), nil }))
		old := time.Now().Add(-48 * time.Hour)
		w.Must(filepath.WalkDir(w.RegistryDir, func(path string, e fs.DirEntry, err error) error {
			if err != nil || e.IsDir() {
				return err
			}
			return os.Chtimes(path, old, old)
		}))
		gone := func() bool {
			_, err := os.Stat(filepath.Join(w.RegistryDir, "acme", "hello", "blobs", "sha256", lost.Digest.Encoded()))
			return os.IsNotExist(err)
		}
		for end := time.Now().Add(20 * time.Second); !gone(); time.Sleep(10 * time.Millisecond) {
			if time.Now().After(end) {
				t.Fatal("nothing is collected")
			}
		}
		res, err := d.Verify()
		wantAction(t, res, err, agent.Accepted)
	}
	seen, err := publish.Inspect(w.Context(), w.Client(), app+"@"+string(bundle))
	w.Must(err)
	if len(seen.Evidence) != 2 { // signature and SBOM
		t.Fatalf("the bundle has %d pieces of evidence", len(seen.Evidence))
	}
}
