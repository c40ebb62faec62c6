package strictjson

import (
	"encoding"
	"encoding/json"
	"reflect"
	"sync"

	"github.com/consign-dev/consign/internal/fields"
)

// shape is what may stand where a value of a Go type is decoded from. Nil stands
// for any.
type shape struct {
	// nullable: null may stand for it.
	nullable bool
	// set are the fields of a struct, nil for all else.
	set *fields.Set
	// each is the type of what a map, a slice or an array holds, nil for all else.
	each reflect.Type
	list bool // of a slice or an array
}

// shapes are by type, of which a program has as many as are written in it.
var shapes sync.Map

func shapeOf(t reflect.Type) *shape {
	if t == nil {
		return nil
	}
	if s, known := shapes.Load(t); known {
		return s.(*shape)
	}
	s, _ := shapes.LoadOrStore(t, makeShape(t))
	return s.(*shape)
}

// makeShape strips pointers from t. A type that decodes itself, and an interface,
// take any shape.
func makeShape(t reflect.Type) *shape {
	s := &shape{}
	for t.Kind() == reflect.Pointer {
		if decodesItself(t) {
			return nil
		}
		t, s.nullable = t.Elem(), true
	}
	if decodesItself(reflect.PointerTo(t)) {
		return nil
	}
	switch t.Kind() {
	case reflect.Interface:
		return nil
	case reflect.Map:
		s.nullable, s.each = true, t.Elem()
	case reflect.Slice:
		s.nullable, s.each, s.list = true, t.Elem(), true
	case reflect.Array:
		s.each, s.list = t.Elem(), true
	case reflect.Struct:
		set := fields.Of(t, fields.JSON)
		s.set = &set
	}
	return s
}

func decodesItself(t reflect.Type) bool {
	return t.Implements(reflect.TypeFor[json.Unmarshaler]()) || t.Implements(reflect.TypeFor[encoding.TextUnmarshaler]())
}

// element is the shape of what an array holds.
func (s *shape) element() *shape {
	if s == nil || !s.list {
		return nil
	}
	return shapeOf(s.each)
}
