package policy

import (
	"encoding/json"
	"fmt"
	"maps"
	"math"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

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

// accept makes a rule of a predicate and what it wants in words.
func accept(want string, harmless func(v any) bool) rule {
	return func(w *walk, path string, v any) {
		if !harmless(v) {
			w.ask(path, "must be %s, not %s", want, show(v))
		}
	}
}

var (
	text     = accept("text", func(v any) bool { _, ok := v.(string); return ok })
	someText = accept("text that is not empty", func(v any) bool { s, ok := v.(string); return ok && s != "" })
	flag     = accept("true or false", func(v any) bool { _, ok := v.(bool); return ok })

	emptyObject = accept("empty", func(v any) bool { o, ok := v.(map[string]any); return ok && len(o) == 0 })

	positive = accept("a positive number", func(v any) bool {
		n, ok := v.(json.Number)
		f, err := strconv.ParseFloat(n.String(), 64)
		return ok && err == nil && f > 0 && !math.IsInf(f, 0)
	})
)

func only(value bool) rule {
	return accept(strconv.FormatBool(value), func(v any) bool { return v == value })
}

func oneOf(values ...string) rule {
	return accept(strings.Join(values, " or "), func(v any) bool {
		s, ok := v.(string)
		return ok && slices.Contains(values, s)
	})
}

func matching(pattern, want string) rule {
	re := regexp.MustCompile(pattern)
	return accept(want, func(v any) bool { s, ok := v.(string); return ok && re.MatchString(s) })
}

func between(low, high int64) rule {
	return accept(fmt.Sprintf("a whole number from %d to %d", low, high), func(v any) bool {
		n, ok := v.(json.Number)
		i, err := strconv.ParseInt(n.String(), 10, 64)
		return ok && err == nil && i >= low && i <= high
	})
}

// decimalText is between for numbers that Compose keeps as text. Ranges,
// signs and leading zeros, which others may read differently, are refused.
func decimalText(low, high int64) rule {
	return accept(fmt.Sprintf("one whole number from %d to %d", low, high), func(v any) bool {
		s, ok := v.(string)
		i, err := strconv.ParseInt(s, 10, 64)
		return ok && err == nil && i >= low && i <= high && strconv.FormatInt(i, 10) == s
	})
}

// byteCount: compose-go writes sizes as decimal text; minus one would mean no
// limit.
var byteCount = decimalText(1, math.MaxInt64)

// durationUpTo accepts what compose-go writes, such as "1m30s".
func durationUpTo(most time.Duration) rule {
	return accept(fmt.Sprintf("a duration of at most %s", most), func(v any) bool {
		s, ok := v.(string)
		d, err := time.ParseDuration(s)
		return ok && err == nil && d >= 0 && d <= most
	})
}

var duration = durationUpTo(math.MaxInt64)

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
