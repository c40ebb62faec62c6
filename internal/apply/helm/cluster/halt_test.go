package cluster

import (
	"errors"
	"fmt"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"

	"github.com/consign-dev/consign/internal/kubetest"
	"github.com/consign-dev/consign/internal/reason"
)

// A pod that comes to the data while somebody works on it, spoils the work; one that had
// ended before does not.
func TestWorkOnDataIsUndisturbed(t *testing.T) {
	t.Parallel()
	n := kubetest.New(t)
	c, err := connect(t.Context(), n.Kubeconfig)
	if err != nil {
		t.Fatal(err)
	}
	client, err := kubernetes.NewForConfig(c.config)
	if err != nil {
		t.Fatal(err)
	}
	claims := []held{{claim: &corev1.PersistentVolumeClaim{ObjectMeta: metav1.ObjectMeta{Name: "data"}}}}
	work := func(do func() error) error {
		return undisturbed(t.Context(), client, owner{namespace: n.Name}, claims, do)
	}
	comes := func(pod, claim string) func() error {
		return func() error {
			n.Apply(fmt.Sprintf(`{apiVersion: v1, kind: Pod, metadata: {name: %s}, spec: {restartPolicy: Never, containers: [{name: web, image: nowhere.invalid/web}],
  volumes: [{name: data, persistentVolumeClaim: {claimName: %s}}]}}`, pod, claim))
			return nil
		}
	}
	if err := work(func() error { return errors.New("full") }); err == nil || err.Error() != "full" {
		t.Errorf("work that fails: %v", err)
	}
	if err := work(comes("apart", "other")); err != nil {
		t.Errorf("a pod of another claim: %v", err)
	}
	if err := work(comes("late", "data")); !reason.Is(err, reason.Conflict) || !strings.Contains(err.Error(), "Pod/late") {
		t.Errorf("a pod that came: %v", err)
	}
	if err := work(func() error { return nil }); !reason.Is(err, reason.Conflict) {
		t.Errorf("a pod that was there: %v", err)
	}
	n.Kubectl("patch", "pod", "late", "--subresource=status", "--type=merge", "--patch", `{"status":{"phase":"Succeeded"}}`)
	if err := work(func() error { return nil }); err != nil {
		t.Errorf("a pod that had ended: %v", err)
	}
}
