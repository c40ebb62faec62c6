package pack_test

import (
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-containerregistry/pkg/name"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/empty"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
	"github.com/google/go-containerregistry/pkg/v1/tarball"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/consign-dev/consign/internal/pack"
	"github.com/consign-dev/consign/internal/reason"
)

func given(source string) func(*pack.Options) {
	return func(o *pack.Options) { o.Images = map[string]string{"acme/web:1.0": source} }
}

func TestGivenLayoutComesFirst(t *testing.T) {
	s := newSource(t).withLocalImage()
	other := newImage(t, t.TempDir())
	mine := other.index("mine")
	other.name(mine, ocispec.AnnotationRefName, "whatever")
	r, _ := s.mustPack(given("oci:" + other.layout.Dir()))
	if imageOf(t, r, "acme/web:1.0").Manifest.Digest != mine.Digest {
		t.Error("the image of images/ was taken")
	}
}

func TestGivenLayoutOfSeveralImages(t *testing.T) {
	layout := newImage(t, t.TempDir())
	a, b := layout.index("a"), layout.index("b")
	a.Annotations = map[string]string{ocispec.AnnotationRefName: "acme/other:1.0"}
	b.Annotations = map[string]string{ocispec.AnnotationRefName: "docker.io/acme/web:1.0"}
	if err := layout.layout.SetIndex(a, b); err != nil {
		t.Fatal(err)
	}
	r, _ := newSource(t).mustPack(given("oci:" + layout.layout.Dir()))
	if imageOf(t, r, "acme/web:1.0").Manifest.Digest != b.Digest {
		t.Error("another image was taken")
	}
	b.Annotations = nil
	if err := layout.layout.SetIndex(a, b); err != nil {
		t.Fatal(err)
	}
	_, _, err := newSource(t).pack(given("oci:" + layout.layout.Dir()))
	wantRefusal(t, err, reason.Malformed, "none is called")
}

func TestGivenImageMustBeMeantAndReadable(t *testing.T) {
	for name, c := range map[string]struct {
		images map[string]string
		text   string
	}{
		"no component names it": {map[string]string{"acme/wbe:1.0": "oci:x"}, "no component names docker.io/acme/wbe:1.0; they name docker.io/acme/web:1.0"},
		"unknown scheme":        {map[string]string{"acme/web:1.0": "docker://x"}, "want oci:DIR"},
		"no target":             {map[string]string{"acme/web:1.0": "oci:"}, "want oci:DIR"},
		"broken reference":      {map[string]string{"ACME": "oci:x"}, "--image"},
		"given twice":           {map[string]string{"acme/web:1.0": "oci:x", "docker.io/acme/web:1.0": "oci:y"}, "given twice"},
		"no such layout":        {map[string]string{"acme/web:1.0": "oci:/nonexistent"}, "--image oci:/nonexistent"},
		"no such archive":       {map[string]string{"acme/web:1.0": "docker-archive:/nonexistent"}, "--image docker-archive:/nonexistent"},
	} {
		_, _, err := newSource(t).pack(func(o *pack.Options) { o.Images = c.images })
		if err == nil || !strings.Contains(err.Error(), c.text) {
			t.Errorf("%s: got %v, want %q", name, err, c.text)
		}
	}
}

// dockerImage is an image as an engine holds it.
func dockerImage(t *testing.T, content string) v1.Image {
	t.Helper()
	file := filepath.Join(t.TempDir(), "layer.tar")
	if err := os.WriteFile(file, layerOf(content), 0o600); err != nil {
		t.Fatal(err)
	}
	layer, err := tarball.LayerFromFile(file)
	if err != nil {
		t.Fatal(err)
	}
	i, err := mutate.AppendLayers(empty.Image, layer)
	if err != nil {
		t.Fatal(err)
	}
	config, err := i.ConfigFile()
	if err != nil {
		t.Fatal(err)
	}
	config.OS, config.Architecture, config.Variant = "linux", "arm", "v7"
	if i, err = mutate.ConfigFile(i, config); err != nil {
		t.Fatal(err)
	}
	return i
}

// saved writes a "docker save" archive of the named images.
func saved(t *testing.T, images map[string]string) string {
	t.Helper()
	file := filepath.Join(t.TempDir(), "saved.tar")
	refs := map[name.Tag]v1.Image{}
	for ref, content := range images {
		tag, err := name.NewTag(ref)
		if err != nil {
			t.Fatal(err)
		}
		refs[tag] = dockerImage(t, content)
	}
	if err := tarball.MultiWriteToFile(file, refs); err != nil {
		t.Fatal(err)
	}
	return file
}

func TestGivenDockerArchive(t *testing.T) {
	one := saved(t, map[string]string{"built:latest": "web"})
	r, out := newSource(t).mustPack(given("docker-archive:" + one))
	checkClosed(t, out, r.Descriptor)
	i := imageOf(t, r, "acme/web:1.0")
	if p := i.Manifest.Platform; p == nil || p.OS != "linux" || p.Architecture != "arm" || p.Variant != "v7" {
		t.Errorf("%+v", i)
	}
	two := saved(t, map[string]string{"acme/web:1.0": "web", "acme/other:1.0": "other"})
	again, _ := newSource(t).mustPack(given("docker-archive:" + two))
	if again.Descriptor.Digest != r.Descriptor.Digest {
		t.Errorf("the same image in another archive: %s and %s", again.Descriptor.Digest, r.Descriptor.Digest)
	}
	_, _, err := newSource(t).pack(given("docker-archive:" + saved(t, map[string]string{"any:1": "a", "some:1": "b"})))
	wantError(t, err, "acme/web:1.0 not found")
}

// engine answers on a socket as a Docker engine does to "docker save".
func engine(t *testing.T, images map[string]string) string {
	t.Helper()
	socket := filepath.Join(t.TempDir(), "engine.sock")
	listener, err := net.Listen("unix", socket)
	if err != nil {
		t.Fatal(err)
	}
	server := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		file, ok := images[r.URL.Query().Get("names")]
		if r.URL.Path != "/images/get" || !ok {
			w.WriteHeader(http.StatusNotFound)
			_, _ = w.Write([]byte(`{"message":"reference does not exist"}`))
			return
		}
		http.ServeFile(w, r, file)
	}))
	_ = server.Listener.Close()
	server.Listener = listener
	server.Start()
	t.Cleanup(server.Close)
	return socket
}

func TestGivenImageOfTheEngine(t *testing.T) {
	t.Setenv("TMPDIR", t.TempDir())
	archive := saved(t, map[string]string{"acme/web:dev": "web"})
	socket := engine(t, map[string]string{"acme/web:dev": archive})
	r, out := newSource(t).mustPack(func(o *pack.Options) {
		given("docker-daemon:acme/web:dev")(o)
		o.Engine = socket
	})
	checkClosed(t, out, r.Descriptor)
	if left, err := os.ReadDir(os.TempDir()); err != nil || containsImageFile(left) {
		t.Errorf("temporary files are left: %v %v", left, err)
	}
	fromFile, _ := newSource(t).mustPack(given("docker-archive:" + archive))
	if fromFile.Descriptor.Digest != r.Descriptor.Digest {
		t.Error("the engine's image is another one than its archive's")
	}
	_, _, err := newSource(t).pack(func(o *pack.Options) {
		given("docker-daemon:acme/none:1")(o)
		o.Engine = socket
	})
	wantRefusal(t, err, reason.Unreachable, "reference does not exist")
	_, _, err = newSource(t).pack(func(o *pack.Options) {
		given("docker-daemon:acme/web:dev")(o)
		o.Engine = "/nonexistent.sock"
	})
	wantRefusal(t, err, reason.Unreachable, "Docker engine at /nonexistent.sock")
}

func containsImageFile(entries []os.DirEntry) bool {
	for _, e := range entries {
		if strings.HasPrefix(e.Name(), "consign-image-") {
			return true
		}
	}
	return false
}
