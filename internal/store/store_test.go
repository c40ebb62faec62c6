package store

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"testing"

	"github.com/opencontainers/go-digest"
	"github.com/opencontainers/image-spec/specs-go"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/consign-dev/consign/internal/reason"
)

func newStore(t testing.TB) *Store {
	t.Helper()
	s, err := Open(filepath.Join(t.TempDir(), "store"))
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func describe(data []byte) ocispec.Descriptor {
	return ocispec.Descriptor{MediaType: "application/octet-stream", Digest: digest.FromBytes(data), Size: int64(len(data))}
}

// source serves data, breaking off after limit bytes in all when limit > 0. It
// remembers where it was asked to begin.
type source struct {
	data    []byte
	limit   int
	offsets []int64
}

var errCut = errors.New("the line was cut")

func (s *source) Blob(_ context.Context, _ ocispec.Descriptor, offset int64) (io.ReadCloser, error) {
	s.offsets = append(s.offsets, offset)
	rest := s.data[offset:]
	if s.limit > 0 && s.limit < len(rest) {
		return io.NopCloser(io.MultiReader(bytes.NewReader(rest[:s.limit]), broken{})), nil
	}
	return io.NopCloser(bytes.NewReader(rest)), nil
}

type broken struct{}

func (broken) Read([]byte) (int, error) { return 0, errCut }

func TestPutAndReadBack(t *testing.T) {
	s, data := newStore(t), []byte("content")
	if err := s.Put(t.Context(), describe(data), data); err != nil {
		t.Fatal(err)
	}
	got, err := s.Bytes(describe(data), 100)
	if err != nil || string(got) != "content" || !s.Has(describe(data).Digest) {
		t.Fatalf("read %q, %v", got, err)
	}
	wrong := describe([]byte("other"))
	if err := s.Put(t.Context(), wrong, data); err == nil || s.Has(wrong.Digest) {
		t.Fatalf("content of another digest was stored: %v", err)
	}
}

// TestFetchResumes: after the line was cut, only the rest is asked for, and
// nothing is visible before all of it is there.
func TestFetchResumes(t *testing.T) {
	s, data := newStore(t), bytes.Repeat([]byte("0123456789abcdef"), 64<<10)
	src := &source{data: data, limit: 300 << 10}
	if _, err := s.Fetch(t.Context(), describe(data), src); !errors.Is(err, errCut) {
		t.Fatalf("error %v, want the cut", err)
	}
	if s.Has(describe(data).Digest) {
		t.Fatal("a part is visible")
	}
	src.limit, src.offsets = 0, nil
	if _, err := s.Fetch(t.Context(), describe(data), src); err != nil {
		t.Fatal(err)
	}
	if len(src.offsets) != 1 || src.offsets[0] == 0 {
		t.Fatalf("asked to begin at %v, want one request for the rest", src.offsets)
	}
	got, err := s.Bytes(describe(data), int64(len(data)))
	if err != nil || !bytes.Equal(got, data) {
		t.Fatalf("read %d bytes, %v", len(got), err)
	}
	src.offsets = nil
	if _, err := s.Fetch(t.Context(), describe(data), src); err != nil || len(src.offsets) != 0 {
		t.Fatalf("fetched again what is there: %v, %v", src.offsets, err)
	}
}

// TestWrongContentIsNeverVisible: same length, other bytes (attack O7).
func TestWrongContentIsNeverVisible(t *testing.T) {
	s, data := newStore(t), bytes.Repeat([]byte("x"), 10000)
	src := &source{data: bytes.Repeat([]byte("y"), 10000)}
	if _, err := s.Fetch(t.Context(), describe(data), src); !reason.Is(err, reason.DigestMismatch) {
		t.Fatalf("error %v, want digest-mismatch", err)
	}
	if s.Has(describe(data).Digest) {
		t.Fatal("wrong content is visible")
	}
	src.data = data
	if _, err := s.Fetch(t.Context(), describe(data), src); err != nil {
		t.Fatalf("the genuine content afterwards: %v", err)
	}
}

// TestDiskThatLies: a changed byte is found on the way out, and the content is
// fetched anew (attack O8); a planted link is not followed.
func TestDiskThatLies(t *testing.T) {
	s, data := newStore(t), bytes.Repeat([]byte("z"), 100<<10)
	if err := s.Put(t.Context(), describe(data), data); err != nil {
		t.Fatal(err)
	}
	changed := append([]byte(nil), data...)
	changed[len(changed)-1] ^= 1
	if err := os.WriteFile(s.path(describe(data).Digest), changed, 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := s.Bytes(describe(data), int64(len(data))); !reason.Is(err, reason.DigestMismatch) {
		t.Fatalf("error %v, want digest-mismatch", err)
	}
	if _, err := s.Fetch(t.Context(), describe(data), &source{data: data}); err != nil {
		t.Fatal(err)
	}
	if _, err := s.Bytes(describe(data), int64(len(data))); err != nil {
		t.Fatalf("after a new fetch: %v", err)
	}
	outside := filepath.Join(t.TempDir(), "outside")
	if err := os.WriteFile(outside, data, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Remove(s.path(describe(data).Digest)); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink(outside, s.path(describe(data).Digest)); err != nil {
		t.Fatal(err)
	}
	if _, err := s.Bytes(describe(data), int64(len(data))); err == nil {
		t.Fatal("a planted link was followed")
	}
}

func TestSpaceIsCheckedFirst(t *testing.T) {
	if err := newStore(t).CheckSpace(1 << 60); !reason.Is(err, reason.NoSpace) {
		t.Fatalf("error %v, want no-space", err)
	}
}

func TestCollectionKeepsWhatItIsTold(t *testing.T) {
	s := newStore(t)
	keep, drop := []byte("keep"), []byte("drop")
	for _, data := range [][]byte{keep, drop} {
		if err := s.Put(t.Context(), describe(data), data); err != nil {
			t.Fatal(err)
		}
	}
	if err := s.GC(map[digest.Digest]bool{describe(keep).Digest: true}); err != nil {
		t.Fatal(err)
	}
	if !s.Has(describe(keep).Digest) || s.Has(describe(drop).Digest) {
		t.Fatal("the wrong content was collected")
	}
}

// TestClosureReadsManifestsOnly: a layer that the disk has damaged stops nobody
// from finding out what is needed, a damaged manifest does.
func TestClosureReadsManifestsOnly(t *testing.T) {
	s := newStore(t)
	put := func(mediaType string, data []byte) ocispec.Descriptor {
		desc := describe(data)
		desc.MediaType = mediaType
		if err := s.Put(t.Context(), desc, data); err != nil {
			t.Fatal(err)
		}
		return desc
	}
	encode := func(v any) []byte {
		data, err := json.Marshal(v)
		if err != nil {
			t.Fatal(err)
		}
		return data
	}
	layer := put(ocispec.MediaTypeImageLayer, []byte("layer"))
	config := put(ocispec.MediaTypeImageConfig, []byte("{}"))
	image := put(ocispec.MediaTypeImageManifest, encode(ocispec.Manifest{
		Versioned: specs.Versioned{SchemaVersion: 2}, MediaType: ocispec.MediaTypeImageManifest, Config: config, Layers: []ocispec.Descriptor{layer},
	}))
	index := put(ocispec.MediaTypeImageIndex, encode(ocispec.Index{
		Versioned: specs.Versioned{SchemaVersion: 2}, MediaType: ocispec.MediaTypeImageIndex, Manifests: []ocispec.Descriptor{image},
	}))
	damage := func(d ocispec.Descriptor) {
		if err := os.WriteFile(s.path(d.Digest), bytes.Repeat([]byte("x"), int(d.Size)), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	damage(layer)
	keep, err := s.Closure(index.Digest)
	if err != nil {
		t.Fatal(err)
	}
	for _, d := range []ocispec.Descriptor{index, image, config, layer} {
		if !keep[d.Digest] {
			t.Errorf("%s is not needed", d.MediaType)
		}
	}
	damage(image)
	if _, err := s.Closure(index.Digest); !reason.Is(err, reason.DigestMismatch) {
		t.Errorf("with a damaged manifest: error %v, want digest-mismatch", err)
	}
}

// TestHandlerServesVerifiedContentToTheEngineOnly: by digest, for its own Host,
// reading only.
func TestHandlerServesVerifiedContentToTheEngineOnly(t *testing.T) {
	s, data := newStore(t), bytes.Repeat([]byte("w"), 10000)
	if err := s.Put(t.Context(), describe(data), data); err != nil {
		t.Fatal(err)
	}
	h := s.Handler(5127)
	ask := func(method, host, path string) *httptest.ResponseRecorder {
		req := httptest.NewRequest(method, path, nil)
		req.Host = host
		w := httptest.NewRecorder()
		h.ServeHTTP(w, req)
		return w
	}
	blob := "/v2/c/blobs/" + string(describe(data).Digest)
	if w := ask("GET", "127.0.0.1:5127", blob); w.Code != http.StatusOK || !bytes.Equal(w.Body.Bytes(), data) {
		t.Fatalf("the engine got %d and %d bytes", w.Code, w.Body.Len())
	}
	if w := ask("GET", "attacker.example:5127", blob); w.Code != http.StatusMisdirectedRequest {
		t.Errorf("another Host got %d, want 421", w.Code)
	}
	if w := ask("PUT", "127.0.0.1:5127", blob); w.Code == http.StatusOK || w.Code == http.StatusCreated {
		t.Errorf("a PUT got %d", w.Code)
	}
	if w := ask("GET", "127.0.0.1:5127", "/v2/c/manifests/latest"); w.Code == http.StatusOK {
		t.Error("a tag was served")
	}
	absent := "/v2/c/blobs/" + string(digest.FromString("absent"))
	if w := ask("GET", "127.0.0.1:5127", absent); w.Code != http.StatusNotFound {
		t.Errorf("absent content got %d, want 404", w.Code)
	}
}

func BenchmarkFetch64MiB(b *testing.B) {
	data := bytes.Repeat([]byte("0123456789abcdef"), 4<<20)
	b.SetBytes(int64(len(data)))
	for b.Loop() {
		s := newStore(b)
		if _, err := s.Fetch(context.Background(), describe(data), &source{data: data}); err != nil {
			b.Fatal(err)
		}
	}
}
