package bundle_test

import (
	"bytes"
	"testing"

	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/consign-dev/consign/internal/bundle"
	"github.com/consign-dev/consign/internal/reason"
)

// fuzz feeds a parser; what it accepts must build again, and a second round
// must change nothing.
func fuzz[T any](f *testing.F, build func(T) ([]byte, ocispec.Descriptor, error), parse func([]byte) (*T, error), seeds ...T) {
	for _, seed := range seeds {
		data, _, err := build(seed)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(data)
		f.Add(data[:len(data)/2])
	}
	f.Add([]byte(`{"schemaVersion":2,"manifests":null,"layers":[{}]}`))
	f.Fuzz(func(t *testing.T, data []byte) {
		got, err := parse(data)
		if err != nil {
			if code := reason.Of(err); code != reason.Malformed && code != reason.TooLarge {
				t.Fatalf("refused as %q: %v", code, err)
			}
			return
		}
		first, _, err := build(*got)
		if err != nil {
			t.Fatalf("accepted what cannot be built: %v", err)
		}
		again, err := parse(first)
		if err != nil {
			t.Fatalf("own output refused: %v", err)
		}
		if second, _, _ := build(*again); !bytes.Equal(first, second) {
			t.Fatalf("two rounds differ:\n%s\n%s", first, second)
		}
	})
}

func FuzzParse(f *testing.F) { fuzz(f, bundle.Build, bundle.Parse, sample()) }

func FuzzParsePackage(f *testing.F) {
	fuzz(f, bundle.BuildPackage, bundle.ParsePackage, samplePackage())
}

func FuzzParseChartComponent(f *testing.F) {
	fuzz(f, bundle.BuildChartComponent, bundle.ParseChartComponent, sampleChart())
}

func FuzzParseEvidence(f *testing.F) {
	fuzz(f, bundle.BuildEvidence, bundle.ParseEvidence, sampleEvidence())
}

func FuzzParseDesiredState(f *testing.F) {
	fuzz(f, bundle.BuildDesiredState, bundle.ParseDesiredState, sampleState(), bundle.DesiredState{})
}

func FuzzParsePolicy(f *testing.F) {
	fuzz(f, bundle.BuildPolicy, bundle.ParsePolicy, samplePolicy())
}

// A component of another tool may have no name, which we would not write.
func FuzzParseComposeComponent(f *testing.F) {
	named := func(c bundle.ComposeComponent) ([]byte, ocispec.Descriptor, error) {
		if c.Name == "" {
			c.Name = "unnamed"
		}
		return bundle.BuildComposeComponent(c)
	}
	fuzz(f, named, bundle.ParseComposeComponent, sampleCompose())
}

func FuzzNormalizeReference(f *testing.F) {
	for _, seed := range []string{"nginx", "docker.io/library/nginx:1.27", "127.0.0.1:5000/a/b@sha256:00", "A", ""} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, ref string) {
		normal, err := bundle.NormalizeReference(ref)
		if err != nil {
			return
		}
		if again, err := bundle.NormalizeReference(normal); err != nil || again != normal {
			t.Fatalf("%q -> %q -> %q %v", ref, normal, again, err)
		}
	})
}

func FuzzSelectImage(f *testing.F) {
	f.Add([]byte(singleManifest), false)
	f.Add([]byte(`{"schemaVersion":2,"manifests":[{"mediaType":"application/vnd.oci.image.manifest.v1+json","platform":{"os":"linux","architecture":"amd64"}}]}`), true)
	f.Fuzz(func(t *testing.T, data []byte, index bool) {
		image := forPlatform("x", "linux", "amd64", "")
		if index {
			image.MediaType = ocispec.MediaTypeImageIndex
		}
		got, err := bundle.SelectImage(image, data, ocispec.Platform{OS: "linux", Architecture: "amd64"})
		if err == nil && (got.Platform.Architecture != "amd64" || got.Size <= 0 || got.Digest.Validate() != nil) {
			t.Fatalf("chose %+v", got)
		}
	})
}
