package main

import (
	"archive/tar"
	"compress/gzip"
	"encoding/json"
	"errors"
	"io"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
)

func program(t *testing.T, text string) string {
	t.Helper()
	file := filepath.Join(t.TempDir(), "hello")
	if err := os.WriteFile(file, []byte(text), 0o700); err != nil {
		t.Fatal(err)
	}
	return file
}

func mustRun(t *testing.T, args ...string) {
	t.Helper()
	if err := run(args); err != nil {
		t.Fatal(err)
	}
}

// read decodes a blob after checking its digest and size.
func read[T any](t *testing.T, dir string, d ocispec.Descriptor) T {
	t.Helper()
	data, err := os.ReadFile((&layout{dir: dir}).blob(d.Digest))
	if err != nil {
		t.Fatal(err)
	}
	if digest.FromBytes(data) != d.Digest || int64(len(data)) != d.Size {
		t.Fatalf("blob %s does not fit its descriptor", d.Digest)
	}
	var v T
	if err := json.Unmarshal(data, &v); err != nil {
		t.Fatal(err)
	}
	return v
}

func top(t *testing.T, dir string) []ocispec.Descriptor {
	t.Helper()
	l, err := openLayout(dir)
	if err != nil {
		t.Fatal(err)
	}
	return l.index.Manifests
}

func TestImageHoldsTheProgram(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "images")
	mustRun(t, "--binary", program(t, "the program"), "--ref", "localhost/hello:1.0.0", "--out", dir,
		"--entrypoint", "/opt/bin/hello", "--env", "VERSION=1.0.0")
	entries := top(t, dir)
	if len(entries) != 1 || entries[0].Annotations[ocispec.AnnotationRefName] != "localhost/hello:1.0.0" {
		t.Fatalf("index.json: %+v", entries)
	}
	manifest := read[ocispec.Manifest](t, dir, entries[0])
	config := read[ocispec.Image](t, dir, manifest.Config)
	if !slices.Equal(config.Config.Entrypoint, []string{"/opt/bin/hello"}) || !slices.Equal(config.Config.Env, []string{"VERSION=1.0.0"}) ||
		config.Config.User != "65534:65534" || config.Architecture != "amd64" || config.OS != "linux" {
		t.Errorf("config: %+v", config)
	}
	f, err := os.Open((&layout{dir: dir}).blob(manifest.Layers[0].Digest))
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	zip, err := gzip.NewReader(f)
	if err != nil {
		t.Fatal(err)
	}
	plain := digest.Canonical.Digester()
	tr := tar.NewReader(io.TeeReader(zip, plain.Hash()))
	var names []string
	for {
		h, err := tr.Next()
		if errors.Is(err, io.EOF) {
			break
		} else if err != nil {
			t.Fatal(err)
		}
		names = append(names, h.Name)
		if data, _ := io.ReadAll(tr); h.Name == "opt/bin/hello" && (string(data) != "the program" || h.Mode != 0o755) {
			t.Errorf("program has mode %o and content %q", h.Mode, data)
		}
	}
	if _, err := io.Copy(plain.Hash(), zip); err != nil {
		t.Fatal(err)
	}
	if !slices.Equal(names, []string{"opt/", "opt/bin/", "opt/bin/hello"}) {
		t.Errorf("layer holds %q", names)
	}
	if config.RootFS.DiffIDs[0] != plain.Digest() {
		t.Errorf("diff id %s, want %s", config.RootFS.DiffIDs[0], plain.Digest())
	}
}

func TestSameInputSameImage(t *testing.T) {
	var digests []digest.Digest
	for range 2 {
		dir := t.TempDir()
		mustRun(t, "--binary", program(t, "x"), "--ref", "a:1", "--out", dir)
		digests = append(digests, top(t, dir)[0].Digest)
	}
	if digests[0] != digests[1] {
		t.Errorf("two builds differ: %s", digests)
	}
}

func TestSeveralImagesAndPlatforms(t *testing.T) {
	dir := t.TempDir()
	mustRun(t, "--binary", program(t, "arm"), "--ref", "b:1", "--platform", "linux/arm/v7", "--out", dir)
	mustRun(t, "--binary", program(t, "amd"), "--ref", "b:1", "--out", dir)
	mustRun(t, "--binary", program(t, "other"), "--ref", "a:1", "--out", dir)
	mustRun(t, "--binary", program(t, "amd, built again"), "--ref", "b:1", "--out", dir)
	entries := top(t, dir)
	if len(entries) != 2 || entries[0].MediaType != ocispec.MediaTypeImageManifest || entries[1].MediaType != ocispec.MediaTypeImageIndex {
		t.Fatalf("index.json: %+v", entries)
	}
	index := read[ocispec.Index](t, dir, entries[1])
	if len(index.Manifests) != 2 || name(index.Manifests[0]) != "linux/amd64/" || name(index.Manifests[1]) != "linux/arm/v7" {
		t.Fatalf("image index: %+v", index.Manifests)
	}
	for _, d := range index.Manifests {
		read[ocispec.Manifest](t, dir, d)
	}
}

func TestWrongFlagsAreRefused(t *testing.T) {
	bin, out := program(t, "x"), t.TempDir()
	for _, args := range [][]string{
		{"--ref", "a:1", "--out", out},
		{"--binary", bin, "--out", out},
		{"--binary", bin, "--ref", "a:1"},
		{"--binary", bin, "--ref", "a:1", "--out", out, "stray"},
		{"--binary", bin, "--ref", "a:1", "--out", out, "--platform", "amd64"},
		{"--binary", bin, "--ref", "a:1", "--out", out, "--entrypoint", "../hello"},
		{"--binary", bin, "--ref", "a:1", "--out", out, "--env", "=x"},
		{"--binary", bin + "-absent", "--ref", "a:1", "--out", out},
	} {
		if err := run(args); err == nil {
			t.Errorf("mkimage %q was not refused", args)
		}
	}
}
