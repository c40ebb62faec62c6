package cluster

import (
	"context"
	"fmt"
	"reflect"
	"slices"
	"strings"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
)

// maxFields bounds how many fields of an object, and maxDrift how many objects, a
// report names.
const (
	maxFields = 8
	maxDrift  = 64
)

// drift compares what is in the cluster with the render: one sentence for each
// object, with the names of fields and never a value, which can be a password.
// rotated are the sentences about what has another version of a secret of the device.
func (c *cluster) drift(ctx context.Context, o owner, r *render, inv *inventory) (out, rotated []string, err error) {
	scalers := r.scalers()
	for _, obj := range c.all(r) {
		said, old, err := c.driftOf(ctx, o, obj, scalers[name(obj)])
		if err != nil {
			return nil, nil, err
		}
		if said != "" {
			out = append(out, said)
		}
		if old != "" {
			rotated = append(rotated, old)
		}
	}
	for _, r := range inv.beside(r) {
		out = append(out, r.name()+" is not of the application")
	}
	if len(out) > maxDrift {
		out = append(out[:maxDrift], fmt.Sprintf("and %d more", len(out)-maxDrift))
	}
	return out, rotated, nil
}

func (c *cluster) driftOf(ctx context.Context, o owner, obj *unstructured.Unstructured, scaled bool) (drift, rotated string, err error) {
	t, err := c.target(o, obj)
	if err != nil {
		return "", "", err
	}
	live, err := t.at.Get(ctx, obj.GetName(), metav1.GetOptions{})
	switch {
	case apierrors.IsNotFound(err):
		return name(obj) + " is not there", "", nil
	case err != nil:
		return "", "", clusterError("look at "+name(obj), err)
	case live.GetDeletionTimestamp() != nil:
		return name(obj) + " is being removed", "", nil
	}
	if rotated, err = t.rotated(live); err != nil {
		return "", "", err
	}
	fields, err := t.differences(ctx, live, scaled)
	if apierrors.IsConflict(err) {
		return "", "", nil // it has just changed; the next look will see
	}
	if err != nil {
		return "", "", clusterError("compare "+name(obj), err)
	}
	if len(fields) == 0 {
		return "", rotated, nil
	}
	more := ""
	if len(fields) > maxFields {
		fields, more = fields[:maxFields], ", ..."
	}
	return name(obj) + ": " + strings.Join(fields, ", ") + more + " differ", rotated, nil
}

// differences are the fields in which a live object is not what the server would
// make of the target.
func (t target) differences(ctx context.Context, live *unstructured.Unstructured, scaled bool) ([]string, error) {
	if err := step("compare"); err != nil {
		return nil, err
	}
	wanted, err := t.wanted(ctx, live, scaled, metav1.FieldValidationIgnore)
	if err != nil {
		return nil, err
	}
	return differing("", comparable(live), comparable(wanted)), nil
}

// comparable is an object without what only the server writes.
func comparable(o *unstructured.Unstructured) map[string]any {
	out := o.DeepCopy().Object
	delete(out, "status")
	metadata, _ := out["metadata"].(map[string]any)
	for _, field := range []string{"managedFields", "resourceVersion", "generation", "uid", "creationTimestamp", "selfLink"} {
		delete(metadata, field)
	}
	return out
}

// differing lists the paths at which two trees differ, as deep as both go.
func differing(path string, a, b any) []string {
	switch x := a.(type) {
	case map[string]any:
		if y, ok := b.(map[string]any); ok {
			return differingMaps(path, x, y)
		}
	case []any:
		if y, ok := b.([]any); ok && len(x) == len(y) {
			var out []string
			for i := range x {
				out = append(out, differing(path+element(x[i], i), x[i], y[i])...)
			}
			return out
		}
	}
	if reflect.DeepEqual(a, b) {
		return nil
	}
	return []string{path}
}

func differingMaps(path string, a, b map[string]any) []string {
	var keys []string
	for key := range a {
		keys = append(keys, key)
	}
	for key := range b {
		if _, both := a[key]; !both {
			keys = append(keys, key)
		}
	}
	slices.Sort(keys)
	var out []string
	for _, key := range keys {
		x, inA := a[key]
		y, inB := b[key]
		at := member(path, key)
		if inA != inB {
			out = append(out, at)
			continue
		}
		out = append(out, differing(at, x, y)...)
	}
	return out
}

func member(path, key string) string {
	switch {
	case strings.ContainsAny(key, "./"):
		return path + "[" + key + "]"
	case path == "":
		return key
	default:
		return path + "." + key
	}
}

// element names an element of a list by its name, where it has one.
func element(v any, i int) string {
	if m, ok := v.(map[string]any); ok {
		if name, ok := m["name"].(string); ok {
			return "[" + name + "]"
		}
	}
	return fmt.Sprintf("[%d]", i)
}
