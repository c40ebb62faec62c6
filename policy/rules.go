package policy

import (
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"

	known "github.com/consign-dev/consign/internal/fields"
)

// A rule reports to w what is wrong with the value v at a place. Numbers are
// json.Number. Its parts are the keys that it knows, so that a test can compare
// them with those that Compose has.
type rule struct {
	check func(w *walk, at place, v any)
	parts []part
}

type part struct {
	step string // ".name", ".*" for any key, "[]" for an element, "" for the same place
	*key
}

// A key is a classified member of an object.
type key struct {
	class Class
	note  string // the grant that covers it, or why none can
	rule  rule
}

// keysOf is a table of the known keys of an object. What fills it is not inlined:
// the tables have a thousand entries, which would be a megabyte of every program.
type keysOf map[string]*key

// harmless marks a key that everybody may use within its rule.
//
//go:noinline
func harmless(r rule) *key { return &key{class: Harmless, rule: r} }

// granted marks a key of which some values need a grant; the rule says which.
//
//go:noinline
func granted(grant string, r rule) *key { return &key{class: Grantable, note: grant, rule: r} }

// never refuses the key whatever it holds.
//
//go:noinline
func never(why string) *key { return &key{class: Never, note: why, rule: refuse(why)} }

// neverBut refuses the key unless it holds the engine's default, written out.
//
//go:noinline
func neverBut(value bool, why string) *key {
	return &key{class: Never, note: why, rule: accept("must be "+strconv.FormatBool(value)+": "+why, func(v any) bool { return v == value })}
}

func refuse(why string) rule {
	return rule{check: func(w *walk, at place, _ any) { w.ask(at, "never granted: "+why, "") }}
}

// fields accepts an object with these keys only; required ones must be there,
// since what the engine does without them is not harmless.
func fields(keys keysOf, required ...string) rule {
	names := slices.Sorted(maps.Keys(keys))
	check := func(w *walk, at place, v any) {
		object, ok := v.(map[string]any)
		if !ok {
			w.ask(at, "must be an object", "")
			return
		}
		for _, name := range slices.Sorted(maps.Keys(object)) {
			if k, ok := keys[name]; ok {
				k.rule.check(w, at.key(name), object[name])
			} else if near := known.Nearest(name, names); near != "" {
				w.ask(at.key(name), fmt.Sprintf("unknown, so not granted; did you mean %q?", near), "")
			} else {
				w.ask(at.key(name), "unknown, so not granted", "")
			}
		}
		for _, name := range required {
			if _, ok := object[name]; !ok {
				w.ask(at.key(name), "is missing", "")
			}
		}
	}
	out := rule{check: check}
	for _, name := range names {
		out.parts = append(out.parts, part{"." + name, keys[name]})
	}
	return out
}

// also adds a check of an object whose members have passed theirs or have been
// reported; it must not report those again.
func also(r rule, more func(w *walk, at place, object map[string]any)) rule {
	first := r.check
	r.check = func(w *walk, at place, v any) {
		first(w, at, v)
		if object, ok := v.(map[string]any); ok {
			more(w, at, object)
		}
	}
	return r
}

// mapOf accepts an object with any keys, each with a value of this kind.
func mapOf(element rule) rule { return mapAt(place.entry, element) }

// named is mapOf for keys that only the author of the file can choose.
func named(element rule) rule { return mapAt(place.key, element) }

func mapAt(member func(place, string) place, element rule) rule {
	return rule{parts: []part{{".*", harmless(element)}}, check: func(w *walk, at place, v any) {
		object, ok := v.(map[string]any)
		if !ok {
			w.ask(at, "must be an object", "")
			return
		}
		for _, name := range slices.Sorted(maps.Keys(object)) {
			element.check(w, member(at, name), object[name])
		}
	}}
}

// eachOf is named with at most most entries.
func eachOf(most int, element rule) rule {
	out := named(element)
	each := out.check
	out.check = func(w *walk, at place, v any) {
		if object, ok := v.(map[string]any); ok && len(object) > most {
			w.ask(at, fmt.Sprintf("%d of them, at most %d", len(object), most), "")
			return
		}
		each(w, at, v)
	}
	return out
}

// mapOfDeclared is mapOf with keys that the project declares in section.
func mapOfDeclared(section string, element rule) rule {
	out := mapOf(element)
	each := out.check
	out.check = func(w *walk, at place, v any) {
		object, _ := v.(map[string]any)
		for _, name := range slices.Sorted(maps.Keys(object)) {
			if _, ok := w.declared[section][name]; !ok {
				w.ask(at.entry(name), "is not declared under "+section, "")
			}
		}
		each(w, at, v)
	}
	return out
}

// nameOfDeclared accepts a key of the project's section.
func nameOfDeclared(section string) rule {
	return rule{check: func(w *walk, at place, v any) {
		name, ok := v.(string)
		if _, declared := w.declared[section][name]; !ok || !declared {
			w.ask(at, "must be declared under "+section, show(v))
		}
	}}
}

func listOf(element rule) rule {
	return rule{parts: []part{{"[]", harmless(element)}}, check: func(w *walk, at place, v any) {
		list, ok := v.([]any)
		if !ok {
			w.ask(at, "must be a list", "")
			return
		}
		for i, e := range list {
			element.check(w, at.index(i), e)
		}
	}}
}

// byType chooses the rule by the member "type".
func byType(rules map[string]rule) rule {
	names := slices.Sorted(maps.Keys(rules))
	out := rule{check: func(w *walk, at place, v any) {
		object, _ := v.(map[string]any)
		kind, _ := object["type"].(string)
		if r, ok := rules[kind]; ok {
			r.check(w, at, v)
			return
		}
		w.ask(at, "type must be "+strings.Join(names, " or "), show(object["type"]))
	}}
	for _, name := range names {
		out.parts = append(out.parts, part{"", harmless(rules[name])})
	}
	return out
}

func orNull(other rule) rule {
	check := other.check
	other.check = func(w *walk, at place, v any) {
		if v != nil {
			check(w, at, v)
		}
	}
	return other
}

// longestKey is how much of a key is shown.
const longestKey = 100

// join spells the path of a member. A key that is not a plain word is quoted
// and cut, since whoever wrote the project chose it.
func join(path, name string) string {
	switch {
	case !plainKey(name):
		return fmt.Sprintf("%s[%.*q]", path, longestKey, name)
	case path == "":
		return name
	default:
		return path + "." + name
	}
}

// plainKey is 1 to 100 letters, digits, - and _.
func plainKey(name string) bool {
	return name != "" && len(name) <= longestKey && !strings.ContainsFunc(name, func(r rune) bool {
		letter, digit := r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z', r >= '0' && r <= '9'
		return !letter && !digit && r != '-' && r != '_'
	})
}

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
