package pack_test

import (
	"bytes"
	"context"
	"encoding/json"
	"os"
	"strings"
	"testing"

	"github.com/consign-dev/consign/internal/bundle"
	"github.com/consign-dev/consign/internal/chartfile"
	"github.com/consign-dev/consign/internal/pack"
	"github.com/consign-dev/consign/internal/reason"
)

const chartProfile = `  - type: helm
    id: charts
    components:
      - name: web-chart
        properties:
          repository: oci://registry.example.com/charts/web-chart
          revision: 1.4.0
parameters:
  replicas:
    value: 2
    targets:
      - pointer: replicas
        components: ["web-chart"]
  free:
    targets:
      - pointer: free
        components: ["web-chart"]
`

// withChart is the sample with a Helm profile beside its Compose one.
func withChart(t *testing.T) *source {
	s := newSource(t).withLocalImage()
	s.replace("margo.yaml", "parameters:\n", chartProfile)
	s.write("components/web-chart/Chart.yaml", "apiVersion: v2\nname: web-chart\nversion: 1.4.0\n")
	s.write("components/web-chart/templates/web.yaml", "kind: Pod\n")
	return s
}

// naming is what the applier answers about the images of a chart. What it was
// asked is kept.
type naming struct {
	images []string
	values map[string]json.RawMessage
	chart  []byte
}

func (n *naming) options(o *pack.Options) {
	o.ChartImages = func(_ context.Context, chart []byte, values map[string]json.RawMessage) ([]string, error) {
		n.chart, n.values = chart, values
		return n.images, nil
	}
}

// TestChartsInEveryForm: the source of a chart, what helm package makes, and what
// somebody has pushed are one component.
func TestChartsInEveryForm(t *testing.T) {
	n := &naming{images: []string{"acme/web:1.0"}}
	s := withChart(t)
	r, out := s.mustPack(n.options)
	checkClosed(t, out, r.Descriptor)
	chart, _ := r.Bundle.Component("web-chart")
	if chart.Manifest.ArtifactType != bundle.MediaTypeHelm {
		t.Errorf("%+v", chart)
	}
	if len(r.Bundle.Images) != 1 || imageOf(t, r, "acme/web:1.0").Reference == "" {
		t.Errorf("images %+v", r.Bundle.Images)
	}
	// A parameter without a default is left to the chart, one with a default keeps its type.
	if len(n.values) != 1 || string(n.values["replicas"]) != "2" {
		t.Errorf("asked with %s", n.values)
	}
	if read, err := chartfile.Read(n.chart); err != nil || read.Name != "web-chart" {
		t.Errorf("asked about %+v, %v", read, err)
	}

	file := withChart(t)
	file.write("components/web-chart.tgz", string(n.chart))
	_ = os.RemoveAll(file.path("components/web-chart"))
	again, _ := file.mustPack(n.options)
	if again.Descriptor.Digest != r.Descriptor.Digest {
		t.Error("the archive of a chart makes another bundle than its source")
	}

	repository := registry(t) + "/charts/web-chart"
	push(t, out, chart.Manifest, repository, "1.4.0")
	remote := withChart(t)
	_ = os.RemoveAll(remote.path("components/web-chart"))
	remote.replace("margo.yaml", "registry.example.com/charts/web-chart", repository)
	pulled, to := remote.mustPack(n.options)
	checkClosed(t, to, pulled.Descriptor)
	if got, _ := pulled.Bundle.Component("web-chart"); got.Manifest.Digest != chart.Manifest.Digest || got.Manifest.ArtifactType != bundle.MediaTypeHelm {
		t.Errorf("pulled %+v, pushed %+v", got, chart)
	}
	if !strings.Contains(remote.lock(), chart.Manifest.Digest.String()) {
		t.Errorf("lock %s", remote.lock())
	}
}

func TestChartThatIsRefused(t *testing.T) {
	for name, c := range map[string]struct {
		change func(*source)
		images []string
		code   reason.Code
		text   string
	}{
		"another name": {func(s *source) {
			s.write("components/web-chart/Chart.yaml", "apiVersion: v2\nname: web\nversion: 1.4.0\n")
		}, nil, reason.Malformed, "has the name of its chart"},
		"another version": {func(s *source) {
			s.write("components/web-chart/Chart.yaml", "apiVersion: v2\nname: web-chart\nversion: 1.4.1\n")
		}, nil, reason.Malformed, "version 1.4.1"},
		"no chart": {func(s *source) {
			_ = os.Remove(s.path("components/web-chart/Chart.yaml"))
		}, nil, "", "Chart.yaml"},
		"an archive that is none": {func(s *source) {
			_ = os.RemoveAll(s.path("components/web-chart"))
			s.write("components/web-chart.tgz", "hello")
		}, nil, reason.Archive, "components/web-chart.tgz"},
		"an image that is not there": {func(*source) {}, []string{"registry.invalid/gone:1"}, reason.Unreachable, "registry.invalid/gone:1"},
		"one name in two profiles": {func(s *source) {
			s.replace("margo.yaml", "- name: web-chart", "- name: web")
			s.replace("margo.yaml", `components: ["web-chart"]`, `components: ["web"]`)
		}, nil, reason.Malformed, "another type"},
	} {
		t.Run(name, func(t *testing.T) {
			s := withChart(t)
			c.change(s)
			n := &naming{images: c.images}
			_, _, err := s.pack(n.options)
			if c.code == "" {
				wantError(t, err, c.text)
				return
			}
			wantRefusal(t, err, c.code, c.text)
		})
	}
	_, _, err := withChart(t).pack(nil)
	wantError(t, err, "applier-helm")
}

// TestChartOfHelmItself: a chart that helm push put into a registry is taken with
// its signature, and stays what it is.
func TestChartOfHelmItself(t *testing.T) {
	n := &naming{images: []string{"acme/web:1.0"}}
	r, out := withChart(t).mustPack(n.options)
	chart, _ := r.Bundle.Component("web-chart")
	data, err := out.Bytes(chart.Manifest, bundle.MaxManifestBytes)
	if err != nil {
		t.Fatal(err)
	}
	prov, err := out.PutBytes(bundle.MediaTypeChartProvenance, []byte("-----BEGIN PGP SIGNED MESSAGE-----\n"))
	if err != nil {
		t.Fatal(err)
	}
	layer, _ := json.Marshal(prov)
	data = bytes.Replace(data, []byte(`"layers":[`), append(append([]byte(`"layers":[`), layer...), ','), 1)
	data = bytes.Replace(data, []byte(`"annotations":{`), []byte(`"annotations":{"org.opencontainers.image.created":"2026-01-01T00:00:00Z",`), 1)
	signed, err := out.PutBytes(chart.Manifest.MediaType, data)
	if err != nil {
		t.Fatal(err)
	}
	repository := registry(t) + "/charts/web-chart"
	push(t, out, signed, repository, "1.4.0")
	s := withChart(t)
	_ = os.RemoveAll(s.path("components/web-chart"))
	s.replace("margo.yaml", "registry.example.com/charts/web-chart", repository)
	got, to := s.mustPack(n.options)
	checkClosed(t, to, got.Descriptor)
	if c, _ := got.Bundle.Component("web-chart"); c.Manifest.Digest != signed.Digest || !to.Has(prov) {
		t.Errorf("%+v, want %s with its provenance", c, signed.Digest)
	}
}
