package oci

import (
	"bytes"
	"context"
	"encoding/json"
	"io"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"

	"github.com/opencontainers/go-digest"
	specs "github.com/opencontainers/image-spec/specs-go"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
)

// traffic serves a handler and remembers the requests in order.
type traffic struct {
	*httptest.Server
	mu       sync.Mutex
	requests []string // "METHOD /path"
	received int64    // bytes of request bodies
}

func serve(t testing.TB, h http.Handler) *traffic {
	t.Helper()
	s := &traffic{}
	s.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
		s.mu.Lock()
		s.requests = append(s.requests, req.Method+" "+req.URL.Path)
		s.received += max(req.ContentLength, 0)
		s.mu.Unlock()
		h.ServeHTTP(w, req)
	}))
	t.Cleanup(s.Close)
	return s
}

// reset forgets the requests and returns them.
func (s *traffic) reset() (requests []string, received int64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	requests, received = s.requests, s.received
	s.requests, s.received = nil, 0
	return requests, received
}

func (s *traffic) host() string { return strings.TrimPrefix(s.URL, "http://") }

func newRegistry(t testing.TB, o RegistryOptions) *Registry {
	t.Helper()
	if o.Dir == "" {
		o.Dir = t.TempDir()
	}
	r, err := NewRegistry(o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := r.Close(context.Background()); err != nil {
			t.Error(err)
		}
	})
	return r
}

// newClient never reads the Docker configuration of whoever runs the tests.
func newClient(t testing.TB, o Options) *Client {
	t.Helper()
	if o.DockerConfig == "" {
		t.Setenv("DOCKER_CONFIG", t.TempDir())
	}
	c, err := NewClient(o)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func repository(t testing.TB, c *Client, name string) *Repository {
	t.Helper()
	r, err := c.Repository(name)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

// start is a registry, its traffic and a repository in it.
func start(t testing.TB) (*Registry, *traffic, *Repository) {
	t.Helper()
	reg := newRegistry(t, RegistryOptions{})
	srv := serve(t, reg)
	return reg, srv, repository(t, newClient(t, Options{}), srv.host()+"/acme/app")
}

func content(n int, seed byte) []byte {
	data := make([]byte, n)
	r := rand.NewChaCha8([32]byte{seed})
	_, _ = r.Read(data)
	return data
}

func describe(mediaType string, data []byte) ocispec.Descriptor {
	return ocispec.Descriptor{MediaType: mediaType, Digest: digest.FromBytes(data), Size: int64(len(data))}
}

func opener(data []byte) func() (io.ReadCloser, error) {
	return func() (io.ReadCloser, error) { return io.NopCloser(bytes.NewReader(data)), nil }
}

func mustJSON(t testing.TB, v any) []byte {
	t.Helper()
	data, err := json.Marshal(v)
	if err != nil {
		t.Fatal(err)
	}
	return data
}

const octets = "application/octet-stream"

// image is a manifest over the given layers, with an empty config.
func image(t testing.TB, subject *ocispec.Descriptor, layers ...ocispec.Descriptor) (ocispec.Descriptor, []byte) {
	t.Helper()
	if layers == nil {
		layers = []ocispec.Descriptor{}
	}
	data := mustJSON(t, ocispec.Manifest{
		Versioned:    specs.Versioned{SchemaVersion: 2},
		MediaType:    ocispec.MediaTypeImageManifest,
		ArtifactType: "application/vnd.example.thing",
		Config:       ocispec.DescriptorEmptyJSON,
		Layers:       layers,
		Subject:      subject,
	})
	return describe(ocispec.MediaTypeImageManifest, data), data
}

// push stores a manifest over one layer and returns its descriptor and bytes.
func push(t testing.TB, r *Repository, subject *ocispec.Descriptor, layer []byte) (ocispec.Descriptor, []byte) {
	t.Helper()
	ctx := context.Background()
	for _, blob := range [][]byte{layer, []byte("{}")} {
		if err := r.PushBlob(ctx, describe(octets, blob), opener(blob)); err != nil {
			t.Fatal(err)
		}
	}
	desc, data := image(t, subject, describe(octets, layer))
	if err := r.PushManifest(ctx, desc, data); err != nil {
		t.Fatal(err)
	}
	return desc, data
}
