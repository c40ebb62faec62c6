package pack_test

import (
	"testing"

	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/consign-dev/consign/internal/bundle"
	"github.com/consign-dev/consign/internal/oci"
	"github.com/consign-dev/consign/internal/pack"
	"github.com/consign-dev/consign/internal/reason"
)

func platforms(t *testing.T, list ...string) func(*pack.Options) {
	t.Helper()
	var out []ocispec.Platform
	for _, text := range list {
		p, err := pack.ParsePlatform(text)
		if err != nil {
			t.Fatal(err)
		}
		out = append(out, p)
	}
	return func(o *pack.Options) { o.Platforms = out }
}

// offers lists the platforms that the index of an image has.
func offers(t *testing.T, layout *oci.Layout, image bundle.Image) []string {
	t.Helper()
	data, err := layout.Bytes(image.Manifest, bundle.MaxManifestBytes)
	if err != nil {
		t.Fatal(err)
	}
	children, err := oci.Children(image.Manifest.MediaType, data)
	if err != nil {
		t.Fatal(err)
	}
	var out []string
	for _, c := range children {
		out = append(out, bundle.PlatformString(*c.Platform))
	}
	return out
}

func TestChosenPlatformsAlone(t *testing.T) {
	s := newSource(t).withLocalImage()
	whole, layout := s.mustPack(nil)
	image := whole.Bundle.Images[0]
	if got := offers(t, layout, image); len(got) != 3 {
		t.Fatalf("the whole image offers %q", got)
	}
	arm, layout := s.mustPack(platforms(t, "linux/arm64"))
	if got := offers(t, layout, arm.Bundle.Images[0]); len(got) != 1 || got[0] != "linux/arm64" {
		t.Errorf("packed for arm64 it offers %q", got)
	}
	checkClosed(t, layout, arm.Descriptor)
	one, _ := s.mustPack(platforms(t, "linux/amd64", "linux/arm64"))
	two, _ := s.mustPack(platforms(t, "linux/arm64", "linux/amd64", "linux/arm64"))
	if one.Descriptor.Digest != two.Descriptor.Digest || one.Descriptor.Digest == arm.Descriptor.Digest || one.Descriptor.Digest == whole.Descriptor.Digest {
		t.Errorf("bundles %s and %s of one choice, %s of another, %s of none", one.Descriptor.Digest, two.Descriptor.Digest, arm.Descriptor.Digest, whole.Descriptor.Digest)
	}
}

func TestPlatformThatAnImageLacks(t *testing.T) {
	s := newSource(t).withLocalImage()
	_, _, err := s.pack(platforms(t, "linux/arm64", "linux/riscv64"))
	wantRefusal(t, err, reason.Platform, "linux/riscv64")
}

func TestPlatformText(t *testing.T) {
	for _, text := range []string{"", "arm64", "windows/amd64", "linux/", "linux/arm/7", "linux/arm/v7/x", "linux/arm64 "} {
		if _, err := pack.ParsePlatform(text); !reason.Is(err, reason.Malformed) {
			t.Errorf("%q: %v, want malformed", text, err)
		}
	}
}
