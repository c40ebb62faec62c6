package helm

import (
	"bytes"
	"fmt"
	"testing"

	"helm.sh/helm/v3/pkg/chart/loader"
	"helm.sh/helm/v3/pkg/chartutil"
	"helm.sh/helm/v3/pkg/engine"
	"helm.sh/helm/v3/pkg/releaseutil"

	"github.com/consign-dev/consign/internal/apply/sandbox"
	"github.com/consign-dev/consign/policy"
)

// midSize is a chart of sixty objects with the helpers that charts have.
func midSize() files {
	chart := files{"Chart.yaml": chartYAML, "values.yaml": "replicas: 2\nimage: app\ntag: '1'\nlabels: {a: b, c: d}\n"}
	chart["templates/_helpers.tpl"] = `{{- define "name" -}}{{ printf "%s-%s" .Release.Name .Chart.Name | trunc 50 | trimSuffix "-" }}{{- end -}}
{{- define "labels" }}
app.kubernetes.io/name: {{ .Chart.Name }}
app.kubernetes.io/instance: {{ .Release.Name }}
app.kubernetes.io/version: {{ .Chart.Version | quote }}
{{- range $k, $v := .Values.labels }}
{{ $k }}: {{ $v | quote }}
{{- end }}
{{- end }}`
	for i := range 20 {
		chart[fmt.Sprintf("templates/part%d.yaml", i)] = fmt.Sprintf(`apiVersion: apps/v1
kind: Deployment
metadata:
  name: {{ include "name" . }}-%[1]d
  labels: {{- include "labels" . | nindent 4 }}
spec:
  replicas: {{ .Values.replicas }}
  selector: {matchLabels: {app: "{{ include "name" . }}-%[1]d"}}
  template:
    metadata:
      labels: {{- include "labels" . | nindent 8 }}
        app: "{{ include "name" . }}-%[1]d"
      annotations: {checksum/config: {{ .Values.labels | toYaml | sha256sum }}}
    spec:
      containers:
        - name: app
          image: {{ .Values.image }}:{{ .Values.tag }}
          env: [{{ range until 12 }}{name: "V{{ . }}", value: "{{ . }}"}, {{ end }}{name: LAST, value: x}]
          ports: [{containerPort: 80}]
          readinessProbe: {httpGet: {path: /, port: 80}}
---
apiVersion: v1
kind: Service
metadata:
  name: {{ include "name" . }}-%[1]d
  labels: {{- include "labels" . | nindent 4 }}
spec: {ports: [{port: 80}], selector: {app: "{{ include "name" . }}-%[1]d"}}
---
apiVersion: v1
kind: ConfigMap
metadata: {name: "{{ include "name" . }}-%[1]d"}
data:
  conf: |
    {{- range until 40 }}
    setting{{ . }} = {{ $.Values.image | upper }}
    {{- end }}
`, i)
	}
	return chart
}

func BenchmarkRender(b *testing.B) {
	sandbox.Collect()
	in := input(b, midSize())
	b.ReportAllocs()
	for b.Loop() {
		if _, err := Render(b.Context(), in); err != nil {
			b.Fatal(err)
		}
	}
}

// BenchmarkRenderAndCheck is a render with what the policy's checker does with it.
func BenchmarkRenderAndCheck(b *testing.B) {
	sandbox.Collect()
	in := input(b, midSize())
	out, err := Render(b.Context(), in)
	if err != nil {
		b.Fatal(err)
	}
	p, err := policy.Grants{}.ProposeKubernetes(out.Render)
	if err != nil || len(p.Never) > 0 {
		b.Fatal(p, err)
	}
	b.ReportAllocs()
	for b.Loop() {
		out, err := Render(b.Context(), in)
		if err != nil {
			b.Fatal(err)
		}
		if err := p.Grants.CheckKubernetes(out.Render); err != nil {
			b.Fatal(err)
		}
	}
}

// BenchmarkTemplateTwice is what Helm itself does for "helm template", twice: it
// loads the archive, computes the values, runs the engine and sorts what comes out,
// which reads the head of every document as YAML. (The command also starts a program
// of 87 MB and prints.)
func BenchmarkTemplateTwice(b *testing.B) {
	sandbox.Collect()
	archive := pack(b, midSize())
	b.ReportAllocs()
	for b.Loop() {
		for range 2 {
			if err := template(archive); err != nil {
				b.Fatal(err)
			}
		}
	}
}

func template(archive []byte) error {
	c, err := loader.LoadArchive(bytes.NewReader(archive))
	if err != nil {
		return err
	}
	if err := chartutil.ProcessDependenciesWithMerge(c, map[string]any{}); err != nil {
		return err
	}
	top, err := chartutil.ToRenderValues(c, map[string]any{}, chartutil.ReleaseOptions{Name: "r", Namespace: "ns"}, nil)
	if err != nil {
		return err
	}
	files, err := engine.Render(c, top)
	if err != nil {
		return err
	}
	_, _, err = releaseutil.SortManifests(files, nil, releaseutil.InstallOrder)
	return err
}

// BenchmarkEngineTwice is Helm's engine alone, which a chart that is rendered twice
// cannot do without, and the measure of the others: engine.Render of a chart that is
// loaded, with values that are computed. It parses and runs the templates; what comes
// out is text, of which nothing is read.
func BenchmarkEngineTwice(b *testing.B) {
	sandbox.Collect()
	s, err := open(imagesInput(input(b, midSize())))
	if err != nil {
		b.Fatal(err)
	}
	b.ReportAllocs()
	for b.Loop() {
		for range 2 {
			if _, err := engine.Render(s.chart, s.top); err != nil {
				b.Fatal(err)
			}
		}
	}
}
