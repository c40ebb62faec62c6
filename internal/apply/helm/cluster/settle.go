package cluster

import (
	"context"
	"fmt"
	"strings"
	"time"

	"helm.sh/helm/v3/pkg/kube"
	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/cli-runtime/pkg/resource"

	"github.com/consign-dev/consign/internal/apply/task"
	"github.com/consign-dev/consign/internal/reason"
)

const (
	// pollInterval is how often the cluster is asked while something starts.
	pollInterval = 500 * time.Millisecond
	// maxEnds is how often a container may end with an error while it starts: some
	// wait in this way for another to be there. More is not waited for.
	maxEnds = 3
)

// settle waits until everything of the release is ready, as Helm says what that is
// for each kind, and for Deployments until nothing of the version before runs any
// more. A container that does not stay up, an image that cannot be had and a Job
// that failed end the wait at once. before counts the restarts of pods from before.
func (h *helm) settle(ctx context.Context, r *render, before map[types.UID]int32) error {
	list, err := h.config.KubeClient.Build(strings.NewReader(r.manifest), false)
	if err != nil {
		return clusterError("look at what was applied", err)
	}
	ready := kube.NewReadyChecker(h.client, nil, kube.PausedAsReady(true), kube.CheckJobs(true))
	waiting := "nothing was looked at yet"
	ticker := time.NewTicker(pollInterval)
	defer ticker.Stop()
	for {
		if err := step("settle"); err != nil {
			return err
		}
		now, err := h.waitingFor(ctx, ready, list)
		if err == nil {
			err = h.failing(ctx, before)
		}
		switch {
		case err != nil && ctx.Err() == nil:
			return err
		case err == nil && now == "":
			return nil
		case err == nil:
			waiting = now
		}
		select {
		case <-ctx.Done():
			return reason.New(reason.Health, "not healthy in the time allowed for the component: %s", waiting)
		case <-ticker.C:
		}
	}
}

// waitingFor names the first object that is not ready yet, "" for none.
func (h *helm) waitingFor(ctx context.Context, ready kube.ReadyChecker, list kube.ResourceList) (string, error) {
	for _, info := range list {
		kind := info.Mapping.GroupVersionKind.GroupKind().String()
		if kind == "PersistentVolumeClaim" {
			continue // a pod that uses it is not ready without; others are bound when one does
		}
		rolled, err := h.rolledOut(ctx, kind, info)
		if err != nil {
			return "", err
		}
		ok, err := ready.IsReady(ctx, info)
		if err != nil {
			if isAway(err) {
				return "", clusterError("look at "+kindName(kind, info.Name), err)
			}
			return "", reason.New(reason.Health, "%s: %w", kindName(kind, info.Name), err)
		}
		if !ok || !rolled {
			return kindName(kind, info.Name) + " is not ready" + h.explain(ctx), nil
		}
	}
	return "", nil
}

// rolledOut reports for a Deployment that its pods are all of the present version
// and available. Helm is content when enough of the new ones are.
func (h *helm) rolledOut(ctx context.Context, kind string, info *resource.Info) (bool, error) {
	if kind != "Deployment.apps" {
		return true, nil
	}
	d, err := h.client.AppsV1().Deployments(h.namespace).Get(ctx, info.Name, metav1.GetOptions{})
	if err != nil {
		return false, clusterError("look at Deployment.apps/"+info.Name, err)
	}
	for _, condition := range d.Status.Conditions {
		if condition.Type == appsv1.DeploymentProgressing && condition.Reason == "ProgressDeadlineExceeded" && d.Status.ObservedGeneration >= d.Generation {
			return false, reason.New(reason.Health, "Deployment.apps/%s: %s", d.Name, condition.Message)
		}
	}
	want := int32(1)
	if d.Spec.Replicas != nil {
		want = *d.Spec.Replicas
	}
	s := d.Status
	current := s.ObservedGeneration >= d.Generation && s.UpdatedReplicas == want && s.Replicas == want && s.AvailableReplicas == want
	return d.Spec.Paused || current, nil
}

// failing returns why the release never will be ready.
func (h *helm) failing(ctx context.Context, before map[types.UID]int32) error {
	list, err := h.pods(ctx)
	if err != nil {
		return err
	}
	for _, pod := range list {
		for _, status := range containers(&pod) {
			if why := hopeless(&pod, status, before[pod.UID]); why != "" {
				return reason.New(reason.Health, "pod %s: container %s %s", pod.Name, status.Name, why)
			}
		}
	}
	return nil
}

// hopeless says why a container will not come up by itself.
func hopeless(pod *corev1.Pod, s corev1.ContainerStatus, restartsBefore int32) string {
	if w := s.State.Waiting; w != nil && (w.Reason == "InvalidImageName" || w.Reason == "ErrImageNeverPull") {
		return "has no image: " + w.Message
	}
	ended := s.LastTerminationState.Terminated
	if ended == nil {
		ended = s.State.Terminated
	}
	if ended != nil && ended.ExitCode != 0 && s.RestartCount-restartsBefore >= maxEnds {
		return fmt.Sprintf("does not stay up: it ended %d times, with exit code %d", s.RestartCount-restartsBefore, ended.ExitCode)
	}
	if ended != nil && ended.ExitCode != 0 && pod.Status.Phase == corev1.PodFailed && metav1.GetControllerOf(pod) == nil {
		return fmt.Sprintf("ended with exit code %d", ended.ExitCode)
	}
	return ""
}

// explain adds what the first container that is not ready is waiting for.
func (h *helm) explain(ctx context.Context) string {
	list, err := h.pods(ctx)
	if err != nil {
		return ""
	}
	for _, pod := range list {
		for _, s := range containers(&pod) {
			switch {
			case s.Ready || s.State.Terminated != nil && s.State.Terminated.ExitCode == 0:
			case s.State.Waiting != nil:
				return fmt.Sprintf(": pod %s: container %s is waiting: %s %.300s", pod.Name, s.Name, s.State.Waiting.Reason, s.State.Waiting.Message)
			default:
				return fmt.Sprintf(": pod %s: container %s does not say that it is ready", pod.Name, s.Name)
			}
		}
		for _, condition := range pod.Status.Conditions {
			if condition.Type == corev1.PodScheduled && condition.Status == corev1.ConditionFalse {
				return fmt.Sprintf(": pod %s has no node: %.300s", pod.Name, condition.Message)
			}
		}
	}
	return ""
}

// pods are those of the release that are not ending, with those of no component: a
// deployment has one namespace for all of its components.
func (h *helm) pods(ctx context.Context) ([]corev1.Pod, error) {
	list, err := h.client.CoreV1().Pods(h.namespace).List(ctx, metav1.ListOptions{LabelSelector: h.selector()})
	if err != nil {
		return nil, clusterError("list the pods of release "+h.release, err)
	}
	var out []corev1.Pod
	for _, pod := range list.Items {
		of := pod.Annotations[task.AnnotationComponent]
		if pod.DeletionTimestamp == nil && (of == "" || h.component == "" || of == h.component) {
			out = append(out, pod)
		}
	}
	return out, nil
}

// restarts counts those of each pod's containers, the most of any.
func (h *helm) restarts(ctx context.Context) (map[types.UID]int32, error) {
	list, err := h.pods(ctx)
	if err != nil {
		return nil, err
	}
	out := map[types.UID]int32{}
	for _, pod := range list {
		for _, s := range containers(&pod) {
			out[pod.UID] = max(out[pod.UID], s.RestartCount)
		}
	}
	return out, nil
}

func containers(pod *corev1.Pod) []corev1.ContainerStatus {
	return append(append([]corev1.ContainerStatus{}, pod.Status.InitContainerStatuses...), pod.Status.ContainerStatuses...)
}
