package oci

import (
	"bytes"
	"fmt"
	"io/fs"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/opencontainers/go-digest"
	specs "github.com/opencontainers/image-spec/specs-go"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
)

// collecting is a registry that collects all the time, and a repository in it.
func collecting(t *testing.T) (*Registry, *traffic, *Repository) {
	t.Helper()
	reg := newRegistry(t, RegistryOptions{CollectEvery: 20 * time.Millisecond, Grace: time.Hour})
	srv := serve(t, reg)
	return reg, srv, repository(t, newClient(t, Options{}), srv.host()+"/acme/app")
}

// age makes every blob older than any grace period.
func age(t *testing.T, reg *Registry) {
	t.Helper()
	old := time.Now().Add(-48 * time.Hour)
	err := filepath.WalkDir(reg.opts.Dir, func(path string, e fs.DirEntry, err error) error {
		if err != nil || e.IsDir() || !strings.Contains(path, "/blobs/") {
			return err
		}
		return os.Chtimes(path, old, old)
	})
	if err != nil {
		t.Fatal(err)
	}
}

// orphan is a blob of which no manifest knows.
func orphan(t *testing.T, repo *Repository, seed byte) ocispec.Descriptor {
	t.Helper()
	blob := content(100, seed)
	desc := describe(octets, blob)
	if err := repo.PushBlob(t.Context(), desc, opener(blob)); err != nil {
		t.Fatal(err)
	}
	return desc
}

func isStored(reg *Registry, d digest.Digest) bool {
	_, err := os.Stat(reg.blobPath("acme/app", d))
	return err == nil
}

func eventually(t *testing.T, what string, met func() bool) {
	t.Helper()
	for end := time.Now().Add(20 * time.Second); !met(); time.Sleep(10 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatal("waited in vain: " + what)
		}
	}
}

// TestCollectionKeepsWhatManifestsNeed: tagged or not, below an index, as a
// referrer, as a referrer of a referrer, or of something that never came.
func TestCollectionKeepsWhatManifestsNeed(t *testing.T) {
	reg, _, repo := collecting(t)
	manifests := []ocispec.Descriptor{}
	keep := func(subject *ocispec.Descriptor, seed byte) ocispec.Descriptor {
		desc, _ := push(t, repo, subject, content(1000, seed))
		manifests = append(manifests, desc)
		return desc
	}
	keep(nil, 1)
	first, firstData := push(t, repo, nil, content(1000, 2))
	second, secondData := push(t, repo, nil, content(1000, 3))
	manifests = append(manifests, first, second)
	for _, err := range []error{
		repo.Tag(t.Context(), first, firstData, "moved", ""),
		repo.Tag(t.Context(), second, secondData, "moved", ""),
	} {
		if err != nil {
			t.Fatal(err)
		}
	}
	child := keep(nil, 4)
	data := mustJSON(t, ocispec.Index{Versioned: specs.Versioned{SchemaVersion: 2}, MediaType: ocispec.MediaTypeImageIndex, Manifests: []ocispec.Descriptor{child}})
	index := describe(ocispec.MediaTypeImageIndex, data)
	if err := repo.PushManifest(t.Context(), index, data); err != nil {
		t.Fatal(err)
	}
	keep(&index, 5)
	evidence := keep(&index, 6)
	keep(&evidence, 7)
	absent := describe(ocispec.MediaTypeImageManifest, []byte("absent"))
	keep(&absent, 8)

	for n := range 3 { // each round ends with a collection that ran after everything was old
		lost := orphan(t, repo, byte(100+n))
		age(t, reg)
		eventually(t, "an orphan stays", func() bool { return !isStored(reg, lost.Digest) })
	}
	for _, desc := range manifests {
		if _, _, err := repo.Manifest(t.Context(), desc.Digest, MaxManifestBytes); err != nil {
			t.Error(err)
		}
	}
	for seed := byte(1); seed <= 8; seed++ {
		layer := content(1000, seed)
		if _, err := repo.BlobBytes(t.Context(), describe(octets, layer), 1000); err != nil {
			t.Error(err)
		}
	}
	if list, err := repo.Referrers(t.Context(), index, ""); err != nil || len(list) != 2 {
		t.Errorf("the index has %d referrers, %v", len(list), err)
	}
}

// TestCollectionWithoutCertaintyRemovesNothing: a damaged manifest does not
// cost the layers that it can no longer name.
func TestCollectionWithoutCertaintyRemovesNothing(t *testing.T) {
	reg, _, repo := collecting(t)
	layer := content(1000, 1)
	desc, data := push(t, repo, nil, layer)
	lost := orphan(t, repo, 2)
	path := reg.blobPath("acme/app", desc.Digest)
	for _, damaged := range [][]byte{nil, data[:len(data)/2], []byte("{}")} {
		if err := os.WriteFile(path, damaged, 0o600); err != nil {
			t.Fatal(err)
		}
		age(t, reg)
		if blobs, _, err := reg.collectRepo("acme/app", time.Now()); err == nil || blobs != 0 {
			t.Fatalf("collected %d blobs, %v", blobs, err)
		}
	}
	if !isStored(reg, lost.Digest) || !isStored(reg, describe(octets, layer).Digest) {
		t.Fatal("a blob was removed")
	}
	if err := os.WriteFile(path, data, 0o600); err != nil {
		t.Fatal(err)
	}
	eventually(t, "the repaired repository is not collected", func() bool { return !isStored(reg, lost.Digest) })
}

// TestBlobThatWasAskedForIsNew: whoever skipped an upload because the blob was
// there finds it there when the manifest follows.
func TestBlobThatWasAskedForIsNew(t *testing.T) {
	reg, srv, repo := start(t)
	blob := orphan(t, repo, 1).Digest
	base := srv.URL + "/v2/acme/app/blobs/"
	for _, ask := range []struct {
		method, path string
		want         int
	}{
		{http.MethodHead, string(blob), http.StatusOK},
		{http.MethodPost, "uploads/?from=acme/app&mount=" + string(blob), http.StatusCreated},
		{http.MethodPost, "uploads/?mount=" + string(blob), http.StatusCreated},
	} {
		age(t, reg)
		if resp := do(t, ask.method, base+ask.path, nil); resp.StatusCode != ask.want {
			t.Fatalf("%s %s: %s", ask.method, ask.path, resp.Status)
		}
		reg.collect(time.Now())
		if !isStored(reg, blob) {
			t.Fatalf("%s %s: the blob is gone", ask.method, ask.path)
		}
	}
	age(t, reg)
	reg.collect(time.Now())
	if resp := do(t, http.MethodHead, base+string(blob), nil); resp.StatusCode != http.StatusNotFound {
		t.Fatalf("the collected blob: %s", resp.Status)
	}
}

// openUploads counts the files of unfinished uploads.
func openUploads(t *testing.T, reg *Registry) int {
	t.Helper()
	entries, err := os.ReadDir(filepath.Join(reg.dir("acme/app"), uploadsDir))
	if err != nil && !os.IsNotExist(err) {
		t.Fatal(err)
	}
	return len(entries)
}

func TestAbandonedUploadsAreGivenUp(t *testing.T) {
	reg := newRegistry(t, RegistryOptions{CollectEvery: 20 * time.Millisecond, Grace: 200 * time.Millisecond})
	srv := serve(t, reg)
	base := srv.URL + "/v2/acme/app/blobs/uploads/"
	started := do(t, http.MethodPost, base, nil)
	if started.StatusCode != http.StatusAccepted || openUploads(t, reg) != 1 {
		t.Fatalf("%s, %d files", started.Status, openUploads(t, reg))
	}
	// One whose connection breaks in the middle of a POST that names the digest.
	blob := content(1000, 1)
	req, err := http.NewRequest(http.MethodPost, base+"?digest="+string(digest.FromBytes(blob)), bytes.NewReader(blob[:10]))
	if err != nil {
		t.Fatal(err)
	}
	if resp, err := http.DefaultClient.Do(req); err == nil {
		_ = resp.Body.Close()
		if resp.StatusCode != http.StatusBadRequest {
			t.Fatalf("half a blob: %s", resp.Status)
		}
	}
	eventually(t, "an abandoned upload stays", func() bool { return openUploads(t, reg) == 0 && len(reg.uploads.all()) == 0 })
	if again := do(t, http.MethodPatch, srv.URL+started.Header.Get("Location"), blob); again.StatusCode < 400 {
		t.Fatalf("an upload that was given up went on: %s", again.Status)
	}
}

func do(t *testing.T, method, url string, body []byte) *http.Response {
	t.Helper()
	req, err := http.NewRequest(method, url, bytes.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	_ = resp.Body.Close()
	return resp
}

// TestUploadsAreBounded: the longest unused one makes way.
func TestUploadsAreBounded(t *testing.T) {
	reg, srv, repo := start(t)
	base := srv.URL + "/v2/acme/app/blobs/uploads/"
	first := do(t, http.MethodPost, base, nil).Header.Get("Location")
	second := do(t, http.MethodPost, base, nil).Header.Get("Location")
	for range maxUploads {
		do(t, http.MethodPatch, srv.URL+second, nil)
		if resp := do(t, http.MethodPost, base, nil); resp.StatusCode != http.StatusAccepted {
			t.Fatal(resp.Status)
		}
	}
	if n := openUploads(t, reg); n > maxUploads {
		t.Fatalf("%d uploads are open", n)
	}
	if resp := do(t, http.MethodGet, srv.URL+first, nil); resp.StatusCode < 400 {
		t.Fatalf("the oldest upload: %s", resp.Status)
	}
	if resp := do(t, http.MethodGet, srv.URL+second, nil); resp.StatusCode != http.StatusNoContent {
		t.Fatalf("an upload in use: %s", resp.Status)
	}
	push(t, repo, nil, content(100, 1))
}

// TestBlobInOnePost: a client may send a blob with the POST that opens the upload.
func TestBlobInOnePost(t *testing.T) {
	reg, srv, repo := start(t)
	blob := content(70<<10, 1)
	for range 2 {
		resp := do(t, http.MethodPost, fmt.Sprintf("%s/v2/acme/app/blobs/uploads/?digest=%s", srv.URL, digest.FromBytes(blob)), blob)
		if resp.StatusCode != http.StatusCreated || !strings.HasSuffix(resp.Header.Get("Location"), string(digest.FromBytes(blob))) {
			t.Fatalf("%s, location %q", resp.Status, resp.Header.Get("Location"))
		}
	}
	if _, err := repo.BlobBytes(t.Context(), describe(octets, blob), int64(len(blob))); err != nil {
		t.Fatal(err)
	}
	if n := len(reg.uploads.all()) + openUploads(t, reg); n != 0 {
		t.Fatalf("%d uploads are left", n)
	}
}
