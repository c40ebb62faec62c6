package cluster

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"time"

	"helm.sh/helm/v3/pkg/kube"
	"helm.sh/helm/v3/pkg/releaseutil"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"github.com/consign-dev/consign/internal/apply/task"
	"github.com/consign-dev/consign/internal/reason"
)

// Remove takes a release away: the objects that bear the deployment's label and the
// release's name, whatever Helm's record says, and then its record. Claims, and so
// data, go only when Volumes says so; the namespace goes with the last release
// when nothing is left in it that has to stay.
func Remove(ctx context.Context, in task.ChartRemoveInput) (task.RemoveResult, error) {
	if in.Deployment == "" || in.TimeoutSeconds <= 0 {
		return task.RemoveResult{}, reason.New(reason.Malformed, "remove: deployment and timeoutSeconds are required")
	}
	ctx, cancel := context.WithTimeout(ctx, time.Duration(in.TimeoutSeconds)*time.Second)
	defer cancel()
	o := owner{in.Release, in.Namespace, in.Deployment}
	c, err := connect(ctx, in.Kubeconfig)
	if err != nil {
		return task.RemoveResult{}, err
	}
	there, err := c.hasNamespace(ctx, o)
	if err != nil || !there {
		return task.RemoveResult{}, err
	}
	h, err := c.helm(o)
	if err != nil {
		return task.RemoveResult{}, err
	}
	removed, err := c.takeAway(ctx, o)
	if err != nil {
		return removed, err
	}
	if err := h.replaceRecords(ctx, nil); err != nil {
		return removed, err
	}
	return removed, c.leaveNamespace(ctx, o, in.Volumes)
}

// hasNamespace reports whether there is anything to remove. A namespace of somebody
// else holds nothing of ours.
func (c *cluster) hasNamespace(ctx context.Context, o owner) (bool, error) {
	live, err := c.objects.Resource(namespaces).Get(ctx, o.namespace, metav1.GetOptions{})
	if apierrors.IsNotFound(err) {
		return false, nil
	}
	return err == nil && live.GetLabels()[task.LabelDeployment] == o.deployment, clusterError("look at the namespace "+o.namespace, err)
}

// takeAway deletes the objects of a release and waits until they and what was made
// for them are gone.
func (c *cluster) takeAway(ctx context.Context, o owner) (task.RemoveResult, error) {
	removed := map[string]bool{}
	for {
		inv, err := c.inventory(ctx, o)
		if err != nil {
			return task.RemoveResult{}, err
		}
		own, strays := inv.of(o.release)
		going := append(own, strays...)
		arrangeRemoval(going)
		for _, r := range going {
			if err := c.delete(ctx, r); err != nil {
				return task.RemoveResult{}, err
			}
			removed[r.name()] = true
		}
		if left := inv.left(o.release); len(going) == 0 && left == "" {
			return task.RemoveResult{Objects: slices.Sorted(maps.Keys(removed))}, nil
		} else if ctx.Err() != nil || !pause(ctx) {
			return task.RemoveResult{}, fmt.Errorf("the time allowed for the removal is over, and %s is still there", left)
		}
	}
}

// pause waits for the next look.
func pause(ctx context.Context) bool {
	select {
	case <-ctx.Done():
		return false
	case <-time.After(pollInterval):
		return true
	}
}

// left names something of the release, or made for it, that is still there.
func (inv *inventory) left(release string) string {
	for _, r := range inv.all {
		root := inv.root(r)
		of := root.GetAnnotations()[annotationRelease]
		if r.isClaim() || r.gvk.Kind == "Endpoints" || r.gvk.Kind == "EndpointSlice" {
			continue
		}
		if of == release || of == "" && r.gvk.Kind == "Pod" {
			return r.name()
		}
	}
	return ""
}

// arrangeRemoval puts objects in the order in which Helm removes kinds.
func arrangeRemoval(list []*resident) {
	rank := map[string]int{}
	for i, kind := range releaseutil.UninstallOrder {
		rank[kind] = i + 1
	}
	slices.SortStableFunc(list, func(a, b *resident) int { return rank[a.gvk.Kind] - rank[b.gvk.Kind] })
}

func (c *cluster) delete(ctx context.Context, r *resident) error {
	if err := step("delete"); err != nil {
		return err
	}
	background, uid := metav1.DeletePropagationBackground, r.GetUID()
	err := c.objects.Resource(r.resource).Namespace(r.GetNamespace()).Delete(ctx, r.GetName(), metav1.DeleteOptions{
		PropagationPolicy: &background, Preconditions: &metav1.Preconditions{UID: &uid},
	})
	if apierrors.IsNotFound(err) || apierrors.IsConflict(err) {
		return nil
	}
	return clusterError("remove "+r.name(), err)
}

// sweep removes what is of the release, or of nobody, and not in the render.
func (c *cluster) sweep(ctx context.Context, o owner, r *render) error {
	inv, err := c.inventory(ctx, o)
	if err != nil {
		return err
	}
	beside := inv.beside(r)
	arrangeRemoval(beside)
	for _, one := range beside {
		if err := c.delete(ctx, one); err != nil {
			return err
		}
	}
	return nil
}

// keepClaims has Helm leave the claims of the release alone that the render does
// not have: data outlives the version that made it.
func (c *cluster) keepClaims(ctx context.Context, o owner, r *render) error {
	rendered := map[string]bool{}
	for _, obj := range r.objects {
		rendered[name(obj)] = true
	}
	list, err := c.objects.Resource(claims).Namespace(o.namespace).List(ctx, metav1.ListOptions{LabelSelector: o.selector()})
	if err != nil {
		return clusterError("list the claims of release "+o.release, err)
	}
	patch := []byte(`{"metadata":{"annotations":{"` + kube.ResourcePolicyAnno + `":"` + kube.KeepPolicy + `"}}}`)
	for _, claim := range list.Items {
		if rendered[name(&claim)] || claim.GetAnnotations()[kube.ResourcePolicyAnno] == kube.KeepPolicy {
			continue
		}
		_, err := c.objects.Resource(claims).Namespace(o.namespace).Patch(ctx, claim.GetName(), types.MergePatchType, patch, metav1.PatchOptions{FieldManager: fieldManager})
		if err != nil {
			return clusterError("keep "+name(&claim), err)
		}
	}
	return nil
}

// leaveNamespace removes the namespace of a deployment when nothing is left in it
// but what every namespace has: data stays unless it is to go, and so does what
// others put there, such as a Secret that the site makes for the application.
func (c *cluster) leaveNamespace(ctx context.Context, o owner, volumes bool) error {
	empty, err := c.empty(ctx, o, volumes)
	if err != nil || !empty {
		return err
	}
	err = c.objects.Resource(namespaces).Delete(ctx, o.namespace, metav1.DeleteOptions{})
	if apierrors.IsNotFound(err) || apierrors.IsConflict(err) {
		return nil
	}
	return clusterError("remove the namespace "+o.namespace, err)
}

// empty reports whether a namespace holds nothing that has to stay. With volumes,
// its claims have not.
func (c *cluster) empty(ctx context.Context, o owner, volumes bool) (bool, error) {
	inv, err := c.everything(ctx, o)
	if err != nil {
		return false, err
	}
	for _, r := range inv.all {
		switch {
		case r.GetDeletionTimestamp() != nil, inv.made(r), ofEveryNamespace[r.name()], r.gvk.Group == "metrics.k8s.io":
		case r.gvk.Kind == "EndpointSlice", r.gvk.Kind == "Endpoints": // they follow their service
		case r.isClaim() && volumes:
		default:
			return false, nil
		}
	}
	return true, nil
}

// ofEveryNamespace are the objects that Kubernetes puts into each namespace.
var ofEveryNamespace = map[string]bool{"ConfigMap/kube-root-ca.crt": true, "ServiceAccount/default": true}
