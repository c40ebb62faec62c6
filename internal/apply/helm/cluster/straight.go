package cluster

import (
	"context"
	"slices"
	"strings"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/client-go/dynamic"
	"k8s.io/client-go/kubernetes/scheme"

	"github.com/consign-dev/consign/internal/apply/task"
	"github.com/consign-dev/consign/internal/reason"
)

// What Helm adds to an object.
const (
	labelManagedBy      = "app.kubernetes.io/managed-by"
	annotationNamespace = "meta.helm.sh/release-namespace"
	managedByHelm       = "Helm"
)

// target is an object of the render with where it goes, as the cluster should have
// it: with what Helm puts on objects of a release.
type target struct {
	*unstructured.Unstructured
	at      dynamic.ResourceInterface
	mapping *meta.RESTMapping
	stamped bool // the versions of all secrets that its pods use are known
}

func (c *cluster) target(o owner, obj *unstructured.Unstructured) (target, error) {
	m, err := c.resource(obj.GroupVersionKind())
	if err != nil {
		return target{}, err
	}
	t := target{Unstructured: obj.DeepCopy(), at: c.at(m, o.namespace), mapping: m}
	t.SetLabels(with(t.GetLabels(), labelManagedBy, managedByHelm))
	t.SetAnnotations(with(with(t.GetAnnotations(), annotationRelease, o.release), annotationNamespace, o.namespace))
	t.stamped, err = c.stamp(t.Unstructured)
	return t, err
}

func with(m map[string]string, key, value string) map[string]string {
	if m == nil {
		m = map[string]string{}
	}
	m[key] = value
	return m
}

// wanted is what the API server would make of a target in the place of a live
// object: with its defaults, and without what somebody added. It is asked for and
// changes nothing. unknown says what the server does about fields that it does not
// know.
func (t target) wanted(ctx context.Context, live *unstructured.Unstructured, scaled bool, unknown string) (*unstructured.Unstructured, error) {
	return t.put(ctx, live, scaled, metav1.UpdateOptions{FieldManager: fieldManager, FieldValidation: unknown, DryRun: []string{metav1.DryRunAll}})
}

// put has a target in the place of a live object.
//
// To replace it is exact. Some objects cannot be replaced by what was written, since
// the server filled in fields that then never change (a Job's selector, a claim's
// volume): of those the fields that the render has are applied.
func (t target) put(ctx context.Context, live *unstructured.Unstructured, scaled bool, how metav1.UpdateOptions) (*unstructured.Unstructured, error) {
	out, err := t.replace(ctx, live, scaled, how)
	if apierrors.IsInvalid(err) {
		out, err = t.at.Apply(ctx, t.GetName(), t.Unstructured, metav1.ApplyOptions{FieldManager: fieldManager, Force: true, DryRun: how.DryRun})
	}
	return out, err
}

// replace is put without the exception. What only the server says of an object stays
// as it is.
func (t target) replace(ctx context.Context, live *unstructured.Unstructured, scaled bool, how metav1.UpdateOptions) (*unstructured.Unstructured, error) {
	next := t.DeepCopy()
	next.SetResourceVersion(live.GetResourceVersion())
	next.SetFinalizers(live.GetFinalizers())
	for key, value := range live.GetAnnotations() {
		if _, ours := next.GetAnnotations()[key]; !ours && serversAnnotation(key) {
			next.SetAnnotations(with(next.GetAnnotations(), key, value))
		}
	}
	// With none, no autoscaler is at work: a copy of the data has stopped it.
	if replicas, _, _ := unstructured.NestedInt64(live.Object, "spec", "replicas"); replicas > 0 && scaled {
		if err := unstructured.SetNestedField(next.Object, replicas, "spec", "replicas"); err != nil {
			return nil, err
		}
	}
	return t.at.Update(ctx, next, how)
}

// serversAnnotations begin the annotations that controllers put on objects.
var serversAnnotations = slices.Concat(task.ControllersAnnotations, []string{"control-plane.alpha.kubernetes.io/"})

func serversAnnotation(key string) bool {
	return slices.ContainsFunc(serversAnnotations, func(prefix string) bool { return strings.HasPrefix(key, prefix) })
}

// scalers are the objects of a render whose number of pods a HorizontalPodAutoscaler
// of it decides, because the render leaves it open.
func (r *render) scalers() map[string]bool {
	out := map[string]bool{}
	if r == nil {
		return out
	}
	for _, obj := range r.objects {
		if obj.GroupVersionKind().GroupKind().String() != "HorizontalPodAutoscaler.autoscaling" {
			continue
		}
		kind, _, _ := unstructured.NestedString(obj.Object, "spec", "scaleTargetRef", "kind")
		named, _, _ := unstructured.NestedString(obj.Object, "spec", "scaleTargetRef", "name")
		out[kind+".apps/"+named] = true
	}
	for _, obj := range r.objects {
		if _, fixed, _ := unstructured.NestedFieldNoCopy(obj.Object, "spec", "replicas"); fixed {
			delete(out, name(obj))
		}
	}
	return out
}

// rehearse asks the server about every object before any is changed: whether it
// knows the kind and each field, and takes it.
func (c *cluster) rehearse(ctx context.Context, o owner, r *render) error {
	if err := step("rehearse"); err != nil {
		return err
	}
	for _, obj := range c.all(r) {
		t, err := c.target(o, obj)
		if err != nil {
			return err
		}
		if err := t.checkScope(); err != nil {
			return err
		}
		live, err := t.at.Get(ctx, obj.GetName(), metav1.GetOptions{})
		if apierrors.IsNotFound(err) {
			_, err = t.at.Create(ctx, t.Unstructured, metav1.CreateOptions{
				FieldManager: fieldManager, FieldValidation: metav1.FieldValidationStrict, DryRun: []string{metav1.DryRunAll},
			})
		} else if err == nil {
			_, err = t.wanted(ctx, live, false, metav1.FieldValidationStrict)
		}
		if err != nil {
			return refusedBy(name(obj), err)
		}
	}
	return nil
}

// checkScope refuses an object of a custom kind that is the whole cluster's: a grant
// of a kind is for objects in the deployment's namespace.
func (t target) checkScope() error {
	if t.mapping.Scope.Name() == meta.RESTScopeNameRoot && (t.GetNamespace() != "" || !scheme.Scheme.IsGroupRegistered(t.GroupVersionKind().Group)) {
		return reason.New(reason.Ineligible, "%s: objects of this kind are the whole cluster's here, not a namespace's", name(t.Unstructured))
	}
	return nil
}

// refusedBy tells a server that does not take an object from one that is away. The
// former is nothing that a later try would change.
func refusedBy(what string, err error) error {
	switch {
	case apierrors.IsInvalid(err), apierrors.IsBadRequest(err), apierrors.IsForbidden(err), apierrors.IsMethodNotSupported(err):
		return reason.New(reason.Ineligible, "%s: the cluster does not take it: %w", what, err)
	default:
		return clusterError("rehearse "+what, err)
	}
}

// straighten replaces what is not as the render says after Helm's merge: a merge
// keeps what others have added.
func (c *cluster) straighten(ctx context.Context, o owner, r *render) error {
	scalers := r.scalers()
	for _, obj := range r.objects {
		if err := c.straightenOne(ctx, o, obj, scalers[name(obj)]); err != nil {
			return err
		}
	}
	return nil
}

// ready puts a target in the place of what is in the cluster where that is neither
// of the last good version nor of the target: somebody changed it, or a version that
// failed left it. Helm's merge would trip over it, or keep a part of it.
func (c *cluster) ready(ctx context.Context, o owner, before, r *render) error {
	was, wasScaled, scalers := before.byName(), before.scalers(), r.scalers()
	for _, obj := range r.objects {
		live, err := c.get(ctx, obj, o.namespace)
		if err != nil {
			return err
		}
		if live == nil {
			continue
		}
		same, err := c.isAs(ctx, o, was[name(obj)], live, wasScaled[name(obj)])
		if err == nil && !same {
			err = c.straightenOne(ctx, o, obj, scalers[name(obj)])
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// isAs reports whether a live object is as a render has it; obj is nil where the
// render has none.
func (c *cluster) isAs(ctx context.Context, o owner, obj, live *unstructured.Unstructured, scaled bool) (bool, error) {
	if obj == nil || live.GetDeletionTimestamp() != nil {
		return false, nil
	}
	t, err := c.target(o, obj)
	if err != nil {
		return false, err
	}
	fields, err := t.differences(ctx, live, scaled)
	if apierrors.IsConflict(err) {
		return true, nil // it has just changed; what is left to do is done after the merge
	}
	return len(fields) == 0, clusterError("compare "+name(obj), err)
}

// retries is how often an object is replaced that a controller changes meanwhile.
const retries = 10

func (c *cluster) straightenOne(ctx context.Context, o owner, obj *unstructured.Unstructured, scaled bool) error {
	t, err := c.target(o, obj)
	if err != nil {
		return err
	}
	for range retries {
		live, err := t.at.Get(ctx, obj.GetName(), metav1.GetOptions{})
		if err != nil {
			return clusterError("look at "+name(obj), err)
		}
		fields, err := t.differences(ctx, live, scaled)
		if apierrors.IsConflict(err) {
			continue
		}
		if err != nil || len(fields) == 0 {
			return clusterError("compare "+name(obj), err)
		}
		if err := step("replace"); err != nil {
			return err
		}
		_, err = t.put(ctx, live, scaled, metav1.UpdateOptions{FieldManager: fieldManager})
		if !apierrors.IsConflict(err) {
			return clusterError("replace "+name(obj), err)
		}
	}
	return conflict("replace %s: something else in the cluster keeps changing it", name(obj))
}
