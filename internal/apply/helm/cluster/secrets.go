package cluster

import (
	"context"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"fmt"
	"io"
	"maps"
	"slices"

	"helm.sh/helm/v3/pkg/kube"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"

	"github.com/consign-dev/consign/internal/apply/task"
	"github.com/consign-dev/consign/internal/reason"
)

// delivery is what a render gets besides itself: the Secrets with the device's
// secrets. They are no part of it, since the render is kept for years.
type delivery struct {
	// secrets are the Secrets that can be made now.
	secrets []*unstructured.Unstructured
	// versions are those of the secrets, by the name of the Secret; "" of one that
	// cannot be read now.
	versions map[string]string
}

// delivery prepares the secrets that a render names. All of them have to be given
// unless some may be unknown, as when the cluster is only looked at.
func (r *render) delivery(secrets map[string]task.Secret, some bool) (delivery, error) {
	d := delivery{versions: map[string]string{}}
	for name := range secrets {
		if !slices.Contains(r.Secrets, name) {
			return d, reason.New(reason.Malformed, "render: names no secret %q", name)
		}
	}
	for _, name := range r.Secrets {
		s, given := secrets[name]
		object := task.SecretObject(r.Release, name)
		d.versions[object] = s.Version
		switch {
		case !given && some:
			continue
		case !given:
			return d, reason.New(reason.Malformed, "render: names the device's secret %q, which was not given", name)
		case len(s.Content) == 0 || len(s.Content) > task.MaxSecret || s.Version == "":
			return d, reason.New(reason.Malformed, "secret %q: 1 to %d bytes and a version are required", name, task.MaxSecret)
		}
		d.secrets = append(d.secrets, r.secret(object, s))
	}
	return d, nil
}

// secret is the Secret of a name that holds a secret of the device.
func (r *render) secret(name string, s task.Secret) *unstructured.Unstructured {
	return &unstructured.Unstructured{Object: map[string]any{
		"apiVersion": "v1", "kind": "Secret", "type": string(corev1.SecretTypeOpaque),
		"metadata": map[string]any{
			"name":        name,
			"labels":      map[string]any{task.LabelDeployment: r.deployment},
			"annotations": map[string]any{task.AnnotationSecrets: s.Version, task.AnnotationComponent: r.component()},
		},
		"data": map[string]any{task.SecretKey: base64.StdEncoding.EncodeToString(s.Content)},
	}}
}

// delivers reports whether an object of the release is the Secret of a secret that
// the render names.
func (r *render) delivers(object string) bool {
	return slices.ContainsFunc(r.Secrets, func(name string) bool { return kindName("Secret", task.SecretObject(r.Release, name)) == object })
}

// all are the objects of a render with the Secrets that it gets.
func (c *cluster) all(r *render) []*unstructured.Unstructured {
	return slices.Concat(c.secrets, r.objects)
}

// give puts the Secrets into the cluster, before anything starts that reads them.
func (c *cluster) give(ctx context.Context, o owner) error {
	for _, obj := range c.secrets {
		live, err := c.get(ctx, obj, o.namespace)
		if err != nil {
			return err
		}
		if live != nil {
			if err := c.straightenOne(ctx, o, obj, false); err != nil {
				return err
			}
			continue
		}
		if err := step("secret"); err != nil {
			return err
		}
		t, err := c.target(o, obj)
		if err != nil {
			return err
		}
		if _, err := t.at.Create(ctx, t.Unstructured, metav1.CreateOptions{FieldManager: fieldManager}); err != nil {
			return clusterError("create "+name(obj), err)
		}
	}
	return nil
}

// restarting are the kinds of which a change of the pod template replaces the pods,
// so that they start with the present secrets.
var restarting = []string{"Deployment.apps", "StatefulSet.apps", "DaemonSet.apps"}

// stamp writes on the pod template of an object which versions of secrets its pods
// are made with, so that other versions replace them. It is no part of the render,
// which outlives them. known is false where the object uses a secret that cannot be
// read now; one that uses none has no stamp.
func (d delivery) stamp(obj *unstructured.Unstructured) (known bool, err error) {
	if len(d.versions) == 0 || !slices.Contains(restarting, obj.GroupVersionKind().GroupKind().String()) {
		return true, nil
	}
	used, err := d.usedBy(obj)
	if err != nil || len(used) == 0 {
		return true, err
	}
	digester := sha256.New()
	for _, name := range used {
		if d.versions[name] == "" {
			return false, nil
		}
		fmt.Fprintf(digester, "%s\x00%s\x00", name, d.versions[name])
	}
	return true, setStamp(obj, hex.EncodeToString(digester.Sum(nil)[:16]))
}

func stampOf(obj *unstructured.Unstructured) string {
	stamp, _, _ := unstructured.NestedString(obj.Object, "spec", "template", "metadata", "annotations", task.AnnotationSecrets)
	return stamp
}

func setStamp(obj *unstructured.Unstructured, stamp string) error {
	return unstructured.SetNestedField(obj.Object, stamp, "spec", "template", "metadata", "annotations", task.AnnotationSecrets)
}

// usedBy are the Secrets of the device's secrets that the pods of an object read,
// sorted.
func (d delivery) usedBy(obj *unstructured.Unstructured) ([]string, error) {
	tree, _, err := unstructured.NestedMap(obj.Object, "spec", "template", "spec")
	if err != nil {
		return nil, reason.New(reason.Malformed, "%s: %w", name(obj), err)
	}
	var spec corev1.PodSpec
	if err := runtime.DefaultUnstructuredConverter.FromUnstructured(tree, &spec); err != nil {
		return nil, reason.New(reason.Malformed, "%s: %w", name(obj), err)
	}
	used := map[string]bool{}
	for _, name := range secretsOf(&spec) {
		if _, ours := d.versions[name]; ours {
			used[name] = true
		}
	}
	return slices.Sorted(maps.Keys(used)), nil
}

// secretsOf are the Secrets whose content reaches the containers of a pod.
func secretsOf(spec *corev1.PodSpec) []string {
	var out []string
	for _, v := range spec.Volumes {
		if v.Secret != nil {
			out = append(out, v.Secret.SecretName)
		}
		if v.Projected == nil {
			continue
		}
		for _, source := range v.Projected.Sources {
			if source.Secret != nil {
				out = append(out, source.Secret.Name)
			}
		}
	}
	for _, container := range slices.Concat(spec.InitContainers, spec.Containers) {
		for _, env := range container.Env {
			if env.ValueFrom != nil && env.ValueFrom.SecretKeyRef != nil {
				out = append(out, env.ValueFrom.SecretKeyRef.Name)
			}
		}
		for _, from := range container.EnvFrom {
			if from.SecretRef != nil {
				out = append(out, from.SecretRef.Name)
			}
		}
	}
	return out
}

// rotated says what has another version of a secret than the present one, "" for
// nothing. That is no drift: the target then has what is there in its place.
func (t target) rotated(live *unstructured.Unstructured) (string, error) {
	if is := t.GetAnnotations()[task.AnnotationSecrets]; is != "" { // a Secret of ours
		was := live.GetAnnotations()[task.AnnotationSecrets]
		if was == is || was == "" {
			return "", nil
		}
		t.Object["data"] = live.Object["data"]
		t.SetAnnotations(with(t.GetAnnotations(), task.AnnotationSecrets, was))
		return name(live) + " holds another version of the secret", nil
	}
	was, is := stampOf(live), stampOf(t.Unstructured)
	uses := !t.stamped || is != ""
	switch {
	case was == is || !uses:
		return "", nil
	case was == "":
		unstructured.RemoveNestedField(t.Object, "spec", "template", "metadata", "annotations", task.AnnotationSecrets)
	default:
		if err := setStamp(t.Unstructured, was); err != nil {
			return "", err
		}
	}
	if !t.stamped {
		return "", nil
	}
	return name(live) + " runs with another version of its secrets", nil
}

// stamping is Helm's client of a cluster. What Helm reads of a render it takes to
// the cluster with the stamps; its record has the render as it is.
type stamping struct {
	*kube.Client
	delivery *delivery
}

// Build implements [kube.Interface].
func (s stamping) Build(reader io.Reader, validate bool) (kube.ResourceList, error) {
	list, err := s.Client.Build(reader, validate)
	if err != nil {
		return nil, err
	}
	for _, info := range list {
		if obj, ok := info.Object.(*unstructured.Unstructured); ok {
			if _, err := s.delivery.stamp(obj); err != nil {
				return nil, err
			}
		}
	}
	return list, nil
}
