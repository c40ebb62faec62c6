package policy_test

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"

	"github.com/consign-dev/consign/internal/apply/task"
	"github.com/consign-dev/consign/internal/margo"
	"github.com/consign-dev/consign/internal/reason"
	"github.com/consign-dev/consign/policy"
)

// A secret is a name in a render; nothing else about it passes (attack C4).
func TestSecretsAreReferencesOnly(t *testing.T) {
	base := string(resolve(t, "services: {web: {image: \""+image+"\", secrets: [{source: db, uid: '65534', gid: '65534', mode: 0400}]}}\nsecrets: {db: {environment: line-7.db}}"))
	if err := (policy.Grants{}).CheckCompose([]byte(base)); err != nil {
		t.Fatal(err)
	}
	for name, c := range map[string]struct{ old, new, want string }{
		"file beside it":      {`"environment"`, `"file": "/etc/shadow", "environment"`, "secrets.db.file"},
		"file instead":        {`"environment"`, `"file"`, "secrets.db.file"},
		"external":            {`"environment"`, `"external": true, "environment"`, "secrets.db.external"},
		"content":             {`"environment"`, `"content": "x", "environment"`, "secrets.db.content"},
		"host variable":       {"line-7.db", "HOME", "secrets.db.environment"},
		"path":                {"line-7.db", "../agent.yaml", "secrets.db.environment"},
		"undeclared":          {`"source": "db"`, `"source": "other"`, "services.web.secrets[0].source"},
		"elsewhere":           {"/run/secrets/db", "/etc/passwd", "services.web.secrets[0].target"},
		"out of its place":    {"/run/secrets/db", "/run/secrets/../db", "services.web.secrets[0].target"},
		"set-user-id":         {"0400", "4755", "services.web.secrets[0].mode"},
		"user that is a word": {`"65534"`, `"root"`, "services.web.secrets[0]."},
	} {
		t.Run(name, func(t *testing.T) {
			if !strings.Contains(base, c.old) {
				t.Fatalf("no %q in %s", c.old, base)
			}
			err := (policy.Grants{}).CheckCompose([]byte(strings.Replace(base, c.old, c.new, 1)))
			if !reason.Is(err, reason.Grant) || !strings.Contains(err.Error(), c.want) {
				t.Errorf("got %v, want grant with %q", err, c.want)
			}
		})
	}
}

// A chart may use the Secrets that the agent makes for it, and no other.
func TestSecretsOfAChart(t *testing.T) {
	object := task.SecretObject(release, "line-7")
	pod := func(name string) string {
		return `kind: Pod
metadata: {name: c0123456789-press-p}
spec:
  automountServiceAccountToken: false
  volumes: [{name: v, secret: {secretName: ` + name + `}}]
  containers:
  - name: c
    image: IMAGE
    imagePullPolicy: IfNotPresent
    env: [{name: A, valueFrom: {secretKeyRef: {name: ` + name + `, key: value}}}]
`
	}
	with := func(text string, secrets ...string) []byte {
		var render task.ChartRender
		if err := json.Unmarshal(chart(t, text), &render); err != nil {
			t.Fatal(err)
		}
		render.Secrets = secrets
		return must(json.Marshal(render))
	}
	var g policy.Grants
	if err := g.CheckKubernetes(with(pod(object), "line-7")); err != nil {
		t.Errorf("a secret of its own: %v", err)
	}
	many := make([]string, margo.MaxSecrets+1)
	for i := range many {
		many[i] = fmt.Sprintf("s%03d", i)
	}
	for name, c := range map[string]struct {
		render []byte
		says   string
	}{
		"none is given":     {with(pod(object)), `references for "Secret/RELEASE-secret-`},
		"another is given":  {with(pod(object), "line-8"), `references for "Secret/RELEASE-secret-`},
		"a Secret of hers":  {with(pod("hers"), "line-7"), `references for "Secret/hers"`},
		"in its place":      {with("kind: Secret\nmetadata: {name: "+object+"}\n", "line-7"), "holds a secret of the device"},
		"no name":           {with(pod(object), "Line 7"), "secrets[0]"},
		"twice":             {with(pod(object), "line-7", "line-7"), "secrets[1]"},
		"too many":          {with(pod(object), many...), "at most 64"},
		"the agent's stamp": {with(strings.Replace(pod(object), "name: c0123456789-press-p}", "name: c0123456789-press-p, annotations: {dev.consign.secrets: x}}", 1), "line-7"), "the agent's own"},
	} {
		if err := g.CheckKubernetes(c.render); !reason.Is(err, reason.Grant) || !strings.Contains(err.Error(), c.says) {
			t.Errorf("%s: %v, want %q", name, err, c.says)
		}
	}
	var render task.ChartRender
	if err := json.Unmarshal(with(strings.Replace(pod(object), "name: c0123456789-press-p}", "name: c0123456789-press-p, annotations: {dev.consign.secrets: x}}", 1), "line-7"), &render); err != nil {
		t.Fatal(err)
	}
	live := []task.LiveObject{{Object: render.Objects[0]}}
	if err := g.CheckKubernetesLive(with(pod(object), "line-7"), live); err != nil {
		t.Errorf("what runs, with the stamp: %v", err)
	}
}
