package strictjson_test

import (
	"encoding/json"
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
