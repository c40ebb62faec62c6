package apply

import (
	"bytes"
	"encoding/json"
	"os/exec"
	"slices"
	"strings"
	"testing"

	"github.com/opencontainers/go-digest"

	"github.com/consign-dev/consign/internal/apply/task"
	"github.com/consign-dev/consign/internal/reason"
	"github.com/consign-dev/consign/policy"
)

func chartInput(t testing.TB, template string) task.ChartInput {
	return task.ChartInput{
		Chart: archived(t, map[string]string{
			"Chart.yaml": "apiVersion: v2\nname: app\nversion: 1.0.0\n", "values.yaml": "zone: ''\n", "templates/all.yaml": template,
		}),
		Release: "demo", Namespace: "demo", Values: map[string]json.RawMessage{"zone": json.RawMessage(`"{{ .Release.Name }}"`)},
		Images: map[string]string{"app:1": pinnedImage}, Labels: map[string]string{task.LabelDeployment: "d"}, Annotations: map[string]string{},
		Limits: policy.Limits{}.Defaults(), Capabilities: task.Capabilities{KubeVersion: "v1.37.2", APIVersions: []string{"v1"}},
	}
}

const chartPod = `apiVersion: v1
kind: Pod
metadata: {name: web}
spec: {containers: [{name: web, image: "app:1", env: [{name: ZONE, value: {{ .Values.zone | quote }}}, {name: AT, value: {{ dateInZone "MST" now "Local" }}}]}]}
`

func TestChartsAreRenderedByTheProgram(t *testing.T) {
	t.Setenv("TZ", "Asia/Tokyo")
	p := applier(t, "applier-helm")
	in := chartInput(t, chartPod)
	out, err := p.renderChart(t.Context(), in)
	if err != nil {
		t.Fatal(err)
	}
	if out.Digest != digest.FromBytes(out.Render) || !slices.Equal(out.Images, []string{pinnedImage}) || len(out.Volatile) != 0 {
		t.Errorf("result %+v", out)
	}
	for _, want := range []string{`"value":"{{ .Release.Name }}"`, `"value":"UTC"`, `"image":"` + pinnedImage} {
		if !strings.Contains(string(out.Render), want) {
			t.Errorf("render lacks %s:\n%s", want, out.Render)
		}
	}
	again, err := p.renderChart(t.Context(), in)
	if err != nil || !bytes.Equal(again.Render, out.Render) {
		t.Errorf("rendering twice gives other bytes (%v)", err)
	}
	images, err := p.chartImages(t.Context(), task.ChartImagesInput{
		Chart: in.Chart, Release: in.Release, Namespace: in.Namespace, Values: in.Values, Capabilities: in.Capabilities,
	})
	if err != nil || !slices.Equal(images.Images, []string{"docker.io/library/app:1"}) {
		t.Errorf("images %+v, %v", images, err)
	}
	in.Images = nil
	if _, err := p.renderChart(t.Context(), in); !reason.Is(err, reason.ImageUnpinned) || !strings.Contains(err.Error(), `"app:1"`) {
		t.Errorf("a refusal arrived as %v", err)
	}
	if out, err := exec.Command(p.path, "images").CombinedOutput(); err != nil || !strings.Contains(string(out), "not started in namespaces of its own") {
		t.Errorf("started by hand: %v, %s", err, out)
	}
	// What a template makes without end ends the program, by its limits, and not us.
	if _, err := p.renderChart(t.Context(), chartInput(t, `{{ $x := "0123456789" }}{{ range until 40 }}{{ $x = printf "%s%s" $x $x }}{{ end }}{{ $x }}`)); !reason.Is(err, reason.Render) {
		t.Errorf("a bomb: %v", err)
	}
}

// A publisher may have the one applier and not the other.
func TestAnApplierThatIsNotThere(t *testing.T) {
	if _, err := (*Program)(nil).renderChart(t.Context(), task.ChartInput{}); err == nil || !strings.Contains(err.Error(), "applier-helm") {
		t.Errorf("%v", err)
	}
}

func BenchmarkRenderChartByTheProgram(b *testing.B) {
	p := applier(b, "applier-helm")
	in := chartInput(b, chartPod)
	b.ResetTimer()
	for b.Loop() {
		if _, err := p.renderChart(b.Context(), in); err != nil {
			b.Fatal(err)
		}
	}
}
