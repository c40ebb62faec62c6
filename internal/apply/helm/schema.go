package helm

import (
	"bytes"
	"errors"
	"fmt"
	"strings"

	"github.com/santhosh-tekuri/jsonschema/v6"
	"github.com/santhosh-tekuri/jsonschema/v6/kind"
	"helm.sh/helm/v3/pkg/chart"

	"github.com/consign-dev/consign/internal/reason"
)

// checkSchema validates values with the values.schema.json of the chart and of
// each dependency, as Helm does, but for references that lead out of the file,
// which Helm would fetch, and for messages, in which Helm quotes values.
func checkSchema(c *chart.Chart, values map[string]any) error {
	if c.Schema != nil {
		if err := validate(c.Schema, values); err != nil {
			return reason.Wrap(reason.Malformed, fmt.Errorf("chart %s: values.schema.json: %w", c.ChartPath(), err))
		}
	}
	for _, sub := range c.Dependencies() {
		raw, ok := values[sub.Name()]
		if !ok || raw == nil {
			continue
		}
		below, ok := raw.(map[string]any)
		if !ok {
			return reason.New(reason.Malformed, "values of %s: not a mapping", sub.ChartPath())
		}
		if err := checkSchema(sub, below); err != nil {
			return err
		}
	}
	return nil
}

func validate(schema []byte, values map[string]any) error {
	doc, err := jsonschema.UnmarshalJSON(bytes.NewReader(schema))
	if err != nil {
		return errors.New("not JSON")
	}
	const url = "file:///values.schema.json"
	compiler := jsonschema.NewCompiler()
	compiler.UseLoader(nowhere{})
	if err := compiler.AddResource(url, doc); err != nil {
		return fmt.Errorf("%.300w", err)
	}
	compiled, err := compiler.Compile(url)
	if err != nil {
		return fmt.Errorf("%.300w", err)
	}
	var invalid *jsonschema.ValidationError
	if err := compiled.Validate(values); errors.As(err, &invalid) {
		return errors.New(strings.Join(complaints(invalid, nil), "; "))
	} else if err != nil {
		return errors.New("cannot be applied to the values")
	}
	return nil
}

// nowhere is where a schema finds what is not in it. The schemas of JSON Schema
// itself are part of the library.
type nowhere struct{}

func (nowhere) Load(url string) (any, error) {
	return nil, fmt.Errorf("%.200q is not in the file: references must stay within it", url)
}

const maxComplaints = 8

// complaints says where values break which rule, without the values.
func complaints(e *jsonschema.ValidationError, list []string) []string {
	if len(e.Causes) == 0 && len(list) < maxComplaints {
		return append(list, fmt.Sprintf("%.200q: %.200s", strings.Join(e.InstanceLocation, "."), rule(e.ErrorKind)))
	}
	for _, cause := range e.Causes {
		list = complaints(cause, list)
	}
	return list
}

func rule(k jsonschema.ErrorKind) string {
	switch k := k.(type) {
	case *kind.Type:
		return fmt.Sprintf("is %s, must be %s", k.Got, strings.Join(k.Want, " or "))
	case *kind.Required:
		return "lacks " + strings.Join(k.Missing, ", ")
	case *kind.AdditionalProperties:
		return "has unknown " + strings.Join(k.Properties, ", ")
	default:
		return "breaks the rule " + strings.Join(k.KeywordPath(), "/")
	}
}
