package helm

import (
	"bytes"
	"encoding/json"
	"maps"
	"math"
	"slices"
	"strconv"
	"unicode/utf8"

	"github.com/consign-dev/consign/internal/reason"
)

// node is a place in the tree of ordered values. It is a mapping, a list or a
// value, never two of them.
type node struct {
	pointer string // the first that led here
	keys    map[string]*node
	items   map[int]*node
	leaf    bool
	value   any
}

// ordered builds the tree of the ordered values. No two pointers may need the
// same place, and no list may have gaps, which Helm fills with null.
func ordered(values map[string]json.RawMessage) (*node, error) {
	root := &node{keys: map[string]*node{}}
	for _, pointer := range slices.Sorted(maps.Keys(values)) {
		steps, err := parsePointer(pointer)
		if err != nil {
			return nil, err
		}
		value, err := parseValue(pointer, values[pointer])
		if err != nil {
			return nil, err
		}
		if err := root.put(pointer, steps, value); err != nil {
			return nil, err
		}
	}
	return root, root.whole()
}

func (n *node) put(pointer string, steps []step, value any) error {
	if n.leaf || len(steps) == 0 && (n.keys != nil || n.items != nil) {
		return clash(pointer, n.pointer)
	}
	if len(steps) == 0 {
		n.leaf, n.value = true, value
		return nil
	}
	s := steps[0]
	if s.index < 0 && n.items != nil || s.index >= 0 && n.keys != nil {
		return clash(pointer, n.pointer)
	}
	return n.child(pointer, s).put(pointer, steps[1:], value)
}

func (n *node) child(pointer string, s step) *node {
	if s.index >= 0 {
		if n.items == nil {
			n.items = map[int]*node{}
		}
		if n.items[s.index] == nil {
			n.items[s.index] = &node{pointer: pointer}
		}
		return n.items[s.index]
	}
	if n.keys == nil {
		n.keys = map[string]*node{}
	}
	if n.keys[s.key] == nil {
		n.keys[s.key] = &node{pointer: pointer}
	}
	return n.keys[s.key]
}

func clash(a, b string) error {
	return reason.New(reason.Malformed, "pointers %q and %q: one is a value where the other has something below it, or one a list where the other has names", a, b)
}

func (n *node) whole() error {
	for i := range len(n.items) {
		if n.items[i] == nil {
			return reason.New(reason.Malformed, "pointer %q: element %d of its list has no value", n.pointer, i)
		}
	}
	for _, below := range slices.Concat(slices.Collect(maps.Values(n.keys)), slices.Collect(maps.Values(n.items))) {
		if err := below.whole(); err != nil {
			return err
		}
	}
	return nil
}

// tree is the node in the form in which Helm takes values.
func (n *node) tree() any {
	switch {
	case n.leaf:
		return n.value
	case n.items != nil:
		list := make([]any, len(n.items))
		for i, item := range n.items {
			list[i] = item.tree()
		}
		return list
	default:
		mapping := make(map[string]any, len(n.keys))
		for key, child := range n.keys {
			mapping[key] = child.tree()
		}
		return mapping
	}
}

// fits compares the places of ordered values with the chart's own: Helm would
// put a mapping where the chart has a text, with a warning that nobody reads.
func (n *node) fits(chart any) error {
	if chart == nil {
		return nil
	}
	mapping, isMapping := chart.(map[string]any)
	_, isList := chart.([]any)
	switch {
	case n.leaf && isMapping:
		return reason.New(reason.Malformed, "pointer %q: the chart has a mapping there, name a value below it", n.pointer)
	case n.keys != nil && !isMapping:
		return reason.New(reason.Malformed, "pointer %q: leads through something that is no mapping in the chart's values", n.pointer)
	case n.items != nil && !isList:
		return reason.New(reason.Malformed, "pointer %q: has an index where the chart's values have no list", n.pointer)
	}
	for _, key := range slices.Sorted(maps.Keys(n.keys)) {
		if err := n.keys[key].fits(mapping[key]); err != nil {
			return err
		}
	}
	return nil
}

// parseValue reads a value with its type kept: a text stays a text, whatever it
// looks like.
func parseValue(pointer string, raw json.RawMessage) (any, error) {
	dec := json.NewDecoder(bytes.NewReader(raw))
	dec.UseNumber()
	var v any
	if err := dec.Decode(&v); err != nil || !utf8.Valid(raw) {
		return nil, reason.New(reason.Malformed, "value of %q: not JSON", pointer)
	}
	return typed(pointer, v)
}

func typed(pointer string, v any) (any, error) {
	switch v := v.(type) {
	case string, bool:
		return v, nil
	case json.Number:
		return number(pointer, v.String())
	case []any:
		for i := range v {
			item, err := typed(pointer, v[i])
			if err != nil {
				return nil, err
			}
			v[i] = item
		}
		return v, nil
	default:
		return nil, reason.New(reason.Malformed, "value of %q: must be text, a number, true, false or a list of these, without null", pointer)
	}
}

// number returns an int64 for what is whole: a template prints 1000000 as a
// float64 as 1e+06.
func number(pointer, text string) (any, error) {
	if n, err := strconv.ParseInt(text, 10, 64); err == nil {
		return n, nil
	}
	const exact = 1 << 53
	f, err := strconv.ParseFloat(text, 64)
	switch {
	case err != nil || math.Trunc(f) == f && math.Abs(f) > exact:
		return nil, reason.New(reason.Malformed, "value of %q: a number that has more digits than a template can tell", pointer)
	case math.Trunc(f) == f:
		return int64(f), nil
	default:
		return f, nil
	}
}
