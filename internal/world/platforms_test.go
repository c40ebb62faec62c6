package world_test

import (
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"testing"

	"github.com/opencontainers/go-digest"
	specs "github.com/opencontainers/image-spec/specs-go"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/consign-dev/consign/internal/agent"
	"github.com/consign-dev/consign/internal/world"
)

// foreign is an architecture that is not this machine's.
func foreign() string {
	if runtime.GOARCH == "arm64" {
		return "amd64"
	}
	return "arm64"
}

// TestADeviceTakesItsOwnPlatform: of a bundle for two platforms a device fetches
// and runs the images of its own, and no byte of the other's.
func TestADeviceTakesItsOwnPlatform(t *testing.T) {
	w := world.New(t)
	var other digest.Digest
	w.Publish("acme", "1.0.0", func(dir string) { other = addPlatform(w, dir, "1.0.0") })
	d := w.Device("press-07", engine(t))
	t.Cleanup(func() { w.Cleanup(); takeAway(w, d) })
	port := world.FreePort(t)
	w.Deploy(d.ID, "1.0.0", map[string]string{"port": port, "greeting": "own"})
	res, err := d.Sync()
	wantAction(t, res, err, agent.Installed)
	if got := get(t, port); got != "own (hello 1.0.0)" {
		t.Errorf("the application answers %q", got)
	}
	if _, err := os.Stat(filepath.Join(d.Config.StateDir, "store", "blobs", "sha256", other.Encoded())); !os.IsNotExist(err) {
		t.Errorf("the configuration of the image for %s is in the store: %v", foreign(), err)
	}
	if _, err := os.Stat(filepath.Join(w.RegistryDir, "acme", "hello", "blobs", "sha256", other.Encoded())); err != nil {
		t.Errorf("the registry does not have the image for %s: %v", foreign(), err)
	}
}

// addPlatform makes the image of a package one of two platforms, and returns the
// digest of the other one's configuration.
func addPlatform(w *world.World, dir, version string) digest.Digest {
	images := filepath.Join(dir, "images")
	own := onlyManifest(w, images)
	own.Platform = &ocispec.Platform{OS: "linux", Architecture: runtime.GOARCH}
	second := filepath.Join(w.T.TempDir(), "images")
	mk := exec.Command(filepath.Join(world.Hello(w.T), "mkimage"), "-binary", filepath.Join(world.Hello(w.T), "hello"), "-out", second,
		"-ref", "localhost/hello:"+version, "-platform", "linux/"+foreign(), "-env", "VERSION="+version+"-"+foreign())
	if out, err := mk.CombinedOutput(); err != nil {
		w.T.Fatalf("mkimage: %v: %s", err, out)
	}
	theirs := onlyManifest(w, second)
	theirs.Platform = &ocispec.Platform{OS: "linux", Architecture: foreign()}
	copyBlobs(w, second, images)
	index := write(w, images, ocispec.Index{
		Versioned: specs.Versioned{SchemaVersion: 2}, MediaType: ocispec.MediaTypeImageIndex, Manifests: []ocispec.Descriptor{own, theirs},
	})
	index.MediaType = ocispec.MediaTypeImageIndex
	index.Annotations = map[string]string{ocispec.AnnotationRefName: "localhost/hello:" + version}
	top, err := json.Marshal(ocispec.Index{Versioned: specs.Versioned{SchemaVersion: 2}, MediaType: ocispec.MediaTypeImageIndex, Manifests: []ocispec.Descriptor{index}})
	w.Must(err)
	w.Must(os.WriteFile(filepath.Join(images, "index.json"), top, 0o600))
	var manifest ocispec.Manifest
	read(w, blobPath(images, theirs.Digest), &manifest)
	return manifest.Config.Digest
}

// onlyManifest is the one manifest that a layout lists, without annotations.
func onlyManifest(w *world.World, layout string) ocispec.Descriptor {
	var top ocispec.Index
	read(w, filepath.Join(layout, "index.json"), &top)
	if len(top.Manifests) != 1 || top.Manifests[0].MediaType != ocispec.MediaTypeImageManifest {
		w.T.Fatalf("%s lists %+v, want one image manifest", layout, top.Manifests)
	}
	d := top.Manifests[0]
	return ocispec.Descriptor{MediaType: d.MediaType, Digest: d.Digest, Size: d.Size}
}

func blobPath(layout string, d digest.Digest) string {
	return filepath.Join(layout, "blobs", "sha256", d.Encoded())
}

func read(w *world.World, path string, out any) {
	data, err := os.ReadFile(path)
	w.Must(err)
	w.Must(json.Unmarshal(data, out))
}

func write(w *world.World, layout string, v any) ocispec.Descriptor {
	data, err := json.Marshal(v)
	w.Must(err)
	d := digest.FromBytes(data)
	w.Must(os.WriteFile(blobPath(layout, d), data, 0o600))
	return ocispec.Descriptor{Digest: d, Size: int64(len(data))}
}

func copyBlobs(w *world.World, from, to string) {
	entries, err := os.ReadDir(filepath.Join(from, "blobs", "sha256"))
	w.Must(err)
	for _, e := range entries {
		data, err := os.ReadFile(filepath.Join(from, "blobs", "sha256", e.Name()))
		w.Must(err)
		w.Must(os.WriteFile(filepath.Join(to, "blobs", "sha256", e.Name()), data, 0o600))
	}
}
