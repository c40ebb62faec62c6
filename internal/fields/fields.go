// Package fields knows how the fields of a Go type are spelt in a document,
// so that a strict decoder can refuse a misspelt one and name the right one.
//
// The standard decoders drop unknown fields, or refuse them without saying
// what was meant, and encoding/json matches names without regard to case:
// {"id": 1, "ID": 2} would set one field twice. The strict decoders of this
// repository therefore compare names themselves, exactly.
package fields

import (
	"maps"
	"reflect"
	"slices"
	"strings"
	"sync"
)

// Format is the struct tag that holds the names: "json" or "yaml".
type Format string

// The two formats and the defaults that their decoders use.
const (
	JSON Format = "json"
	YAML Format = "yaml"
)

// Set is the fields of one struct type.
type Set struct {
	byName map[string]reflect.Type
	// Rest is the type of the inlined map that takes every other key, nil when
	// the struct has none.
	Rest reflect.Type
}

// sets are the fields of the types that were asked for, of which a program has as
// many as are written in it.
var sets sync.Map

type asked struct {
	t reflect.Type
	f Format
}

// Of returns the fields of the struct type t.
func Of(t reflect.Type, f Format) Set {
	if s, known := sets.Load(asked{t, f}); known {
		return s.(Set)
	}
	s := Set{byName: map[string]reflect.Type{}}
	s.collect(t, f)
	sets.Store(asked{t, f}, s)
	return s
}

func (s *Set) collect(t reflect.Type, f Format) {
	for i := range t.NumField() {
		field := t.Field(i)
		name, options, _ := strings.Cut(field.Tag.Get(string(f)), ",")
		if name == "-" && options == "" {
			continue
		}
		if inlined(field, name, options, f) {
			s.inline(field.Type, f)
			continue
		}
		if !field.IsExported() {
			continue
		}
		if name == "" {
			name = defaultName(field.Name, f)
		}
		s.byName[name] = field.Type
	}
}

func (s *Set) inline(t reflect.Type, f Format) {
	if t.Kind() == reflect.Pointer {
		t = t.Elem()
	}
	if t.Kind() == reflect.Map {
		s.Rest = t
		return
	}
	s.collect(t, f)
}

func inlined(field reflect.StructField, name, options string, f Format) bool {
	if f == YAML {
		return slices.Contains(strings.Split(options, ","), "inline")
	}
	t := field.Type
	if t.Kind() == reflect.Pointer {
		t = t.Elem()
	}
	return field.Anonymous && name == "" && t.Kind() == reflect.Struct
}

func defaultName(goName string, f Format) string {
	if f == YAML {
		return strings.ToLower(goName)
	}
	return goName
}

// Lookup returns the type of the field that is spelt exactly so.
func (s Set) Lookup(name string) (reflect.Type, bool) {
	t, ok := s.byName[name]
	return t, ok
}

// Imitated reports whether name is no field and differs from one in case only,
// so that encoding/json would take it for that one.
func (s Set) Imitated(name string) bool {
	if _, known := s.byName[name]; known {
		return false
	}
	for known := range s.byName {
		if strings.EqualFold(name, known) {
			return true
		}
	}
	return false
}

// Names returns the names of the fields, sorted.
func (s Set) Names() []string { return slices.Sorted(maps.Keys(s.byName)) }
