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
	h, err := c.helm(o)
	if err != nil {
		return task.RemoveResult{}, err
	}
	removed, err := c.takeAway(ctx, o, in.Volumes)
	if err != nil {
		return removed, err
	}
	return removed, c.leave(ctx, h, in.Volumes)
}

// leave removes what is ours beside the objects of a release: Helm's records, and
// the namespace. One that is not marked as ours stays as it is.
func (c *cluster) leave(ctx context.Context, h *helm, volumes bool) error {
	live, err := c.objects.Resource(namespaces).Get(ctx, h.namespace, metav1.GetOptions{})
	if apierrors.IsNotFound(err) || err == nil && live.GetLabels()[task.LabelDeployment] != h.deployment {
		return nil
	}
	if err != nil {
		return clusterError("look at the namespace "+h.namespace, err)
	}
	history, err := h.history(ctx)
	if err != nil {
		return err
	}
	if err := h.replaceRecords(ctx, history, nil); err != nil {
		return err
	}
	return c.leaveNamespace(ctx, h.owner, volumes)
}

// takeAway deletes the objects of a release, told by their labels even where those of
// the namespace were changed, and waits until they and what was made for them are
// gone.
func (c *cluster) takeAway(ctx context.Context, o owner, volumes bool) (task.RemoveResult, error) {
	removed, left := map[string]bool{}, "what was not looked for"
	for {
		inv, err := c.inventory(ctx, o)
		if err != nil {
			return task.RemoveResult{}, lateRemoval(ctx, left, err)
		}
		going := inv.going(o.release, volumes)
		arrangeRemoval(going)
		for _, r := range going {
			if err := c.delete(ctx, r); err != nil {
				return task.RemoveResult{}, lateRemoval(ctx, r.name(), err)
			}
			removed[r.name()] = true
		}
		if left = inv.left(o.release, volumes); len(going) == 0 && left == "" {
			return task.RemoveResult{Objects: slices.Sorted(maps.Keys(removed))}, nil
		} else if !pause(ctx) {
			return task.RemoveResult{}, lateRemoval(ctx, left, ctx.Err())
		}
	}
}

// lateRemoval says what is still there when the time is over. A finalizer that nobody
// sees to keeps an object for ever; the next removal goes on where this one ends.
func lateRemoval(ctx context.Context, left string, err error) error {
	if ctx.Err() == nil {
		return err
	}
	return reason.New(reason.Unreachable, "the time allowed for the removal is over, and the cluster still has %s: see which of its finalizers is not removed", left)
}

// going are the objects that a removal takes away. Claims are among them where the
// data is to go: those of the release, and when no other component has objects any
// more those that StatefulSets of the deployment left.
func (inv *inventory) going(release string, volumes bool) []*resident {
	own, strays := inv.of(release)
	out := append(own, strays...)
	for _, r := range inv.all {
		of := r.GetAnnotations()[annotationRelease]
		if volumes && r.isClaim() && r.GetDeletionTimestamp() == nil && (of == release || of == "" && !inv.others(release)) {
			out = append(out, r)
		}
	}
	return out
}

// others reports whether another component of the deployment has objects.
func (inv *inventory) others(release string) bool {
	return slices.ContainsFunc(inv.all, func(r *resident) bool {
		of := r.GetAnnotations()[annotationRelease]
		return of != "" && of != release && !r.isClaim()
	})
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
func (inv *inventory) left(release string, volumes bool) string {
	for _, r := range inv.all {
		of := inv.root(r).GetAnnotations()[annotationRelease]
		if r.isClaim() && !volumes || r.kind() == "Endpoints" || r.kind() == "EndpointSlice.discovery.k8s.io" {
			continue
		}
		if of == release || of == "" && r.kind() == "Pod" {
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
	how := metav1.DeleteOptions{PropagationPolicy: &background, Preconditions: &metav1.Preconditions{UID: &uid}}
	if grace := int64(strayGrace); r.isStrayPod() {
		how.GracePeriodSeconds = &grace
	}
	err := c.objects.Resource(r.resource).Namespace(r.GetNamespace()).Delete(ctx, r.GetName(), how)
	if apierrors.IsNotFound(err) || apierrors.IsConflict(err) {
		return nil
	}
	return clusterError("remove "+r.name(), err)
}

// sweep removes what is of the release, or of nobody, and not in the render. It ends
// when no pod that stands by itself is left of what is nobody's, since such a pod may
// have any rights; one that was going already, and took its time, is hurried.
func (c *cluster) sweep(ctx context.Context, o owner, r *render) error {
	for {
		inv, err := c.inventory(ctx, o)
		if err != nil {
			return err
		}
		beside, pods := inv.beside(r), inv.strayPods()
		arrangeRemoval(beside)
		for _, one := range append(beside, pods...) {
			if err := c.delete(ctx, one); err != nil {
				return err
			}
		}
		if len(pods) == 0 {
			return nil
		} else if !pause(ctx) {
			return fmt.Errorf("remove %s, which is not of the application: %w", pods[0].name(), ctx.Err())
		}
	}
}

// strayPods are the pods of nobody that stand by themselves, also those that are
// going.
func (inv *inventory) strayPods() []*resident {
	return slices.DeleteFunc(slices.Clone(inv.all), func(r *resident) bool { return !r.isStrayPod() })
}

// isStrayPod recognises a pod that is of no release and has no controller. One whose
// controller has just gone, as when a Deployment is removed, ends as it asked to.
func (r *resident) isStrayPod() bool {
	return r.kind() == "Pod" && r.GetAnnotations()[annotationRelease] == "" && metav1.GetControllerOf(r) == nil
}

// strayGrace is how many seconds a stray pod has to end, whatever it asked for.
const strayGrace = 1

// keepClaims has Helm leave the claims of the release alone that the render does
// not have: data outlives the version that made it.
func (c *cluster) keepClaims(ctx context.Context, o owner, r *render) error {
	rendered := r.byName()
	list, err := c.objects.Resource(claims).Namespace(o.namespace).List(ctx, metav1.ListOptions{LabelSelector: o.selector()})
	if err != nil {
		return clusterError("list the claims of release "+o.release, err)
	}
	patch := []byte(`{"metadata":{"annotations":{"` + kube.ResourcePolicyAnno + `":"` + kube.KeepPolicy + `"}}}`)
	for _, claim := range list.Items {
		if rendered[name(&claim)] != nil || claim.GetAnnotations()[kube.ResourcePolicyAnno] == kube.KeepPolicy {
			continue
		}
		_, err := c.objects.Resource(claims).Namespace(o.namespace).Patch(ctx, claim.GetName(), types.MergePatchType, patch, metav1.PatchOptions{FieldManager: fieldManager})
		if err != nil {
			return clusterError("keep "+name(&claim), err)
		}
	}
	return nil
}

// leaveNamespace removes the namespace of a deployment of which nothing is left. What
// somebody else keeps there keeps it.
func (c *cluster) leaveNamespace(ctx context.Context, o owner, volumes bool) error {
	inv, err := c.inventory(ctx, o)
	if err != nil {
		return err
	}
	if inv.others(o.release) {
		return nil
	}
	everything, err := c.list(ctx, o, "", true)
	if err != nil {
		return err
	}
	if slices.ContainsFunc(everything, func(r *resident) bool { return r.isOthers(o) || r.isClaim() && !volumes }) {
		return nil
	}
	err = c.objects.Resource(namespaces).Delete(ctx, o.namespace, metav1.DeleteOptions{})
	if apierrors.IsNotFound(err) || apierrors.IsConflict(err) {
		return nil
	}
	return clusterError("remove the namespace "+o.namespace, err)
}

// isOthers reports whether an object in the deployment's namespace is neither of the
// deployment nor one that Kubernetes has in every namespace or makes by itself.
func (r *resident) isOthers(o owner) bool {
	switch {
	case r.GetLabels()[task.LabelDeployment] == o.deployment, metav1.GetControllerOf(r) != nil, r.GetDeletionTimestamp() != nil:
		return false
	case r.isClaim() && r.GetLabels()[task.LabelDeployment] == "":
		return false // a StatefulSet's, whose claims bear the labels of its selector only
	case r.name() == "ConfigMap/kube-root-ca.crt", r.name() == "ServiceAccount/default":
		return false
	case r.kind() == "Endpoints", r.kind() == "EndpointSlice.discovery.k8s.io", r.kind() == "Lease.coordination.k8s.io":
		return false
	}
	// The token that old clusters make for the account is of the account.
	return r.GetAnnotations()["kubernetes.io/service-account.name"] != "default"
}
