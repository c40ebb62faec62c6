package cluster

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"

	"github.com/opencontainers/go-digest"
	"helm.sh/helm/v3/pkg/release"

	"github.com/consign-dev/consign/internal/apply/task"
	"github.com/consign-dev/consign/internal/reason"
)

// of is whose objects the tests of this file render.
var of = owner{"web", "press", "d-1"}

// rendering is a render of objects, in JSON.
func rendering(t testing.TB, objects ...string) []byte {
	t.Helper()
	r := task.ChartRender{Release: of.release, Namespace: of.namespace, Chart: task.ChartID{Name: "web", Version: "1.0.0"}, Values: map[string]any{}}
	for _, o := range objects {
		r.Objects = append(r.Objects, json.RawMessage(o))
	}
	out, err := json.Marshal(r)
	if err != nil {
		t.Fatal(err)
	}
	return out
}

// settings is a ConfigMap with one datum.
func settings(t testing.TB, name, key, value string) string {
	t.Helper()
	out, err := json.Marshal(map[string]any{
		"apiVersion": "v1", "kind": "ConfigMap", "data": map[string]string{key: value},
		"metadata": map[string]any{"name": name, "namespace": of.namespace, "labels": map[string]string{task.LabelDeployment: of.deployment}},
	})
	if err != nil {
		t.Fatal(err)
	}
	return string(out)
}

func proved(t testing.TB, data []byte) (*render, error) {
	t.Helper()
	r, err := readRender(data, digest.FromBytes(data), of)
	if err != nil {
		t.Fatal(err)
	}
	return r, r.prove()
}

// hostile are texts that mean something else to a template engine or to a parser of
// YAML.
var hostile = []string{
	"{{ .Values.x }}", "{{", "}}", "{{{{", "{{{", "{{- /* */ -}}", "a {{ define \"x\" }}", `\{{`, `{\u007b`,
	"---", "\n---\n", "\n---\nkind: Secret\n", "# Source: web/templates/000.json", "...", "\n...\n", "%YAML 1.2", "- a", "? a", ": b", "a: b", "*a", "&a b", "!!int 1", "<<",
	"no", "yes", "on", "y", "n", "null", "~", "true", "0755", "0o755", "0x1f", "0b1", "1_000", "1e3", ".inf", ".nan", "-.inf", "190:20:30", "2026-11-26", "2026-11-26T14:00:00Z", "=",
	"", " ", "\t", "\r\n", "\r", "a\u0085b", "\u0080\u009f", "a\u2028b\u2029c", "\u007f", "\ufeff", "a\ufeffb", "\ufffe\uffff", "\u0000", "\u001b", "\U0001f600", "\U0001fffe", "\ufffd", "\u00a0",
	`"`, `'`, `\`, `\\`, `\u0000`, "`", "|", ">", "|-\n a", "#", " #", "a #b", "@", "%", strings.Repeat("{", 1000), strings.Repeat("long ", 100_000),
}

// Attack A8: what Helm makes of a render, and a parser of YAML of that, is the render.
func TestAttackA8WhatHelmMakesOfAChartIsTheRender(t *testing.T) {
	var all []string
	for i, text := range hostile {
		all = append(all, settings(t, fmt.Sprint("value-", i), "text", text))
		if len(text) < 500 {
			all = append(all, settings(t, fmt.Sprint("key-", i), text+"x", "text"), settings(t, fmt.Sprint("bare-", i), text, ""))
		}
	}
	all = append(all, `{"apiVersion":"x.example/v1","kind":"Numbers","metadata":{"name":"n","labels":{"`+task.LabelDeployment+`":"d-1"}},`+
		`"spec":[0,-0,1,1.5,1e+21,9223372036854775807,-9223372036854775808,18446744073709551616,0.1,1e-7,true,false,null,{},[],{"no":1,"1":2,"~":3,"<<":{"a":1}}]}`)
	r, err := proved(t, rendering(t, all...))
	if err != nil {
		t.Fatal(err)
	}
	if strings.Contains(r.manifest, "{{") {
		t.Error("what a template engine would take for an action was left")
	}
}

// What a parser of YAML would read differently is refused before anything is changed.
func TestALiteralThatIsNotTheRenderIsRefused(t *testing.T) {
	for name, object := range map[string]string{
		"a key of more than 1024 bytes": settings(t, "long", strings.Repeat("k", 1100), "text"),
		"a pair of surrogates, escaped": strings.Replace(settings(t, "pair", "a", "FACE"), "FACE", `\ud83d\ude00`, 1),
	} {
		if _, err := proved(t, rendering(t, object)); !reason.Is(err, reason.Internal) {
			t.Errorf("%s: got %v", name, err)
		}
	}
}

func TestAttackA8ProofOfALiteral(t *testing.T) {
	one, two := settings(t, "one", "a", "b"), settings(t, "two", "a", "b")
	r, err := proved(t, rendering(t, one, two))
	if err != nil {
		t.Fatal(err)
	}
	for name, made := range map[string]release.Release{
		"one is missing":    {Manifest: one},
		"one is twice":      {Manifest: one + "\n---\n" + one},
		"one is another":    {Manifest: one + "\n---\n" + strings.Replace(two, `"b"`, `"c"`, 1)},
		"one is more":       {Manifest: r.manifest + "\n---\n" + settings(t, "three", "a", "b")},
		"one is no object":  {Manifest: one + "\n---\n[]"},
		"one is not YAML":   {Manifest: one + "\n---\n{"},
		"a text is a truth": {Manifest: one + "\n---\n" + strings.Replace(two, `"b"`, `no`, 1)},
		"there is a hook":   {Manifest: r.manifest, Hooks: []*release.Hook{{}}},
	} {
		if err := proveLiteral(r, &made); !reason.Is(err, reason.Internal) {
			t.Errorf("%s: got %v", name, err)
		}
	}
}

func FuzzLiteral(f *testing.F) {
	for _, text := range hostile {
		f.Add(text, text)
	}
	f.Fuzz(func(t *testing.T, key, value string) {
		if len(key) > 900 {
			return // of a key, YAML reads 1024 bytes, escaped
		}
		data := rendering(t, settings(t, "one", key, value), settings(t, "two", value[:min(len(value), 100)], key))
		r, err := readRender(data, digest.FromBytes(data), of)
		if err != nil {
			return
		}
		if err := r.prove(); err != nil && len(fmt.Sprintf("%+q", key)) < 1000 {
			t.Fatalf("%q %q: %v", key, value, err)
		}
	})
}
