package strictjson_test

import (
	"bytes"
	"encoding"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/consign-dev/consign/internal/fields"
	"github.com/consign-dev/consign/internal/reason"
	"github.com/consign-dev/consign/internal/strictjson"
)

// byTokens is the same reader made of encoding/json's own tokens: three times over
// the document, slow and plain. Both say the same of every document, in the same
// words.
func byTokens(data []byte, t reflect.Type, open bool, lim strictjson.Limits) error {
	if len(data) > lim.Bytes {
		return reason.New(reason.TooLarge, "document of %d bytes, at most %d are read", len(data), lim.Bytes)
	}
	if !utf8.Valid(data) {
		return reason.New(reason.Malformed, "document is not valid UTF-8")
	}
	if !json.Valid(data) {
		return reason.New(reason.Malformed, "%w", inWords(json.Unmarshal(data, new(any))))
	}
	dec := json.NewDecoder(bytes.NewReader(data))
	dec.UseNumber()
	w := tokens{dec: dec, depth: lim.Depth, open: open}
	if err := w.value(t, nil, 0); err != nil {
		return reason.Wrap(reason.Malformed, err)
	}
	if t == nil {
		return nil
	}
	dec = json.NewDecoder(bytes.NewReader(data))
	if !open {
		dec.DisallowUnknownFields()
	}
	if err := dec.Decode(reflect.New(t).Interface()); err != nil {
		return reason.New(reason.Malformed, "%w", inWords(err))
	}
	return nil
}

func inWords(err error) error {
	var syntax *json.SyntaxError
	var mismatch *json.UnmarshalTypeError
	switch {
	case errors.As(err, &mismatch) && len(mismatch.Value) > 100:
		mismatch.Value = mismatch.Value[:100] + "..."
		return mismatch
	case errors.As(err, &syntax):
		return fmt.Errorf("byte %d: %w", syntax.Offset, err)
	case errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF):
		return errors.New("document ends early")
	default:
		return err
	}
}

// everyShape has a field of each kind that the reader tells apart.
type everyShape struct {
	embedded
	*part
	Name    string                     `json:"name"`
	Pointer **part                     `json:"pointer"`
	List    []*everyShape              `json:"list"`
	Two     [2]part                    `json:"two"`
	Map     map[string][]part          `json:"map"`
	Maps    map[string]map[string]bool `json:"maps"`
	Any     any                        `json:"any"`
	Raw     json.RawMessage            `json:"raw"`
	Text    *textual                   `json:"text"`
	Number  json.Number                `json:"number"`
	Plain   float64
	Hidden  string `json:"-"`
}

type textual struct{ Word string }

func (t *textual) UnmarshalText(b []byte) error { t.Word = string(b); return nil }

func agree(t *testing.T, data []byte, lim strictjson.Limits) {
	t.Helper()
	for _, typ := range []reflect.Type{nil, reflect.TypeFor[everyShape](), reflect.TypeFor[[]map[string]everyShape]()} {
		for _, open := range []bool{false, true} {
			want, got := byTokens(data, typ, open, lim), error(nil)
			switch {
			case typ == nil:
				got = strictjson.Check(data, lim)
			case open:
				got = strictjson.UnmarshalOpen(data, reflect.New(typ).Interface(), lim)
			default:
				got = strictjson.Unmarshal(data, reflect.New(typ).Interface(), lim)
			}
			if fmt.Sprint(got) != fmt.Sprint(want) || reason.Of(got) != reason.Of(want) {
				t.Errorf("%.300q as %v, open %t:\n got %v\nwant %v", data, typ, open, got, want)
			}
		}
	}
}

func FuzzTheTokensSayTheSame(f *testing.F) {
	many := `{"map":{`
	for i := range 40 {
		many += fmt.Sprintf(`"k%d":[{"size":%d}],`, i, i)
	}
	for _, s := range []string{
		`{"a":[1,-0,2.5e-3,1E+9,null,true,false,"x\n\"\u00e9\ud83d\ude00\ud800"]}`, `{"a":1,"a":2}`, `[[[[[[[[[]]]]]]]]]`, `"\ud800"`, `{} {}`, `[1,]`, "\xff", ``, ` `,
		`{"name":"a","n\u0061me":"b"}`, `{"Name":1}`, `{"size":null}`, `{"list":[null,{"two":[{"size":1},{"sise":2}]}]}`, `{"pointer":null,"map":null,"maps":{"a":{"b":null}}}`,
		`{"any":{"a":1,"a":1}}`, `{"raw":[{"b":{},"b":{}}]}`, `{"text":{"a":null}}`, `{"number":null}`, `[{"a":{"Plain":1,"plain":2}}]`, `{"\ud800":1,"\udfff":2}`, `{"\u00000":1}`,
		`01`, `-`, `1.`, `.5`, `1e`, `1e+`, `+1`, `tru`, `nulll`, `{"a"}`, `{"a":}`, `{,}`, `{"a":1,}`, `[`, `{"`, `"\`, `"\u12`, `"\x"`, "\"\x01\"", "\x00", "{\"a\":1}\x00", "\v1",
		strings.TrimSuffix(many, ",") + `}}`, many + `"k3":[]}}`, many + `"\u006b7":[]}}`,
	} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		agree(t, data, strictjson.Limits{Bytes: 4 << 20, Depth: 8})
	})
}

// Documents of every kind, whole, cut short anywhere, and with one byte changed.
func TestTheTokensSayTheSameOfRealDocuments(t *testing.T) {
	var files []string
	for _, dir := range []string{"../sbom/testdata", "../verify/testdata/cosign", "../../testdata/margo/own"} {
		found, err := filepath.Glob(dir + "/*.json")
		if err != nil || len(found) == 0 {
			t.Fatalf("%s: %d documents, %v", dir, len(found), err)
		}
		files = append(files, found...)
	}
	for _, file := range files {
		data, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		lim := strictjson.Limits{Bytes: 4 << 20, Depth: 64}
		agree(t, data, lim)
		for i := 0; i < len(data); i += 1 + len(data)/12 {
			agree(t, data[:i], lim)
			changed := bytes.Clone(data)
			for _, c := range []byte("\"{],\\0n\xff") {
				changed[i] = c
				agree(t, changed, lim)
			}
		}
	}
}

// tokens reads the tokens of a document beside the Go type they are meant
// for. A nil type means that any shape is accepted.
type tokens struct {
	dec   *json.Decoder
	depth int
	open  bool // structs need not know every field
}

func (w *tokens) value(t reflect.Type, at *place, depth int) error {
	if depth > w.depth {
		return reason.New(reason.TooLarge, "%s: nested deeper than %d", at.show(), w.depth)
	}
	t, nullable := target(t)
	token, err := w.dec.Token()
	if err != nil {
		return inWords(err)
	}
	switch token {
	case json.Delim('{'):
		return w.object(t, at, depth)
	case json.Delim('['):
		return w.array(t, at, depth)
	case nil:
		if !nullable {
			return fmt.Errorf("%s: is null, a value is needed", at.show())
		}
	}
	return nil
}

func (w *tokens) object(t reflect.Type, at *place, depth int) error {
	childType := w.childrenOf(t)
	seen := map[string]bool{}
	for w.dec.More() {
		token, err := w.dec.Token()
		if err != nil {
			return inWords(err)
		}
		key, ok := token.(string)
		if !ok {
			return fmt.Errorf("%s: key is not a string", at.show())
		}
		if seen[key] {
			return fmt.Errorf("%s: duplicate key %.100q", at.show(), key)
		}
		seen[key] = true
		child, err := childType(key)
		if err != nil {
			return fmt.Errorf("%s: %w", at.show(), err)
		}
		if err := w.value(child, &place{in: at, key: key}, depth+1); err != nil {
			return err
		}
	}
	_, err := w.dec.Token()
	return inWordsOrNil(err)
}

func (w *tokens) array(t reflect.Type, at *place, depth int) error {
	var elem reflect.Type
	if t != nil && (t.Kind() == reflect.Slice || t.Kind() == reflect.Array) {
		elem = t.Elem()
	}
	for i := 0; w.dec.More(); i++ {
		if err := w.value(elem, &place{in: at, index: i, element: true}, depth+1); err != nil {
			return err
		}
	}
	_, err := w.dec.Token()
	return inWordsOrNil(err)
}

func inWordsOrNil(err error) error {
	if err == nil {
		return nil
	}
	return inWords(err)
}

// childrenOf returns the rule for the keys of an object that decodes into t.
func (w *tokens) childrenOf(t reflect.Type) func(key string) (reflect.Type, error) {
	switch {
	case t != nil && t.Kind() == reflect.Struct:
		set := fields.Of(t, fields.JSON)
		return func(key string) (reflect.Type, error) {
			child, ok := set.Lookup(key)
			if ok || w.open && !set.Imitated(key) {
				return child, nil
			}
			return nil, fmt.Errorf("%s", fields.Unknown("field", key, set.Names()))
		}
	case t != nil && t.Kind() == reflect.Map:
		return func(string) (reflect.Type, error) { return t.Elem(), nil }
	default:
		return func(string) (reflect.Type, error) { return nil, nil }
	}
}

// target strips pointers from t and says whether null may stand for it. A type
// that decodes itself, and an interface, take any shape.
func target(t reflect.Type) (_ reflect.Type, nullable bool) {
	if t == nil {
		return nil, true
	}
	for t.Kind() == reflect.Pointer {
		if decodesItself(t) {
			return nil, true
		}
		t, nullable = t.Elem(), true
	}
	if decodesItself(reflect.PointerTo(t)) {
		return nil, true
	}
	switch t.Kind() {
	case reflect.Interface:
		return nil, true
	case reflect.Map, reflect.Slice:
		return t, true
	default:
		return t, nullable
	}
}

func decodesItself(t reflect.Type) bool {
	return t.Implements(reflect.TypeFor[json.Unmarshaler]()) || t.Implements(reflect.TypeFor[encoding.TextUnmarshaler]())
}

// place is where a value stands. It is put into words for an error only: most
// documents have none. Nil is the document.
type place struct {
	in      *place
	key     string
	index   int
	element bool // of an array, at index
}

func (p *place) path() string {
	switch {
	case p == nil:
		return ""
	case p.element:
		return fmt.Sprintf("%s[%d]", p.in.path(), p.index)
	case p.in == nil:
		return p.key
	default:
		return p.in.path() + "." + p.key
	}
}

func (p *place) show() string { return show(p.path()) }

// show bounds a path, which holds keys that an attacker may have chosen.
func show(path string) string {
	const longest = 200
	switch {
	case path == "":
		return "document"
	case len(path) > longest:
		return fmt.Sprintf("%q...", path[:longest])
	case plain(path):
		return path
	default:
		return fmt.Sprintf("%q", path)
	}
}

func plain(s string) bool {
	for _, r := range s {
		if r < ' ' || r > '~' {
			return false
		}
	}
	return true
}
