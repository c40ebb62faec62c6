package compose

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"context"
	"crypto/rand"
	"encoding/hex"
	"fmt"
	"io"
	"log"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-containerregistry/pkg/name"
	"github.com/google/go-containerregistry/pkg/registry"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/empty"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
	"github.com/google/go-containerregistry/pkg/v1/remote"
	"github.com/google/go-containerregistry/pkg/v1/tarball"
	"github.com/moby/moby/api/types/network"
	"github.com/moby/moby/client"

	"github.com/consign-dev/consign/internal/apply/task"
)

// testEngine is the address of the engine that the tests use.
func testEngine(t testing.TB) string {
	t.Helper()
	address := os.Getenv("CONSIGN_TEST_ENGINE")
	if address == "" {
		t.Fatal("no Docker engine: run the tests with 'make test', which provides one (CONSIGN_TEST_ENGINE)")
	}
	return address
}

// appLayer is the layer of the test application, built once.
var appLayer = sync.OnceValues(func() (v1.Layer, error) {
	dir, err := os.MkdirTemp("", "consign-app-")
	if err != nil {
		return nil, err
	}
	defer os.RemoveAll(dir)
	path := filepath.Join(dir, "app")
	cmd := exec.Command("go", "build", "-trimpath", "-ldflags", "-s -w", "-o", path, "./testdata/app")
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := cmd.CombinedOutput(); err != nil {
		return nil, fmt.Errorf("build test application: %w\n%s", err, out)
	}
	binary, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	var buf bytes.Buffer
	tw := tar.NewWriter(&buf)
	for _, dir := range []string{"data/", "tmp/"} {
		_ = tw.WriteHeader(&tar.Header{Name: dir, Typeflag: tar.TypeDir, Mode: 0o777})
	}
	_ = tw.WriteHeader(&tar.Header{Name: "app", Typeflag: tar.TypeReg, Mode: 0o755, Size: int64(len(binary))})
	_, _ = tw.Write(binary)
	if err := tw.Close(); err != nil {
		return nil, err
	}
	return tarball.LayerFromOpener(func() (io.ReadCloser, error) { return io.NopCloser(bytes.NewReader(buf.Bytes())), nil })
})

// site is one device of a test: an engine, a registry on loopback, a
// deployment with a name of its own. Whatever it made is removed at the end.
type site struct {
	t          *testing.T
	engine     string
	docker     *client.Client
	registry   string
	deployment string
	project    string
	images     map[string]string
}

func newSite(t *testing.T) *site {
	t.Helper()
	t.Parallel() // most of the time is spent waiting for containers
	return newSerialSite(t)
}

// newSerialSite is for tests that change the environment of the process.
func newSerialSite(t *testing.T) *site {
	t.Helper()
	id := make([]byte, 6)
	_, _ = rand.Read(id)
	srv := httptest.NewServer(registry.New(registry.Logger(log.New(io.Discard, "", 0))))
	t.Cleanup(srv.Close)
	s := &site{
		t: t, engine: testEngine(t), registry: strings.TrimPrefix(srv.URL, "http://"),
		deployment: "test-" + hex.EncodeToString(id), project: "consign-test-" + hex.EncodeToString(id), images: map[string]string{},
	}
	var err error
	if s.docker, err = client.New(client.WithHost(s.engine)); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(s.clean)
	s.image("app:1")
	return s
}

// image pushes an image of the test application under a name of its own and
// returns the reference by digest.
func (s *site) image(source string) string { return s.imageIn("app", source) }

// imageIn is image in another repository of the registry.
func (s *site) imageIn(repository, source string) string {
	s.t.Helper()
	layer, err := appLayer()
	if err != nil {
		s.t.Fatal(err)
	}
	img, err := mutate.AppendLayers(empty.Image, layer)
	if err != nil {
		s.t.Fatal(err)
	}
	img, err = mutate.ConfigFile(img, &v1.ConfigFile{
		Architecture: "amd64", OS: "linux", RootFS: must(img.ConfigFile()).RootFS,
		Config: v1.Config{Entrypoint: []string{"/app"}, Labels: map[string]string{"source": source, "of": s.deployment}},
	})
	if err != nil {
		s.t.Fatal(err)
	}
	ref := s.registry + "/" + repository + "@" + must(img.Digest()).String()
	if err := remote.Write(must(name.NewDigest(ref)), img); err != nil {
		s.t.Fatal(err)
	}
	s.images[source] = ref
	return ref
}

func must[T any](v T, err error) T {
	if err != nil {
		panic(err)
	}
	return v
}

// clean removes the objects and images of this test's deployment only.
func (s *site) clean() {
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	in := task.RemoveInput{Engine: s.engine, Project: s.project, Deployment: s.deployment, Volumes: true, TimeoutSeconds: 50}
	if _, err := Remove(ctx, in); err != nil {
		s.t.Errorf("clean up: %v", err)
	}
	for _, ref := range s.images {
		_, _ = s.docker.ImageRemove(ctx, ref, client.ImageRemoveOptions{})
	}
	if err := s.docker.Close(); err != nil {
		s.t.Errorf("clean up: %v", err)
	}
}

func (s *site) labels() map[string]string {
	return map[string]string{task.LabelDeployment: s.deployment, task.LabelComponent: "web", task.LabelDevice: "press-07"}
}

// archive makes a Compose archive of compose.yaml and pairs of name and text.
func archive(t testing.TB, compose string, files ...string) []byte {
	t.Helper()
	var buf bytes.Buffer
	zw := gzip.NewWriter(&buf)
	tw := tar.NewWriter(zw)
	files = append([]string{"compose.yaml", compose}, files...)
	for i := 0; i < len(files); i += 2 {
		if err := tw.WriteHeader(&tar.Header{Name: "app/" + files[i], Typeflag: tar.TypeReg, Mode: 0o644, Size: int64(len(files[i+1]))}); err != nil {
			t.Fatal(err)
		}
		if _, err := io.WriteString(tw, files[i+1]); err != nil {
			t.Fatal(err)
		}
	}
	if err := tw.Close(); err != nil {
		t.Fatal(err)
	}
	if err := zw.Close(); err != nil {
		t.Fatal(err)
	}
	return buf.Bytes()
}

// render makes the input of an apply from a Compose file.
func (s *site) render(compose string, values map[string]string, files ...string) task.ApplyInput {
	s.t.Helper()
	out, err := Render(s.t.Context(), task.RenderInput{
		Archive: archive(s.t, compose, files...), Project: s.project, Values: values, Images: s.images, Labels: s.labels(), Limits: limits,
	})
	if err != nil {
		s.t.Fatal(err)
	}
	return task.ApplyInput{
		Engine: s.engine, Project: s.project, Deployment: s.deployment,
		Render: out.Project, Digest: out.Digest, Images: out.Images, Wait: true, TimeoutSeconds: 60,
	}
}

// apply applies and returns the services by name.
func (s *site) apply(in task.ApplyInput) (map[string]task.Service, error) {
	s.t.Helper()
	start := time.Now()
	out, err := Apply(s.t.Context(), in)
	s.t.Logf("apply took %s", time.Since(start).Round(10*time.Millisecond))
	services := map[string]task.Service{}
	for _, svc := range out.Services {
		services[svc.Name] = svc
	}
	return services, err
}

func (s *site) mustApply(in task.ApplyInput) map[string]task.Service {
	s.t.Helper()
	services, err := s.apply(in)
	if err != nil {
		s.t.Fatal(err)
	}
	return services
}

func (s *site) observe(in task.ApplyInput) task.ObserveResult {
	s.t.Helper()
	out, err := Observe(s.t.Context(), task.ObserveInput{Engine: s.engine, Project: s.project, Deployment: s.deployment, Render: in.Render, Digest: in.Digest})
	if err != nil {
		s.t.Fatal(err)
	}
	return out
}

// get calls the application in a container through its published port.
func (s *site) get(svc task.Service, path string, query ...string) string {
	s.t.Helper()
	inspected, err := s.docker.ContainerInspect(s.t.Context(), svc.Container, client.ContainerInspectOptions{})
	if err != nil {
		s.t.Fatal(err)
	}
	bindings := inspected.Container.NetworkSettings.Ports[network.MustParsePort("8080/tcp")]
	if len(bindings) != 1 {
		s.t.Fatalf("published ports: %v", bindings)
	}
	address := "127.0.0.1:" + bindings[0].HostPort
	values := url.Values{}
	for i := 0; i < len(query); i += 2 {
		values.Set(query[i], query[i+1])
	}
	resp, err := http.Get("http://" + address + path + "?" + values.Encode())
	if err != nil {
		s.t.Fatal(err)
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err != nil || resp.StatusCode != http.StatusOK {
		s.t.Fatalf("%s: %s %q %v", path, resp.Status, body, err)
	}
	return string(body)
}

// environment of the application in a container.
func (s *site) environment(svc task.Service) map[string]string {
	env := map[string]string{}
	for _, pair := range strings.Split(s.get(svc, "/env"), "\x00") {
		k, v, _ := strings.Cut(pair, "=")
		env[k] = v
	}
	return env
}
