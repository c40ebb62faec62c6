package cluster

import (
	"slices"
	"testing"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"

	"github.com/consign-dev/consign/internal/apply/task"
)

// stock is a made-up inventory. Each object is given as its kind with group, name,
// release and the UID of its controller; its UID is its name.
func stock(objects ...[4]string) *inventory {
	inv := &inventory{owner: of, byUID: map[types.UID]*resident{}}
	yes := true
	for _, o := range objects {
		gk := schema.ParseGroupKind(o[0])
		r := &resident{gvk: gk.WithVersion("v1")}
		r.Name, r.UID, r.Labels = o[1], types.UID(o[1]), map[string]string{task.LabelDeployment: of.deployment}
		if o[2] != "" {
			r.Annotations = map[string]string{annotationRelease: o[2]}
		}
		if o[3] != "" {
			r.OwnerReferences = []metav1.OwnerReference{{UID: types.UID(o[3]), Controller: &yes}}
		}
		inv.all = append(inv.all, r)
		inv.byUID[r.UID] = r
	}
	return inv
}

func named(list []*resident) []string {
	var out []string
	for _, r := range list {
		out = append(out, r.name())
	}
	return out
}

func TestWhatAControllerMadeIsOfItsMaker(t *testing.T) {
	inv := stock([4]string{"Deployment.apps", "web", "web", ""}, [4]string{"ReplicaSet.apps", "rs", "", "web"}, [4]string{"Pod", "pod", "", "rs"},
		[4]string{"ConfigMap", "settings", "web", ""}, [4]string{"Pod", "forged", "", "settings"}, [4]string{"Pod", "orphan", "", "gone"},
		[4]string{"Pod", "round", "", "round"}, [4]string{"Pod", "straight", "", "web"}, [4]string{"Secret", "hidden", "", "web"})
	for name, want := range map[string]string{
		"web": "web", "rs": "web", "pod": "web", "forged": "forged", "orphan": "orphan", "round": "round", "straight": "straight", "hidden": "hidden",
	} {
		if got := inv.root(inv.byUID[types.UID(name)]); got.GetName() != want {
			t.Errorf("%s is of %s, want %s", name, got.GetName(), want)
		}
	}
}

// What an operator made for an object of its own kind is that object's, down to the
// pods; a controller that is not there, is of another kind or comes round is believed
// nothing.
func TestWhatAnOperatorMadeIsOfItsMaker(t *testing.T) {
	inv := stock([4]string{"Engine.example.com", "main", "web", ""}, [4]string{"Part.example.com", "part", "", "main"},
		[4]string{"StatefulSet.apps", "store", "", "part"}, [4]string{"Pod", "store-0", "", "store"}, [4]string{"Secret", "copy", "", "main"},
		[4]string{"ConfigMap", "settings", "web", ""}, [4]string{"Secret", "forged", "", "settings"}, [4]string{"Secret", "orphan", "", "gone"},
		[4]string{"Engine.example.com", "lost", "", "gone"}, [4]string{"Engine.example.com", "one", "", "other"}, [4]string{"Engine.example.com", "other", "", "one"},
		[4]string{"Engine.example.com", "itself", "", "itself"}, [4]string{"Secret", "of-one", "", "one"})
	own, strays := inv.of("web")
	if got := named(own); !slices.Equal(got, []string{"Engine.example.com/main", "ConfigMap/settings"}) {
		t.Errorf("own %q", got)
	}
	want := []string{"Secret/forged", "Secret/orphan", "Engine.example.com/lost", "Engine.example.com/one", "Engine.example.com/other", "Engine.example.com/itself", "Secret/of-one"}
	if got := named(strays); !slices.Equal(got, want) {
		t.Errorf("strays %q", got)
	}
	if got := inv.root(inv.byUID["store-0"]); got.GetName() != "store" {
		t.Errorf("a pod is judged as made for %s, want the kind of Kubernetes' own", got.name())
	}
}

func TestWhoseAnObjectIs(t *testing.T) {
	inv := stock([4]string{"Service", "web", "web", ""}, [4]string{"Endpoints", "web", "", ""}, [4]string{"Endpoints", "alone", "", ""},
		[4]string{"Endpoints.example.com", "web", "", ""}, [4]string{"EndpointSlice.discovery.k8s.io", "slice", "", "web"},
		[4]string{"ConfigMap", "theirs", "other", ""}, [4]string{"ConfigMap", "stray", "", ""}, [4]string{"PersistentVolumeClaim", "data", "web", ""})
	// The last one made with a UID counts, as names are UIDs here.
	inv.byUID["web"] = inv.all[0]
	own, strays := inv.of("web")
	if got := named(own); !slices.Equal(got, []string{"Service/web"}) {
		t.Errorf("own %q", got)
	}
	if got := named(strays); !slices.Equal(got, []string{"Endpoints/alone", "Endpoints.example.com/web", "ConfigMap/stray"}) {
		t.Errorf("strays %q", got)
	}
	data := rendering(t, settings(t, "stray", "a", "b"))
	r, err := proved(t, data)
	if err != nil {
		t.Fatal(err)
	}
	if got := named(inv.beside(r)); !slices.Equal(got, []string{"Service/web", "Endpoints/alone", "Endpoints.example.com/web"}) {
		t.Errorf("beside the render %q", got)
	}
}

// A pod that stands by itself is hurried to its end; one whose controller has just
// gone is not.
func TestStrayPods(t *testing.T) {
	inv := stock([4]string{"Pod", "stray", "", ""}, [4]string{"Pod", "mine", "web", ""}, [4]string{"Pod", "left", "", "gone"}, [4]string{"ConfigMap", "stray", "", ""})
	if got := named(inv.strayPods()); !slices.Equal(got, []string{"Pod/stray"}) || len(inv.all) != 4 {
		t.Errorf("stray pods %q of %d objects", got, len(inv.all))
	}
}

// Claims go where the data is to go: the release's, and those that StatefulSets left
// when no other component is there.
func TestClaimsGoWithTheData(t *testing.T) {
	objects := [][4]string{
		{"PersistentVolumeClaim", "mine", "web", ""}, {"PersistentVolumeClaim", "theirs", "other", ""}, {"PersistentVolumeClaim", "data-store-0", "", ""},
	}
	for _, c := range []struct {
		volumes, others bool
		want            []string
	}{
		{false, false, nil}, {true, false, []string{"PersistentVolumeClaim/mine", "PersistentVolumeClaim/data-store-0"}}, {true, true, []string{"PersistentVolumeClaim/mine"}},
	} {
		all := objects
		if c.others {
			all = append(slices.Clone(objects), [4]string{"ConfigMap", "settings", "other", ""})
		}
		if got := named(stock(all...).going("web", c.volumes)); !slices.Equal(got, c.want) {
			t.Errorf("%+v: %q", c, got)
		}
	}
}

// What a server works out when it is asked bears the labels of others and cannot be
// removed; it is no object of anybody.
func TestKindsThatHaveNoObjects(t *testing.T) {
	got, err := kindsOf([]*metav1.APIResourceList{
		{GroupVersion: "v1", APIResources: []metav1.APIResource{
			{Name: "pods", Kind: "Pod", Namespaced: true, Verbs: []string{"list", "delete"}}, {Name: "pods/status", Kind: "Pod", Verbs: []string{"list", "delete"}},
			{Name: "events", Kind: "Event", Verbs: []string{"list", "delete"}}, {Name: "namespaces", Kind: "Namespace", Verbs: []string{"list", "delete"}},
			{Name: "bindings", Kind: "Binding", Verbs: []string{"create"}}, {Name: "componentstatuses", Kind: "ComponentStatus", Verbs: []string{"list"}},
		}},
		{GroupVersion: "metrics.k8s.io/v1beta1", APIResources: []metav1.APIResource{{Name: "pods", Kind: "PodMetrics", Namespaced: true, Verbs: []string{"get", "list"}}}},
	})
	if err != nil || len(got) != 1 || got[0].gvk.Kind != "Pod" || !got[0].namespaced {
		t.Errorf("%+v %v", got, err)
	}
}

func TestWhatKeepsANamespace(t *testing.T) {
	for _, c := range []struct {
		object [4]string
		label  string
		want   bool
	}{
		{[4]string{"ConfigMap", "kube-root-ca.crt", "", ""}, "", false}, {[4]string{"ServiceAccount", "default", "", ""}, "", false},
		{[4]string{"Pod", "made", "", "rs"}, "", false}, {[4]string{"Endpoints", "web", "", ""}, "", false},
		{[4]string{"ConfigMap", "notes", "", ""}, "", true}, {[4]string{"ConfigMap", "notes", "", ""}, "d-2", true}, {[4]string{"ConfigMap", "mine", "", ""}, "d-1", false},
		{[4]string{"Endpoints.example.com", "web", "", ""}, "", true},
		{[4]string{"PersistentVolumeClaim", "data-store-0", "", ""}, "", false}, {[4]string{"PersistentVolumeClaim", "data", "", ""}, "d-2", true},
	} {
		r := stock(c.object).all[0]
		r.Labels = map[string]string{task.LabelDeployment: c.label}
		if got := r.isOthers(of); got != c.want {
			t.Errorf("%v of %q: %v", c.object, c.label, got)
		}
	}
}
