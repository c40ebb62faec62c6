package pack_test

import (
	"context"
	"io"
	"net"
	"net/http"
	"os"
	"strings"
	"testing"

	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/consign-dev/consign/internal/oci"
	"github.com/consign-dev/consign/internal/pack"
)

// What a real engine saves is another archive than what was loaded: it has its
// own order, names and, since Docker 25, an OCI layout inside. The image in it
// must be the one that was loaded.
func TestGivenImageOfARealEngine(t *testing.T) {
	address := os.Getenv("CONSIGN_TEST_ENGINE")
	socket, ok := strings.CutPrefix(address, "unix://")
	if !ok {
		t.Fatal("no Docker engine: run the tests with 'make test', which provides one (CONSIGN_TEST_ENGINE)")
	}
	const ref = "consign-test/pack:given"
	load(t, socket, saved(t, map[string]string{ref: "web"}))
	t.Cleanup(func() { call(t, socket, http.MethodDelete, "/images/"+ref, nil) })

	engine := func(o *pack.Options) {
		given("docker-daemon:" + ref)(o)
		o.Engine = socket
	}
	r, out := newSource(t).mustPack(engine)
	checkClosed(t, out, r.Descriptor)
	i := imageOf(t, r, "acme/web:1.0")
	if p := i.Manifest.Platform; p == nil || p.OS != "linux" || p.Architecture != "arm" || p.Variant != "v7" {
		t.Errorf("platform %+v", p)
	}
	if got, want := configOf(t, out, i.Manifest), configDigest(t, "web"); got != want {
		t.Errorf("config %s, loaded was %s", got, want)
	}
	again, _ := newSource(t).mustPack(engine)
	if again.Descriptor.Digest != r.Descriptor.Digest {
		t.Errorf("packed twice: %s and %s", r.Descriptor.Digest, again.Descriptor.Digest)
	}
}

func load(t *testing.T, socket, archive string) {
	t.Helper()
	f, err := os.Open(archive)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	call(t, socket, http.MethodPost, "/images/load?quiet=1", f)
}

func call(t *testing.T, socket, method, path string, body io.Reader) {
	t.Helper()
	client := &http.Client{Transport: &http.Transport{DisableKeepAlives: true, DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
		return new(net.Dialer).DialContext(ctx, "unix", socket)
	}}}
	req, err := http.NewRequest(method, "http://docker"+path, body)
	if err != nil {
		t.Fatal(err)
	}
	if body != nil {
		req.Header.Set("Content-Type", "application/x-tar")
	}
	resp, err := client.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	if text, err := io.ReadAll(resp.Body); err != nil || resp.StatusCode != http.StatusOK {
		t.Fatalf("%s %s: %s %s %v", method, path, resp.Status, text, err)
	}
}

// configOf is the config digest of an image manifest, which is what an engine
// knows an image by.
func configOf(t *testing.T, out *oci.Layout, manifest ocispec.Descriptor) string {
	t.Helper()
	data, err := out.Bytes(manifest, oci.MaxManifestBytes)
	if err != nil {
		t.Fatal(err)
	}
	children, err := oci.Children(manifest.MediaType, data)
	if err != nil {
		t.Fatal(err)
	}
	return children[0].Digest.String()
}

func configDigest(t *testing.T, content string) string {
	t.Helper()
	hash, err := dockerImage(t, content).ConfigName()
	if err != nil {
		t.Fatal(err)
	}
	return hash.String()
}
