package composefile

import (
	"strings"
	"testing"

	"github.com/consign-dev/consign/internal/reason"
)

const secretCompose = `
services:
  db:
    image: i
    environment: {PASSWORD_FILE: /run/secrets/db}
    secrets: [db, {source: db, target: copy, uid: "65534", gid: "65534", mode: 0400}]
secrets: {db: {environment: PASSWORD}}
`

func loadSecret(t *testing.T, compose string) error {
	t.Helper()
	vars := Vars{Values: map[string]string{"OPEN": "o"}, Secrets: map[string]string{"PASSWORD": "line-7"}}
	_, err := Load(t.Context(), Files{ComposeFile: []byte(compose)}, vars, "demo")
	return err
}

func TestASecretIsAReference(t *testing.T) {
	vars := Vars{Secrets: map[string]string{"PASSWORD": "line-7"}}
	p, err := Load(t.Context(), Files{ComposeFile: []byte(secretCompose)}, vars, "demo")
	if err != nil {
		t.Fatal(err)
	}
	data, err := Encode(t.Context(), p)
	if err != nil {
		t.Fatal(err)
	}
	again, err := Decode(t.Context(), data, "demo")
	if err != nil {
		t.Fatal(err)
	}
	s := again.Secrets["db"]
	if s.Environment != "line-7" || s.Content != "" || s.File != "" {
		t.Errorf("secret %+v", s)
	}
	uses := again.Services["db"].Secrets
	if len(uses) != 2 || uses[0].Target != "/run/secrets/db" || uses[1].Target != "/run/secrets/copy" || uses[1].UID != "65534" || uses[1].Mode.String() != "0400" {
		t.Errorf("uses %+v", uses)
	}
	// What compose-go would read as a content does not get through.
	if _, err := Load(t.Context(), Files{ComposeFile: []byte(strings.Replace(secretCompose, "PASSWORD}}", "PASSWORD, 'x-#value': planted}}", 1))}, vars, "demo"); err != nil {
		t.Error(err)
	}
	forged := strings.Replace(string(data), `"environment": "line-7"`, `"environment": "line-7", "x-#value": "planted"`, 1)
	if _, err := Decode(t.Context(), []byte(forged), "demo"); !reason.Is(err, reason.Render) {
		t.Errorf("a render with a content: %v", err)
	}
}

func TestSecretsHaveOneForm(t *testing.T) {
	change := func(old, new string) string {
		if !strings.Contains(secretCompose, old) {
			t.Fatalf("no %q in the example", old)
		}
		return strings.Replace(secretCompose, old, new, 1)
	}
	service := func(yaml string) string { return change("    image: i\n", "    image: i\n    "+yaml+"\n") }
	for name, c := range map[string]struct {
		compose string
		code    reason.Code
		says    string
	}{
		"C4 file of the device":    {change("environment: PASSWORD}", "file: /etc/shadow}"), reason.Grant, "secrets.db"},
		"C4 external":              {change("environment: PASSWORD}", "external: true}"), reason.Grant, "secrets.db"},
		"C4 variable of the host":  {change("environment: PASSWORD}", "environment: HOME}"), reason.Render, `"HOME" is not the variable of a secret parameter`},
		"ordinary parameter":       {change("environment: PASSWORD}", "environment: OPEN}"), reason.Render, `"OPEN" is not the variable of a secret parameter`},
		"driver":                   {change("environment: PASSWORD}", "environment: PASSWORD, driver: x}"), reason.Render, "one form only"},
		"in the environment":       {service("command: ['${PASSWORD}']"), reason.Render, "PASSWORD is secret"},
		"with a default":           {service("command: ['${PASSWORD:-x}']"), reason.Render, "PASSWORD is secret"},
		"passed on":                {change("{PASSWORD_FILE:", "{PASSWORD: , PASSWORD_FILE:"), reason.Render, "PASSWORD is secret"},
		"as a config":              {secretCompose + "configs: {c: {environment: PASSWORD}}\n", reason.Render, "PASSWORD is secret"},
		"inside a config":          {secretCompose + "configs: {c: {content: 'p=${PASSWORD}'}}\n", reason.Render, "PASSWORD is secret"},
		"undeclared":               {change("secrets: [db,", "secrets: [other,"), reason.Render, "other"},
		"target elsewhere":         {change("target: copy", "target: /etc/passwd"), reason.Render, "/etc/passwd"},
		"target out of the place":  {change("target: copy", "target: ../../etc/passwd"), reason.Render, "target"},
		"target in a subdirectory": {change("target: copy", "target: a/b"), reason.Render, "target"},
		"two at one target":        {change("target: copy", "target: ./db"), reason.Render, "of its own"},
		"read_only":                {service("read_only: true"), reason.Render, "read_only"},
		"hidden by a tmpfs":        {service("tmpfs: ['/run:size=1m']"), reason.Render, "mount at /run"},
		"hidden by a tmpfs volume": {service("volumes: [{type: tmpfs, target: /run/secrets/}]"), reason.Render, "mount at /run/secrets"},
		"kept by a volume":         {service("volumes: ['data:/run/secrets']") + "volumes: {data: {}}\n", reason.Render, "mount at /run/secrets"},
	} {
		t.Run(name, func(t *testing.T) {
			err := loadSecret(t, c.compose)
			if !reason.Is(err, c.code) || !strings.Contains(err.Error(), c.says) {
				t.Errorf("got %v\nwant reason %s, naming %q", err, c.code, c.says)
			}
		})
	}
	if err := loadSecret(t, service("tmpfs: ['/running']")); err != nil {
		t.Errorf("a mount beside it: %v", err)
	}
}
