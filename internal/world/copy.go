package world

import (
	"encoding/json"
	"errors"
	"net/http"
	"os"
	"path/filepath"
	"sync"
	"testing"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/consign-dev/consign/internal/agent"
	"github.com/consign-dev/consign/internal/channel"
	"github.com/consign-dev/consign/internal/oci"
	"github.com/consign-dev/consign/internal/publish"
	"github.com/consign-dev/consign/internal/tufclient"
	"github.com/consign-dev/consign/internal/tufrepo"
)

// traffic is what reached the registry.
type traffic struct {
	mu       sync.Mutex
	requests []string // "METHOD /path"
	before   func(w http.ResponseWriter, req *http.Request) (handled bool)
	relay    func(w http.ResponseWriter, req *http.Request, registry http.Handler)
}

func (w *World) watched(h http.Handler) http.Handler {
	return http.HandlerFunc(func(rw http.ResponseWriter, req *http.Request) {
		w.traffic.mu.Lock()
		w.traffic.requests = append(w.traffic.requests, req.Method+" "+req.URL.Path)
		before, relay := w.traffic.before, w.traffic.relay
		w.traffic.mu.Unlock()
		switch {
		case before != nil && before(rw, req):
		case relay != nil:
			relay(rw, req, h)
		default:
			h.ServeHTTP(rw, req)
		}
	})
}

// Requests returns what reached the registry since the last call.
func (w *World) Requests() []string {
	w.traffic.mu.Lock()
	defer w.traffic.mu.Unlock()
	out := w.traffic.requests
	w.traffic.requests = nil
	return out
}

// Intercept lets f answer requests in the registry's place; nil ends it.
func (w *World) Intercept(f func(http.ResponseWriter, *http.Request) (handled bool)) {
	w.traffic.mu.Lock()
	defer w.traffic.mu.Unlock()
	w.traffic.before = f
}

// Relay puts f between everybody and the registry; nil takes it away.
func (w *World) Relay(f func(w http.ResponseWriter, req *http.Request, registry http.Handler)) {
	w.traffic.mu.Lock()
	defer w.traffic.mu.Unlock()
	w.traffic.relay = f
}

// SyncFrom is [Device.Sync] from a directory in place of registries.
func (d *Device) SyncFrom(dir string) (*agent.Result, error) {
	d.w.T.Helper()
	from := *d
	from.from = dir
	return from.Sync()
}

// Registry is a channel in the world's registry as a side of a copy.
func (w *World) Registry(repository string) publish.Place {
	return publish.Place{Client: w.client, Repository: repository}
}

// Copy copies a channel from a side to a side, with the root of a party as the
// only thing that the copier trusts.
func (w *World) Copy(party string, in publish.CopyInput) (*publish.Copied, error) {
	w.T.Helper()
	var err error
	in.Root, err = os.ReadFile(filepath.Join(w.Dir, party, "root.json"))
	w.Must(err)
	return w.Party(party).Copy(w.Context(), in)
}

// CopyOut copies a channel of a party into a directory, under the name it has.
func (w *World) CopyOut(party, repository, dir string, edit func(in *publish.CopyInput)) (*publish.Copied, error) {
	w.T.Helper()
	client, err := oci.NewDirectoryWriter(dir, oci.Options{})
	w.Must(err)
	defer func() { w.Must(client.Close()) }()
	in := publish.CopyInput{From: w.Registry(repository), To: publish.Place{Client: client, Repository: repository, Local: true}}
	if edit != nil {
		edit(&in)
	}
	return w.Copy(party, in)
}

// Tag is what a tag names in the world's registry, "" when there is none.
func (w *World) Tag(path, tag string) digest.Digest {
	w.T.Helper()
	repo, err := w.client.Repository(w.opts.Registry + "/" + path)
	w.Must(err)
	desc, err := repo.ResolveTag(w.Context(), tag)
	if errors.Is(err, oci.ErrNotFound) {
		return ""
	}
	w.Must(err)
	return desc.Digest
}

// Again is the same device before its first cycle, in a directory of its own.
func (d *Device) Again(t testing.TB) *Device {
	t.Helper()
	again := *d
	again.Config.StateDir = filepath.Join(t.TempDir(), "device")
	d.w.Must(os.CopyFS(again.Config.StateDir, os.DirFS(d.Config.StateDir)))
	return &again
}

// Media copies both channels into a new directory.
func (w *World) Media() string {
	w.T.Helper()
	dir := filepath.Join(w.T.TempDir(), "media")
	_, err := w.CopyOut("acme", w.Releases, dir, nil)
	w.Must(err)
	_, err = w.CopyOut("plant", w.Deployments, dir, nil)
	w.Must(err)
	return dir
}

// RenewRoot signs the next root of a party's channel, with the same keys, and
// returns it.
func (w *World) RenewRoot(party, repository string) []byte {
	w.T.Helper()
	files := w.Resign(party, repository, func(r *tufrepo.Repo) { w.Must(r.Renew(tufrepo.Root)) }, tufrepo.Root)
	last := 1
	for files[tufclient.FileName(tufrepo.Root, int64(last+1))] != nil {
		last++
	}
	return files[tufclient.FileName(tufrepo.Root, int64(last))]
}

// Replace makes a channel manifest name other bytes for one of its files, as a
// registry's owner can.
func (w *World) Replace(repository string, old digest.Digest, data []byte) {
	w.T.Helper()
	repo, err := w.client.Repository(repository)
	w.Must(err)
	_, manifest := w.Head(repository)
	var m ocispec.Manifest
	w.Must(json.Unmarshal(manifest, &m))
	for n := range m.Layers {
		if m.Layers[n].Digest == old {
			m.Layers[n].Digest, m.Layers[n].Size = digest.FromBytes(data), int64(len(data))
		}
	}
	changed, err := json.Marshal(m)
	w.Must(err)
	w.push(repo, channel.MediaTypeMetadata, data)
	w.PutBack(repository, ocispec.Descriptor{MediaType: m.MediaType, Digest: digest.FromBytes(changed), Size: int64(len(changed))}, changed)
}
