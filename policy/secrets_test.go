package policy_test

import (
	"strings"
	"testing"

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
