package margo_test

import (
	"strings"
	"testing"

	"github.com/consign-dev/consign/internal/margo"
)

const chartPackage = `apiVersion: v1
id: hello
metadata:
  name: Hello
  version: 1.0.0
  catalog:
    organization:
      - name: Acme
        site: https://acme.example
deploymentProfiles:
  - type: helm
    id: hello-helm
    components:
      - name: hello
        properties:
          repository: oci://registry.example/hello/hello
          revision: 1.0.0
parameters:
  port: {value: 8080, targets: [{pointer: service.port, components: [hello]}]}
  ratio: {value: 0.5, targets: [{pointer: tuning.ratio, components: [hello]}]}
  name: {value: "line", targets: [{pointer: names.site, components: [hello]}]}
  free: {targets: [{pointer: free, components: [hello]}]}
  list: {value: [a, b], targets: [{pointer: hosts, components: [hello]}]}
  version: {targets: [{pointer: image.version, components: [hello]}]}
configuration:
  sections:
    - name: all
      settings:
        - {parameter: version, name: Version, schema: text}
        - {parameter: port, name: Port, schema: port}
  schema:
    - {name: text, dataType: string, allowEmpty: true}
    - {name: port, dataType: integer}
`

// TestChartValuesKeepTheirType: a number stays a number, a text stays a text, and
// what nothing describes is read as --set reads it.
func TestChartValuesKeepTheirType(t *testing.T) {
	desc, err := margo.ParseDescription([]byte(chartPackage))
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		parameter string
		value     any
		pointer   string
		want      string
	}{
		{"port", int64(9090), "service.port", "9090"},
		{"port", "9090", "service.port", "9090"},
		{"ratio", int64(2), "tuning.ratio", "2"},
		{"ratio", "0.25", "tuning.ratio", "0.25"},
		{"name", "120", "names.site", `"120"`},
		{"version", "1", "image.version", `"1"`},
		{"free", "120", "free", "120"},
		{"free", "-7", "free", "-7"},
		{"free", "007", "free", `"007"`},
		{"free", "+7", "free", `"+7"`},
		{"free", "1.10", "free", `"1.10"`},
		{"free", "true", "free", "true"},
		{"free", "True", "free", `"True"`},
		{"free", "null", "free", `"null"`},
		{"free", "99999999999999999999", "free", `"99999999999999999999"`},
		{"free", int64(1000000), "free", "1000000"},
		{"list", []any{"x,y", "z"}, "hosts", `["x,y","z"]`},
	} {
		d := &margo.ApplicationDeployment{Spec: margo.DeploymentSpec{Parameters: map[string]margo.Parameter{
			c.parameter: {Value: c.value, Targets: desc.Parameters[c.parameter].Targets},
		}}}
		got, err := desc.ChartValues(d, "hello")
		if err != nil || string(got[c.pointer]) != c.want || len(got) != 1 {
			t.Errorf("%s = %v: %s, %v; want %s", c.parameter, c.value, got, err, c.want)
		}
		if other, err := desc.ChartValues(d, "another"); err != nil || len(other) != 0 {
			t.Errorf("%s reaches another component: %s, %v", c.parameter, other, err)
		}
	}
	d := &margo.ApplicationDeployment{Spec: margo.DeploymentSpec{Parameters: map[string]margo.Parameter{"port": {Value: "wide", Targets: desc.Parameters["port"].Targets}}}}
	if _, err := desc.ChartValues(d, "hello"); err == nil || !strings.Contains(err.Error(), "parameters.port") || strings.Contains(err.Error(), "wide") {
		t.Errorf("a value that does not fit: %v", err)
	}
}

// Before anybody orders it, a chart has the package's defaults, and its own where the
// package has none.
func TestChartDefaults(t *testing.T) {
	desc, err := margo.ParseDescription([]byte(chartPackage))
	if err != nil {
		t.Fatal(err)
	}
	got, err := desc.ChartDefaults("hello")
	if err != nil {
		t.Fatal(err)
	}
	want := map[string]string{"service.port": "8080", "tuning.ratio": "0.5", "names.site": `"line"`, "hosts": `["a","b"]`}
	for pointer, value := range want {
		if string(got[pointer]) != value {
			t.Errorf("%s is %s, want %s", pointer, got[pointer], value)
		}
	}
	if len(got) != len(want) {
		t.Errorf("%s", got)
	}
}
