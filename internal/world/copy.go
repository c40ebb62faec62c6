package world

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
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
}

func (w *World) watched(h http.Handler) http.Handler {
	return http.HandlerFunc(func(rw http.ResponseWriter, req *http.Request) {
		w.traffic.mu.Lock()
		w.traffic.requests = append(w.traffic.requests, req.Method+" "+req.URL.Path)
		before := w.traffic.before
		w.traffic.mu.Unlock()
		if before == nil || !before(rw, req) {
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
	repo, err := w.client.Repository(repository)
	w.Must(err)
	root, err := os.ReadFile(filepath.Join(w.Dir, party, "root.json"))
	w.Must(err)
	id, err := tufclient.RootIdentity(root)
	w.Must(err)
	dir := filepath.Join(w.T.TempDir(), "state")
	w.Must(tufclient.Init(dir, root, id))
	client, err := tufclient.Open(dir)
	w.Must(err)
	meta, head, err := channel.RefreshAll(w.Context(), repo, client, w.Now)
	w.Must(err)
	tuf, err := tufrepo.FromMetadata(meta)
	w.Must(err)
	w.Must(tuf.Renew(tufrepo.Root))
	keys := tufrepo.Keys{}
	for _, role := range []string{tufrepo.Root, tufrepo.Snapshot, tufrepo.Timestamp} {
		keys[role], err = w.Party(party).Keys.Signers(role)
		w.Must(err)
	}
	files, err := tuf.Sign(keys, w.Now)
	w.Must(err)
	_, err = channel.Commit(w.Context(), repo, channel.CommitInput{Files: files, Previous: head, Version: tuf.Versions()[tufrepo.Timestamp]})
	w.Must(err)
	return files[tufclient.FileName(tufrepo.Root, tuf.Versions()[tufrepo.Root])]
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
	blob := ocispec.Descriptor{MediaType: channel.MediaTypeMetadata, Digest: digest.FromBytes(data), Size: int64(len(data))}
	w.Must(repo.PushBlob(w.Context(), blob, func() (io.ReadCloser, error) { return io.NopCloser(bytes.NewReader(data)), nil }))
	w.PutBack(repository, ocispec.Descriptor{MediaType: m.MediaType, Digest: digest.FromBytes(changed), Size: int64(len(changed))}, changed)
}
