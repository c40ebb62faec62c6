package bundle_test

import (
	"bytes"
	"encoding/json"
	"slices"
	"strings"
	"testing"

	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/consign-dev/consign/internal/bundle"
	"github.com/consign-dev/consign/internal/reason"
)

func manifest(content, artifactType string) ocispec.Descriptor {
	d := bundle.Describe(ocispec.MediaTypeImageManifest, []byte(content))
	d.ArtifactType = artifactType
	return d
}

func imageIndex(content string) ocispec.Descriptor {
	return bundle.Describe(ocispec.MediaTypeImageIndex, []byte(content))
}

func sample() bundle.Bundle {
	single := manifest("redis", "")
	single.Platform = &ocispec.Platform{OS: "linux", Architecture: "amd64"}
	return bundle.Bundle{
		Application: "line-monitor",
		Version:     "1.4.0",
		Package:     manifest("package", bundle.MediaTypePackage),
		Components: []bundle.Component{
			{Name: "web", Manifest: manifest("web", bundle.MediaTypeCompose)},
			{Name: "chart", Manifest: manifest("chart", bundle.MediaTypeHelm)},
		},
		Images: []bundle.Image{
			{Reference: "docker.io/library/nginx:1.27", Manifest: imageIndex("nginx")},
			{Reference: "docker.io/library/redis:7", Manifest: single},
		},
	}
}

func build(t *testing.T, b bundle.Bundle) []byte {
	t.Helper()
	data, _, err := bundle.Build(b)
	if err != nil {
		t.Fatal(err)
	}
	return data
}

// The encoding is part of the format: if this digest changes, every supplier's
// next pack of unchanged input gets a new digest.
func TestBuildIsCanonical(t *testing.T) {
	const want = "sha256:80e5a5c5bf2fc2da0dd7d6c6d8c47dcc3397faf6722be9de5819cbd3474d081e"
	data, d, err := bundle.Build(sample())
	if err != nil {
		t.Fatal(err)
	}
	if d.Digest.String() != want {
		t.Errorf("digest %s, want %s of\n%s", d.Digest, want, data)
	}
	if d.MediaType != ocispec.MediaTypeImageIndex || d.ArtifactType != bundle.MediaTypeBundle || d.Size != int64(len(data)) {
		t.Errorf("descriptor %+v", d)
	}
}

func TestOrderAndRepetitionOfImagesDoNotMatter(t *testing.T) {
	b := sample()
	b.Images = append(slices.Clone(b.Images), b.Images...)
	slices.Reverse(b.Images)
	if !bytes.Equal(build(t, b), build(t, sample())) {
		t.Error("another order gave other bytes")
	}
}

func TestParseReadsWhatBuildWrote(t *testing.T) {
	data := build(t, sample())
	b, err := bundle.Parse(data)
	if err != nil {
		t.Fatal(err)
	}
	if b.Application != "line-monitor" || b.Version != "1.4.0" || len(b.Components) != 2 || len(b.Images) != 2 {
		t.Errorf("read %+v", b)
	}
	if !bytes.Equal(build(t, *b), data) {
		t.Error("a second round gave other bytes")
	}
	if c, ok := b.Component("web"); !ok || c.Manifest.ArtifactType != bundle.MediaTypeCompose {
		t.Errorf("component web: %+v %v", c, ok)
	}
	if i, ok := b.Image("nginx:1.27"); !ok || i.Manifest.MediaType != ocispec.MediaTypeImageIndex {
		t.Errorf("image by its familiar name: %+v %v", i, ok)
	}
	if _, ok := b.Image("nginx"); ok {
		t.Error("found an image that is not listed")
	}
}

func TestBuildRefusesOneReferenceWithTwoContents(t *testing.T) {
	b := sample()
	b.Images = append(b.Images, bundle.Image{Reference: b.Images[0].Reference, Manifest: imageIndex("other")})
	_, _, err := bundle.Build(b)
	wantRefusal(t, err, reason.Malformed, "two contents")
}

func wantRefusal(t *testing.T, err error, code reason.Code, text string) {
	t.Helper()
	if !reason.Is(err, code) || !strings.Contains(err.Error(), text) {
		t.Errorf("got %v, want %s with %q", err, code, text)
	}
}

// edit returns the sample with one change to its decoded index.
func edit(t *testing.T, change func(index map[string]any, entries []any)) []byte {
	t.Helper()
	var index map[string]any
	if err := json.Unmarshal(build(t, sample()), &index); err != nil {
		t.Fatal(err)
	}
	change(index, index["manifests"].([]any))
	data, err := json.Marshal(index)
	if err != nil {
		t.Fatal(err)
	}
	return data
}

func TestParseRefusesAnEditedIndex(t *testing.T) {
	type obj = map[string]any
	notes := func(entry any) obj { return entry.(obj)["annotations"].(obj) }
	for name, c := range map[string]struct {
		change func(index obj, entries []any)
		code   reason.Code
		text   string
	}{
		"other artifact type": {func(i obj, _ []any) { i["artifactType"] = "x/y" }, reason.Malformed, "artifactType"},
		"no media type":       {func(i obj, _ []any) { delete(i, "mediaType") }, reason.Malformed, "mediaType"},
		"schema version 1":    {func(i obj, _ []any) { i["schemaVersion"] = 1 }, reason.Malformed, "schemaVersion"},
		"subject":             {func(i obj, e []any) { i["subject"] = e[3] }, reason.Malformed, "subject"},
		"attack O4: also a manifest": {func(i obj, _ []any) { i["layers"] = []any{} }, reason.Malformed,
			`unknown field "layers"`},
		"application id":     {func(i obj, _ []any) { i["annotations"].(obj)[bundle.AnnotationApplication] = "../x" }, reason.Malformed, "application id"},
		"version is no tag":  {func(i obj, _ []any) { i["annotations"].(obj)[bundle.AnnotationVersion] = "1+2" }, reason.Malformed, "version"},
		"unknown annotation": {func(i obj, _ []any) { i["annotations"].(obj)["dev.consign.extra"] = "" }, reason.Malformed, "dev.consign.extra"},
		"no entries":         {func(i obj, _ []any) { i["manifests"] = []any{} }, reason.Malformed, "package"},
		"no components": {func(i obj, e []any) { i["manifests"] = []any{e[0], e[3]} },
			reason.Malformed, "0 components"},
		"two packages":          {func(i obj, e []any) { i["manifests"] = append(e, e[0]) }, reason.Malformed, "exactly one package"},
		"package not first":     {func(i obj, e []any) { e[0], e[1] = e[1], e[0] }, reason.Malformed, "exactly one package"},
		"unknown role":          {func(_ obj, e []any) { notes(e[1])[bundle.AnnotationRole] = "driver" }, reason.Malformed, "role"},
		"component after image": {func(_ obj, e []any) { e[2], e[3] = e[3], e[2] }, reason.Malformed, "component after an image"},
		"component twice":       {func(_ obj, e []any) { notes(e[2])[bundle.AnnotationComponent] = "web" }, reason.Malformed, "twice"},
		"component name": {func(_ obj, e []any) { notes(e[2])[bundle.AnnotationComponent] = "../web" },
			reason.Malformed, "component name"},
		"image name on a component": {func(_ obj, e []any) { notes(e[1])[bundle.AnnotationImage] = "nginx" }, reason.Malformed, "not known here"},
		"component of another type": {func(_ obj, e []any) { e[1].(obj)["artifactType"] = "x/y" }, reason.Malformed, "artifactType"},
		"component that is an index": {func(_ obj, e []any) { e[1].(obj)["mediaType"] = ocispec.MediaTypeImageIndex },
			reason.Malformed, "mediaType"},
		"image out of order": {func(_ obj, e []any) { e[3], e[4] = e[4], e[3] }, reason.Malformed, "out of order"},
		"image in short form": {func(_ obj, e []any) { notes(e[3])[bundle.AnnotationImage] = "nginx:1.27" },
			reason.Malformed, "not in normal form"},
		"image under another digest": {func(_ obj, e []any) {
			notes(e[3])[bundle.AnnotationImage] = "docker.io/library/nginx:1.27@sha256:" + strings.Repeat("0", 64)
		}, reason.Malformed, "the entry's digest is"},
		"image without a platform": {func(_ obj, e []any) { delete(e[4].(obj), "platform") }, reason.Malformed, "needs its platform"},
		"index with a platform":    {func(_ obj, e []any) { e[3].(obj)["platform"] = obj{"os": "linux", "architecture": "arm"} }, reason.Malformed, "platform"},
		"image that is a layer": {func(_ obj, e []any) { e[3].(obj)["mediaType"] = ocispec.MediaTypeImageLayer },
			reason.Malformed, "not that of an image"},
		"attack O11: sha512":     {func(_ obj, e []any) { e[0].(obj)["digest"] = "sha512:" + strings.Repeat("0", 128) }, reason.Malformed, "digest"},
		"attack O11: upper case": {func(_ obj, e []any) { e[0].(obj)["digest"] = "sha256:" + strings.Repeat("A", 64) }, reason.Malformed, "digest"},
		"attack O11: short":      {func(_ obj, e []any) { e[0].(obj)["digest"] = "sha256:00" }, reason.Malformed, "digest"},
		"size 0":                 {func(_ obj, e []any) { e[0].(obj)["size"] = 0 }, reason.Malformed, "size"},
		"size over the limit":    {func(_ obj, e []any) { e[0].(obj)["size"] = bundle.MaxManifestBytes + 1 }, reason.TooLarge, "size"},
		"urls":                   {func(_ obj, e []any) { e[0].(obj)["urls"] = []any{"http://x"} }, reason.Malformed, "urls"},
		"data":                   {func(_ obj, e []any) { e[0].(obj)["data"] = "e30=" }, reason.Malformed, "data"},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := bundle.Parse(edit(t, c.change))
			wantRefusal(t, err, c.code, c.text)
		})
	}
}

func TestParseRefusesOversizeAndDuplicates(t *testing.T) {
	_, err := bundle.Parse(bytes.Repeat([]byte(" "), bundle.MaxManifestBytes+1))
	wantRefusal(t, err, reason.TooLarge, "bytes")
	data := build(t, sample())
	_, err = bundle.Parse(append([]byte(`{"schemaVersion":2,`), data[1:]...))
	wantRefusal(t, err, reason.Malformed, "duplicate")
}

func TestNormalizeReference(t *testing.T) {
	const sum = "sha256:44136fa355b3678a1146ad16f7e8649e94fb4fc21fe77e8310c060f61caaff8a"
	for in, want := range map[string]string{
		"nginx":                         "docker.io/library/nginx:latest",
		"acme/web:1.0":                  "docker.io/acme/web:1.0",
		"index.docker.io/library/nginx": "docker.io/library/nginx:latest",
		"127.0.0.1:5000/web":            "127.0.0.1:5000/web:latest",
		"localhost/web:1":               "localhost/web:1",
		"nginx@" + sum:                  "docker.io/library/nginx@" + sum,
		"nginx:1.27@" + sum:             "docker.io/library/nginx:1.27@" + sum,
	} {
		got, err := bundle.NormalizeReference(in)
		if err != nil || got != want {
			t.Errorf("%s: %q %v, want %q", in, got, err, want)
		}
	}
	for _, in := range []string{"", "Nginx", "nginx:", "a b", "../x", "nginx@sha512:" + strings.Repeat("0", 128), strings.Repeat("0", 64)} {
		if got, err := bundle.NormalizeReference(in); !reason.Is(err, reason.Malformed) {
			t.Errorf("%q: %q %v, want malformed", in, got, err)
		}
	}
	if got := bundle.ReferenceDigest("docker.io/library/nginx:1@" + sum); got != sum {
		t.Errorf("digest %q", got)
	}
}
