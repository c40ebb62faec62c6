package composefile

import (
	"maps"
	"slices"
	"strconv"
	"strings"

	"github.com/compose-spec/compose-go/v2/template"

	"github.com/consign-dev/consign/internal/lazyregexp"
	"github.com/consign-dev/consign/internal/reason"
)

// Bounds on what a small file grows to when variables are filled in, port
// ranges are written out and services are extended (attack A7). compose-go has
// none, and its search for variables takes time with the cube of their nesting.
const (
	maxServices = 256
	// maxExtends is how many services one after another may extend the next.
	maxExtends = 16
	// maxNodes bounds values and keys, ports written out among them, and
	// MaxContents the text, both with what each service takes from others.
	maxNodes = 50_000
	// maxNested bounds ${A:-${B:-x}}, and maxSearch the length of the texts with
	// variables, each as often as it has some.
	maxNested = 8
	maxSearch = 16 << 20
)

// weight is how much a part of the tree is.
type weight struct{ nodes, bytes int }

func (w *weight) add(o weight) { w.nodes, w.bytes = w.nodes+o.nodes, w.bytes+o.bytes }

func (w weight) check() error {
	if w.nodes > maxNodes {
		return reason.New(reason.TooLarge, "%s: grows to more than %d values", ComposeFile, maxNodes)
	}
	if w.bytes > MaxContents {
		return reason.New(reason.TooLarge, "%s: grows to more than %d bytes", ComposeFile, MaxContents)
	}
	return nil
}

// growth weighs a tree as it will be, without making it.
type growth struct {
	vars   Vars
	search int // spent of maxSearch
}

// checkGrowth bounds the project that a tree stands for. refuseForeign has seen
// the tree before.
func checkGrowth(tree map[string]any, vars Vars) error {
	g := growth{vars: vars}
	total, err := g.weigh(tree)
	if err != nil {
		return err
	}
	services, _ := tree["services"].(map[string]any)
	if len(services) > maxServices {
		return reason.New(reason.TooLarge, "%s: %d services, at most %d are allowed", ComposeFile, len(services), maxServices)
	}
	for _, name := range slices.Sorted(maps.Keys(services)) {
		w, err := g.extended(services, name)
		if err != nil {
			return err
		}
		if total.add(w); total.check() != nil {
			return total.check()
		}
	}
	return nil
}

// weigh counts a value and what is in it.
func (g *growth) weigh(v any) (weight, error) {
	w := weight{nodes: 1}
	add := func(child any) error {
		c, err := g.weigh(child)
		if w.add(c); err != nil {
			return err
		}
		return w.check()
	}
	switch v := v.(type) {
	case string:
		text, err := g.text(v)
		w.bytes = len(text)
		return w, err
	case map[string]any:
		for key, child := range v {
			w.add(weight{1, len(key)})
			if err := add(child); err != nil {
				return w, err
			}
		}
	case []any:
		for _, child := range v {
			if err := add(child); err != nil {
				return w, err
			}
		}
	}
	return w, nil
}

// extended weighs a service with the ports that it writes as ranges and with
// the services that it extends.
func (g *growth) extended(services map[string]any, name string) (weight, error) {
	var total weight
	for range maxExtends {
		service, ok := services[name].(map[string]any)
		if !ok {
			return total, nil // compose-go says what is missing
		}
		w, err := g.weigh(service)
		if err != nil {
			return total, err
		}
		total.add(w)
		if err := g.ports(service["ports"], &total); err != nil {
			return total, err
		}
		base, named := service["extends"].(string)
		if m, ok := service["extends"].(map[string]any); ok {
			base, named = m["service"].(string)
		}
		if !named {
			return total, nil
		}
		if name, err = g.text(base); err != nil {
			return total, err
		}
	}
	return total, reason.New(reason.TooLarge, "%s: services.%.100s: extends: more than %d services in a row, or a circle", ComposeFile, name, maxExtends)
}

var portRange = lazyregexp.New(`([0-9]{1,5})-([0-9]{1,5})`)

func (g *growth) ports(ports any, total *weight) error {
	list, _ := ports.([]any)
	for _, p := range list {
		spelt, _ := p.(string)
		text, err := g.text(spelt)
		if err != nil {
			return err
		}
		for _, m := range portRange.FindAllStringSubmatch(text, -1) {
			first, _ := strconv.Atoi(m[1])
			last, _ := strconv.Atoi(m[2])
			total.nodes += max(0, last-first)
		}
		if err := total.check(); err != nil {
			return err
		}
	}
	return nil
}

// text fills in variables as compose-go will. What is wrong about them is left
// for compose-go to say, which knows the place.
func (g *growth) text(text string) (string, error) {
	if !strings.Contains(text, "$") {
		return text, nil
	}
	if g.search += len(text) * strings.Count(text, "${"); g.search > maxSearch {
		return "", reason.New(reason.TooLarge, "%s: too many variables in long texts; write long texts into a file of the package", ComposeFile)
	}
	if nested(text) > maxNested {
		return "", reason.New(reason.TooLarge, "%s: variables nested deeper than %d: %.60q", ComposeFile, maxNested, text)
	}
	counted := meteredLookup{find: lookup(g.vars), left: MaxContents}
	out, err := substitute(text, counted.lookup)
	if counted.left < 0 {
		return "", weight{bytes: MaxContents + 1}.check()
	}
	if err != nil {
		return text, nil
	}
	return out, nil
}

// nested is how deep a text has variables in the defaults of variables.
func nested(text string) int {
	depth, deepest := 0, 0
	for i := range len(text) {
		switch {
		case strings.HasPrefix(text[i:], "${"):
			depth++
		case text[i] == '}' && depth > 0:
			depth--
		}
		deepest = max(deepest, depth)
	}
	return deepest
}

// meteredLookup gives out so many bytes of values and from then on none.
type meteredLookup struct {
	find template.Mapping
	left int
}

func (m *meteredLookup) lookup(name string) (string, bool) {
	value, ok := m.find(name)
	if m.left -= len(value); m.left < 0 {
		return "", ok
	}
	return value, ok
}
