package pack_test

import (
	"archive/tar"
	"bytes"
	"context"
	"encoding/json"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"

	specs "github.com/opencontainers/image-spec/specs-go"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/consign-dev/consign/internal/bundle"
	"github.com/consign-dev/consign/internal/oci"
	"github.com/consign-dev/consign/internal/pack"
	"github.com/consign-dev/consign/internal/reason"
)

const margoYAML = `apiVersion: v1
id: line-monitor
metadata:
  name: Line Monitor
  version: 1.4.0
  catalog:
    application:
      icon: ./resources/icon.png
      licenseFile: LICENSE
    organization:
      - name: Example
deploymentProfiles:
  - type: compose
    id: compose
    components:
      - name: web
        properties:
          repository: oci://registry.example.com/compose/web
          revision: 1.4.0
parameters:
  greeting:
    value: hello
    targets:
      - pointer: GREETING
        components: ["web"]
  port:
    targets:
      - pointer: PORT
        components: ["web"]
`

const composeYAML = `services:
  web:
    image: acme/web:1.0
    environment:
      GREETING: ${GREETING}
    ports:
      - "${PORT}:80"
`

// source is a package directory that a test may change before it packs it.
type source struct {
	t   *testing.T
	dir string
}

func newSource(t *testing.T) *source {
	t.Helper()
	s := &source{t, filepath.Join(t.TempDir(), "package")}
	s.write("margo.yaml", margoYAML)
	s.write("resources/icon.png", "png")
	s.write("LICENSE", "do as you like")
	s.write("components/web/compose.yaml", composeYAML)
	s.write("components/web/conf/site.conf", "listen 80")
	return s
}

func (s *source) path(name string) string { return filepath.Join(s.dir, name) }

func (s *source) write(name, content string) {
	s.t.Helper()
	if err := os.MkdirAll(filepath.Dir(s.path(name)), 0o777); err != nil {
		s.t.Fatal(err)
	}
	if err := os.WriteFile(s.path(name), []byte(content), 0o666); err != nil {
		s.t.Fatal(err)
	}
}

func (s *source) replace(name, old, with string) {
	s.t.Helper()
	data, err := os.ReadFile(s.path(name))
	if err != nil {
		s.t.Fatal(err)
	}
	if !strings.Contains(string(data), old) {
		s.t.Fatalf("%s does not contain %q", name, old)
	}
	s.write(name, strings.ReplaceAll(string(data), old, with))
}

func (s *source) lock() string {
	data, err := os.ReadFile(s.path(pack.LockFile))
	if err != nil && !os.IsNotExist(err) {
		s.t.Fatal(err)
	}
	return string(data)
}

// pack packs the source into a fresh layout.
func (s *source) pack(change func(*pack.Options)) (pack.Result, *oci.Layout, error) {
	s.t.Helper()
	out, err := oci.CreateLayout(filepath.Join(s.t.TempDir(), "out"))
	if err != nil {
		s.t.Fatal(err)
	}
	o := pack.Options{Dir: s.dir, Out: out, Client: newClient(s.t)}
	if change != nil {
		change(&o)
	}
	r, err := pack.Pack(context.Background(), o)
	return r, out, err
}

func (s *source) mustPack(change func(*pack.Options)) (pack.Result, *oci.Layout) {
	s.t.Helper()
	r, out, err := s.pack(change)
	if err != nil {
		s.t.Fatal(err)
	}
	return r, out
}

func newClient(t *testing.T) *oci.Client {
	t.Helper()
	config := filepath.Join(t.TempDir(), "config.json")
	if err := os.WriteFile(config, []byte("{}"), 0o600); err != nil {
		t.Fatal(err)
	}
	c, err := oci.NewClient(oci.Options{DockerConfig: config})
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// image writes real images: a layer that is a tar, a config, a manifest.
type image struct {
	t      *testing.T
	layout *oci.Layout
}

func newImage(t *testing.T, dir string) image {
	t.Helper()
	layout, err := oci.CreateLayout(dir)
	if err != nil {
		t.Fatal(err)
	}
	return image{t, layout}
}

func (i image) put(mediaType string, v any) ocispec.Descriptor {
	i.t.Helper()
	data, ok := v.([]byte)
	if !ok {
		var err error
		if data, err = json.Marshal(v); err != nil {
			i.t.Fatal(err)
		}
	}
	d, err := i.layout.PutBytes(mediaType, data)
	if err != nil {
		i.t.Fatal(err)
	}
	return d
}

func layerOf(content string) []byte {
	var buf bytes.Buffer
	w := tar.NewWriter(&buf)
	_ = w.WriteHeader(&tar.Header{Name: "app", Mode: 0o755, Size: int64(len(content))})
	_, _ = w.Write([]byte(content))
	_ = w.Close()
	return buf.Bytes()
}

// manifest makes the image of one platform.
func (i image) manifest(content, arch string) ocispec.Descriptor {
	return i.manifestOf(arch, i.put(ocispec.MediaTypeImageLayer, layerOf(content+arch)))
}

func (i image) manifestOf(arch string, layers ...ocispec.Descriptor) ocispec.Descriptor {
	config := ocispec.Image{Platform: ocispec.Platform{OS: "linux", Architecture: arch}}
	config.RootFS.Type = "layers"
	for _, l := range layers {
		config.RootFS.DiffIDs = append(config.RootFS.DiffIDs, l.Digest)
	}
	return i.put(ocispec.MediaTypeImageManifest, ocispec.Manifest{
		Versioned: specs.Versioned{SchemaVersion: 2},
		MediaType: ocispec.MediaTypeImageManifest,
		Config:    i.put(ocispec.MediaTypeImageConfig, config),
		Layers:    layers,
	})
}

// index makes an image of two platforms with an attestation, as buildx does.
func (i image) index(content string) ocispec.Descriptor {
	var entries []ocispec.Descriptor
	for _, arch := range []string{"amd64", "arm64"} {
		d := i.manifest(content, arch)
		d.Platform = &ocispec.Platform{OS: "linux", Architecture: arch}
		entries = append(entries, d)
	}
	attestation := i.put(ocispec.MediaTypeImageManifest, ocispec.Manifest{
		Versioned: specs.Versioned{SchemaVersion: 2},
		MediaType: ocispec.MediaTypeImageManifest,
		Config:    i.put(ocispec.MediaTypeImageConfig, ocispec.Image{}),
		Layers:    []ocispec.Descriptor{i.put("application/vnd.in-toto+json", []byte(`{"for":"`+content+`"}`))},
	})
	attestation.Platform = &ocispec.Platform{OS: "unknown", Architecture: "unknown"}
	return i.indexOf(append(entries, attestation)...)
}

func (i image) indexOf(entries ...ocispec.Descriptor) ocispec.Descriptor {
	return i.put(ocispec.MediaTypeImageIndex, ocispec.Index{
		Versioned: specs.Versioned{SchemaVersion: 2},
		MediaType: ocispec.MediaTypeImageIndex,
		Manifests: entries,
	})
}

// name lists d in index.json as the only image.
func (i image) name(d ocispec.Descriptor, key, value string) {
	i.t.Helper()
	d.Annotations = map[string]string{key: value}
	if err := i.layout.SetIndex(d); err != nil {
		i.t.Fatal(err)
	}
}

// withLocalImage puts the image that compose.yaml names into images/.
func (s *source) withLocalImage() *source {
	i := newImage(s.t, s.path("images/web"))
	i.name(i.index("web"), ocispec.AnnotationRefName, "acme/web:1.0")
	return s
}

// registry is an HTTP registry; its address is host:port.
func registry(t *testing.T) string {
	t.Helper()
	r, err := oci.NewRegistry(oci.RegistryOptions{Dir: t.TempDir(), CollectEvery: -1})
	if err != nil {
		t.Fatal(err)
	}
	server := httptest.NewServer(r)
	t.Cleanup(func() {
		server.Close()
		_ = r.Close(context.Background())
	})
	return strings.TrimPrefix(server.URL, "http://")
}

// push copies d and tags it.
func push(t *testing.T, from *oci.Layout, d ocispec.Descriptor, repository, tag string) {
	t.Helper()
	repo, err := newClient(t).Repository(repository)
	if err != nil {
		t.Fatal(err)
	}
	if err := oci.CopyGraph(context.Background(), from, repo, d, nil); err != nil {
		t.Fatal(err)
	}
	data, err := from.Bytes(d, oci.MaxManifestBytes)
	if err != nil {
		t.Fatal(err)
	}
	if err := repo.Tag(context.Background(), d, data, tag, ""); err != nil {
		t.Fatal(err)
	}
}

// checkClosed walks from the bundle over the whole layout and hashes all of it.
func checkClosed(t *testing.T, out *oci.Layout, root ocispec.Descriptor) {
	t.Helper()
	if !oci.IsManifest(root.MediaType) {
		rc, err := out.Open(root)
		if err != nil {
			t.Fatalf("%s: %v", root.Digest, err)
		}
		defer rc.Close()
		if _, err := bytes.NewBuffer(nil).ReadFrom(rc); err != nil {
			t.Fatalf("%s: %v", root.Digest, err)
		}
		return
	}
	data, err := out.Bytes(root, oci.MaxManifestBytes)
	if err != nil {
		t.Fatalf("%s: %v", root.Digest, err)
	}
	children, err := oci.Children(root.MediaType, data)
	if err != nil {
		t.Fatalf("%s: %v", root.Digest, err)
	}
	for _, c := range children {
		checkClosed(t, out, c)
	}
}

func imageOf(t *testing.T, r pack.Result, ref string) bundle.Image {
	t.Helper()
	i, ok := r.Bundle.Image(ref)
	if !ok {
		t.Fatalf("no image %s in %+v", ref, r.Bundle.Images)
	}
	return i
}

func wantRefusal(t *testing.T, err error, code reason.Code, text string) {
	t.Helper()
	if !reason.Is(err, code) || !strings.Contains(err.Error(), text) {
		t.Errorf("got %v\nwant %s with %q", err, code, text)
	}
}

func wantError(t *testing.T, err error, text string) {
	t.Helper()
	if err == nil || !strings.Contains(err.Error(), text) {
		t.Errorf("got %v\nwant %q", err, text)
	}
}
