package oci

import (
	"context"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/consign-dev/consign/internal/reason"
)

func TestWhatIsThereIsNotSentAgain(t *testing.T) {
	_, srv, repo := start(t)
	layer := content(300<<10, 1)
	desc, data := push(t, repo, nil, layer)
	srv.reset()
	if again, _ := push(t, repo, nil, layer); again.Digest != desc.Digest {
		t.Fatalf("pushed %s, then %s", desc.Digest, again.Digest)
	}
	if requests, received := srv.reset(); received != 0 {
		t.Fatalf("%d bytes were sent again: %q", received, requests)
	}
	got, read, err := repo.Manifest(t.Context(), desc.Digest, MaxManifestBytes)
	if err != nil || got.Digest != desc.Digest || string(read) != string(data) {
		t.Fatalf("read %v, %v", got, err)
	}
}

func TestBlobIsReadFromAnOffset(t *testing.T) {
	_, _, repo := start(t)
	layer := content(100<<10, 2)
	push(t, repo, nil, layer)
	for _, offset := range []int64{0, 1, 99 << 10} {
		r, err := repo.Blob(t.Context(), describe(octets, layer), offset)
		if err != nil {
			t.Fatal(err)
		}
		got, err := io.ReadAll(r)
		_ = r.Close()
		if err != nil || string(got) != string(layer[offset:]) {
			t.Fatalf("from %d: %d bytes, %v", offset, len(got), err)
		}
	}
}

func TestMissingObjectsAreNotFound(t *testing.T) {
	_, _, repo := start(t)
	absent := describe(octets, []byte("absent"))
	if _, err := repo.ResolveTag(t.Context(), "none"); !errors.Is(err, ErrNotFound) {
		t.Errorf("tag: %v", err)
	}
	if _, _, err := repo.Manifest(t.Context(), absent.Digest, 100); !errors.Is(err, ErrNotFound) {
		t.Errorf("manifest: %v", err)
	}
	if _, err := repo.BlobBytes(t.Context(), absent, 100); !errors.Is(err, ErrNotFound) {
		t.Errorf("blob: %v", err)
	}
	if has, err := repo.HasBlob(t.Context(), absent); has || err != nil {
		t.Errorf("has: %t, %v", has, err)
	}
}

// TestChangedBytesAreRefused: the registry's disk lies (attack O7).
func TestChangedBytesAreRefused(t *testing.T) {
	reg, _, repo := start(t)
	layer := content(4<<10, 3)
	push(t, repo, nil, layer)
	desc := describe(octets, layer)
	path := filepath.Join(reg.opts.Dir, "acme", "app", "blobs", "sha256", desc.Digest.Encoded())
	changed := append([]byte(nil), layer...)
	changed[17] ^= 1
	if err := os.WriteFile(path, changed, 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := repo.BlobBytes(t.Context(), desc, desc.Size); !reason.Is(err, reason.DigestMismatch) {
		t.Fatalf("error %v, want digest-mismatch", err)
	}
}

// TestTagIsComparedAndSwapped: of many writers that saw the same state, one wins.
func TestTagIsComparedAndSwapped(t *testing.T) {
	_, _, repo := start(t)
	first, firstData := push(t, repo, nil, content(10, 4))
	if err := repo.Tag(t.Context(), first, firstData, "tuf", IfAbsent); err != nil {
		t.Fatal(err)
	}
	if err := repo.Tag(t.Context(), first, firstData, "tuf", IfAbsent); !reason.Is(err, reason.Conflict) {
		t.Fatalf("second creation: %v, want conflict", err)
	}
	const writers = 8
	var wg sync.WaitGroup
	results := make([]error, writers)
	for n := range writers {
		desc, data := push(t, repo, nil, content(10, byte(10+n)))
		wg.Go(func() { results[n] = repo.Tag(context.Background(), desc, data, "tuf", first.Digest) })
	}
	wg.Wait()
	won := 0
	for _, err := range results {
		switch {
		case err == nil:
			won++
		case !reason.Is(err, reason.Conflict):
			t.Errorf("a loser got %v, want conflict", err)
		}
	}
	if won != 1 {
		t.Fatalf("%d writers won", won)
	}
}

// TestConcurrentReferrersAreAllKept: the library loses some without our lock.
func TestConcurrentReferrersAreAllKept(t *testing.T) {
	_, _, repo := start(t)
	subject, _ := push(t, repo, nil, content(10, 5))
	const many = 40
	var wg sync.WaitGroup
	for n := range many {
		wg.Go(func() { push(t, repo, &subject, content(10, byte(100+n))) })
	}
	wg.Wait()
	found, err := repo.Referrers(t.Context(), subject, "")
	if err != nil || len(found) != many {
		t.Fatalf("%d of %d referrers, %v", len(found), many, err)
	}
}

// TestRegistryKeepsWhatItAnswered: a copy of the disk taken while the registry
// runs, as after a power cut, holds everything whose PUT was answered.
func TestRegistryKeepsWhatItAnswered(t *testing.T) {
	reg, _, repo := start(t)
	desc, data := push(t, repo, nil, content(1000, 6))
	if err := repo.Tag(t.Context(), desc, data, "1.0.0", ""); err != nil {
		t.Fatal(err)
	}
	copied := t.TempDir()
	if err := os.CopyFS(copied, os.DirFS(filepath.Join(reg.opts.Dir))); err != nil {
		t.Fatal(err)
	}
	srv := serve(t, newRegistry(t, RegistryOptions{Dir: copied}))
	again := repository(t, newClient(t, Options{}), srv.host()+"/acme/app")
	if at, err := again.ResolveTag(t.Context(), "1.0.0"); err != nil || at.Digest != desc.Digest {
		t.Fatalf("tag names %v, %v", at, err)
	}
	if _, _, err := again.Manifest(t.Context(), desc.Digest, MaxManifestBytes); err != nil {
		t.Fatal(err)
	}
}

// TestCopyGraphBetweenLayoutAndRegistry also shows that a layout is written the
// same way twice.
func TestCopyGraphBetweenLayoutAndRegistry(t *testing.T) {
	_, srv, repo := start(t)
	layout, err := CreateLayout(filepath.Join(t.TempDir(), "layout"))
	if err != nil {
		t.Fatal(err)
	}
	layer := content(50<<10, 7)
	for _, blob := range [][]byte{layer, []byte("{}")} {
		if _, err := layout.PutBytes(octets, blob); err != nil {
			t.Fatal(err)
		}
	}
	desc, data := image(t, nil, describe(octets, layer))
	if _, err := layout.PutBytes(desc.MediaType, data); err != nil {
		t.Fatal(err)
	}
	var last, total int64
	if err := CopyGraph(t.Context(), layout, repo, desc, func(d, n int64) { last, total = d, n }); err != nil {
		t.Fatal(err)
	}
	if last != total || total < int64(len(layer)) {
		t.Errorf("progress ended at %d of %d", last, total)
	}
	srv.reset()
	if err := CopyGraph(t.Context(), layout, repo, desc, nil); err != nil {
		t.Fatal(err)
	}
	if requests, received := srv.reset(); received != 0 {
		t.Errorf("the second copy sent %d bytes: %q", received, requests)
	}
}

// TestHostsThatAreNotLoopbackNeedTLS: plain HTTP never leaves the machine.
func TestHostsThatAreNotLoopbackNeedTLS(t *testing.T) {
	for host, plain := range map[string]bool{"127.0.0.1:5000": true, "localhost:5000": true, "[::1]:5000": true, "registry.example:5000": false, "127.0.0.1.example": false} {
		if got := isLoopback(hostOnly(host)); got != plain {
			t.Errorf("%s: plain HTTP %t, want %t", host, got, plain)
		}
	}
	if _, err := newClient(t, Options{}).Repository("http://127.0.0.1/acme"); err == nil {
		t.Error("a repository with a scheme was accepted")
	}
}

// TestCredentialsStayWithTheirHost: a redirect to another host carries none
// (attack O9), and one to plain HTTP beyond loopback is not followed.
func TestCredentialsStayWithTheirHost(t *testing.T) {
	blob := content(100, 8)
	desc := describe(octets, blob)
	var leaked string
	other := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
		leaked = req.Header.Get("Authorization")
		_, _ = w.Write(blob)
	}))
	t.Cleanup(other.Close)
	asked := false
	target := strings.Replace(other.URL, "127.0.0.1", "localhost", 1)
	srv := serve(t, http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
		if req.Header.Get("Authorization") == "" {
			w.Header().Set("WWW-Authenticate", `Basic realm="test"`)
			w.WriteHeader(http.StatusUnauthorized)
			return
		}
		asked = true
		http.Redirect(w, req, target+"/blob", http.StatusTemporaryRedirect)
	}))
	config := filepath.Join(t.TempDir(), "config.json")
	if err := os.WriteFile(config, []byte(`{"auths":{"`+srv.host()+`":{"auth":"dXNlcjpzZWNyZXQ="}}}`), 0o600); err != nil {
		t.Fatal(err)
	}
	repo := repository(t, newClient(t, Options{DockerConfig: config}), srv.host()+"/acme/app")
	got, err := repo.BlobBytes(t.Context(), desc, desc.Size)
	if err != nil || string(got) != string(blob) {
		t.Fatalf("read %d bytes, %v", len(got), err)
	}
	if !asked || leaked != "" {
		t.Fatalf("authenticated %t, other host received %q", asked, leaked)
	}
	target = "http://registry.example"
	if _, err := repo.BlobBytes(t.Context(), desc, desc.Size); err == nil {
		t.Fatal("a redirect to plain HTTP on another machine was followed")
	}
}

// TestAnswersWithoutEndAreCutOff: neither a manifest nor a blob is read beyond
// what was signed (attack T7).
func TestAnswersWithoutEndAreCutOff(t *testing.T) {
	srv := serve(t, http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
		w.Header().Set("Content-Type", ocispec.MediaTypeImageManifest)
		for req.Context().Err() == nil {
			if _, err := w.Write(make([]byte, 64<<10)); err != nil {
				return
			}
		}
	}))
	repo := repository(t, newClient(t, Options{}), srv.host()+"/acme/app")
	desc := describe(octets, []byte("small"))
	if _, _, err := repo.Manifest(t.Context(), desc.Digest, 1000); err == nil {
		t.Error("a manifest without end was accepted")
	}
	if _, err := repo.BlobBytes(t.Context(), desc, desc.Size); err == nil {
		t.Error("a blob without end was accepted")
	}
}
