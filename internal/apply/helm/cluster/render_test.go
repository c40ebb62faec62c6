package cluster

import (
	"strings"
	"testing"

	"github.com/opencontainers/go-digest"

	"github.com/consign-dev/consign/internal/apply/task"
	"github.com/consign-dev/consign/internal/reason"
)

func TestARenderIsTheOneThatWasChecked(t *testing.T) {
	good := settings(t, "one", "a", "b")
	for name, c := range map[string]struct {
		data []byte
		want reason.Code
	}{
		"not JSON":               {[]byte("{"), reason.Malformed},
		"a field more":           {[]byte(strings.Replace(string(rendering(t, good)), `"release"`, `"more":1,"release"`, 1)), reason.Malformed},
		"a key twice":            {rendering(t, strings.Replace(good, `"kind":"ConfigMap"`, `"kind":"Secret","kind":"ConfigMap"`, 1)), reason.Malformed},
		"no object":              {rendering(t, `[]`), reason.Malformed},
		"no kind":                {rendering(t, strings.Replace(good, `"kind":"ConfigMap"`, `"kind":""`, 1)), reason.Malformed},
		"no name":                {rendering(t, strings.Replace(good, `"name":"one"`, `"name":""`, 1)), reason.Malformed},
		"a hook":                 {rendering(t, strings.Replace(good, `"labels"`, `"annotations":{"helm.sh/hook":"pre-install"},"labels"`, 1)), reason.Malformed},
		"other release":          {[]byte(strings.Replace(string(rendering(t, good)), `"release":"web"`, `"release":"other"`, 1)), reason.Conflict},
		"other namespace":        {[]byte(strings.Replace(string(rendering(t, good)), `"namespace":"press","objects"`, `"namespace":"other","objects"`, 1)), reason.Conflict},
		"object of another":      {rendering(t, strings.Replace(good, `"d-1"`, `"d-2"`, 1)), reason.Conflict},
		"object of nobody":       {rendering(t, strings.Replace(good, task.LabelDeployment, "x", 1)), reason.Conflict},
		"object in kube-system":  {rendering(t, strings.Replace(good, `"namespace":"press"`, `"namespace":"kube-system"`, 1)), reason.Conflict},
		"labels are not a map":   {rendering(t, strings.Replace(good, `{"`+task.LabelDeployment+`":"d-1"}`, `"d-1"`, 1)), reason.Conflict},
		"another one, as it was": {rendering(t, good), ""},
	} {
		if _, err := readRender(c.data, digest.FromBytes(c.data), of); c.want == "" && err != nil || c.want != "" && !reason.Is(err, c.want) {
			t.Errorf("%s: got %v, want %s", name, err, c.want)
		}
	}
	if _, err := readRender(rendering(t, good), digest.FromString("other"), of); !reason.Is(err, reason.DigestMismatch) {
		t.Errorf("another digest: got %v", err)
	}
}

func TestImagesAreByDigest(t *testing.T) {
	pinned := "127.0.0.1:5000/c@sha256:" + strings.Repeat("a", 64)
	if err := checkImages([]string{pinned}); err != nil {
		t.Error(err)
	}
	for _, ref := range []string{"", "nginx", "nginx:1", pinned + "a", strings.ToUpper(pinned), "c@sha512:" + strings.Repeat("a", 128)} {
		if err := checkImages([]string{pinned, ref}); !reason.Is(err, reason.ImageUnpinned) {
			t.Errorf("%q: got %v", ref, err)
		}
	}
}
