package helm

import (
	"encoding/base64"
	"maps"
	"reflect"
	"slices"
	"strconv"
	"strings"

	"github.com/consign-dev/consign/internal/reason"
)

// maxVolatile bounds the fields that a chart makes anew: each is compared with
// each.
const maxVolatile = 256

// field is a text in which two renders differ.
type field struct {
	object *object
	tokens []string // the way to it: keys and indexes
	a, b   string   // what the two renders have
}

// pointer is the field's JSON pointer (RFC 6901).
func (f *field) pointer() string { return pointer(f.tokens) }

func pointer(tokens []string) string {
	var b strings.Builder
	for _, t := range tokens {
		b.WriteString("/" + strings.NewReplacer("~", "~0", "/", "~1").Replace(t))
	}
	return b.String()
}

// compare returns the fields in which a second render differs from the objects
// of the first. Objects, their names and all that is not the text of a place in
// which something may vary have to be the same.
func compare(list []*object, first, second map[string]string) ([]*field, error) {
	byFile := map[string][]*object{}
	for _, o := range list {
		byFile[o.file] = append(byFile[o.file], o)
	}
	var varying []*field
	for _, file := range slices.Sorted(maps.Keys(first)) {
		if first[file] == second[file] {
			continue
		}
		others, err := parseFile(file, second[file])
		if err != nil {
			return nil, unstable(file)
		}
		others, _, err = withoutTests(others)
		if err != nil || len(others) != len(byFile[file]) {
			return nil, unstable(file)
		}
		for i, o := range byFile[file] {
			if o.key("") != others[i].key("") {
				return nil, reason.New(reason.Render, "%s: the name of a %s is another one at each render: a name must stay what it is", file, o.kind)
			}
			d := difference{object: o}
			if err := d.walk(o.raw, others[i].raw, nil); err != nil {
				return nil, err
			}
			if varying = append(varying, d.found...); len(varying) > maxVolatile {
				return nil, reason.New(reason.TooLarge, "%s: more than %d fields are others at each render", file, maxVolatile)
			}
		}
	}
	return varying, nil
}

func unstable(file string) error {
	return reason.New(reason.Render, "%s: makes other objects at each render", file)
}

type difference struct {
	object *object
	found  []*field
}

func (d *difference) walk(a, b any, at []string) error {
	switch x := a.(type) {
	case map[string]any:
		y, ok := b.(map[string]any)
		if !ok || len(x) != len(y) {
			return d.structure(at)
		}
		for _, key := range slices.Sorted(maps.Keys(x)) {
			if _, ok := y[key]; !ok {
				return d.structure(at)
			}
			if err := d.walk(x[key], y[key], append(slices.Clone(at), key)); err != nil {
				return err
			}
		}
		return nil
	case []any:
		y, ok := b.([]any)
		if !ok || len(x) != len(y) {
			return d.structure(at)
		}
		for i := range x {
			if err := d.walk(x[i], y[i], append(slices.Clone(at), strconv.Itoa(i))); err != nil {
				return err
			}
		}
		return nil
	default:
		if reflect.DeepEqual(a, b) {
			return nil
		}
		return d.leaf(a, b, at)
	}
}

func (d *difference) structure(at []string) error {
	return d.object.refuse(pointer(at), "has other parts at each render")
}

func (d *difference) leaf(a, b any, at []string) error {
	x, isText := a.(string)
	y, both := b.(string)
	if !isText || !both || !d.object.mayVary(at) {
		return d.object.refuse(pointer(at), "is another one at each render; only data of Secrets and ConfigMaps, values of variables, and annotations may be")
	}
	d.found = append(d.found, &field{d.object, at, x, y})
	return nil
}

// mayVary is the closed list of places that a chart may make anew each time:
//
//	Secret     /data/*  /stringData/*
//	ConfigMap  /data/*  /binaryData/*
//	any        /metadata/annotations/*
//	pods       /metadata/annotations/*, /metadata/labels/* and
//	           /spec/{c,initC}ontainers/*/env/*/value of the template
//
// Everything else says what runs, or who may reach it.
func (o *object) mayVary(at []string) bool {
	if like(at, "metadata", "annotations", "*") {
		return true
	}
	switch o.id() {
	case "Secret/" + o.name:
		return like(at, "data", "*") || like(at, "stringData", "*")
	case "ConfigMap/" + o.name:
		return like(at, "data", "*") || like(at, "binaryData", "*")
	}
	path, ok := o.templatePath()
	if !ok || len(at) < len(path) || !slices.Equal(at[:len(path)], path) {
		return false
	}
	rest := at[len(path):]
	return like(rest, "metadata", "annotations", "*") || len(path) > 0 && like(rest, "metadata", "labels", "*") ||
		like(rest, "spec", "containers", "*", "env", "*", "value") || like(rest, "spec", "initContainers", "*", "env", "*", "value")
}

func like(at []string, pattern ...string) bool {
	if len(at) != len(pattern) {
		return false
	}
	for i, p := range pattern {
		if p != "*" && p != at[i] {
			return false
		}
	}
	return true
}

// encoded reports whether the field holds base64 by its place.
func (f *field) encoded() bool {
	return f.object.group == "" && (f.object.kind == "Secret" && f.tokens[0] == "data" || f.object.kind == "ConfigMap" && f.tokens[0] == "binaryData")
}

// plain is what a text of the field stands for.
func (f *field) plain(text string) string {
	if f.encoded() {
		if data, err := base64.StdEncoding.DecodeString(text); err == nil {
			return string(data)
		}
	}
	return text
}

// set writes a value, given as what it stands for, into the object.
func (f *field) set(plain string) {
	if f.encoded() {
		plain = base64.StdEncoding.EncodeToString([]byte(plain))
	}
	var place any = f.object.raw
	for _, token := range f.tokens[:len(f.tokens)-1] {
		place = child(place, token)
	}
	switch p := place.(type) {
	case map[string]any:
		p[f.tokens[len(f.tokens)-1]] = plain
	case []any:
		i, _ := strconv.Atoi(f.tokens[len(f.tokens)-1])
		p[i] = plain
	}
}

// child returns a part of a tree, nil if it is not there.
func child(v any, token string) any {
	switch v := v.(type) {
	case map[string]any:
		return v[token]
	case []any:
		if i, err := strconv.Atoi(token); err == nil && i >= 0 && i < len(v) {
			return v[i]
		}
	}
	return nil
}
