package margo

import (
	"fmt"
	"slices"
	"strings"
	"unicode"

	"github.com/consign-dev/consign/internal/lazyregexp"
)

// Parameter is a value that can be set when the application is deployed, and
// where it goes.
type Parameter struct {
	Value   any      `yaml:"value,omitempty"` // string, bool, int64, float64 or a list of them; nil means none
	Targets []Target `yaml:"targets"`
}

// Target is one place that a parameter's value goes to.
type Target struct {
	// Pointer is the path of a Helm value as --set takes it, or the name of an
	// environment variable for Compose.
	Pointer    string   `yaml:"pointer"`
	Components []string `yaml:"components"`
}

// maxName bounds names that the specification leaves open.
const maxName = 200

var (
	environmentName = lazyregexp.New(`^[A-Za-z_][A-Za-z0-9_]*$`)
	// A Helm pointer is handed to a parser of --set arguments, where these
	// characters would begin another assignment, a list or a mapping.
	helmPointer = lazyregexp.New(`^[^\s,={}]+$`)
)

// checkPointer reports why a pointer cannot be used with a type of profile.
func checkPointer(pointer, profileType string) error {
	if pointer == "" || len(pointer) > maxName {
		return fmt.Errorf("pointer must have 1 to %d characters", maxName)
	}
	switch profileType {
	case TypeCompose:
		if environmentName.MatchString(pointer) {
			return nil
		}
		if name, old := strings.CutPrefix(pointer, "ENV."); old {
			return fmt.Errorf("pointer %.80q: the ENV. prefix was removed in Margo 1.0.0-rc.2, write %.80q", pointer, name)
		}
		return fmt.Errorf("pointer %.80q: a pointer to a compose component is the name of an environment variable, such as SITE_NAME", pointer)
	case TypeHelm:
		if !helmPointer.MatchString(pointer) {
			return fmt.Errorf("pointer %.80q: a pointer to a helm component is a path of dots into values.yaml, without spaces , = { or }", pointer)
		}
	}
	return nil
}

// checkValue reports why a value cannot be a parameter's.
func checkValue(v any) error {
	switch v := v.(type) {
	case nil, bool, int64, float64:
		return nil
	case string:
		if strings.ContainsRune(v, 0) {
			return fmt.Errorf("value contains a NUL character, which no environment variable can hold")
		}
		return nil
	case []any:
		for _, e := range v {
			if _, list := e.([]any); list || e == nil || checkValue(e) != nil {
				return fmt.Errorf("value: a list may hold text, numbers, true and false only")
			}
		}
		return nil
	}
	return fmt.Errorf("value must be text, a number, true, false or a list of these, not %s", show(v))
}

func checkParameterName(name string) error {
	if name == "" || len(name) > maxName || strings.ContainsFunc(name, unicode.IsControl) {
		return fmt.Errorf("a name must have 1 to %d printable characters", maxName)
	}
	return nil
}

// reaches lists the targets of p that lie in components, each with only the
// components of its own that do.
func (p Parameter) reaches(components []Component) []Target {
	var out []Target
	for _, t := range p.Targets {
		var names []string
		for _, name := range t.Components {
			if slices.ContainsFunc(components, func(c Component) bool { return c.Name == name }) {
				names = append(names, name)
			}
		}
		if names != nil {
			out = append(out, Target{Pointer: t.Pointer, Components: names})
		}
	}
	return out
}

// place is one pointer of one component.
type place struct{ component, pointer string }

// parameterChecker validates the parameters of either document.
type parameterChecker struct {
	p *problems
	// types are the types of the profiles that have a component of a name.
	types map[string][]string
	owner map[place]string
}

func (c *parameterChecker) check(name string, param Parameter) {
	at := "parameters." + shortName(name)
	if err := checkParameterName(name); err != nil {
		c.p.add("%s: %v", at, err)
	}
	if err := checkValue(param.Value); err != nil {
		c.p.add("%s: %v", at, err)
	}
	if len(param.Targets) == 0 {
		c.p.add("%s: targets is missing or empty", at)
	}
	for i, t := range param.Targets {
		c.target(fmt.Sprintf("%s.targets[%d]", at, i), name, param, t)
	}
}

func (c *parameterChecker) target(at, name string, param Parameter, t Target) {
	if len(t.Components) == 0 {
		c.p.add("%s: components is missing or empty", at)
	}
	for _, component := range t.Components {
		types, ok := c.types[component]
		if !ok {
			c.p.add("%s: %s", at, unknown("component", component, c.types))
			continue
		}
		for _, typ := range types {
			if err := checkPointer(t.Pointer, typ); err != nil {
				c.p.add("%s: %v", at, err)
			}
			if _, list := param.Value.([]any); list && typ == TypeCompose {
				c.p.add("%s: a list cannot be the value of an environment variable", at)
			}
		}
		c.claim(at, name, place{component, t.Pointer})
	}
}

// claim refuses a second value for one place: which one won would depend on
// the reader.
func (c *parameterChecker) claim(at, name string, where place) {
	if owner, taken := c.owner[where]; taken {
		c.p.add("%s: pointer %.80q of component %.80q is already set by parameter %.80q", at, where.pointer, where.component, owner)
		return
	}
	c.owner[where] = name
}
