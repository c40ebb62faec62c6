package helm

import (
	"encoding/json"
	"fmt"
	"reflect"
	"strings"
	"testing"

	"github.com/consign-dev/consign/internal/reason"
)

func TestPointers(t *testing.T) {
	for text, want := range map[string][]step{
		"a":                   {{"a", -1}},
		"a.b[0].c":            {{"a", -1}, {"b", -1}, {"", 0}, {"c", -1}},
		"a[1][2]":             {{"a", -1}, {"", 1}, {"", 2}},
		`nodeSelector.a\.b/c`: {{"nodeSelector", -1}, {"a.b/c", -1}},
		`a\[0\]\=\,\\`:        {{`a[0]=,\`, -1}},
	} {
		if got, err := parsePointer(text); err != nil || !reflect.DeepEqual(got, want) {
			t.Errorf("%s: %v, %v", text, got, err)
		}
	}
	for _, text := range []string{"", ".", "a.", ".a", "a..b", "[0]", "a[", "a[]", "a[x]", "a[-1]", "a[01]", "a[1024]", "a[0]b", "a]", "a=b", "a,b", "{a}", `a\`, `a\b`, "a\n", strings.Repeat("a", 513), strings.Repeat("a.", 16) + "a"} {
		if got, err := parsePointer(text); !reason.Is(err, reason.Malformed) {
			t.Errorf("%q: %v, %v", text, got, err)
		}
	}
}

func raws(pairs ...string) map[string]json.RawMessage {
	out := map[string]json.RawMessage{}
	for i := 0; i < len(pairs); i += 2 {
		out[pairs[i]] = json.RawMessage(pairs[i+1])
	}
	return out
}

func TestValuesKeepTheirTypes(t *testing.T) {
	n, err := ordered(raws("text", `"0755"`, "yes", `"yes"`, "no", "false", "n", "1000000", "whole", "3.0", "big", "1e6", "part", "1.5",
		"list", `["a", 1, 2.5, true, [1]]`, "a.b[0].c", "1", "a.b[1].c", "2", `a.x\.y`, `"z"`))
	if err != nil {
		t.Fatal(err)
	}
	want := map[string]any{
		"text": "0755", "yes": "yes", "no": false, "n": int64(1000000), "whole": int64(3), "big": int64(1000000), "part": 1.5,
		"list": []any{"a", int64(1), 2.5, true, []any{int64(1)}},
		"a":    map[string]any{"b": []any{map[string]any{"c": int64(1)}, map[string]any{"c": int64(2)}}, "x.y": "z"},
	}
	if got := n.tree(); !reflect.DeepEqual(got, want) {
		t.Errorf("got  %#v\nwant %#v", got, want)
	}
}

func TestValuesThatAreRefused(t *testing.T) {
	for name, c := range map[string]struct {
		values map[string]json.RawMessage
		says   string
	}{
		"null":              {raws("a", "null"), `value of "a"`},
		"null in a list":    {raws("a", "[null]"), `value of "a"`},
		"mapping":           {raws("a", `{"b":1}`), `value of "a"`},
		"no JSON":           {raws("a", "x"), "not JSON"},
		"too many digits":   {raws("a", "9223372036854775808"), "digits"},
		"no number":         {raws("a", "1e999"), "digits"},
		"value and below":   {raws("a", "1", "a.b", "1"), `"a.b" and "a"`},
		"value and element": {raws("a", "1", "a[0]", "1"), `pointers "a[0]" and "a"`},
		"list and mapping":  {raws("a.b", "1", "a[0]", "1"), "pointers"},
		"one place twice":   {raws("a[0]", "1", "a.b", "1"), "pointers"},
		"gap":               {raws("a[0]", "1", "a[2]", "1"), "element 1 of its list"},
		"through a text":    {raws("text.a", "1"), `pointer "text.a": leads through`},
		"through a list":    {raws("list.a", "1"), `pointer "list.a": leads through`},
		"index of a map":    {raws("map[0]", "1"), "no list"},
		"instead of a map":  {raws("map", "1"), `pointer "map": the chart has a mapping there`},
		"in a dependency":   {raws("sub.num.x", "1"), `pointer "sub.num.x": leads through`},
	} {
		chart := small(configMap).with("values.yaml", "text: a\nlist: [1]\nmap: {a: 1}\n", "charts/sub/Chart.yaml", "apiVersion: v2\nname: sub\nversion: 1.0.0\n", "charts/sub/values.yaml", "num: 1\n")
		in := input(t, chart)
		in.Values = c.values
		if _, err := Render(t.Context(), in); !reason.Is(err, reason.Malformed) || !strings.Contains(err.Error(), c.says) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestSchema(t *testing.T) {
	for name, c := range map[string]struct{ schema, value, says string }{
		"valid":              {`{"$schema":"http://json-schema.org/draft-07/schema#","properties":{"a":{"type":"integer"}}}`, `1`, ""},
		"newest draft":       {`{"$schema":"https://json-schema.org/draft/2020-12/schema","$defs":{"x":{"type":"integer"}},"properties":{"a":{"$ref":"#/$defs/x"}}}`, `1`, ""},
		"wrong type":         {`{"properties":{"a":{"type":"integer"}}}`, `"secret"`, `"a": is string, must be integer`},
		"wrong text":         {`{"properties":{"a":{"pattern":"^x$"}}}`, `"secret"`, `"a": breaks the rule pattern`},
		"lacks":              {`{"required":["b"]}`, `1`, "lacks b"},
		"unknown":            {`{"additionalProperties":false}`, `1`, "has unknown a"},
		"a reference abroad": {`{"properties":{"a":{"$ref":"https://example.com/x.json"}}}`, `1`, "references must stay within it"},
		"a file":             {`{"properties":{"a":{"$ref":"file:///etc/passwd"}}}`, `1`, "references must stay within it"},
		"a neighbour":        {`{"$id":"https://example.com/","properties":{"a":{"$ref":"other.json"}}}`, `1`, "references must stay within it"},
		"a name":             {`{"properties":{"a":{"$ref":"urn:x:y"}}}`, `1`, "references must stay within it"},
		"another language":   {`{"$schema":"https://example.com/schema"}`, `1`, "references must stay within it"},
		"no JSON":            {`{`, `1`, "not JSON"},
	} {
		_, err := Render(t.Context(), set(input(t, small(configMap).with("values.schema.json", c.schema)), "a", c.value))
		if c.says == "" && err != nil || c.says != "" && (!reason.Is(err, reason.Malformed) || !strings.Contains(err.Error(), c.says)) || strings.Contains(fmt.Sprint(err), "secret") {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func FuzzPointer(f *testing.F) {
	for _, s := range []string{"a", "a.b[0].c", `a\.b`, "a[0][1]", "a[", `\`} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, text string) {
		steps, err := parsePointer(text)
		if err != nil {
			if !reason.Is(err, reason.Malformed) {
				t.Errorf("refused as %v", err)
			}
			return
		}
		// The one way to write what was read is read as the same.
		var b strings.Builder
		for i, s := range steps {
			switch {
			case s.index >= 0:
				fmt.Fprintf(&b, "[%d]", s.index)
			default:
				if i > 0 {
					b.WriteByte('.')
				}
				for _, c := range []byte(s.key) {
					if strings.IndexByte(`.[]{},=\"`, c) >= 0 {
						b.WriteByte('\\')
					}
					b.WriteByte(c)
				}
			}
		}
		if again, err := parsePointer(b.String()); b.Len() <= maxPointer && (err != nil || !reflect.DeepEqual(again, steps)) {
			t.Errorf("%q is read as %v, %q as %v (%v)", text, steps, b.String(), again, err)
		}
	})
}
