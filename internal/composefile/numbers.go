package composefile

import (
	"fmt"
	"maps"
	"reflect"
	"slices"
	"strings"

	"github.com/compose-spec/compose-go/v2/types"

	"github.com/consign-dev/consign/internal/fields"
	"github.com/consign-dev/consign/internal/reason"
)

// checkWhole refuses a plain fraction where the library keeps a whole number: it
// makes "mem_limit: 1.5" 0, which is no limit, and "pids_limit: 1.5" 1. Which
// places those are is asked of the library's own types, so that a new one is
// among them. In quotes it is text, of which the library refuses what it cannot
// read. The reason is malformed.
func checkWhole(tree map[string]any) error {
	return wholeBelow(tree, reflect.TypeFor[types.Project](), "")
}

func wholeBelow(v any, t reflect.Type, path string) error {
	for t.Kind() == reflect.Pointer {
		t = t.Elem()
	}
	switch v := v.(type) {
	case float64:
		return wholeHere(v, t, path)
	case map[string]any:
		return wholeInObject(v, t, path)
	case []any:
		if t.Kind() != reflect.Slice {
			return nil // the short form of a mapping holds text
		}
		for n, each := range v {
			if err := wholeBelow(each, t.Elem(), fmt.Sprintf("%s[%d]", path, n)); err != nil {
				return err
			}
		}
	}
	return nil
}

func wholeHere(v float64, t reflect.Type, path string) error {
	switch t.Kind() {
	case reflect.Float32, reflect.Float64, reflect.String, reflect.Interface:
		return nil
	default: // also a mapping whose short form is a whole number, such as a port
		return reason.New(reason.Malformed, "%.200s: %v is a fraction where a whole number is read: write it without a point, or an amount of memory with its unit, such as 1536m", path, v)
	}
}

func wholeInObject(object map[string]any, t reflect.Type, path string) error {
	child := func(string) (reflect.Type, bool) { return nil, false }
	switch t.Kind() {
	case reflect.Struct:
		child = fields.Of(t, fields.YAML).Lookup
	case reflect.Map:
		child = func(string) (reflect.Type, bool) { return t.Elem(), true }
	}
	for _, key := range slices.Sorted(maps.Keys(object)) {
		below, known := child(key)
		if !known {
			continue
		}
		if err := wholeBelow(object[key], below, strings.TrimPrefix(path+"."+key, ".")); err != nil {
			return err
		}
	}
	return nil
}
