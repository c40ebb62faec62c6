package helm

import (
	"encoding/json"
	"maps"
	"slices"

	"github.com/consign-dev/consign/internal/apply/task"
	"github.com/consign-dev/consign/internal/reason"
)

// withSecretObjects is what is rendered: the values of an order, with the name of a
// Secret at each place at which the chart wants one. What is in the Secrets is not
// known here.
func withSecretObjects(in task.ChartInput) (task.ChartImagesInput, error) {
	out := imagesInput(in)
	out.Values = maps.Clone(in.Values)
	if out.Values == nil {
		out.Values = map[string]json.RawMessage{}
	}
	for pointer, secret := range in.Secrets {
		if _, twice := out.Values[pointer]; twice || secret == "" {
			return out, reason.New(reason.Malformed, "secret at %q: it has a value, too, or no name", pointer)
		}
		name, err := json.Marshal(task.SecretObject(in.Release, secret))
		if err != nil {
			return out, reason.New(reason.Internal, "encode the name of a Secret: %w", err)
		}
		out.Values[pointer] = name
	}
	return out, nil
}

// secretNames are the device's secrets that a chart gets, sorted, each once.
func secretNames(in task.ChartInput) []string {
	return slices.Compact(slices.Sorted(maps.Values(in.Secrets)))
}
