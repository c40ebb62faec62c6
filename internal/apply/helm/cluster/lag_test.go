package cluster

import (
	"testing"

	appsv1 "k8s.io/api/apps/v1"
	batchv1 "k8s.io/api/batch/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	dynamicfake "k8s.io/client-go/dynamic/fake"
	"k8s.io/client-go/kubernetes/fake"
	"k8s.io/client-go/kubernetes/scheme"
)

// Each controller lags for itself, as no cluster does on request: that of Deployments
// may know what is wanted while that of their ReplicaSets does not.
func TestControllersLagOneByOne(t *testing.T) {
	meta := func(generation int64) metav1.ObjectMeta {
		return metav1.ObjectMeta{Name: "web", Namespace: "of", UID: "1", Generation: generation}
	}
	deployment := func(seen int64) *appsv1.Deployment {
		return &appsv1.Deployment{ObjectMeta: meta(2), Status: appsv1.DeploymentStatus{ObservedGeneration: seen}}
	}
	set := func(owner string, want *int32, seen int64, runs int32) *appsv1.ReplicaSet {
		yes := true
		m := meta(2)
		m.OwnerReferences = []metav1.OwnerReference{{UID: "1", Name: "web", Controller: &yes}}
		if owner != "web" {
			m.OwnerReferences[0].UID = "2"
		}
		return &appsv1.ReplicaSet{ObjectMeta: m, Spec: appsv1.ReplicaSetSpec{Replicas: want}, Status: appsv1.ReplicaSetStatus{ObservedGeneration: seen, Replicas: runs}}
	}
	none, one := new(int32), new(int32)
	*one = 1
	for name, c := range map[string]struct {
		plural string
		live   runtime.Object
		set    runtime.Object
		seen   bool
	}{
		"all have":                      {"deployments", deployment(2), set("web", none, 2, 0), true},
		"its own lags":                  {"deployments", deployment(1), set("web", none, 2, 0), false},
		"that of the pods lags":         {"deployments", deployment(2), set("web", none, 1, 0), false},
		"the pods are wanted":           {"deployments", deployment(2), set("web", one, 2, 0), false},
		"one pod is, for want of a say": {"deployments", deployment(2), set("web", nil, 2, 0), false},
		"a pod is there":                {"deployments", deployment(2), set("web", none, 2, 1), false},
		"another's does":                {"deployments", deployment(2), set("other", one, 1, 1), true},
		"a DaemonSet's lags":            {"daemonsets", &appsv1.DaemonSet{ObjectMeta: meta(2)}, nil, false},
		"a CronJob's says nothing":      {"cronjobs", &batchv1.CronJob{ObjectMeta: meta(2)}, nil, true},
		"it is gone":                    {"statefulsets", nil, nil, true},
	} {
		var objects, sets []runtime.Object
		if c.live != nil {
			objects = append(objects, c.live)
		}
		if c.set != nil {
			sets = append(sets, c.set)
		}
		group := "apps"
		if c.plural == "cronjobs" {
			group = "batch"
		}
		on := &cluster{objects: dynamicfake.NewSimpleDynamicClient(scheme.Scheme, objects...)}
		h := halt{resource: schema.GroupVersionResource{Group: group, Version: "v1", Resource: c.plural}, name: "web"}
		seen, err := on.hasSeen(t.Context(), fake.NewClientset(sets...), owner{namespace: "of"}, h)
		if err != nil || seen != c.seen {
			t.Errorf("%s: %v, %v", name, seen, err)
		}
	}
}
