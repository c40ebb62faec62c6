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
	at dynamic.ResourceInterface
}

func (c *cluster) target(o owner, obj *unstructured.Unstructured) (target, error) {
	m, err := c.resource(obj.GroupVersionKind())
	if err != nil {
		return target{}, err
	}
	t := target{obj.DeepCopy(), c.at(m, o.namespace)}
	t.SetLabels(with(t.GetLabels(), labelManagedBy, managedByHelm))
	t.SetAnnotations(with(with(t.GetAnnotations(), annotationRelease, o.release), annotationNamespace, o.namespace))
	return t, nil
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
// changes nothing.
//
// Replacing is the exact question. Some objects cannot be replaced by what was
// written, since the server filled in fields that then never change (a Job's
// selector, a claim's volume): of those the fields that the render has are compared.
func (t target) wanted(ctx context.Context, live *unstructured.Unstructured, scaled bool) (*unstructured.Unstructured, error) {
	return t.asked(ctx, live, scaled, metav1.FieldValidationIgnore)
}

// asked is wanted with a choice of what the server does about fields that it does
// not know.
func (t target) asked(ctx context.Context, live *unstructured.Unstructured, scaled bool, unknown string) (*unstructured.Unstructured, error) {
	out, err := t.replace(ctx, live, scaled, metav1.UpdateOptions{FieldManager: fieldManager, FieldValidation: unknown, DryRun: []string{metav1.DryRunAll}})
	if apierrors.IsInvalid(err) {
		out, err = t.at.Apply(ctx, t.GetName(), t.Unstructured, metav1.ApplyOptions{FieldManager: fieldManager, Force: true, DryRun: []string{metav1.DryRunAll}})
	}
	return out, err
}

// replace puts a target in the place of a live object. What only the server says of
// an object stays as it is.
func (t target) replace(ctx context.Context, live *unstructured.Unstructured, scaled bool, how metav1.UpdateOptions) (*unstructured.Unstructured, error) {
	next := t.DeepCopy()
	next.SetResourceVersion(live.GetResourceVersion())
	next.SetFinalizers(live.GetFinalizers())
	for key, value := range live.GetAnnotations() {
		if _, ours := next.GetAnnotations()[key]; !ours && serversAnnotation(key) {
			next.SetAnnotations(with(next.GetAnnotations(), key, value))
		}
	}
	if replicas, ok, _ := unstructured.NestedInt64(live.Object, "spec", "replicas"); ok && scaled {
		if err := unstructured.SetNestedField(next.Object, replicas, "spec", "replicas"); err != nil {
			return nil, err
		}
	}
	return t.at.Update(ctx, next, how)
}

// serversAnnotations begin the annotations that controllers put on objects.
var serversAnnotations = []string{
	"deployment.kubernetes.io/", "deprecated.daemonset.template.generation", "pv.kubernetes.io/", "volume.kubernetes.io/",
	"volume.beta.kubernetes.io/", "batch.kubernetes.io/", "autoscaling.alpha.kubernetes.io/", "control-plane.alpha.kubernetes.io/",
	"endpoints.kubernetes.io/",
}

func serversAnnotation(key string) bool {
	return slices.ContainsFunc(serversAnnotations, func(prefix string) bool { return strings.HasPrefix(key, prefix) })
}

// scalers are the objects of a render whose number of pods a HorizontalPodAutoscaler
// of it decides, because the render leaves it open.
func (r *render) scalers() map[string]bool {
	out := map[string]bool{}
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
	for _, obj := range r.objects {
		t, err := c.target(o, obj)
		if err != nil {
			return err
		}
		if err := c.scope(obj); err != nil {
			return err
		}
		live, err := t.at.Get(ctx, obj.GetName(), metav1.GetOptions{})
		if apierrors.IsNotFound(err) {
			_, err = t.at.Create(ctx, t.Unstructured, metav1.CreateOptions{
				FieldManager: fieldManager, FieldValidation: metav1.FieldValidationStrict, DryRun: []string{metav1.DryRunAll},
			})
		} else if err == nil {
			_, err = t.asked(ctx, live, false, metav1.FieldValidationStrict)
		}
		if err != nil {
			return refusedBy(name(obj), err)
		}
	}
	return nil
}

// scope refuses an object of a custom kind that is the whole cluster's: a grant of a
// kind is for objects in the deployment's namespace.
func (c *cluster) scope(obj *unstructured.Unstructured) error {
	m, err := c.resource(obj.GroupVersionKind())
	if err != nil {
		return err
	}
	if m.Scope.Name() == meta.RESTScopeNameRoot && (obj.GetNamespace() != "" || !scheme.Scheme.IsGroupRegistered(obj.GroupVersionKind().Group)) {
		return reason.New(reason.Ineligible, "%s: objects of this kind are the whole cluster's here, not a namespace's", name(obj))
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
	scalers := r.scalers()
	for _, obj := range r.objects {
		live, err := c.get(ctx, obj, o.namespace)
		if err != nil {
			return err
		}
		if live == nil {
			continue
		}
		if known, err := c.isOf(ctx, o, before, live); err != nil || known {
			if err != nil {
				return err
			}
			continue
		}
		if err := c.straightenOne(ctx, o, obj, scalers[name(obj)]); err != nil {
			return err
		}
	}
	return nil
}

// isOf reports whether a live object is as a render has it.
func (c *cluster) isOf(ctx context.Context, o owner, r *render, live *unstructured.Unstructured) (bool, error) {
	if r == nil {
		return false, nil
	}
	for _, obj := range r.objects {
		if name(obj) != name(live) {
			continue
		}
		said, err := c.driftOf(ctx, o, obj, r.scalers()[name(obj)])
		return said == "", err
	}
	return false, nil
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
		_, err = t.replace(ctx, live, scaled, metav1.UpdateOptions{FieldManager: fieldManager})
		if apierrors.IsInvalid(err) {
			_, err = t.at.Apply(ctx, t.GetName(), t.Unstructured, metav1.ApplyOptions{FieldManager: fieldManager, Force: true})
		}
		if !apierrors.IsConflict(err) {
			return clusterError("replace "+name(obj), err)
		}
	}
	return conflict("replace %s: something else in the cluster keeps changing it", name(obj))
}
