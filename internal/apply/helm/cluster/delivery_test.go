package cluster

import (
	"slices"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	"github.com/consign-dev/consign/internal/apply/task"
	"github.com/consign-dev/consign/internal/reason"
)

// What is given is what the render names, and fits a Secret.
func TestSecretsAreThoseOfTheRender(t *testing.T) {
	r := &render{ChartRender: task.ChartRender{Release: "r", Secrets: []string{"line-7"}}, deployment: "d"}
	good := task.Secret{Content: []byte("x"), Version: "1"}
	for name, c := range map[string]struct {
		given map[string]task.Secret
		some  bool
		says  string
	}{
		"the one":           {map[string]task.Secret{"line-7": good}, false, ""},
		"none, to look":     {nil, true, ""},
		"none, to apply":    {nil, false, "was not given"},
		"one more":          {map[string]task.Secret{"line-7": good, "line-8": good}, true, `names no secret "line-8"`},
		"an empty one":      {map[string]task.Secret{"line-7": {Version: "1"}}, true, "1 to 65536 bytes"},
		"a long one":        {map[string]task.Secret{"line-7": {Content: make([]byte, task.MaxSecret+1), Version: "1"}}, true, "1 to 65536 bytes"},
		"without a version": {map[string]task.Secret{"line-7": {Content: []byte("x")}}, true, "a version"},
	} {
		d, err := r.delivery(c.given, c.some)
		switch {
		case c.says == "" && (err != nil || len(d.secrets) != len(c.given) || len(d.versions) != 1):
			t.Errorf("%s: %+v, %v", name, d, err)
		case c.says != "" && (!reason.Is(err, reason.Malformed) || !strings.Contains(err.Error(), c.says)):
			t.Errorf("%s: %v, want %q", name, err, c.says)
		}
	}
}

// A secret reaches a container in four ways.
func TestSecretsThatAPodReads(t *testing.T) {
	of := corev1.LocalObjectReference{Name: "projected"}
	spec := &corev1.PodSpec{
		Volumes: []corev1.Volume{
			{VolumeSource: corev1.VolumeSource{Secret: &corev1.SecretVolumeSource{SecretName: "volume"}}},
			{VolumeSource: corev1.VolumeSource{Projected: &corev1.ProjectedVolumeSource{Sources: []corev1.VolumeProjection{
				{ConfigMap: &corev1.ConfigMapProjection{}}, {Secret: &corev1.SecretProjection{LocalObjectReference: of}},
			}}}},
		},
		InitContainers: []corev1.Container{{Env: []corev1.EnvVar{{Name: "plain"}, {ValueFrom: &corev1.EnvVarSource{SecretKeyRef: &corev1.SecretKeySelector{
			LocalObjectReference: corev1.LocalObjectReference{Name: "variable"},
		}}}}}},
		Containers: []corev1.Container{{EnvFrom: []corev1.EnvFromSource{{ConfigMapRef: &corev1.ConfigMapEnvSource{}}, {SecretRef: &corev1.SecretEnvSource{
			LocalObjectReference: corev1.LocalObjectReference{Name: "variables"},
		}}}}},
	}
	if got, want := secretsOf(spec), []string{"volume", "projected", "variable", "variables"}; !slices.Equal(got, want) {
		t.Errorf("got %q, want %q", got, want)
	}
}

// A Secret of ours that says no version was changed by somebody: that is drift, and no
// rotation.
func TestASecretWithoutAVersionIsNotRotated(t *testing.T) {
	secret := func(version, value string) *unstructured.Unstructured {
		meta := map[string]any{"name": "s"}
		if version != "" {
			meta["annotations"] = map[string]any{task.AnnotationSecrets: version}
		}
		return &unstructured.Unstructured{Object: map[string]any{"apiVersion": "v1", "kind": "Secret", "metadata": meta, "data": map[string]any{"value": value}}}
	}
	for _, c := range []struct {
		live    string
		rotated bool
		wanted  string // what the live object is compared with
	}{{"2", false, "bmV3"}, {"", false, "bmV3"}, {"1", true, "b2xk"}} {
		wanted := target{Unstructured: secret("2", "bmV3")}
		said, err := wanted.rotated(secret(c.live, "b2xk"))
		value, _, _ := unstructured.NestedString(wanted.Object, "data", "value")
		if err != nil || (said != "") != c.rotated || value != c.wanted {
			t.Errorf("a Secret of version %q: %q, %v; compared with %q", c.live, said, err, value)
		}
	}
}
