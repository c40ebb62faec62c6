package cluster

import (
	"context"
	"maps"
	"slices"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	"github.com/consign-dev/consign/internal/apply/task"
	"github.com/consign-dev/consign/internal/reason"
)

func conflict(format string, args ...any) error { return reason.New(reason.Conflict, format, args...) }

// labelsOfSecurity have the API server itself hold pods in the namespace to a level
// of the Pod Security Standards, whoever makes them.
const (
	labelEnforce = "pod-security.kubernetes.io/enforce"
	labelVersion = "pod-security.kubernetes.io/enforce-version"
)

// checkNamespace refuses a namespace that is there and not this deployment's. It
// waits for one that is going.
func (c *cluster) checkNamespace(ctx context.Context, o owner) error {
	for {
		live, err := c.objects.Resource(namespaces).Get(ctx, o.namespace, metav1.GetOptions{})
		switch {
		case apierrors.IsNotFound(err):
			return nil
		case err != nil:
			return clusterError("look at the namespace "+o.namespace, err)
		case live.GetLabels()[task.LabelDeployment] != o.deployment:
			return conflict("the namespace %s is in the cluster and is not this deployment's: remove it", o.namespace)
		case live.GetDeletionTimestamp() == nil:
			return nil
		case !pause(ctx):
			return conflict("the namespace %s is still being removed", o.namespace)
		}
	}
}

// ensureNamespace makes the deployment's namespace, or gives it the labels that it
// should have.
func (c *cluster) ensureNamespace(ctx context.Context, o owner, level string) error {
	if err := step("namespace"); err != nil {
		return err
	}
	want := &unstructured.Unstructured{}
	want.SetAPIVersion("v1")
	want.SetKind("Namespace")
	want.SetName(o.namespace)
	want.SetLabels(namespaceLabels(o, level))
	_, err := c.objects.Resource(namespaces).Apply(ctx, o.namespace, want, metav1.ApplyOptions{FieldManager: fieldManager, Force: true})
	return clusterError("make the namespace "+o.namespace, err)
}

// checkLevel reports a namespace that is not marked as ours any more, or that lets
// more in than it should.
func (c *cluster) checkLevel(ctx context.Context, o owner, level string) (drift string, err error) {
	live, err := c.objects.Resource(namespaces).Get(ctx, o.namespace, metav1.GetOptions{})
	if apierrors.IsNotFound(err) {
		return "Namespace/" + o.namespace + " is not there", nil
	}
	if err != nil {
		return "", clusterError("look at the namespace "+o.namespace, err)
	}
	wanted := namespaceLabels(o, level)
	for _, key := range slices.Sorted(maps.Keys(wanted)) {
		if live.GetLabels()[key] != wanted[key] {
			return "Namespace/" + o.namespace + ": metadata.labels[" + key + "] differs", nil
		}
	}
	return "", nil
}

func namespaceLabels(o owner, level string) map[string]string {
	return map[string]string{task.LabelDeployment: o.deployment, labelEnforce: level, labelVersion: "latest"}
}
