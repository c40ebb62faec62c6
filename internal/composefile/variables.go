package composefile

import (
	"fmt"
	"regexp"
	"strings"

	"github.com/compose-spec/compose-go/v2/template"

	"github.com/consign-dev/consign/internal/reason"
)

// noValue is the common part of the messages about unset variables.
const noValue = "has no value and no default"

// variableName is what an environment variable may be called (POSIX), and so
// what a parameter's pointer to a Compose component is.
var variableName = regexp.MustCompile(`^[A-Za-z_][A-Za-z0-9_]*$`)

// unset marks the place of a variable without a value. compose-go replaces
// such a variable by whatever text comes with "not found" and goes on, so the
// text is one that no value can hold.
const unset = "\x00"

func checkVars(vars map[string]string) error {
	for name, value := range vars {
		if !variableName.MatchString(name) {
			return reason.New(reason.Render, "parameter pointer %q is not the name of an environment variable", name)
		}
		if strings.Contains(value, "\x00") {
			return reason.New(reason.Render, "value of %s contains a NUL byte", name)
		}
	}
	return nil
}

func lookup(vars map[string]string) func(string) (string, bool) {
	return func(name string) (string, bool) {
		if v, ok := vars[name]; ok {
			return v, true
		}
		return unset + name + unset, false
	}
}

// substitute is Compose's interpolation, in which an unset variable is an
// error and not a blank. A value is inserted as it is: what looks like a
// variable inside it stays.
func substitute(text string, mapping template.Mapping) (string, error) {
	if strings.Contains(text, unset) {
		return "", fmt.Errorf("%q contains a NUL byte", text)
	}
	out, err := template.SubstituteWithOptions(text, mapping, template.WithoutLogging)
	if err != nil {
		return "", err
	}
	if _, rest, found := strings.Cut(out, unset); found {
		name, _, _ := strings.Cut(rest, unset)
		return "", fmt.Errorf("variable %q %s", name, noValue)
	}
	return out, nil
}
