package strictjson_test

import (
	"encoding/json"
	"fmt"
	"reflect"
	"strings"
	"testing"

	"github.com/consign-dev/consign/internal/reason"
	"github.com/consign-dev/consign/internal/strictjson"
)

type part struct {
	Size int64 `json:"size"`
}

type embedded struct {
	SchemaVersion int `json:"schemaVersion"`
}

type document struct {
	embedded
	Name   string            `json:"name"`
	Part   part              `json:"part"`
	Opt    *part             `json:"opt"`
	Parts  []part            `json:"parts"`
	Labels map[string]string `json:"labels"`
	Raw    json.RawMessage   `json:"raw"`
}

func TestUnmarshalReadsWhatFits(t *testing.T) {
	var d document
	in := `{"schemaVersion":2,"name":"é","part":{"size":9007199254740993},"opt":null,"parts":[{"size":1}],"labels":{"a":"b"},"raw":{"any":[1]}}`
	if err := strictjson.Unmarshal([]byte(in), &d, strictjson.Default); err != nil {
		t.Fatal(err)
	}
	if d.SchemaVersion != 2 || d.Part.Size != 9007199254740993 || len(d.Parts) != 1 || string(d.Raw) != `{"any":[1]}` {
		t.Errorf("decoded %+v", d)
	}
}

// The corpus of attack T27.
func TestUnmarshalRefusesASecondReading(t *testing.T) {
	for name, c := range map[string]struct{ in, want string }{
		"duplicate":         {`{"name":"a","name":"b"}`, `duplicate key "name"`},
		"escaped duplicate": {`{"name":"a","n\u0061me":"b"}`, `duplicate key "name"`},
		"other case":        {`{"Name":"a"}`, `did you mean "name"?`},
		"unknown":           {`{"parts":[{"sise":1}]}`, `parts[0]: unknown field "sise", did you mean "size"?`},
		"null scalar":       {`{"name":null}`, `name: is null`},
		"null struct":       {`{"part":null}`, `part: is null`},
		"null document":     {`null`, `document: is null`},
		"two values":        {`{} {}`, `byte 4`},
		"trailing comma":    {`{"parts":[{"size":1},]}`, `byte 22`},
		"bad UTF-8":         {"{\"name\":\"\xff\"}", `UTF-8`},
		"empty":             {``, `byte 0`},
		"big number":        {`{"part":{"size":1e400}}`, `1e400`},
		"fraction":          {`{"part":{"size":1.5}}`, `1.5`},
		"inside raw":        {`{"raw":{"a":1,"a":2}}`, `raw: duplicate key "a"`},
	} {
		t.Run(name, func(t *testing.T) {
			var d document
			err := strictjson.Unmarshal([]byte(c.in), &d, strictjson.Default)
			if !reason.Is(err, reason.Malformed) || !strings.Contains(err.Error(), c.want) {
				t.Errorf("got %v, want malformed with %q", err, c.want)
			}
		})
	}
}

// A document of others may say more than is read, and nothing that is read in
// two ways (attack T27).
func TestUnmarshalOpenHasOneReading(t *testing.T) {
	for name, c := range map[string]struct{ in, refusal string }{
		"unknown":                {`{"name":"a","more":{"Name":1,"NAME":2},"part":{"size":1,"more":1}}`, ""},
		"other case":             {`{"Name":"a"}`, `unknown field "Name", did you mean "name"?`},
		"beside the known":       {`{"name":"a","NAME":"b"}`, `did you mean "name"?`},
		"another letter's case":  {`{"part":{"\u017fize":1}}`, `did you mean "size"?`},
		"inside":                 {`{"parts":[{"Size":1}]}`, `parts[0]: unknown field "Size", did you mean "size"?`},
		"duplicate":              {`{"name":"a","name":"b"}`, `duplicate key "name"`},
		"duplicate of unknown":   {`{"more":1,"more":2}`, `duplicate key "more"`},
		"null":                   {`{"name":null}`, `name: is null`},
		"unknown of any shape":   {`{"more":null,"name":"a"}`, ""},
		"keys of a map are data": {`{"name":"a","labels":{"a":"b","A":"c"}}`, ""},
	} {
		t.Run(name, func(t *testing.T) {
			var d document
			err := strictjson.UnmarshalOpen([]byte(c.in), &d, strictjson.Default)
			if c.refusal == "" {
				if err != nil || d.Name != "a" {
					t.Errorf("got %+v and %v", d, err)
				}
			} else if !reason.Is(err, reason.Malformed) || !strings.Contains(err.Error(), c.refusal) {
				t.Errorf("got %v, want malformed with %q", err, c.refusal)
			}
		})
	}
}

// What both readers accept they read alike, and what the open one puts into a
// field stands under the exact name of that field.
func FuzzUnmarshalOpen(f *testing.F) {
	for _, s := range []string{`{"name":"a","more":1}`, `{"Name":"a"}`, `{"part":{"size":1,"SIZE":2}}`, `{"parts":[{"\u017fize":1}],"labels":{"a":"b","A":"c"}}`} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		var open, closed document
		err := strictjson.UnmarshalOpen(data, &open, strictjson.Limits{})
		if strict := strictjson.Unmarshal(data, &closed, strictjson.Limits{}); strict == nil && (err != nil || !reflect.DeepEqual(open, closed)) {
			t.Fatalf("open read %+v (%v), strict read %+v", open, err, closed)
		}
		if err != nil {
			return
		}
		var tree map[string]json.RawMessage
		if err := json.Unmarshal(data, &tree); err != nil {
			t.Fatal(err)
		}
		var name string
		if raw, ok := tree["name"]; ok && (json.Unmarshal(raw, &name) != nil || name != open.Name) || !ok && open.Name != "" {
			t.Errorf("read name %q, the key has %q", open.Name, raw)
		}
		var part map[string]json.RawMessage
		if raw, ok := tree["part"]; ok && json.Unmarshal(raw, &part) != nil {
			t.Errorf("part %q was read as %+v", raw, open.Part)
		}
		if _, ok := part["size"]; !ok && open.Part.Size != 0 {
			t.Errorf("read size %d from %q", open.Part.Size, tree["part"])
		}
	})
}

func TestLimits(t *testing.T) {
	deep := strings.Repeat("[", 100) + strings.Repeat("]", 100)
	for name, err := range map[string]error{
		"depth":  strictjson.Check([]byte(deep), strictjson.Default),
		"bytes":  strictjson.Check([]byte(`"aaaa"`), strictjson.Limits{Bytes: 5}),
		"deeper": strictjson.Check([]byte(strings.Repeat("[", 20)+strings.Repeat("]", 20)), strictjson.Limits{Depth: 10}),
	} {
		if !reason.Is(err, reason.TooLarge) {
			t.Errorf("%s: got %v, want too-large", name, err)
		}
	}
	if err := strictjson.Check([]byte(strings.Repeat("[", 1<<20)), strictjson.Default); !reason.Is(err, reason.Malformed) {
		t.Errorf("unclosed brackets: %v", err)
	}
}

func FuzzCheck(f *testing.F) {
	for _, s := range []string{`{"a":[1,2.5e3,null,true,"x"]}`, `{"a":1,"a":2}`, `[[[[]]]]`, `"\ud800"`, `{} {}`, `[1,]`, "\xff", ``} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		if err := strictjson.Check(data, strictjson.Limits{}); err != nil {
			if code := reason.Of(err); code != reason.Malformed && code != reason.TooLarge {
				t.Errorf("refused as %q: %v", code, err)
			}
			return
		}
		if !json.Valid(data) {
			t.Error("accepted what is not JSON")
		}
		var d document
		if err := strictjson.Unmarshal(data, &d, strictjson.Limits{}); err == nil {
			again, err := json.Marshal(d)
			if err != nil {
				t.Fatal(err)
			}
			if err := strictjson.Unmarshal(again, new(document), strictjson.Limits{Depth: 1000}); err != nil {
				t.Errorf("own output refused: %v", err)
			}
		}
	})
}

func TestNumbersKeepTheirDigits(t *testing.T) {
	var out struct {
		Any map[string]any `json:"any"`
		N   int            `json:"n"`
	}
	text := `{"any": {"a": [1.0, 18446744073709551617]}, "n": 3}`
	err := strictjson.UnmarshalNumbers([]byte(text), &out, strictjson.Limits{})
	if err != nil || out.N != 3 || fmt.Sprintf("%#v", out.Any["a"]) != `[]interface {}{"1.0", "18446744073709551617"}` {
		t.Errorf("%#v, %v", out, err)
	}
	for _, bad := range []string{`{"n": 3, "n": 4}`, `{"N": 3}`, `{"other": 1}`, `{"n": null}`, `{"n": 3.5}`, `{} {}`} {
		if err := strictjson.UnmarshalNumbers([]byte(bad), &out, strictjson.Limits{}); !reason.Is(err, reason.Malformed) {
			t.Errorf("%s: %v", bad, err)
		}
	}
}
