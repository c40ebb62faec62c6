package bundle_test

import (
	"bytes"
	"strings"
	"testing"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/consign-dev/consign/internal/bundle"
	"github.com/consign-dev/consign/internal/reason"
)

func sampleChart() bundle.ChartComponent {
	blob := func(mediaType, content string) ocispec.Descriptor {
		return ocispec.Descriptor{MediaType: mediaType, Digest: digest.FromString(content), Size: int64(len(content))}
	}
	return bundle.ChartComponent{
		Name: "hello", Version: "1.2.3+build.7", Config: blob(bundle.MediaTypeHelm, `{"name":"hello"}`), Archive: blob(bundle.MediaTypeChart, "chart"),
	}
}

// TestChartsOfHelm: what helm push writes is read, in its older form, too.
func TestChartsOfHelm(t *testing.T) {
	data, desc, err := bundle.BuildChartComponent(sampleChart())
	if err != nil || desc.ArtifactType != bundle.MediaTypeHelm || desc.MediaType != ocispec.MediaTypeImageManifest {
		t.Fatalf("%+v, %v", desc, err)
	}
	layer := `"layers":[`
	prov := layer + `{"mediaType":"` + bundle.MediaTypeChartProvenance + `","digest":"` + string(digest.FromString("p")) + `","size":1},`
	for name, text := range map[string]string{
		"ours":              string(data),
		"without mediaType": strings.Replace(string(data), `"mediaType":"`+ocispec.MediaTypeImageManifest+`",`, "", 1),
		"signed by Helm":    strings.Replace(string(data), layer, prov, 1),
	} {
		c, err := bundle.ParseChartComponent([]byte(text))
		if err != nil || c.Archive.Digest != digest.FromString("chart") || c.Version != "1.2.3+build.7" || (c.Provenance != nil) != (name == "signed by Helm") {
			t.Errorf("%s: %+v, %v", name, c, err)
		}
	}
	for name, text := range map[string]string{
		"two charts":     strings.Replace(string(data), layer, layer+`{"mediaType":"`+bundle.MediaTypeChart+`","digest":"`+string(digest.FromString("p"))+`","size":1},`, 1),
		"another layer":  strings.Replace(string(data), layer, layer+`{"mediaType":"text/plain","digest":"`+string(digest.FromString("p"))+`","size":1},`, 1),
		"no chart":       strings.Replace(string(data), bundle.MediaTypeChart, bundle.MediaTypeChartProvenance, 1),
		"another config": strings.Replace(string(data), bundle.MediaTypeHelm, ocispec.MediaTypeImageConfig, 1),
		"an artifact":    strings.Replace(string(data), `"config":`, `"artifactType":"text/plain","config":`, 1),
		"a subject":      strings.Replace(string(data), `"config":`, `"subject":{"mediaType":"text/plain","digest":"`+string(digest.FromString("p"))+`","size":1},"config":`, 1),
	} {
		if _, err := bundle.ParseChartComponent([]byte(text)); !reason.Is(err, reason.Malformed) || bytes.Equal([]byte(text), data) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// TestComponentsAreOfTheKindTheyAreListedAs: the entry of a bundle says what a
// component is, and the manifest must agree.
func TestComponentsAreOfTheKindTheyAreListedAs(t *testing.T) {
	chart, entry, err := bundle.BuildChartComponent(sampleChart())
	if err != nil {
		t.Fatal(err)
	}
	if m, err := bundle.ParseComponent(entry, chart); err != nil || m.Type != bundle.Helm || m.Archive.Digest != sampleChart().Archive.Digest {
		t.Errorf("%+v, %v", m, err)
	}
	entry.ArtifactType = bundle.MediaTypeCompose
	if _, err := bundle.ParseComponent(entry, chart); !reason.Is(err, reason.Malformed) {
		t.Errorf("a chart that is listed as a Compose component: %v", err)
	}
}
