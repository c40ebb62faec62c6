package helm

import (
	"strings"
	"testing"

	"github.com/consign-dev/consign/internal/reason"
)

func wantRefused(t *testing.T, name string, chart files, says string) {
	t.Helper()
	_, err := Render(t.Context(), input(t, chart))
	if !reason.Is(err, reason.Render) || !strings.Contains(err.Error(), says) {
		t.Errorf("%s: %v, want a refusal with %q", name, err, says)
	}
}

// TestAttackH1Hooks: a hook of any kind would run beside what was checked, and with
// rights of its own. Test hooks never run.
func TestAttackH1Hooks(t *testing.T) {
	job := "---\napiVersion: batch/v1\nkind: Job\nmetadata: {name: j, annotations: {helm.sh/hook: \"%\"}}\n"
	for _, hook := range []string{
		"pre-install", "post-install", "pre-delete", "post-delete", "pre-upgrade", "post-upgrade", "pre-rollback", "post-rollback",
		"crd-install", "test,pre-install", "PRE-INSTALL", " post-install ",
	} {
		wantRefused(t, hook, small(configMap+strings.ReplaceAll(job, "%", hook)), "hook")
	}
	for _, hook := range []string{"test", "test-success", "test,test-success"} {
		out, render := mustRender(t, input(t, small(configMap+strings.ReplaceAll(job, "%", hook))))
		if len(render.Objects) != 1 || len(out.Tests) != 1 {
			t.Errorf("%s: %d objects, tests %v", hook, len(render.Objects), out.Tests)
		}
	}
}

// TestAttackH2Lookup: a template that reads the cluster would put secrets of others
// into the render, and make another render than the one that was checked.
func TestAttackH2Lookup(t *testing.T) {
	for name, chart := range map[string]files{
		"plain":            small(`{{ $s := lookup "v1" "Secret" "kube-system" "x" }}` + configMap),
		"never reached":    small(`{{ if false }}{{ lookup "v1" "Secret" "" "x" }}{{ end }}` + configMap),
		"in a dependency":  small(configMap).with("charts/db/Chart.yaml", "apiVersion: v2\nname: db\nversion: 1.0.0\n", "charts/db/templates/a.yaml", `{{ lookup "v1" "Pod" "" "" }}`),
		"put together":     small(configMap + "data: {a: {{ tpl (printf \"{{ %s%s `v1` `Pod` `` `` }}\" `look` `up`) . | quote }}}"),
		"as an argument":   small(configMap + `data: {a: {{ (lookup "v1" "Secret" "" "x").data | toJson | quote }}}`),
		"in a named block": small(configMap).with("templates/_h.tpl", `{{ define "x" }}{{ lookup "v1" "Pod" "" "" }}{{ end }}`),
	} {
		wantRefused(t, name, chart, "lookup")
	}
}

// TestAttackH9MadeAnew: a value that a chart makes anew is found, and is the old one
// the next time; a name that changes is no chart that can be checked.
func TestAttackH9MadeAnew(t *testing.T) {
	secret := "apiVersion: v1\nkind: Secret\nmetadata: {name: s}\nstringData: {a: {{ randAlphaNum 20 }}}\n"
	in := input(t, small(secret))
	first, before := mustRender(t, in)
	if len(first.Volatile) != 1 {
		t.Errorf("volatile %v", first.Volatile)
	}
	in.Previous = first.Render
	_, after := mustRender(t, in)
	if get(t, before, "Secret/s", "stringData", "a") != get(t, after, "Secret/s", "stringData", "a") {
		t.Error("the password changes from one render to the next")
	}
	wantRefused(t, "name", small(strings.Replace(secret, "name: s", "name: s-{{ randAlpha 20 | lower }}", 1)), "")
	wantRefused(t, "image", small(pod(`{containers: [{name: a, image: "app:{{ randAlphaNum 20 }}"}]}`)), "another one at each render")
}

// TestAttackH10Vendored: what is not in the chart would come from a repository when
// it is installed.
func TestAttackH10Vendored(t *testing.T) {
	need := chartYAML + "dependencies: [{name: db, version: 1.x, repository: 'https://charts.example'}]\n"
	db := []string{"charts/db/Chart.yaml", "apiVersion: v2\nname: db\nversion: 1.0.0\n"}
	wantRefused(t, "absent", small(configMap).with("Chart.yaml", need), `dependency "db"`)
	wantRefused(t, "another version", small(configMap).with("Chart.yaml", strings.Replace(need, "1.x", "2.x", 1)).with(db...), `dependency "db"`)
	if _, err := Render(t.Context(), input(t, small(configMap).with("Chart.yaml", need).with(db...))); err != nil {
		t.Errorf("vendored: %v", err)
	}
}
