package helm

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"encoding/json"
	"maps"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/rogpeppe/go-internal/txtar"

	"github.com/consign-dev/consign/internal/apply/task"
	"github.com/consign-dev/consign/policy"
)

// files are those of a chart, by name below its directory.
type files map[string]string

// pack makes the archive that helm package makes. Files below a directory that
// is called x.tgz become that archive.
func pack(t testing.TB, chart files) []byte {
	t.Helper()
	plain, packed := files{}, map[string]files{}
	for name, body := range chart {
		if dir, rest, ok := strings.Cut(name, ".tgz/"); ok {
			if packed[dir+".tgz"] == nil {
				packed[dir+".tgz"] = files{}
			}
			packed[dir+".tgz"][rest] = body
			continue
		}
		plain[name] = body
	}
	for name, inner := range packed {
		plain[name] = string(pack(t, inner))
	}
	var buf bytes.Buffer
	zw := gzip.NewWriter(&buf)
	tw := tar.NewWriter(zw)
	for _, name := range slices.Sorted(maps.Keys(plain)) {
		body := plain[name]
		if err := tw.WriteHeader(&tar.Header{Name: "chart/" + name, Typeflag: tar.TypeReg, Mode: 0o644, Size: int64(len(body))}); err != nil {
			t.Fatal(err)
		}
		if _, err := tw.Write([]byte(body)); err != nil {
			t.Fatal(err)
		}
	}
	if err := tw.Close(); err != nil {
		t.Fatal(err)
	}
	if err := zw.Close(); err != nil {
		t.Fatal(err)
	}
	return buf.Bytes()
}

// chartOf reads a chart of testdata/charts.
func chartOf(t testing.TB, name string) files {
	t.Helper()
	archive, err := txtar.ParseFile(filepath.Join("testdata", "charts", name+".txtar"))
	if err != nil {
		t.Fatal(err)
	}
	chart := files{}
	for _, f := range archive.Files {
		chart[f.Name] = string(f.Data)
	}
	return chart
}

// with returns the chart with some files replaced; an empty text takes one away.
func (f files) with(pairs ...string) files {
	out := maps.Clone(f)
	for i := 0; i < len(pairs); i += 2 {
		if pairs[i+1] == "" {
			delete(out, pairs[i])
			continue
		}
		out[pairs[i]] = pairs[i+1]
	}
	return out
}

const chartYAML = "apiVersion: v2\nname: small\nversion: 1.0.0\n"

// small is a chart with one template.
func small(template string) files {
	return files{"Chart.yaml": chartYAML, "templates/all.yaml": template}
}

const pin = "127.0.0.1:5000/c@sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"

func pinOf(digit string) string {
	return "127.0.0.1:5000/c@sha256:" + strings.Repeat(digit, 64)
}

func input(t testing.TB, chart files) task.ChartInput {
	t.Helper()
	return task.ChartInput{
		Chart: pack(t, chart), Release: "r", Namespace: "ns", Values: map[string]json.RawMessage{},
		Images: map[string]string{
			"registry.example.com/db:17": pinOf("1"), "registry.example.com/cache:1": pinOf("2"), "registry.example.com/wait:1": pinOf("3"),
			"registry.example.com/server:2@sha256:" + strings.Repeat("a", 64): pinOf("4"), "docker.io/library/operator:latest": pinOf("5"),
			"quay.io/x/worker:1": pinOf("6"), "app:1": pin,
		},
		Labels:       map[string]string{task.LabelDeployment: "d-1"},
		Annotations:  map[string]string{task.AnnotationComponent: "main"},
		Limits:       policy.Limits{}.Defaults(),
		Capabilities: task.Capabilities{KubeVersion: "v1.37.2", APIVersions: []string{"v1", "apps/v1", "apps/v1/Deployment"}},
	}
}

func set(in task.ChartInput, pairs ...string) task.ChartInput {
	in.Values = maps.Clone(in.Values)
	for i := 0; i < len(pairs); i += 2 {
		in.Values[pairs[i]] = json.RawMessage(pairs[i+1])
	}
	return in
}

func mustRender(t testing.TB, in task.ChartInput) (task.ChartResult, task.ChartRender) {
	t.Helper()
	out, err := Render(t.Context(), in)
	if err != nil {
		t.Fatal(err)
	}
	var render task.ChartRender
	if err := json.Unmarshal(out.Render, &render); err != nil {
		t.Fatal(err)
	}
	return out, render
}

// get returns a part of an object of a render by keys and indexes.
func get(t testing.TB, render task.ChartRender, id string, path ...string) any {
	t.Helper()
	for _, data := range render.Objects {
		var raw map[string]any
		if err := json.Unmarshal(data, &raw); err != nil {
			t.Fatal(err)
		}
		o, err := newObject("render", raw)
		if err != nil {
			t.Fatal(err)
		}
		if o.id() != id {
			continue
		}
		var v any = raw
		for _, token := range path {
			v = child(v, token)
		}
		return v
	}
	t.Fatalf("render has no %s", id)
	return nil
}
