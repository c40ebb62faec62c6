package margo

import (
	"slices"
	"strconv"
	"strings"
)

// The evaluation of selectors follows Margo 1.0.0-rc.3, Eligibility Rules:
// comparisons are exact and case-sensitive, and a value of a shape that an
// operator does not take makes the expression false, for NotIn too.

// matches evaluates a selector; get finds the value of a key.
func (s *Selector) matches(get func(key string) (any, bool)) bool {
	return s == nil || s.failing(get) == nil
}

// failing returns the first expression that does not hold, nil when all do.
func (s *Selector) failing(get func(key string) (any, bool)) *MatchExpression {
	if s == nil {
		return nil
	}
	for i := range s.MatchExpressions {
		if !s.MatchExpressions[i].holds(get) {
			return &s.MatchExpressions[i]
		}
	}
	return nil
}

func (e *MatchExpression) holds(get func(key string) (any, bool)) bool {
	v, present := get(e.Key)
	switch e.Operator {
	case opExists:
		return present
	case opDoesNotExist:
		return !present
	}
	if !present {
		return false
	}
	switch e.Operator {
	case opIn:
		have, ok := comparableValues(v)
		return ok && e.anyEqual(have)
	case opNotIn:
		have, ok := comparableValues(v)
		return ok && !e.anyEqual(have)
	case opGt, opLt:
		return e.compares(v)
	default:
		return e.contains(v)
	}
}

// comparableValues is the values that In looks among: v, or the elements of
// the array v. An object, null and an array with one of these are not
// comparable.
func comparableValues(v any) ([]any, bool) {
	list, ok := v.([]any)
	if !ok {
		list = []any{v}
	}
	for _, e := range list {
		switch e.(type) {
		case string, float64, bool:
		default:
			return nil, false
		}
	}
	return list, true
}

func (e *MatchExpression) anyEqual(have []any) bool {
	return slices.ContainsFunc(have, func(h any) bool {
		return slices.ContainsFunc(e.Values, func(want any) bool { return equal(h, want) })
	})
}

// equal compares a value of a JSON document with one of a YAML document.
func equal(have, want any) bool {
	h, isNumber := have.(float64)
	if !isNumber {
		return have == want
	}
	if _, text := want.(string); text {
		return false
	}
	w, ok := number(want)
	return ok && h == w
}

func (e *MatchExpression) compares(v any) bool {
	have, ok := v.(float64)
	want, valid := number(e.Values[0])
	if !ok || !valid {
		return false
	}
	if e.Operator == opGt {
		return have > want
	}
	return have < want
}

// number reads a number, or text that is a decimal number.
func number(v any) (float64, bool) {
	switch v := v.(type) {
	case float64:
		return v, true
	case int64:
		return float64(v), true
	case uint64:
		return float64(v), true
	case string:
		f, err := strconv.ParseFloat(v, 64)
		return f, err == nil && decimal.MatchString(v)
	}
	return 0, false
}

// contains evaluates ContainsAll and ContainsAny on an array of objects.
func (e *MatchExpression) contains(v any) bool {
	list, ok := v.([]any)
	if !ok {
		return false
	}
	found := false
	for _, item := range list {
		object, ok := item.(map[string]any)
		if !ok {
			return false
		}
		found = found || e.itemMatches(object)
	}
	return found
}

func (e *MatchExpression) itemMatches(object map[string]any) bool {
	get := func(key string) (any, bool) { return lookup(object, key) }
	if e.Operator == opContainsAll {
		return e.ItemSelector.matches(get)
	}
	return slices.ContainsFunc(e.ItemSelector.MatchExpressions, func(x MatchExpression) bool { return x.holds(get) })
}

// lookup evaluates an RFC 6901 JSON Pointer.
func lookup(root any, pointer string) (any, bool) {
	if !validPointer(pointer) {
		return nil, false
	}
	at := root
	for token := range strings.SplitSeq(pointer[1:], "/") {
		token = strings.ReplaceAll(strings.ReplaceAll(token, "~1", "/"), "~0", "~")
		switch container := at.(type) {
		case map[string]any:
			v, ok := container[token]
			if !ok {
				return nil, false
			}
			at = v
		case []any:
			i, err := strconv.Atoi(token)
			if err != nil || i < 0 || i >= len(container) || strconv.Itoa(i) != token {
				return nil, false
			}
			at = container[i]
		default:
			return nil, false
		}
	}
	return at, true
}

// validPointer reports whether s is a JSON Pointer to something inside the
// document; "", the whole document, is of no use in a selector.
func validPointer(s string) bool {
	if !strings.HasPrefix(s, "/") {
		return false
	}
	rest := strings.ReplaceAll(strings.ReplaceAll(s, "~0", ""), "~1", "")
	return !strings.Contains(rest, "~")
}
