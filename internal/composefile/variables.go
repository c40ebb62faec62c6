package composefile

import (
	"fmt"
	"strings"

	"github.com/compose-spec/compose-go/v2/template"

	"github.com/consign-dev/consign/internal/lazyregexp"
	"github.com/consign-dev/consign/internal/reason"
)

// noValue is the common part of the messages about unset variables.
const noValue = "has no value and no default"

// variableName is what an environment variable may be called (POSIX), and so
// what a parameter's pointer to a Compose component is.
var variableName = lazyregexp.New(`^[A-Za-z_][A-Za-z0-9_]*$`)

// Vars are the variables of a project.
type Vars struct {
	// Values are the ordinary ones, name to text.
	Values map[string]string
	// Secrets are those whose values are secret, name to the name of the device's
	// secret. The values are not known here. Such a variable can be the
	// "environment" of a secret and nothing else, and in the project the name of
	// the device's secret stands in its place.
	Secrets map[string]string
}

// unset marks the place of a variable without a value. compose-go replaces
// such a variable by whatever text comes with "not found" and goes on, so the
// text is one that no value can hold.
const unset = "\x00"

// secretMark, before the name of a variable without a value, says that it is
// secret.
const secretMark = "$"

func checkVars(vars Vars) error {
	for name := range vars.Secrets {
		if _, both := vars.Values[name]; both || !variableName.MatchString(name) {
			return reason.New(reason.Render, "parameter pointer %q is not the name of an environment variable of its own", name)
		}
	}
	for name, value := range vars.Values {
		if !variableName.MatchString(name) {
			return reason.New(reason.Render, "parameter pointer %q is not the name of an environment variable", name)
		}
		if strings.Contains(value, "\x00") {
			return reason.New(reason.Render, "value of %s contains a NUL byte", name)
		}
	}
	return nil
}

func lookup(vars Vars) func(string) (string, bool) {
	return func(name string) (string, bool) {
		if v, ok := vars.Values[name]; ok {
			return v, true
		}
		if _, ok := vars.Secrets[name]; ok {
			return unset + secretMark + name + unset, true // a default must not stand in for it
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
		if name, ok := strings.CutPrefix(name, secretMark); ok {
			return "", inTheOpen(name)
		}
		return "", fmt.Errorf("variable %q %s", name, noValue)
	}
	return out, nil
}
