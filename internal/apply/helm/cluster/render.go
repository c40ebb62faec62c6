package cluster

import (
	"encoding/json"
	"fmt"
	"slices"

	"github.com/opencontainers/go-digest"
	"helm.sh/helm/v3/pkg/release"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	"github.com/consign-dev/consign/internal/apply/task"
	"github.com/consign-dev/consign/internal/lazyregexp"
	"github.com/consign-dev/consign/internal/reason"
	"github.com/consign-dev/consign/internal/strictjson"
)

// render is a [task.ChartRender] whose objects are read.
type render struct {
	task.ChartRender
	deployment string
	objects    []*unstructured.Unstructured
	manifest   string // what Helm makes of it, once it is proved
}

var pinnedImage = lazyregexp.New(`@sha256:[0-9a-f]{64}$`)

// readRender proves that data is the render with the given digest, of the given
// release and deployment, and reads it.
func readRender(data []byte, want digest.Digest, o owner) (*render, error) {
	if got := digest.FromBytes(data); got != want {
		return nil, reason.New(reason.DigestMismatch, "render: has digest %s, %s was checked", got, want)
	}
	r := &render{deployment: o.deployment}
	if err := strictjson.Unmarshal(data, &r.ChartRender, task.RenderLimits); err != nil {
		return nil, reason.New(reason.Malformed, "render: %w", err)
	}
	if r.Release != o.release || r.Namespace != o.namespace {
		return nil, reason.New(reason.Conflict, "render: is of release %q in namespace %q, not of %q in %q", r.Release, r.Namespace, o.release, o.namespace)
	}
	for i, raw := range r.Objects {
		obj, err := readObject(raw)
		if err != nil {
			return nil, reason.New(reason.Malformed, "render: objects[%d]: %w", i, err)
		}
		if err := r.check(obj); err != nil {
			return nil, err
		}
		r.objects = append(r.objects, obj)
	}
	return r, nil
}

func readObject(raw json.RawMessage) (*unstructured.Unstructured, error) {
	obj := &unstructured.Unstructured{}
	if err := obj.UnmarshalJSON(raw); err != nil {
		return nil, err
	}
	if obj.GetKind() == "" || obj.GetName() == "" {
		return nil, fmt.Errorf("no kind or no name")
	}
	return obj, nil
}

// check refuses what no checked render holds. That an object is ours is what
// everything here rests on, and a hook is something that Helm would not apply but run.
func (r *render) check(obj *unstructured.Unstructured) error {
	if got := obj.GetLabels()[task.LabelDeployment]; got != r.deployment {
		return reason.New(reason.Conflict, "render: %s is of deployment %q, not %q", name(obj), got, r.deployment)
	}
	if _, hook := obj.GetAnnotations()[release.HookAnnotation]; hook {
		return reason.New(reason.Malformed, "render: %s is a hook", name(obj))
	}
	if ns := obj.GetNamespace(); ns != "" && ns != r.Namespace {
		return reason.New(reason.Conflict, "render: %s is of namespace %q, not %q", name(obj), ns, r.Namespace)
	}
	return nil
}

// component is the name of the component that the render was made for, which every
// object and pod of it bears.
func (r *render) component() string {
	for _, obj := range r.objects {
		if of := obj.GetAnnotations()[task.AnnotationComponent]; of != "" {
			return of
		}
	}
	return ""
}

// byName are the objects of a render by [name]; of none, none.
func (r *render) byName() map[string]*unstructured.Unstructured {
	out := map[string]*unstructured.Unstructured{}
	if r == nil {
		return out
	}
	for _, o := range r.objects {
		out[name(o)] = o
	}
	return out
}

// checkImages holds the images that the caller has ready against their form. Which
// fields of the render are images, the verifier has found.
func checkImages(images []string) error {
	i := slices.IndexFunc(images, func(ref string) bool { return !pinnedImage.MatchString(ref) })
	if i >= 0 {
		return reason.New(reason.ImageUnpinned, "render: image %q is not a reference by digest", images[i])
	}
	return nil
}

// name is what people are told of an object: Kind/name, or Kind.group/name.
func name(obj *unstructured.Unstructured) string {
	gvk := obj.GroupVersionKind()
	return kindName(gvk.GroupKind().String(), obj.GetName())
}

func kindName(kind, name string) string { return kind + "/" + name }
