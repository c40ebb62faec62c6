package strictyaml

import (
	"encoding"
	"fmt"
	"reflect"

	"go.yaml.in/yaml/v3"

	"github.com/consign-dev/consign/internal/fields"
)

// maxProblems bounds the length of a message; whoever has that many mistakes
// corrects some and runs again.
const maxProblems = 8

// fitter compares a document with the Go type that it is meant for and
// collects every difference, so that an old document is corrected in one go.
type fitter struct{ problems []string }

func (f *fitter) problem(n *yaml.Node, path, format string, args ...any) {
	if len(f.problems) < maxProblems {
		f.problems = append(f.problems, fmt.Sprintf("line %d: %s%s", n.Line, prefix(path), fmt.Sprintf(format, args...)))
	}
}

func (f *fitter) full() bool { return len(f.problems) >= maxProblems }

func (f *fitter) fit(n *yaml.Node, t reflect.Type, path string) {
	if n.Kind == yaml.AliasNode {
		n = n.Alias
	}
	nullable := false
	for t.Kind() == reflect.Pointer && !decodesItself(t) {
		t, nullable = t.Elem(), true
	}
	if f.full() || decodesItself(t) || decodesItself(reflect.PointerTo(t)) {
		return
	}
	nullable = nullable || t.Kind() == reflect.Map || t.Kind() == reflect.Slice
	if n.Tag == "!!null" && nullable {
		return
	}
	switch t.Kind() {
	case reflect.Struct:
		f.structure(n, t, path)
	case reflect.Map:
		f.mapping(n, t.Elem(), path)
	case reflect.Slice, reflect.Array:
		f.sequence(n, t.Elem(), path)
	case reflect.Interface:
		f.open(n, t, path)
	default:
		f.scalar(n, t, path)
	}
}

func decodesItself(t reflect.Type) bool {
	return t.Implements(reflect.TypeFor[yaml.Unmarshaler]()) || t.Implements(reflect.TypeFor[encoding.TextUnmarshaler]())
}

func (f *fitter) structure(n *yaml.Node, t reflect.Type, path string) {
	if n.Kind != yaml.MappingNode {
		f.problem(n, path, "must be a mapping")
		return
	}
	set := fields.Of(t, fields.YAML)
	for i := 0; i+1 < len(n.Content); i += 2 {
		key := n.Content[i]
		if child, ok := set.Lookup(key.Value); ok {
			f.fit(n.Content[i+1], child, join(path, key.Value))
			continue
		}
		if what := retired(t, key.Value); what != "" {
			f.problem(key, join(path, key.Value), "%s", what)
			continue
		}
		f.extra(key, n.Content[i+1], set, path)
	}
}

// extra judges a key that is no field of the struct.
func (f *fitter) extra(key, value *yaml.Node, set fields.Set, path string) {
	if set.Rest == nil {
		f.problem(key, path, "%s", fields.Unknown("field", key.Value, set.Names()))
		return
	}
	checker, ok := reflect.Zero(set.Rest).Interface().(KeyChecker)
	if !ok {
		f.fit(value, set.Rest.Elem(), join(path, key.Value))
		return
	}
	if err := checker.CheckKey(key.Value); err != nil {
		text := fields.Unknown("field", key.Value, set.Names())
		f.problem(key, path, "%s (%v)", text, err)
		return
	}
	if value.Tag == "!!null" {
		f.problem(value, join(path, key.Value), "must be a mapping")
		return
	}
	f.fit(value, set.Rest.Elem(), join(path, key.Value))
}

func retired(t reflect.Type, field string) string {
	if r, ok := reflect.Zero(t).Interface().(Retirer); ok {
		return r.Retired(field)
	}
	return ""
}

func (f *fitter) mapping(n *yaml.Node, elem reflect.Type, path string) {
	if n.Kind != yaml.MappingNode {
		f.problem(n, path, "must be a mapping")
		return
	}
	for i := 0; i+1 < len(n.Content); i += 2 {
		f.fit(n.Content[i+1], elem, join(path, n.Content[i].Value))
	}
}

func (f *fitter) sequence(n *yaml.Node, elem reflect.Type, path string) {
	if n.Kind != yaml.SequenceNode {
		f.problem(n, path, "must be a list")
		return
	}
	for i, child := range n.Content {
		f.fit(child, elem, fmt.Sprintf("%s[%d]", path, i))
	}
}

// open checks a value whose type the format leaves to the writer.
func (f *fitter) open(n *yaml.Node, t reflect.Type, path string) {
	switch n.Kind {
	case yaml.MappingNode:
		f.mapping(n, t, path)
	case yaml.SequenceNode:
		f.sequence(n, t, path)
	default:
		if ambiguous(n) {
			f.problem(n, path, "%.60q means different things to different readers: write it in quotes, or as a decimal number or true or false", n.Value)
		}
	}
}

func (f *fitter) scalar(n *yaml.Node, t reflect.Type, path string) {
	if want := mismatch(n, t.Kind()); want != "" {
		f.problem(n, path, "must be %s", want)
	}
}

func join(path, key string) string {
	const longest = 200 // a path holds keys that an attacker may have chosen
	if len(path)+len(key) > longest {
		return path
	}
	for _, r := range key {
		if r <= ' ' || r > '~' {
			key = fmt.Sprintf("%q", key)
			break
		}
	}
	if path == "" {
		return key
	}
	return path + "." + key
}

func prefix(path string) string {
	if path == "" {
		return ""
	}
	return path + ": "
}
