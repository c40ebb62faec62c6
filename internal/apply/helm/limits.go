package helm

import (
	"encoding/json"
	"math"

	"k8s.io/apimachinery/pkg/api/resource"

	"github.com/consign-dev/consign/internal/apply/task"
)

// setLimits gives every container without a limit of its own the device's, and
// returns the places. A request above it raises it: the cluster would refuse the
// pod, and what is a fair request is for the policy to say. A container that
// requests nothing goes on to: the cluster would else take the limit for its
// request, and keep a whole processor for it.
func (o *object) setLimits(l task.Limits) (places []string, err error) {
	containers, err := o.containers()
	if err != nil {
		return nil, err
	}
	defaults := map[string]resource.Quantity{
		"cpu":    *resource.NewMilliQuantity(int64(math.Ceil(l.CPUs*1000)), resource.DecimalSI),
		"memory": *resource.NewQuantity(l.Memory, resource.DecimalSI),
	}
	for _, c := range containers {
		if c.debug {
			continue
		}
		for _, name := range []string{"cpu", "memory"} {
			set, err := o.setLimit(c, name, defaults[name])
			if err != nil {
				return nil, err
			}
			if set {
				places = append(places, o.id()+": "+c.place+".resources.limits."+name)
			}
		}
	}
	return places, nil
}

func (o *object) setLimit(c container, name string, limit resource.Quantity) (bool, error) {
	resources, err := o.below(c.raw, c.place, "resources")
	if err != nil {
		return false, err
	}
	limits, err := o.below(resources, c.place+".resources", "limits")
	if err != nil {
		return false, err
	}
	if limits[name] != nil {
		_, err := o.quantity(limits[name], c.place+".resources.limits."+name)
		return false, err
	}
	requests, err := o.below(resources, c.place+".resources", "requests")
	if err != nil {
		return false, err
	}
	if requests[name] == nil {
		requests[name] = "0"
	} else {
		request, err := o.quantity(requests[name], c.place+".resources.requests."+name)
		if err != nil {
			return false, err
		}
		if request.Cmp(limit) > 0 {
			limit = request
		}
	}
	limits[name] = limit.String()
	resources["limits"], resources["requests"], c.raw["resources"] = limits, requests, resources
	return true, nil
}

// below returns a mapping of a mapping, an empty one if it is not there.
func (o *object) below(in map[string]any, at, field string) (map[string]any, error) {
	switch v := in[field].(type) {
	case nil:
		return map[string]any{}, nil
	case map[string]any:
		return v, nil
	default:
		return nil, o.refuse(at+"."+field, "not a mapping")
	}
}

func (o *object) quantity(v any, at string) (resource.Quantity, error) {
	text := ""
	switch v := v.(type) {
	case string:
		text = v
	case json.Number:
		text = v.String()
	}
	q, err := resource.ParseQuantity(text)
	if err != nil {
		return q, o.refuse(at, "not a quantity")
	}
	return q, nil
}
