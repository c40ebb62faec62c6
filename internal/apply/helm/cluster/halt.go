package cluster

import (
	"context"
	"fmt"
	"slices"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/kubernetes"

	"github.com/consign-dev/consign/internal/apply/task"
	"github.com/consign-dev/consign/internal/reason"
)

// haltTimeout bounds the end of the pods that use a claim: two that end one after the
// other, each with the most time for it that a policy allows.
const haltTimeout = 20 * time.Minute

// halt keeps a workload from running pods. It changes the object, and the next apply
// puts that right by itself, as it does with anything that differs from the render.
type halt struct {
	resource    schema.GroupVersionResource
	name, shown string
	// stop and start are merge patches; stop is "" for a workload that runs no pods.
	stop, start string
}

// scaled is a halt of what has a number of replicas.
func scaled(plural, kind, name string, replicas *int32, besides string) halt {
	n := int32(1)
	if replicas != nil {
		n = *replicas
	}
	h := halt{resource: apps(plural), name: name, shown: kindName(kind, name)}
	if n > 0 {
		h.stop = `{"spec":{"replicas":0` + besides + `}}`
		h.start = fmt.Sprintf(`{"spec":{"replicas":%d}}`, n)
	}
	return h
}

func apps(plural string) schema.GroupVersionResource {
	return schema.GroupVersionResource{Group: "apps", Version: "v1", Resource: plural}
}

// keepAll has a StatefulSet leave the claims of the pods alone that it removes.
const keepAll = `,"persistentVolumeClaimRetentionPolicy":{"whenDeleted":"Retain","whenScaled":"Retain"}`

// nowhere are the patches that have a DaemonSet fit no node, and fit its nodes again.
const (
	nowhere = `{"spec":{"template":{"spec":{"nodeSelector":{"dev.consign.stopped":"true"}}}}}`
	again   = `{"spec":{"template":{"spec":{"nodeSelector":{"dev.consign.stopped":null}}}}}`
)

// workload is something of the deployment that makes pods and can be told not to.
type workload struct {
	uid      types.UID
	template *corev1.PodSpec
	claims   bool // it has templates for claims
	halt
}

// workloads lists what can be halted.
func workloads(ctx context.Context, client kubernetes.Interface, o owner) ([]workload, error) {
	labelled := metav1.ListOptions{LabelSelector: o.selector()}
	deployments, err := client.AppsV1().Deployments(o.namespace).List(ctx, labelled)
	if err != nil {
		return nil, clusterError("list the Deployments in "+o.namespace, err)
	}
	var out []workload
	for _, d := range deployments.Items {
		out = append(out, workload{d.UID, &d.Spec.Template.Spec, false, scaled("deployments", "Deployment.apps", d.Name, d.Spec.Replicas, "")})
	}
	replicaSets, err := client.AppsV1().ReplicaSets(o.namespace).List(ctx, labelled)
	if err != nil {
		return nil, clusterError("list the ReplicaSets in "+o.namespace, err)
	}
	for _, r := range replicaSets.Items {
		if metav1.GetControllerOf(&r) == nil {
			out = append(out, workload{r.UID, &r.Spec.Template.Spec, false, scaled("replicasets", "ReplicaSet.apps", r.Name, r.Spec.Replicas, "")})
		}
	}
	statefulSets, err := client.AppsV1().StatefulSets(o.namespace).List(ctx, labelled)
	if err != nil {
		return nil, clusterError("list the StatefulSets in "+o.namespace, err)
	}
	for _, s := range statefulSets.Items {
		h := scaled("statefulsets", "StatefulSet.apps", s.Name, s.Spec.Replicas, keepAll)
		out = append(out, workload{s.UID, &s.Spec.Template.Spec, len(s.Spec.VolumeClaimTemplates) > 0, h})
	}
	return moreWorkloads(ctx, client, o, out)
}

func moreWorkloads(ctx context.Context, client kubernetes.Interface, o owner, out []workload) ([]workload, error) {
	labelled := metav1.ListOptions{LabelSelector: o.selector()}
	daemonSets, err := client.AppsV1().DaemonSets(o.namespace).List(ctx, labelled)
	if err != nil {
		return nil, clusterError("list the DaemonSets in "+o.namespace, err)
	}
	for _, d := range daemonSets.Items {
		h := halt{apps("daemonsets"), d.Name, kindName("DaemonSet.apps", d.Name), nowhere, again}
		out = append(out, workload{d.UID, &d.Spec.Template.Spec, false, h})
	}
	cronJobs, err := client.BatchV1().CronJobs(o.namespace).List(ctx, labelled)
	if err != nil {
		return nil, clusterError("list the CronJobs in "+o.namespace, err)
	}
	for _, j := range cronJobs.Items {
		h := halt{schema.GroupVersionResource{Group: "batch", Version: "v1", Resource: "cronjobs"}, j.Name, kindName("CronJob.batch", j.Name), "", ""}
		if j.Spec.Suspend == nil || !*j.Spec.Suspend {
			h.stop, h.start = `{"spec":{"suspend":true}}`, `{"spec":{"suspend":false}}`
		}
		out = append(out, workload{j.UID, &j.Spec.JobTemplate.Spec.Template.Spec, false, h})
	}
	return out, nil
}

// users are what uses claims: the workloads to halt, and what else runs pods that do
// and cannot be halted, such as a Job or a pod of its own.
type users struct {
	halts []halt
	other []*resident
}

// users finds what uses the claims. A pod of somebody else among them is a conflict:
// it would go on writing.
func (c *cluster) users(ctx context.Context, client kubernetes.Interface, o owner, claims []held) (users, error) {
	var out users
	list, err := workloads(ctx, client, o)
	if err != nil {
		return out, err
	}
	inv, err := c.inventory(ctx, o)
	if err != nil {
		return out, err
	}
	pods, err := podsUsing(ctx, client, o.namespace, claims)
	if err != nil {
		return out, err
	}
	pods = slices.DeleteFunc(pods, ended)
	makers := map[types.UID]bool{}
	for _, pod := range pods {
		if pod.Labels[task.LabelDeployment] != o.deployment {
			return out, conflict("Pod/%s uses a claim of the deployment and is not this deployment's: remove it", pod.Name)
		}
		maker := inv.maker(pod.UID)
		if maker == nil {
			continue // it has just come or gone, and its workload is known
		}
		if slices.ContainsFunc(list, func(w workload) bool { return w.uid == maker.UID }) {
			makers[maker.UID] = true
		} else if !slices.Contains(out.other, maker) {
			out.other = append(out.other, maker)
		}
	}
	for _, w := range list {
		if w.claims || makers[w.uid] || uses(w.template, claims) {
			out.halts = append(out.halts, w.halt)
		}
	}
	return out, nil
}

// maker is what decides whether a pod runs: what it was made for, or its Job, which a
// CronJob that is suspended does not end.
func (inv *inventory) maker(pod types.UID) *resident {
	r := inv.byUID[pod]
	for r != nil && r.kind() != "Job.batch" {
		controller := metav1.GetControllerOf(r)
		if controller == nil || inv.byUID[controller.UID] == nil {
			break
		}
		r = inv.byUID[controller.UID]
	}
	return r
}

// podsUsing are the pods with a volume of one of the claims.
func podsUsing(ctx context.Context, client kubernetes.Interface, namespace string, claims []held) ([]corev1.Pod, error) {
	list, err := client.CoreV1().Pods(namespace).List(ctx, metav1.ListOptions{})
	if err != nil {
		return nil, clusterError("list the pods in "+namespace, err)
	}
	return slices.DeleteFunc(list.Items, func(p corev1.Pod) bool { return !uses(&p.Spec, claims) }), nil
}

// ended reports that none of a pod's containers runs or ever will.
func ended(p corev1.Pod) bool {
	return p.Status.Phase == corev1.PodSucceeded || p.Status.Phase == corev1.PodFailed
}

func uses(pod *corev1.PodSpec, claims []held) bool {
	return slices.ContainsFunc(pod.Volumes, func(v corev1.Volume) bool {
		return v.PersistentVolumeClaim != nil && slices.ContainsFunc(claims, func(h held) bool { return h.claim.Name == v.PersistentVolumeClaim.ClaimName })
	})
}

// halt stops workloads, waits until no pod uses the claims, and returns those that
// were stopped, also after an error.
func (c *cluster) halt(ctx context.Context, client kubernetes.Interface, o owner, list []halt, claims []held) (stopped []halt, err error) {
	if err := step("stop"); err != nil {
		return nil, err
	}
	for _, h := range list {
		if h.stop == "" {
			continue
		}
		stopped = append(stopped, h)
		if err := c.patch(ctx, o, h, h.stop); err != nil {
			return stopped, clusterError("stop "+h.shown, err)
		}
	}
	ctx, cancel := context.WithTimeout(ctx, haltTimeout)
	defer cancel()
	for {
		busy, err := c.busy(ctx, client, o, list, claims)
		if err != nil || busy == "" {
			return stopped, err
		}
		if !pause(ctx) {
			return stopped, reason.New(reason.TooSlow, "%s in the time allowed", busy)
		}
	}
}

// busy says what of the halted workloads may still run a pod that uses the claims, ""
// for nothing. The controllers are asked before the pods: one that has not seen yet
// what was asked of it may be about to make a pod.
func (c *cluster) busy(ctx context.Context, client kubernetes.Interface, o owner, list []halt, claims []held) (string, error) {
	for _, h := range list {
		seen, err := c.hasSeen(ctx, client, o, h)
		if err != nil {
			return "", err
		}
		if !seen {
			return "the cluster's controller did not stop " + h.shown, nil
		}
	}
	pods, err := podsUsing(ctx, client, o.namespace, claims)
	if err != nil {
		return "", err
	}
	if pods = slices.DeleteFunc(pods, ended); len(pods) > 0 {
		return "Pod/" + pods[0].Name + " still uses its claim: it did not end", nil
	}
	return "", nil
}

// hasSeen reports whether the controllers of a workload know what is wanted of it now.
// A CronJob's says no such thing: see undisturbed.
func (c *cluster) hasSeen(ctx context.Context, client kubernetes.Interface, o owner, h halt) (bool, error) {
	if h.resource.Resource == "cronjobs" {
		return true, nil
	}
	live, err := c.objects.Resource(h.resource).Namespace(o.namespace).Get(ctx, h.name, metav1.GetOptions{})
	if apierrors.IsNotFound(err) {
		return true, nil
	}
	if err != nil {
		return false, clusterError("look at "+h.shown, err)
	}
	observed, _, err := unstructured.NestedInt64(live.Object, "status", "observedGeneration")
	if err != nil || observed < live.GetGeneration() || h.resource.Resource != "deployments" {
		return observed >= live.GetGeneration(), err
	}
	sets, err := client.AppsV1().ReplicaSets(o.namespace).List(ctx, metav1.ListOptions{})
	if err != nil {
		return false, clusterError("list the ReplicaSets in "+o.namespace, err)
	}
	return !slices.ContainsFunc(sets.Items, func(r appsv1.ReplicaSet) bool {
		return metav1.IsControlledBy(&r, live) &&
			(r.Spec.Replicas == nil || *r.Spec.Replicas > 0 || r.Status.Replicas > 0 || r.Status.ObservedGeneration < r.Generation)
	}), nil
}

// undisturbed does something with the data of claims that nothing uses, and sees that no
// pod came to use them meanwhile, as a CronJob's can that its controller had decided on.
func undisturbed(ctx context.Context, client kubernetes.Interface, o owner, claims []held, do func() error) error {
	before, err := podsUsing(ctx, client, o.namespace, claims)
	if err != nil {
		return err
	}
	if err := do(); err != nil {
		return err
	}
	after, err := podsUsing(ctx, client, o.namespace, claims)
	if err != nil {
		return err
	}
	for _, pod := range after {
		known := slices.ContainsFunc(before, func(b corev1.Pod) bool { return b.UID == pod.UID && ended(b) })
		if !known {
			return conflict("Pod/%s came to use a claim of the deployment while its data was worked on", pod.Name)
		}
	}
	return nil
}

func (c *cluster) patch(ctx context.Context, o owner, h halt, how string) error {
	_, err := c.objects.Resource(h.resource).Namespace(o.namespace).Patch(ctx, h.name, types.MergePatchType, []byte(how), metav1.PatchOptions{FieldManager: fieldManager})
	if apierrors.IsNotFound(err) {
		return nil
	}
	return err
}

// startTimeout bounds starting again what a snapshot stopped and could not copy.
const startTimeout = 2 * time.Minute

// startAgain undoes halt after err, and returns err: with the reason internal when that
// did not work. When the sender is gone nothing is started: its successor may be at work
// on the same objects.
func (c *cluster) startAgain(ctx context.Context, o owner, stopped []halt, err error) error {
	if ctx.Err() != nil {
		return reason.New(reason.Internal, "%w", err)
	}
	ctx, cancel := context.WithTimeout(ctx, startTimeout)
	defer cancel()
	for _, h := range stopped {
		startErr := step("start")
		if startErr == nil {
			startErr = c.patch(ctx, o, h, h.start)
		}
		if startErr != nil {
			return reason.New(reason.Internal, "%w; what was stopped for it cannot be started again: %s: %w", err, h.shown, startErr)
		}
	}
	return err
}
