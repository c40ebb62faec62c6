package bundle_test

import (
	"encoding/json"
	"testing"

	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/consign-dev/consign/internal/bundle"
	"github.com/consign-dev/consign/internal/reason"
)

func forPlatform(content, os, arch, variant string) ocispec.Descriptor {
	d := bundle.Describe(ocispec.MediaTypeImageManifest, []byte(content))
	d.Platform = &ocispec.Platform{OS: os, Architecture: arch, Variant: variant}
	return d
}

func indexOf(t *testing.T, entries ...ocispec.Descriptor) (ocispec.Descriptor, []byte) {
	t.Helper()
	i := ocispec.Index{MediaType: ocispec.MediaTypeImageIndex, Manifests: entries}
	i.SchemaVersion = 2
	data, err := json.Marshal(i)
	if err != nil {
		t.Fatal(err)
	}
	return bundle.Describe(i.MediaType, data), data
}

func TestSelectImage(t *testing.T) {
	amd64 := forPlatform("amd64", "linux", "amd64", "")
	amd64v3 := forPlatform("amd64v3", "linux", "amd64", "v3")
	armv6 := forPlatform("armv6", "linux", "arm", "v6")
	armv7 := forPlatform("armv7", "linux", "arm", "v7")
	arm64 := forPlatform("arm64", "linux", "arm64", "v8")
	attestation := forPlatform("attestation", "unknown", "unknown", "")
	bare := bundle.Describe(ocispec.MediaTypeImageManifest, []byte("bare"))
	nested := forPlatform("nested", "linux", "amd64", "")
	nested.MediaType = ocispec.MediaTypeImageIndex
	huge := amd64
	huge.Size = bundle.MaxManifestBytes + 1
	for name, c := range map[string]struct {
		entries []ocispec.Descriptor
		want    ocispec.Platform
		chosen  string
		code    reason.Code
	}{
		"the only fit":                    {[]ocispec.Descriptor{arm64, amd64}, ocispec.Platform{OS: "linux", Architecture: "amd64"}, "amd64", ""},
		"no variant is arm64/v8":          {[]ocispec.Descriptor{arm64, amd64}, ocispec.Platform{OS: "linux", Architecture: "arm64"}, "arm64", ""},
		"the variant itself":              {[]ocispec.Descriptor{armv6, armv7}, ocispec.Platform{OS: "linux", Architecture: "arm", Variant: "v7"}, "armv7", ""},
		"a lower variant":                 {[]ocispec.Descriptor{armv6}, ocispec.Platform{OS: "linux", Architecture: "arm", Variant: "v7"}, "armv6", ""},
		"never a higher variant":          {[]ocispec.Descriptor{armv7}, ocispec.Platform{OS: "linux", Architecture: "arm", Variant: "v6"}, "", reason.Platform},
		"the plain one beside v3":         {[]ocispec.Descriptor{amd64v3, amd64}, ocispec.Platform{OS: "linux", Architecture: "amd64"}, "amd64", ""},
		"attestations are ignored":        {[]ocispec.Descriptor{amd64, attestation}, ocispec.Platform{OS: "linux", Architecture: "amd64"}, "amd64", ""},
		"entries without platform, too":   {[]ocispec.Descriptor{bare, amd64}, ocispec.Platform{OS: "linux", Architecture: "amd64"}, "amd64", ""},
		"nothing fits":                    {[]ocispec.Descriptor{amd64, attestation}, ocispec.Platform{OS: "linux", Architecture: "riscv64"}, "", reason.Platform},
		"another system":                  {[]ocispec.Descriptor{amd64}, ocispec.Platform{OS: "windows", Architecture: "amd64"}, "", reason.Platform},
		"attack O6: two entries":          {[]ocispec.Descriptor{amd64, forPlatform("other", "linux", "amd64", "v1")}, ocispec.Platform{OS: "linux", Architecture: "amd64"}, "", reason.Platform},
		"an index inside the index":       {[]ocispec.Descriptor{nested}, ocispec.Platform{OS: "linux", Architecture: "amd64"}, "", reason.Malformed},
		"a manifest over the limit":       {[]ocispec.Descriptor{huge}, ocispec.Platform{OS: "linux", Architecture: "amd64"}, "", reason.TooLarge},
		"an empty index offers no choice": {[]ocispec.Descriptor{}, ocispec.Platform{OS: "linux", Architecture: "amd64"}, "", reason.Platform},
	} {
		t.Run(name, func(t *testing.T) {
			desc, data := indexOf(t, c.entries...)
			got, err := bundle.SelectImage(desc, data, c.want)
			if reason.Of(err) != c.code {
				t.Fatalf("got %v, want code %q", err, c.code)
			}
			if err == nil && got.Digest != bundle.Describe("", []byte(c.chosen)).Digest {
				t.Errorf("chose %s, want %q", bundle.PlatformString(*got.Platform), c.chosen)
			}
		})
	}
}

const singleManifest = `{"schemaVersion":2,"mediaType":"application/vnd.oci.image.manifest.v1+json","config":{},"layers":[]}`

func TestSelectImageOfASingleManifest(t *testing.T) {
	image := forPlatform(singleManifest, "linux", "arm64", "")
	got, err := bundle.SelectImage(image, []byte(singleManifest), ocispec.Platform{OS: "linux", Architecture: "arm64", Variant: "v8"})
	if err != nil || got.Digest != image.Digest {
		t.Errorf("%+v %v", got, err)
	}
	_, err = bundle.SelectImage(image, []byte(singleManifest), ocispec.Platform{OS: "linux", Architecture: "amd64"})
	wantRefusal(t, err, reason.Platform, "it offers linux/arm64")
}

// Attack O4.
func TestSelectImageRefusesADocumentOfTwoKinds(t *testing.T) {
	index := ocispec.Descriptor{MediaType: ocispec.MediaTypeImageIndex}
	docker := ocispec.Descriptor{MediaType: "application/vnd.docker.distribution.manifest.list.v2+json"}
	for name, c := range map[string]struct {
		desc ocispec.Descriptor
		data string
	}{
		"both":                 {index, `{"schemaVersion":2,"manifests":[],"layers":[]}`},
		"both, other case":     {index, `{"schemaVersion":2,"manifests":[],"Layers":[]}`},
		"neither":              {index, `{"schemaVersion":2}`},
		"other case":           {index, `{"schemaVersion":2,"Manifests":[]}`},
		"two of one name":      {index, `{"schemaVersion":2,"manifests":[],"MANIFESTS":[]}`},
		"other media type":     {index, `{"schemaVersion":2,"mediaType":"application/vnd.oci.image.manifest.v1+json","manifests":[]}`},
		"entry, other case":    {index, `{"schemaVersion":2,"manifests":[{"platform":{"os":"windows","OS":"linux","architecture":"amd64"}}]}`},
		"type, other case":     {index, `{"schemaVersion":2,"mediatype":"application/vnd.oci.image.index.v1+json","manifests":[]}`},
		"another kind as null": {index, `{"schemaVersion":2,"manifests":[],"layers":null}`},
		"null":                 {index, `{"schemaVersion":2,"manifests":null}`},
		"schema 1":             {docker, `{"schemaVersion":1,"mediaType":"application/vnd.docker.distribution.manifest.list.v2+json","fsLayers":[]}`},
		"docker untyped":       {docker, `{"schemaVersion":2,"manifests":[]}`},
		"no image":             {ocispec.Descriptor{MediaType: "text/plain"}, `{"schemaVersion":2,"manifests":[]}`},
	} {
		_, err := bundle.SelectImage(c.desc, []byte(c.data), ocispec.Platform{OS: "linux", Architecture: "amd64"})
		if !reason.Is(err, reason.Malformed) {
			t.Errorf("%s: got %v, want malformed", name, err)
		}
	}
}
