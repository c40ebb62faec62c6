package cluster

import (
	"cmp"
	"context"
	"encoding/json"
	"slices"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/types"

	"github.com/consign-dev/consign/internal/apply/task"
	"github.com/consign-dev/consign/internal/reason"
)

// live is what runs of a release: its containers, for people, and its objects, for
// the policy.
func (c *cluster) live(ctx context.Context, h *helm, inv *inventory) ([]task.Service, []task.LiveObject, error) {
	list, err := h.pods(ctx)
	if err != nil {
		return nil, nil, err
	}
	objects, err := c.liveObjects(ctx, h.release, inv)
	return services(h.release, list, inv), objects, err
}

// services are the containers of the release's pods, and of those of nobody.
func services(release string, list []corev1.Pod, inv *inventory) []task.Service {
	out := []task.Service{}
	for _, pod := range list {
		of, workload := inv.whose(pod.UID)
		if of != release && of != "" {
			continue
		}
		probes := map[string]bool{}
		for _, c := range pod.Spec.Containers {
			probes[c.Name] = c.ReadinessProbe != nil
		}
		images := map[string]string{}
		for _, c := range append(append([]corev1.Container{}, pod.Spec.InitContainers...), pod.Spec.Containers...) {
			images[c.Name] = c.Image
		}
		for _, s := range containers(&pod) {
			one := task.Service{
				Name: workload, Container: s.ContainerID, ContainerName: pod.Name + "/" + s.Name, Image: images[s.Name], ImageID: s.ImageID,
				Restarts: int(s.RestartCount),
			}
			one.State, one.Health, one.ExitCode = stateOf(s, probes[s.Name])
			out = append(out, one)
		}
	}
	slices.SortFunc(out, func(a, b task.Service) int {
		return cmp.Or(cmp.Compare(a.Name, b.Name), cmp.Compare(a.ContainerName, b.ContainerName))
	})
	return out
}

// whose says of which release a pod is, and the name of the workload that made it.
func (inv *inventory) whose(uid types.UID) (release, workload string) {
	r, ok := inv.byUID[uid]
	if !ok {
		return "", ""
	}
	root := inv.root(r)
	return root.GetAnnotations()[annotationRelease], root.GetName()
}

// stateOf puts what Kubernetes says of a container into the words of an engine, so
// that a status reads alike.
func stateOf(s corev1.ContainerStatus, probed bool) (state, health string, exit int) {
	switch {
	case s.State.Running != nil && probed && s.Ready:
		return "running", "healthy", 0
	case s.State.Running != nil && probed:
		return "running", "starting", 0
	case s.State.Running != nil:
		return "running", "", 0
	case s.State.Terminated != nil:
		return "exited", "", int(s.State.Terminated.ExitCode)
	case s.LastTerminationState.Terminated != nil:
		return "restarting", "", int(s.LastTerminationState.Terminated.ExitCode)
	default:
		return "created", "", 0
	}
}

// silent are the kinds that controllers make and that say nothing which the object
// they were made for, or their pods, do not.
var silent = []string{"ReplicaSet.apps", "ControllerRevision.apps", "EndpointSlice.discovery.k8s.io", "Endpoints"}

// maxLive bounds what an answer carries of objects.
const maxLive = 6 << 20

// liveObjects are the whole objects of the release and of nobody, with the pods
// that run for them.
func (c *cluster) liveObjects(ctx context.Context, release string, inv *inventory) ([]task.LiveObject, error) {
	var out []task.LiveObject
	size := 0
	for _, r := range inv.all {
		root := inv.root(r)
		of := root.GetAnnotations()[annotationRelease]
		if of != release && of != "" || r.GetDeletionTimestamp() != nil || inv.made(r) && slices.Contains(silent, r.kind()) {
			continue
		}
		object, err := c.liveObject(ctx, r)
		if err != nil {
			return nil, err
		}
		if object == nil {
			continue
		}
		if size += len(object); size > maxLive {
			return nil, reason.New(reason.TooLarge, "what runs of release %s is more than %d bytes", release, maxLive)
		}
		one := task.LiveObject{Object: object}
		if root != r {
			one.Owner = root.gvk.Kind + "/" + root.GetName()
		}
		out = append(out, one)
	}
	return out, nil
}

// liveObject is an object without the server's own words and without secret values,
// which grants are not about. nil: it is gone.
func (c *cluster) liveObject(ctx context.Context, r *resident) ([]byte, error) {
	live, err := c.objects.Resource(r.resource).Namespace(r.GetNamespace()).Get(ctx, r.GetName(), metav1.GetOptions{})
	if apierrors.IsNotFound(err) {
		return nil, nil
	}
	if err != nil {
		return nil, clusterError("look at "+r.name(), err)
	}
	delete(live.Object, "status")
	live.SetManagedFields(nil)
	unstructured.RemoveNestedField(live.Object, "metadata", "annotations", corev1.LastAppliedConfigAnnotation)
	switch r.kind() {
	case "Secret", "ConfigMap":
		delete(live.Object, "data")
		delete(live.Object, "binaryData")
	}
	return json.Marshal(live.Object)
}
