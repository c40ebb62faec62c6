package strictyaml_test

import (
	"errors"
	"fmt"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/consign-dev/consign/internal/reason"
	"github.com/consign-dev/consign/internal/strictyaml"
)

type extras map[string]map[string]any

func (extras) CheckKey(key string) error {
	if strings.HasPrefix(key, "x-") {
		return nil
	}
	return errors.New("or a key that begins with x-")
}

type part struct {
	Cores float64  `yaml:"cores"`
	Wait  *bool    `yaml:"wait"`
	Tags  []string `yaml:"tags"`
}

type document struct {
	Name   string            `yaml:"name"`
	Count  int               `yaml:"count"`
	Parts  []part            `yaml:"parts"`
	Labels map[string]string `yaml:"labels"`
	Value  any               `yaml:"value"`
	Extra  extras            `yaml:",inline"`
}

func (document) Retired(field string) string {
	if field == "kind" {
		return "is gone since rc.2: remove it"
	}
	return ""
}

func TestUnmarshalReadsWhatFits(t *testing.T) {
	in := `# comment
name: &n line 1.4.0
count: -3
parts: [{cores: 1, wait: true, tags: [no, 1.4.0]}, {cores: 0.5, wait: }]
labels:
value: {a: ["1", 2, 3.5, null, true], when: "2024-01-01", n: *n}
x-any: {deep: [1]}
`
	var d document
	if err := strictyaml.Unmarshal([]byte(in), &d, strictyaml.Limits{}); err != nil {
		t.Fatal(err)
	}
	yes := true
	want := document{
		Name: "line 1.4.0", Count: -3,
		Parts: []part{{Cores: 1, Wait: &yes, Tags: []string{"no", "1.4.0"}}, {Cores: 0.5}},
		Value: map[string]any{"a": []any{"1", 2, 3.5, nil, true}, "when": "2024-01-01", "n": "line 1.4.0"},
		Extra: extras{"x-any": {"deep": []any{1}}},
	}
	if !reflect.DeepEqual(d, want) {
		t.Errorf("decoded %+v\nwant %+v", d, want)
	}
}

// The corpus of attacks A7 and A8.
func TestUnmarshalRefuses(t *testing.T) {
	for name, c := range map[string]struct{ in, want string }{
		"empty":             {"", "empty"},
		"comment only":      {"# nothing\n", "empty"},
		"two documents":     {"name: a\n---\nname: b\n", "second document"},
		"garbage after":     {"name: a\n---\n\tx", "line"},
		"duplicate":         {"name: a\ncount: 1\nname: b\n", `line 3: duplicate key "name", first on line 1`},
		"quoted duplicate":  {"name: a\n\"name\": b\n", `duplicate key "name"`},
		"merge key":         {"value: {<<: {a: 1}}", "merge key"},
		"custom tag":        {"name: !secret a", "tag"},
		"standard tag":      {"name: !!str 1", "tag"},
		"binary tag":        {"name: !!binary aGk=", "tag"},
		"number key":        {"value: {1: a}", "key is not text"},
		"mapping key":       {"value: {{a: 1}: b}", "key is not text"},
		"alias key":         {"name: &a x\nvalue: {*a : 1}", "key is not text"},
		"bad UTF-8":         {"name: \xff", "UTF-8"},
		"UTF-16":            {"\xff\xfen\x00", "UTF-8"},
		"unknown anchor":    {"name: *nobody", "unknown anchor"},
		"unknown field":     {"nmae: a", `line 1: unknown field "nmae", did you mean "name"?`},
		"unknown deep":      {"parts:\n  - coers: 1", `line 2: parts[0]: unknown field "coers", did you mean "cores"?`},
		"retired":           {"kind: X", "line 1: kind: is gone since rc.2"},
		"extra not mapping": {"x-any: 1", "x-any: must be a mapping"},
		"extra null":        {"x-any:", "x-any: must be a mapping"},
		"number as text":    {"name: 1.0", "name: must be text: write it in quotes"},
		"text as number":    {`count: "1"`, "count: must be a whole decimal number"},
		"octal":             {"count: 010", "count: must be a whole decimal number"},
		"text as bool":      {"parts: [{wait: yes}]", "parts[0].wait: must be true or false"},
		"quoted bool":       {`parts: [{wait: "true"}]`, "parts[0].wait: must be true or false"},
		"infinite cores":    {"parts: [{cores: .inf}]", "decimal number"},
		"null text":         {"name:", "name: must be text"},
		"list as mapping":   {"labels: [a]", "labels: must be a mapping"},
		"mapping as list":   {"parts: {a: 1}", "parts: must be a list"},
		"root list":         {"[1]", "must be a mapping"},
		"huge int":          {"count: 99999999999999999999", "line 1"},
		"control character": {"name: \x00", "control characters"},
	} {
		t.Run(name, func(t *testing.T) {
			err := strictyaml.Unmarshal([]byte(c.in), new(document), strictyaml.Limits{})
			if !reason.Is(err, reason.Malformed) || !strings.Contains(err.Error(), c.want) {
				t.Errorf("got %v, want malformed with %q", err, c.want)
			}
		})
	}
}

// Attack A8: where the type is open, only spellings that every reader takes
// for the same thing are read.
func TestOpenValuesAreUnambiguous(t *testing.T) {
	for _, v := range []string{"yes", "No", "off", "y", "0777", "0o17", "0x1F", "0b1", "1_000", "+1", "1.", ".5", ".inf", ".nan",
		"12:30:45", "1:20", "2024-01-01", "1e999", "007", "<<"} {
		if err := strictyaml.Unmarshal([]byte("value: "+v), new(document), strictyaml.Limits{}); !reason.Is(err, reason.Malformed) {
			t.Errorf("plain %s: %v", v, err)
		}
		if err := strictyaml.Unmarshal([]byte("value: '"+v+"'"), new(document), strictyaml.Limits{}); err != nil {
			t.Errorf("quoted %s: %v", v, err)
		}
	}
	for _, v := range []string{"true", "null", "0", "-12", "1.5", "1e3", "plant-1", "1.4.0", "10.0.0.1", "8m30s", "80:80"} {
		if err := strictyaml.Unmarshal([]byte("value: "+v), new(document), strictyaml.Limits{}); err != nil {
			t.Errorf("plain %s: %v", v, err)
		}
	}
}

func TestEveryProblemIsListedAtOnce(t *testing.T) {
	err := strictyaml.Unmarshal([]byte("kind: A\nnmae: b\ncount: x\n"), new(document), strictyaml.Limits{})
	for _, want := range []string{"line 1: kind", `line 2: unknown field "nmae"`, "line 3: count"} {
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%v does not say %q", err, want)
		}
	}
	many := strings.Builder{}
	for i := range 10_000 {
		fmt.Fprintf(&many, "f%d: 1\n", i)
	}
	if err := strictyaml.Unmarshal([]byte(many.String()), new(document), strictyaml.Limits{}); len(err.Error()) > 2000 {
		t.Errorf("a message of %d bytes", len(err.Error()))
	}
}

// Attack A7.
func TestBombsAreRefusedQuickly(t *testing.T) {
	laughs := "a0: &a0 [x, x, x, x, x, x, x, x, x]\n"
	for i := 1; i < 9; i++ {
		laughs += fmt.Sprintf("a%d: &a%d [%s*a%d]\n", i, i, strings.Repeat(fmt.Sprintf("*a%d, ", i-1), 8), i-1)
	}
	wide := "v: &v [" + strings.Repeat("x, ", 10_000) + "x]\nw: [*v, *v, *v, *v, *v, *v]\n"
	for name, in := range map[string]string{
		"laughs":       laughs,
		"few wide":     wide,
		"self":         "a: &a [*a]",
		"self mapping": "a: &a {b: *a}",
		"flow depth":   strings.Repeat("[", 5000) + strings.Repeat("]", 5000),
		"nodes":        "a: [" + strings.Repeat("1,", 500_000) + "1]",
		"bytes":        strings.Repeat("#\n", 1<<20),
	} {
		t.Run(name, func(t *testing.T) {
			start := time.Now()
			_, err := strictyaml.Node([]byte(in), strictyaml.Limits{})
			if !reason.Is(err, reason.TooLarge) {
				t.Errorf("got %v, want too-large", err)
			}
			if d := time.Since(start); d > 10*time.Second {
				t.Errorf("took %v", d)
			}
		})
	}
	if _, err := strictyaml.Node([]byte(strings.Repeat("[", 1<<20)), strictyaml.Limits{}); !reason.Is(err, reason.Malformed) {
		t.Errorf("a million brackets: %v", err)
	}
}

func FuzzNode(f *testing.F) {
	for _, s := range []string{"name: a", "a: &a [*a]", "<<: {a: 1}", "a: !x 1", "a: 1\n---\nb: 2", "? [a]\n: b", "a: |\n  x\n", "%YAML 1.1\n---\na: yes\n", "\"\\u0041\": 1", "- ? - ? -", "\xef\xbb\xbfa: 1", ""} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		root, err := strictyaml.Node(data, strictyaml.Limits{})
		if err != nil {
			if code := reason.Of(err); code != reason.Malformed && code != reason.TooLarge {
				t.Errorf("refused as %q: %v", code, err)
			}
			return
		}
		if root == nil {
			t.Fatal("no node and no error")
		}
		for _, out := range []any{new(document), new(map[string]any), new(string)} {
			if err := strictyaml.Unmarshal(data, out, strictyaml.Limits{}); err != nil && reason.Of(err) != reason.Malformed {
				t.Errorf("refused as %q: %v", reason.Of(err), err)
			}
		}
	})
}

func TestMarshalIsReadBack(t *testing.T) {
	for _, v := range []string{"<<", "1e999", "yes", "0777", "12:30:45", "2024-01-01", "a\nb\n", " x ", "", "~", "\u2028", "\t", "plain"} {
		in := map[string]any{"value": v, "x-any": map[string]any{v + "k": []any{v, int64(1), 1.5, true, nil}}}
		data, err := strictyaml.Marshal(in)
		if err != nil {
			t.Fatal(err)
		}
		var d document
		if err := strictyaml.Unmarshal(data, &d, strictyaml.Limits{}); err != nil {
			t.Errorf("%q: %v in\n%s", v, err, data)
		} else if d.Value != v || d.Extra["x-any"][v+"k"].([]any)[0] != v {
			t.Errorf("wrote %q, read %q and %v", v, d.Value, d.Extra)
		}
	}
}

func TestMergeKeysWhereTheyAreAllowed(t *testing.T) {
	merge := strictyaml.Limits{Merge: true}
	node, err := strictyaml.Node([]byte("x: &x {a: 1, b: 1}\ny: &y {b: 2, c: 2}\nboth: {<<: [*x, *y], c: 3}\n"), merge)
	if err != nil {
		t.Fatal(err)
	}
	var got map[string]map[string]int
	if err := node.Decode(&got); err != nil {
		t.Fatal(err)
	}
	if b := got["both"]; b["a"] != 1 || b["b"] != 1 || b["c"] != 3 || len(b) != 3 {
		t.Errorf("merged to %v", b)
	}
	for text, says := range map[string]string{
		"a: {<<: 1}":                                   "must be mappings",
		"a: {<<: [{b: 1}, 2]}":                         "must be mappings",
		"x: &x [1]\na: {<<: *x}":                       "must be mappings",
		"x: &x {b: 1}\na: {<<: *x, <<: *x}":            "duplicate key",
		"a: &a {b: {<<: *a}}":                          "deeper",
		"x: &x {b: 1}\ny: {<<: *x}\nz: !!merge {a: 1}": "tag",
	} {
		if _, err := strictyaml.Node([]byte(text), merge); err == nil || !strings.Contains(err.Error(), says) {
			t.Errorf("%q: %v, want an error with %q", text, err, says)
		}
	}
}
