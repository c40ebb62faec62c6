package cluster

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/discovery"
	"k8s.io/client-go/kubernetes/scheme"
	"k8s.io/client-go/metadata"

	"github.com/consign-dev/consign/internal/apply/task"
)

// annotationRelease is where Helm writes which release an object belongs to.
const annotationRelease = "meta.helm.sh/release-name"

// owner is whose objects a task may touch.
type owner struct{ release, namespace, deployment string }

func (o owner) selector() string {
	return labels.Set{task.LabelDeployment: o.deployment}.String()
}

// resident is an object that bears the label of the deployment.
type resident struct {
	metav1.PartialObjectMetadata
	gvk      schema.GroupVersionKind
	resource schema.GroupVersionResource
}

// kind is the kind with its group: others may have given theirs the same name.
func (r *resident) kind() string { return r.gvk.GroupKind().String() }

func (r *resident) name() string { return kindName(r.kind(), r.GetName()) }

// inventory is everything in the cluster that bears the label of a deployment, of
// whichever kind.
type inventory struct {
	owner
	all   []*resident
	byUID map[types.UID]*resident
}

// inventory lists by metadata alone, which is small. Kinds that another API server
// offers, which is down, are left out, since it would have to be up for them to do
// anything; Kubernetes' own are not.
func (c *cluster) inventory(ctx context.Context, o owner) (*inventory, error) {
	all, err := c.list(ctx, o, o.selector(), false)
	if err != nil {
		return nil, err
	}
	inv := &inventory{owner: o, all: all, byUID: map[types.UID]*resident{}}
	for _, r := range all {
		inv.byUID[r.UID] = r
	}
	return inv, nil
}

// list finds the objects with certain labels in a namespace, and in the cluster's own
// kinds unless they are left out.
func (c *cluster) list(ctx context.Context, o owner, selector string, namespacedOnly bool) ([]*resident, error) {
	if err := step("list"); err != nil {
		return nil, err
	}
	kinds, err := c.listable()
	if err != nil {
		return nil, err
	}
	client, err := metadata.NewForConfig(c.config)
	if err != nil {
		return nil, err
	}
	var out []*resident
	for _, k := range kinds {
		var from metadata.ResourceInterface = client.Resource(k.resource)
		if k.namespaced {
			from = client.Resource(k.resource).Namespace(o.namespace)
		} else if namespacedOnly {
			continue
		}
		list, err := from.List(ctx, metav1.ListOptions{LabelSelector: selector})
		if apierrors.IsNotFound(err) || apierrors.IsServiceUnavailable(err) && !scheme.Scheme.IsGroupRegistered(k.gvk.Group) {
			continue
		}
		if err != nil {
			return nil, clusterError("list "+k.resource.Resource, err)
		}
		for _, item := range list.Items {
			out = append(out, &resident{item, k.gvk, k.resource})
		}
	}
	return out, nil
}

type kind struct {
	gvk        schema.GroupVersionKind
	resource   schema.GroupVersionResource
	namespaced bool
}

// listable are the kinds of the cluster, each in its preferred version.
func (c *cluster) listable() ([]kind, error) {
	found, err := discovery.ServerPreferredResources(c.discovery)
	var partly *discovery.ErrGroupDiscoveryFailed
	if err != nil && !errors.As(err, &partly) {
		return nil, clusterError("ask the cluster for its kinds", err)
	}
	return kindsOf(found)
}

// kindsOf picks the kinds that have objects: what can be listed and removed. What a
// server works out when it is asked, such as the PodMetrics that bear the labels of
// their pods, is none. Events are reports, and namespaces are looked at by name.
func kindsOf(found []*metav1.APIResourceList) ([]kind, error) {
	var out []kind
	for _, list := range found {
		gv, err := schema.ParseGroupVersion(list.GroupVersion)
		if err != nil {
			return nil, fmt.Errorf("ask the cluster for its kinds: %w", err)
		}
		for _, r := range list.APIResources {
			stored := slices.Contains(r.Verbs, "list") && slices.Contains(r.Verbs, "delete")
			if !stored || strings.Contains(r.Name, "/") || r.Kind == "Event" || r.Name == namespaces.Resource && gv.Group == "" {
				continue
			}
			out = append(out, kind{gv.WithKind(r.Kind), gv.WithResource(r.Name), r.Namespaced})
		}
	}
	return out, nil
}

// makers are the kinds whose objects are made by a controller for an object of
// another kind.
var makers = map[string][]string{
	"Pod":                            {"ReplicaSet.apps", "StatefulSet.apps", "DaemonSet.apps", "Job.batch"},
	"ReplicaSet.apps":                {"Deployment.apps"},
	"Job.batch":                      {"CronJob.batch"},
	"ControllerRevision.apps":        {"StatefulSet.apps", "DaemonSet.apps"},
	"EndpointSlice.discovery.k8s.io": {"Service"},
}

// root is the object for which controllers made r, step by step, or r itself.
func (inv *inventory) root(r *resident) *resident {
	for range makers { // no chain is longer
		controller := metav1.GetControllerOf(r)
		if controller == nil {
			break
		}
		maker, ok := inv.byUID[controller.UID]
		if !ok || !slices.Contains(makers[r.kind()], maker.kind()) {
			break
		}
		r = maker
	}
	return r
}

// of are the objects of the release itself, with those of nobody: objects with the
// deployment's label that no release of it and no controller made. Claims are data,
// and are treated apart; what is going already is left to go.
func (inv *inventory) of(release string) (own, strays []*resident) {
	for _, r := range inv.all {
		of := r.GetAnnotations()[annotationRelease]
		switch {
		case r.GetDeletionTimestamp() != nil, r.isClaim(), inv.made(r):
		case of == release:
			own = append(own, r)
		case of == "":
			strays = append(strays, r)
		}
	}
	return own, strays
}

// made reports whether a controller made r for another object, or copied a service
// into it.
func (inv *inventory) made(r *resident) bool {
	if r.kind() == "Endpoints" {
		return slices.ContainsFunc(inv.all, func(s *resident) bool { return s.kind() == "Service" && s.GetName() == r.GetName() })
	}
	return inv.root(r) != r || inv.operated(r)
}

// maxOperators is how many custom objects may stand over each other.
const maxOperators = 8

// operated reports whether an operator made r: its controller is, by UID, an object of
// a custom kind that bears the deployment's label, and so, step by step, up to one
// that nobody made. Whoever may write in the namespace can say so of an object, too;
// what it asks for is judged in any case.
func (inv *inventory) operated(r *resident) bool {
	for steps := range maxOperators {
		controller := metav1.GetControllerOf(r)
		if controller == nil {
			return steps > 0
		}
		maker, ok := inv.byUID[controller.UID]
		if !ok || scheme.Scheme.IsGroupRegistered(maker.gvk.Group) {
			return false
		}
		r = maker
	}
	return false // they made each other
}

func (r *resident) isClaim() bool { return r.kind() == "PersistentVolumeClaim" }

// beside are the objects of the release, or of nobody, that are not in a render.
func (inv *inventory) beside(r *render) []*resident {
	rendered := r.byName()
	own, strays := inv.of(r.Release)
	var out []*resident
	for _, one := range append(own, strays...) {
		if rendered[one.name()] == nil && !r.delivers(one.name()) {
			out = append(out, one)
		}
	}
	return out
}

// checkOwner refuses a render of which an object is there and is not this
// deployment's (attack H14). It changes nothing.
func (c *cluster) checkOwner(ctx context.Context, o owner, r *render) error {
	if err := c.checkNamespace(ctx, o); err != nil {
		return err
	}
	for _, obj := range c.all(r) {
		live, err := c.get(ctx, obj, o.namespace)
		if err != nil {
			return err
		}
		if live == nil {
			continue
		}
		if err := o.owns(live); err != nil {
			return err
		}
	}
	return nil
}

func (o owner) owns(live *unstructured.Unstructured) error {
	if got := live.GetLabels()[task.LabelDeployment]; got != o.deployment {
		return conflict("%s is in the cluster and is not this deployment's: rename or remove it", name(live))
	}
	if got, ok := live.GetAnnotations()[annotationRelease]; ok && got != o.release {
		return conflict("%s is in the cluster and is of the release %q, another component", name(live), got)
	}
	return nil
}

// get returns the live object of the name, or nil.
func (c *cluster) get(ctx context.Context, obj *unstructured.Unstructured, namespace string) (*unstructured.Unstructured, error) {
	m, err := c.resource(obj.GroupVersionKind())
	if err != nil {
		return nil, err
	}
	live, err := c.at(m, namespace).Get(ctx, obj.GetName(), metav1.GetOptions{})
	if apierrors.IsNotFound(err) {
		return nil, nil
	}
	return live, clusterError("look at "+name(obj), err)
}
