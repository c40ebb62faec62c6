package helm

import (
	"bytes"
	"encoding/json"
	"io"
	"maps"
	"reflect"
	"slices"
	"sort"
	"strings"
	"testing"

	"helm.sh/helm/v3/pkg/releaseutil"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/util/yaml"
	k8syaml "sigs.k8s.io/yaml"

	"github.com/consign-dev/consign/internal/reason"
)

// kubectl's way: the reader and the decoder that its resource builder uses.
func kubectls(t *testing.T, text string) []map[string]any {
	t.Helper()
	var list []map[string]any
	dec := yaml.NewYAMLOrJSONDecoder(strings.NewReader(text), 4096)
	for {
		var raw json.RawMessage
		var o unstructured.Unstructured
		switch err := dec.Decode(&raw); {
		case err == io.EOF:
			return list
		case err != nil:
			t.Fatal(err)
		}
		if raw = bytes.TrimSpace(raw); len(raw) == 0 || string(raw) == "null" {
			continue
		}
		if err := o.UnmarshalJSON(raw); err != nil {
			t.Fatal(err)
		}
		list = append(list, o.Object)
	}
}

// Attack A8: what is checked is what kubectl would have applied, whatever YAML
// takes a spelling for.
func TestScalarsAreWhatKubectlReads(t *testing.T) {
	var data strings.Builder
	for _, s := range []string{
		"no", "yes", "on", "Off", "y", "N", "true", "TRUE", "~", "null", "0777", "0o777", "0x1F", "0b11", "1_000", "+1", "-0", "1.", ".5", "1e3",
		"1.0", "1000000.0", "12:30:45", "2024-01-01", "2024-01-01T00:00:00Z", "9223372036854775807", "18446744073709551615", "1e20", "0.1",
		"'no'", `"\u00e9"`, "!!str 1", "!!int '3'", "!!binary aGk=", "=", "<<", "a#b", "{}", "[]", "|\n    x\n    y", ">-\n    x\n    y",
	} {
		data.WriteString("- " + strings.ReplaceAll(s, "\n", "\n  ") + "\n")
	}
	text := "apiVersion: v1\nkind: X\nmetadata: {name: x}\nbase: &b {on: 1, 8080: 2, no: 3}\nmerged: {<<: *b, c: 1}\nlist:\n" + data.String()
	text = strings.Replace(strings.Replace(text, "- ~\n", "", 1), "- null\n", "", 1)
	raw, err := parseDocument(text)
	if err != nil {
		t.Fatal(err)
	}
	encoded, err := json.Marshal(raw)
	if err != nil {
		t.Fatal(err)
	}
	var got unstructured.Unstructured
	if err := got.UnmarshalJSON(encoded); err != nil {
		t.Fatal(err)
	}
	if want := kubectls(t, text); len(want) != 1 || !reflect.DeepEqual(got.Object, want[0]) {
		t.Errorf("we read %v\nkubectl  %v", got.Object, want)
	}
}

func TestNullMeansAbsent(t *testing.T) {
	raw, err := parseDocument("apiVersion: v1\nkind: X\nmetadata: {name: x, labels: , annotations: ~}\nspec: {a: null, b: {c: }}\n")
	if err != nil {
		t.Fatal(err)
	}
	if got, _ := json.Marshal(raw); string(got) != `{"apiVersion":"v1","kind":"X","metadata":{"name":"x"},"spec":{"b":{}}}` {
		t.Errorf("got %s", got)
	}
}

func TestKeysThatBecomeOne(t *testing.T) {
	for _, text := range []string{"a: 1\na: 2", "1: a\n'1': b", "true: a\n'true': b", "on: a\nyes: b", "1: ~\n'1': b",
		"!!binary aGk=: a\nhi: b", ".5: a\n'0.5': b"} {
		if raw, err := parseDocument(text); !reason.Is(err, reason.Render) {
			t.Errorf("%q: %v, %v", text, raw, err)
		}
	}
}

// helms is Helm's way to split a file.
func helms(text string) []string {
	split := releaseutil.SplitManifests(text)
	names := slices.Collect(maps.Keys(split))
	sort.Sort(releaseutil.BySplitManifestsOrder(names))
	var list []string
	for _, name := range names {
		list = append(list, split[name])
	}
	return list
}

func FuzzDocuments(f *testing.F) {
	for _, text := range []string{
		"", "---", "---\n---", "a\n---\nb", "a\n ---\nb", " \n---a\n\n---  \nb\n---", "--- ---\n---", "----\n----", "a---\n---\t\n\v\n---\nb",
		"\u0085\n---\n\u00a0\n---\nx", "a\r\n---\r\nb\r---\r", "---\n\n---\n\n---x",
	} {
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, text string) {
		if got, want := slices.Collect(documents(text)), helms(text); !slices.Equal(got, want) {
			t.Errorf("%q: split as %q, by Helm as %q", text, got, want)
		}
	})
}

// What we make of a document is what kubectl and Helm make of it, but for keys that
// become one, of which they take either, and for what Kubernetes would refuse.
func FuzzParseDocument(f *testing.F) {
	f.Add("a: {<<: {b: 1}, 2: c, 0.1: d, true: ~}\ne: [1, 0x10, 1_0, .5, 1e3, 18446744073709551615, -9223372036854775808]")
	f.Add("a: !!binary //8=\n!!binary /w==: b\nc: !!float 3\nd: 2001-01-01\ne: \"\\ud83d\\ude00 \\u2028<&>\"")
	f.Add("? .inf\n: 1\n? -.inf\n: 2\n? 1e30\n: 3\n? 0x7fffffffffffffff\n: 4\n? null\n: 5\n")
	f.Add("a: .nan")
	f.Fuzz(func(t *testing.T, text string) {
		got, err := parseDocument(text)
		if err != nil {
			return
		}
		data, err := k8syaml.YAMLToJSONStrict([]byte(text))
		if err != nil {
			t.Fatalf("%q is %v, and is refused by the library: %v", text, got, err)
		}
		var want map[string]any
		dec := json.NewDecoder(bytes.NewReader(data))
		dec.UseNumber()
		if err := dec.Decode(&want); err != nil {
			t.Fatal(err)
		}
		if deleteNull(want); !reflect.DeepEqual(got, want) {
			t.Errorf("%q is %v, by the library %v", text, got, want)
		}
	})
}

func deleteNull(v any) {
	switch v := v.(type) {
	case map[string]any:
		maps.DeleteFunc(v, func(_ string, child any) bool { return child == nil })
		for _, child := range v {
			deleteNull(child)
		}
	case []any:
		for _, child := range v {
			deleteNull(child)
		}
	}
}

// What is read is an object that stays the same when it is written and read
// again, and that kubectl reads as the same one.
func FuzzParseFile(f *testing.F) {
	f.Add(configMap + "---\n# nothing\n---\n" + pod("{containers: [{name: a, image: 'a:1'}]}"))
	f.Add("apiVersion: v1\nkind: X\nmetadata: &m {name: a}\nx: *m\ny: {<<: *m}\n")
	f.Add("apiVersion: v1\nkind: X\nmetadata: {name: a}\nx: !!binary aGk=\ny: 0777\nz: 1e3\n...\n")
	f.Add("\ufeffapiVersion: v1\r\nkind: X\r\nmetadata: {name: a, annotations: {helm.sh/hook: test}}\r\n")
	f.Fuzz(func(t *testing.T, text string) {
		list, err := parseFile("f", text)
		if err != nil {
			if code := reason.Of(err); code != reason.Render && code != reason.TooLarge {
				t.Errorf("refused as %q: %v", code, err)
			}
			return
		}
		for _, o := range list {
			data, err := json.Marshal(o.raw)
			if err != nil {
				t.Fatal(err)
			}
			var raw map[string]any
			dec := json.NewDecoder(bytes.NewReader(data))
			dec.UseNumber()
			if err := dec.Decode(&raw); err != nil || !reflect.DeepEqual(raw, o.raw) {
				t.Errorf("%s reads back as %v (%v)", data, raw, err)
			}
			if again, err := newObject("f", raw); err != nil || again.id() != o.id() {
				t.Errorf("%s is refused when it is read back: %v", data, err)
			}
			if _, _, err := withoutTests([]*object{o}); err != nil && !reason.Is(err, reason.Render) {
				t.Errorf("refused as %v", err)
			}
		}
	})
}
