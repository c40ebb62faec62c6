package helm

import (
	"fmt"
	"slices"
	"strings"

	"helm.sh/helm/v3/pkg/release"
	"helm.sh/helm/v3/pkg/releaseutil"

	"github.com/consign-dev/consign/internal/lazyregexp"
	"github.com/consign-dev/consign/internal/reason"
)

// object is one Kubernetes object of a render.
type object struct {
	file                         string // template that made it
	group, kind, name, namespace string
	raw                          map[string]any
}

var (
	kindName = lazyregexp.New(`^[A-Z][A-Za-z0-9]{0,62}$`)
	// objectName is a segment of a path of the Kubernetes API.
	objectName = lazyregexp.New(`^[A-Za-z0-9._:-]{1,253}$`)
)

// newObject checks what every object must have and none may have.
func newObject(file string, raw map[string]any) (*object, error) {
	o := &object{file: file, raw: raw}
	version, _ := raw["apiVersion"].(string)
	o.kind, _ = raw["kind"].(string)
	metadata, ok := raw["metadata"].(map[string]any)
	if !apiVersion.MatchString(version) || strings.Count(version, "/") > 1 || !kindName.MatchString(o.kind) || !ok {
		return nil, reason.New(reason.Render, "%s: a document without apiVersion, kind or metadata is no Kubernetes object", file)
	}
	if group, _, ok := strings.Cut(version, "/"); ok {
		o.group = group
	}
	if _, ok := metadata["generateName"]; ok {
		return nil, reason.New(reason.Render, "%s: %s: generateName: the cluster would choose the name; give it one", file, o.kind)
	}
	o.name, _ = metadata["name"].(string)
	if !objectName.MatchString(o.name) || o.name == "." || o.name == ".." {
		return nil, reason.New(reason.Render, "%s: %s: metadata.name is missing or not a name", file, o.kind)
	}
	if ns, ok := metadata["namespace"]; ok {
		if o.namespace, ok = ns.(string); !ok || !objectName.MatchString(o.namespace) && o.namespace != "" {
			return nil, o.refuse("metadata.namespace", "not a name")
		}
	}
	return o, o.check(metadata)
}

func (o *object) check(metadata map[string]any) error {
	for _, field := range []string{"labels", "annotations"} {
		if err := o.texts("metadata."+field, metadata[field]); err != nil {
			return err
		}
	}
	if _, ok := o.raw["items"]; ok && strings.HasSuffix(o.kind, "List") {
		return o.refuse("items", "a list of objects: write them as documents of their own")
	}
	if o.group == "apiextensions.k8s.io" {
		return o.refuse("kind", noDefinitions)
	}
	for key := range o.annotations() {
		switch {
		case key == "helm.sh/resource-policy":
			return o.refuse("metadata.annotations."+key, "the object would outlive its deployment; what stays at a removal is for whoever removes to say")
		case strings.HasPrefix(key, "meta.helm.sh/"):
			return o.refuse("metadata.annotations."+key, "says whose the object is, which is not for a chart to say")
		}
	}
	return nil
}

// noDefinitions is why a chart cannot bring kinds along.
const noDefinitions = "custom resource definitions in a chart are refused, as Margo does not allow applications to rely on them: " +
	"the cluster's operator installs them before"

// texts refuses labels and annotations that a cluster would refuse.
func (o *object) texts(field string, v any) error {
	if v == nil {
		return nil
	}
	mapping, ok := v.(map[string]any)
	if !ok {
		return o.refuse(field, "not a mapping")
	}
	for key, value := range mapping {
		if _, ok := value.(string); !ok {
			return o.refuse(field+"."+key, "not text: write it in quotes")
		}
	}
	return nil
}

func (o *object) metadata() map[string]any { return o.raw["metadata"].(map[string]any) }

func (o *object) annotations() map[string]any {
	a, _ := o.metadata()["annotations"].(map[string]any)
	return a
}

// id is kind/name, or kind.group/name.
func (o *object) id() string {
	if o.group != "" {
		return o.kind + "." + o.group + "/" + o.name
	}
	return o.kind + "/" + o.name
}

// key is id with the namespace, where that is not the render's own.
func (o *object) key(own string) string {
	if o.namespace == "" || o.namespace == own {
		return o.id()
	}
	kind, name, _ := strings.Cut(o.id(), "/")
	return kind + "/" + o.namespace + "/" + name
}

func (o *object) refuse(field, format string, args ...any) error {
	return o.refuseAs(reason.Render, field, format, args...)
}

func (o *object) refuseAs(code reason.Code, field, format string, args ...any) error {
	return reason.New(code, "%s: %s: %.300s: %s", o.file, o.id(), field, fmt.Sprintf(format, args...))
}

func errAt(file string, err error) error { return fmt.Errorf("%s: %w", file, err) }

// isTest reports whether an object is a test hook, which never runs. Any other
// hook is refused.
func (o *object) isTest() (bool, error) {
	value, ok := o.annotations()[release.HookAnnotation]
	if !ok {
		return false, nil
	}
	for _, hook := range strings.Split(value.(string), ",") {
		switch strings.ToLower(strings.TrimSpace(hook)) {
		case "test", "test-success", "test-failure":
		default:
			return false, o.refuse("metadata.annotations."+release.HookAnnotation, "hook %.40q: Margo does not allow applications to rely on hooks: its work is for an init container (only test hooks may be there, and do not run)", hook)
		}
	}
	return true, nil
}

// withoutTests takes the test hooks out of a list and returns their ids as well.
func withoutTests(list []*object) (rest []*object, tests []string, err error) {
	for _, o := range list {
		test, err := o.isTest()
		switch {
		case err != nil:
			return nil, nil, err
		case test:
			tests = append(tests, o.id())
		default:
			rest = append(rest, o)
		}
	}
	return rest, tests, nil
}

// arrange puts objects in the order in which Helm installs kinds, then by name.
func arrange(list []*object) {
	rank := map[string]int{}
	for i, kind := range releaseutil.InstallOrder {
		rank[kind] = i - len(releaseutil.InstallOrder) // below 0, which all others have
	}
	slices.SortFunc(list, func(a, b *object) int {
		if d := rank[a.kind] - rank[b.kind]; d != 0 {
			return d
		}
		return strings.Compare(a.order(), b.order())
	})
}

func (o *object) order() string {
	return strings.Join([]string{o.kind, o.name, o.group, o.namespace}, "\x00")
}

// namespaced are the kinds of Kubernetes itself, by group, that live in a
// namespace.
var namespaced = map[string][]string{
	"": {"ConfigMap", "Endpoints", "Event", "LimitRange", "PersistentVolumeClaim", "Pod", "PodTemplate", "ReplicationController",
		"ResourceQuota", "Secret", "Service", "ServiceAccount"},
	"apps":                      {"ControllerRevision", "DaemonSet", "Deployment", "ReplicaSet", "StatefulSet"},
	"autoscaling":               {"HorizontalPodAutoscaler"},
	"batch":                     {"CronJob", "Job"},
	"coordination.k8s.io":       {"Lease"},
	"discovery.k8s.io":          {"EndpointSlice"},
	"events.k8s.io":             {"Event"},
	"networking.k8s.io":         {"Ingress", "NetworkPolicy"},
	"policy":                    {"PodDisruptionBudget"},
	"rbac.authorization.k8s.io": {"Role", "RoleBinding"},
}

// place gives an object of a kind that lives in a namespace the deployment's, if
// it names none. Whether it may live where it says is for the policy.
func (o *object) place(namespace string) {
	if o.namespace != "" {
		return
	}
	delete(o.metadata(), "namespace")
	if slices.Contains(namespaced[o.group], o.kind) {
		o.namespace = namespace
		o.metadata()["namespace"] = namespace
	}
}
