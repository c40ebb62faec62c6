package margo

import (
	"encoding/json"
	"fmt"
	"slices"
	"strconv"
)

// ChartValues are the values of a Helm component: by pointer into values.yaml, what
// the deployment's parameters have, as JSON in the type that the package gives
// them (docs/spec/helm.md, Values). A deployment that fits the package has no
// other; the error has no reason of its own.
func (d *ApplicationDescription) ChartValues(deployment *ApplicationDeployment, component string) (map[string]json.RawMessage, error) {
	values := map[string]json.RawMessage{}
	for _, name := range sortedKeys(deployment.Spec.Parameters) {
		p := deployment.Spec.Parameters[name]
		v, err := d.chartValue(name, p.Value)
		if err != nil {
			return nil, fmt.Errorf("parameters.%s: %w", shortName(name), err)
		}
		for _, t := range p.Targets {
			if slices.Contains(t.Components, component) {
				values[t.Pointer] = v
			}
		}
	}
	return values, nil
}

// ChartDefaults are the values that the package's parameters have when an order
// names none. A parameter without a default has the value of its chart; in the place
// of the Secret of a secret one stands a name.
func (d *ApplicationDescription) ChartDefaults(component string) (map[string]json.RawMessage, error) {
	plain := map[string]Parameter{}
	for name, p := range d.Parameters {
		if p.Value != nil { // a secret one has none
			plain[name] = p
		}
	}
	values, err := d.ChartValues(&ApplicationDeployment{Spec: DeploymentSpec{Parameters: plain}}, component)
	for name, p := range d.Parameters {
		for _, t := range p.Targets {
			if err == nil && d.Secret(name) && slices.Contains(t.Components, component) {
				values[t.Pointer] = json.RawMessage(`"secret"`)
			}
		}
	}
	return values, err
}

func (d *ApplicationDescription) chartValue(name string, v any) (json.RawMessage, error) {
	typed, err := d.accept(name, v)
	if err != nil {
		return nil, err
	}
	if text, ok := typed.(string); ok && d.untyped(name) {
		typed = asSet(text)
	}
	return json.Marshal(typed)
}

// untyped reports whether nothing in the package says what type a parameter has.
func (d *ApplicationDescription) untyped(name string) bool {
	_, schema := d.setting(name)
	return schema == nil && d.implied(name) == nil
}

// asSet reads text as helm --set does: whole numbers and true and false in their
// canonical form are such, all else is text. It has no null: a value that is
// ordered cannot take one of the chart's away.
func asSet(text string) any {
	switch text {
	case "true":
		return true
	case "false":
		return false
	}
	if n, err := strconv.ParseInt(text, 10, 64); err == nil && strconv.FormatInt(n, 10) == text {
		return n
	}
	return text
}
