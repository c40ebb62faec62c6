package helm

import (
	"fmt"
	"slices"
	"strings"
)

// podTemplates says where the kinds of Kubernetes that make pods have the
// template for them: an object with metadata and spec.
var podTemplates = map[string][]string{
	"Pod":                   {},
	"PodTemplate":           {"template"},
	"ReplicationController": {"spec", "template"},
	"Deployment.apps":       {"spec", "template"},
	"StatefulSet.apps":      {"spec", "template"},
	"DaemonSet.apps":        {"spec", "template"},
	"ReplicaSet.apps":       {"spec", "template"},
	"Deployment.extensions": {"spec", "template"},
	"DaemonSet.extensions":  {"spec", "template"},
	"ReplicaSet.extensions": {"spec", "template"},
	"Job.batch":             {"spec", "template"},
	"CronJob.batch":         {"spec", "jobTemplate", "spec", "template"},
}

// templatePath is the way to an object's pod template; ok is false for a kind
// that has none.
func (o *object) templatePath() (path []string, ok bool) {
	kind, _, _ := strings.Cut(o.id(), "/")
	path, ok = podTemplates[kind]
	return path, ok
}

// at follows a path of mappings. A part that is not there gives nil.
func (o *object) at(path []string) (map[string]any, error) {
	place := o.raw
	for i, key := range path {
		next, ok := place[key].(map[string]any)
		if !ok && place[key] != nil {
			return nil, o.refuse(strings.Join(path[:i+1], "."), "not a mapping")
		}
		if next == nil {
			return nil, nil
		}
		place = next
	}
	return place, nil
}

// podSpec returns the pod template's spec and its path in words, or nil for a
// kind that makes no pods.
func (o *object) podSpec() (map[string]any, string, error) {
	path, ok := o.templatePath()
	if !ok {
		return nil, "", nil
	}
	path = append(slices.Clone(path), "spec")
	spec, err := o.at(path)
	if err == nil && spec == nil {
		err = o.refuse(strings.Join(path, "."), "is missing")
	}
	return spec, strings.Join(path, "."), err
}

// container is one container of a pod template.
type container struct {
	raw   map[string]any
	place string // its path in words
	debug bool   // an ephemeral one, which has no limits
}

// containers lists every container of an object, in its order.
func (o *object) containers() ([]container, error) {
	spec, at, err := o.podSpec()
	if err != nil || spec == nil {
		return nil, err
	}
	var list []container
	for _, field := range []string{"initContainers", "containers", "ephemeralContainers"} {
		items, err := o.list(spec, at, field)
		if err != nil {
			return nil, err
		}
		for i, item := range items {
			name, ok := item["name"].(string)
			if !ok {
				name = fmt.Sprint(i)
			}
			list = append(list, container{item, fmt.Sprintf("%s.%s[%.63s]", at, field, name), field == "ephemeralContainers"})
		}
	}
	return list, nil
}

// list returns a field that must be a list of mappings, if it is there.
func (o *object) list(in map[string]any, at, field string) ([]map[string]any, error) {
	if in[field] == nil {
		return nil, nil
	}
	raw, ok := in[field].([]any)
	if !ok {
		return nil, o.refuse(at+"."+field, "not a list")
	}
	list := make([]map[string]any, len(raw))
	for i, item := range raw {
		if list[i], ok = item.(map[string]any); !ok {
			return nil, o.refuse(fmt.Sprintf("%s.%s[%d]", at, field, i), "not a mapping")
		}
	}
	return list, nil
}
