package policy

import (
	"encoding/json"
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strconv"
	"strings"

	known "github.com/consign-dev/consign/internal/fields"
)

// A rule reports to w what is not harmless about the value v at path. Numbers
// are json.Number.
type rule func(w *walk, path string, v any)

// keysOf is a table of the harmless keys of an object.
type keysOf map[string]rule

// fields accepts an object with these keys only; required ones must be there,
// since what the engine does without them is not harmless.
func fields(allowed keysOf, required ...string) rule {
	names := slices.Sorted(maps.Keys(allowed))
	return func(w *walk, path string, v any) {
		object, ok := v.(map[string]any)
		if !ok {
			w.ask(path, "must be an object")
			return
		}
		for _, key := range slices.Sorted(maps.Keys(object)) {
			if check, ok := allowed[key]; ok {
				check(w, join(path, key), object[key])
			} else if near := known.Nearest(key, names); near != "" {
				w.ask(join(path, key), "not granted; did you mean %q?", near)
			} else {
				w.ask(join(path, key), "not granted")
			}
		}
		for _, key := range required {
			if _, ok := object[key]; !ok {
				w.ask(join(path, key), "is missing")
			}
		}
	}
}

// mapOf accepts an object with any keys, each with a value of this kind.
func mapOf(element rule) rule {
	return func(w *walk, path string, v any) {
		object, ok := v.(map[string]any)
		if !ok {
			w.ask(path, "must be an object")
			return
		}
		for _, key := range slices.Sorted(maps.Keys(object)) {
			element(w, join(path, key), object[key])
		}
	}
}

// eachOf is mapOf with at most most entries.
func eachOf(most int, element rule) rule {
	return func(w *walk, path string, v any) {
		if object, ok := v.(map[string]any); ok && len(object) > most {
			w.ask(path, "%d of them, at most %d", len(object), most)
			return
		}
		mapOf(element)(w, path, v)
	}
}

// mapOfDeclared is mapOf with keys that the project declares in section.
func mapOfDeclared(section string, element rule) rule {
	return func(w *walk, path string, v any) {
		object, _ := v.(map[string]any)
		for _, key := range slices.Sorted(maps.Keys(object)) {
			if _, ok := w.declared[section][key]; !ok {
				w.ask(join(path, key), "is not declared under %s", section)
			}
		}
		mapOf(element)(w, path, v)
	}
}

// nameOfDeclared accepts a key of the project's section.
func nameOfDeclared(section string) rule {
	return func(w *walk, path string, v any) {
		name, ok := v.(string)
		if _, declared := w.declared[section][name]; !ok || !declared {
			w.ask(path, "must be declared under %s, not %s", section, show(v))
		}
	}
}

func listOf(element rule) rule {
	return func(w *walk, path string, v any) {
		list, ok := v.([]any)
		if !ok {
			w.ask(path, "must be a list")
			return
		}
		for i, e := range list {
			element(w, fmt.Sprintf("%s[%d]", path, i), e)
		}
	}
}

// byType chooses the rule by the member "type".
func byType(rules map[string]rule) rule {
	names := slices.Sorted(maps.Keys(rules))
	return func(w *walk, path string, v any) {
		object, _ := v.(map[string]any)
		kind, _ := object["type"].(string)
		if check, ok := rules[kind]; ok {
			check(w, path, v)
			return
		}
		w.ask(path, "type must be %s, not %s", strings.Join(names, " or "), show(object["type"]))
	}
}

func orNull(other rule) rule {
	return func(w *walk, path string, v any) {
		if v != nil {
			other(w, path, v)
		}
	}
}

// join spells the path of a member. A key that is not a plain word is quoted
// and cut, since whoever wrote the project chose it.
func join(path, key string) string {
	const longest = 100
	switch {
	case !plainKey.MatchString(key):
		return fmt.Sprintf("%s[%.*q]", path, longest, key)
	case path == "":
		return key
	default:
		return path + "." + key
	}
}

var plainKey = regexp.MustCompile(`^[A-Za-z0-9_-]{1,100}$`)

// show prints a value for a message.
func show(v any) string {
	switch v := v.(type) {
	case nil:
		return "nothing"
	case string:
		return fmt.Sprintf("%.60q", v)
	case bool:
		return strconv.FormatBool(v)
	case json.Number:
		return fmt.Sprintf("%.30s", v.String())
	case []any:
		return "a list"
	default:
		return "an object"
	}
}
