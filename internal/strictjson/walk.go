package strictjson

import (
	"encoding"
	"encoding/json"
	"fmt"
	"reflect"

	"github.com/consign-dev/consign/internal/fields"
	"github.com/consign-dev/consign/internal/reason"
)

type positioned struct {
	offset int64
	err    error
}

func (e *positioned) Error() string { return fmt.Sprintf("byte %d: %v", e.offset, e.err) }
func (e *positioned) Unwrap() error { return e.err }

// walker reads the tokens of a document beside the Go type they are meant
// for. A nil type means that any shape is accepted.
type walker struct {
	dec   *json.Decoder
	depth int
	open  bool // structs need not know every field
}

func (w *walker) value(t reflect.Type, at *place, depth int) error {
	if depth > w.depth {
		return reason.New(reason.TooLarge, "%s: nested deeper than %d", at.show(), w.depth)
	}
	t, nullable := target(t)
	token, err := w.dec.Token()
	if err != nil {
		return decodeError(err)
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

func (w *walker) object(t reflect.Type, at *place, depth int) error {
	childType := w.childrenOf(t)
	seen := map[string]bool{}
	for w.dec.More() {
		token, err := w.dec.Token()
		if err != nil {
			return decodeError(err)
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
	return decodeErrorOrNil(err)
}

func (w *walker) array(t reflect.Type, at *place, depth int) error {
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
	return decodeErrorOrNil(err)
}

func decodeErrorOrNil(err error) error {
	if err == nil {
		return nil
	}
	return decodeError(err)
}

// childrenOf returns the rule for the keys of an object that decodes into t.
func (w *walker) childrenOf(t reflect.Type) func(key string) (reflect.Type, error) {
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
