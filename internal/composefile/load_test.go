package composefile

import (
	"bytes"
	"encoding/json"
	"maps"
	"slices"
	"strings"
	"testing"

	"github.com/compose-spec/compose-go/v2/types"

	"github.com/consign-dev/consign/internal/reason"
)

func load(t *testing.T, compose string, vars map[string]string, extra ...string) (*types.Project, error) {
	t.Helper()
	files := Files{ComposeFile: []byte(compose)}
	for i := 0; i < len(extra); i += 2 {
		files[extra[i]] = []byte(extra[i+1])
	}
	return Load(t.Context(), files, Vars{Values: vars}, "demo")
}

func mustLoad(t *testing.T, compose string, vars map[string]string, extra ...string) *types.Project {
	t.Helper()
	p, err := load(t, compose, vars, extra...)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

func env(t *testing.T, p *types.Project, service string) map[string]string {
	t.Helper()
	out := map[string]string{}
	for k, v := range p.Services[service].Environment {
		if v == nil {
			t.Fatalf("%s has no value", k)
		}
		out[k] = *v
	}
	return out
}

func TestVariablesAreExactlyTheGivenOnes(t *testing.T) {
	t.Setenv("HOSTVAR", "from the host")
	p := mustLoad(t, `
services:
  web:
    image: example.com/web:${TAG:-1}
    environment:
      GREETING: ${GREETING}
      TWICE: $GREETING and ${GREETING}
      DOLLAR: cost $$5
      FALLBACK: ${HOSTVAR:-fallback}
      PASSED:
`, map[string]string{"GREETING": "a ${HOME} $$ {{x}} \"b\" \\ \t<&>", "PASSED": "p"})
	greeting := "a ${HOME} $$ {{x}} \"b\" \\ \t<&>"
	want := map[string]string{"GREETING": greeting, "TWICE": greeting + " and " + greeting, "DOLLAR": "cost $5", "FALLBACK": "fallback", "PASSED": "p"}
	if got := env(t, p, "web"); !maps.Equal(got, want) {
		t.Errorf("got %q\nwant %q", got, want)
	}
	if got := Images(p); !slices.Equal(got, []string{"example.com/web:1"}) {
		t.Errorf("images %q", got)
	}
}

func TestAVariableWithoutAValueIsNamed(t *testing.T) {
	for text, name := range map[string]string{
		"${MISSING}":                     "MISSING",
		"$MISSING":                       "MISSING",
		"${A:-x} then ${MISSING}":        "MISSING",
		"${OTHER:-${MISSING}}":           "MISSING",
		"${HOME}":                        "HOME",
		"${COMPOSE_PROJECT_NAME}":        "COMPOSE_PROJECT_NAME",
		"${NEEDED:?say what}":            "NEEDED",
		"${MISSING}${OTHER:-${SECOND-}}": "MISSING",
	} {
		_, err := load(t, "services: {web: {image: i, environment: {A: '"+text+"'}}}", nil)
		if !reason.Is(err, reason.Render) || !strings.Contains(err.Error(), name) {
			t.Errorf("%s: %v", text, err)
		}
	}
	_, err := load(t, "services: {web: {image: i, environment: [PASSED]}}", nil, ".env", "PASSED=1")
	if !reason.Is(err, reason.Render) || !strings.Contains(err.Error(), `"PASSED"`) {
		t.Errorf("passed through: %v", err)
	}
	_, err = load(t, "services: {web: {image: '${TAG}'}}", nil, ".env", "TAG=1")
	if err == nil || !strings.Contains(err.Error(), "a .env file is not read") {
		t.Errorf("no hint about .env: %v", err)
	}
}

func TestFilesOfTheArchiveAreInlined(t *testing.T) {
	p := mustLoad(t, `
services:
  web:
    image: i
    env_file: [./base.env, {path: missing.env, required: false}]
    environment: {B: own}
    configs: [{source: app, target: /etc/app.conf}, given, written]
configs:
  app: {file: ./conf/app.conf}
  given: {environment: GIVEN}
  written: {content: "port ${PORT}"}
`, map[string]string{"GIVEN": "g", "PORT": "80"}, "base.env", "A=1\nB=2\nC=${PORT}\nD=${A}x\n", "conf/app.conf", "listen ${PORT} $$\n")
	if got, want := env(t, p, "web"), map[string]string{"A": "1", "B": "own", "C": "80", "D": "1x"}; !maps.Equal(got, want) {
		t.Errorf("environment %q", got)
	}
	for name, want := range map[string]string{"app": "listen ${PORT} $$\n", "given": "g", "written": "port 80"} {
		if c := p.Configs[name]; c.Content != want || c.File != "" || c.Environment != "" {
			t.Errorf("%s: %+v", name, c)
		}
	}
}

func TestServicesOfAProfileAreLeftOut(t *testing.T) {
	p := mustLoad(t, "services: {web: {image: i}, debug: {image: hidden, profiles: [debug]}}", nil)
	if got := p.ServiceNames(); !slices.Equal(got, []string{"web"}) {
		t.Errorf("services %q", got)
	}
}

func TestExtendsWithinTheFile(t *testing.T) {
	p := mustLoad(t, "services: {base: {image: i, environment: {A: '1'}}, web: {extends: base, environment: {B: '2'}}}", nil)
	if got := env(t, p, "web"); got["A"] != "1" || got["B"] != "2" {
		t.Errorf("environment %q", got)
	}
}

// Attacks A7, A8, C1, C3, C4 and C6: what would bring something in from
// outside the archive, or is not what it seems.
func TestLoadRefuses(t *testing.T) {
	service := func(yaml string) string { return "services: {web: {image: i, " + yaml + "}}" }
	with := func(yaml string) string { return "services: {web: {image: i}}\n" + yaml }
	cases := map[string]struct {
		compose string
		code    reason.Code
		says    string
	}{
		"C1 bind, relative":       {service("volumes: ['./data:/x']"), reason.Grant, "volumes[0]"},
		"C1 bind, climbing":       {service("volumes: [{type: bind, source: ../../etc, target: /x}]"), reason.Grant, "relative path"},
		"C1 bind, home":           {service("volumes: ['~/x:/x']"), reason.Grant, "relative path"},
		"C3 include":              {with("include: [other.yaml]"), reason.Render, "include"},
		"C3 include, remote":      {with("include: ['https://example.com/x.git']"), reason.Render, "include"},
		"C3 extends another file": {service("extends: {service: x, file: ../other.yaml}"), reason.Render, "extends"},
		"C3 extends, wrong type":  {service("extends: [x]"), reason.Render, "extends"},
		"C4 env_file outside":     {service("env_file: ../../etc/shadow"), reason.Path, "shadow"},
		"C4 env_file absolute":    {service("env_file: /etc/shadow"), reason.Path, "shadow"},
		"C4 env_file missing":     {service("env_file: a.env"), reason.Render, "a.env"},
		"C4 env_file by variable": {service("env_file: '${P}'"), reason.Path, "/etc/passwd"},
		"C4 config outside":       {with("configs: {c: {file: /etc/shadow}}"), reason.Path, "configs.c"},
		"C4 config from the host": {with("configs: {c: {environment: HOME}}"), reason.Render, "HOME"},
		"C4 config external":      {with("configs: {c: {external: true}}"), reason.Render, "external"},
		"C4 secret file":          {with("secrets: {s: {file: /etc/shadow}}"), reason.Grant, "secrets"},
		"C4 label_file":           {service("label_file: /etc/passwd"), reason.Render, "label_file"},
		"C6 build":                {service("build: ."), reason.Render, "build"},
		"C9 pre_start":            {service("pre_start: [{command: x}]"), reason.Grant, "pre_start"},
		"C9 provider":             {"services: {web: {provider: {type: x}}}", reason.Grant, "provider"},
		"C9 models":               {with("models: {m: {model: x}}"), reason.Grant, "models"},
		"A7 duplicate key":        {"services: {web: {image: i, image: j}}", reason.Malformed, "image"},
		"A7 custom tag":           {"services: {web: {image: !override i}}", reason.Malformed, ""},
		"A7 several documents":    {"services: {web: {image: i}}\n---\nservices: {}\n", reason.Malformed, ""},
		"no image":                {"services: {web: {command: x}}", reason.Render, "image"},
		"unknown key":             {service("privilegd: true"), reason.Render, "privilegd"},
		"services are a list":     {"services: [a]", reason.Malformed, "services"},
		"service is null":         {"services: {web: }", reason.Malformed, "services.web"},
		"empty":                   {"", reason.Malformed, ""},
		"name is not a string":    {"name: [x]\nservices: {web: {image: i}}", reason.Render, "name"},
		"NUL":                     {service(`command: "a\0b"`), reason.Render, "NUL"},
		"read_only with configs":  {"services: {web: {image: i, read_only: true, configs: [c]}}\nconfigs: {c: {content: x}}", reason.Render, "read_only"},
		"undefined volume":        {service("volumes: ['data:/x']"), reason.Render, "data"},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			_, err := load(t, c.compose, map[string]string{"P": "/etc/passwd"})
			if !reason.Is(err, c.code) || !strings.Contains(err.Error(), c.says) {
				t.Errorf("got %v\nwant reason %s, naming %q", err, c.code, c.says)
			}
		})
	}
}

func TestValuesAreChecked(t *testing.T) {
	for _, vars := range []map[string]string{{"A B": "x"}, {"": "x"}, {"A": "x\x00y"}} {
		if _, err := load(t, smallCompose, vars); !reason.Is(err, reason.Render) {
			t.Errorf("%q: %v", vars, err)
		}
	}
}

const richCompose = `
x-notes: &limits {cpus: 0.5, mem_limit: 64m}
name: ignored
services:
  web:
    image: example.com/web:1
    command: ["serve", "--greeting", "${GREETING}"]
    environment: {GREETING: "${GREETING}", N: 1.50, B: true, EMPTY: ""}
    ports: ["127.0.0.1:8080:80", {target: 443, published: "8443", protocol: tcp}]
    volumes: ["data:/data", {type: tmpfs, target: /tmp, tmpfs: {size: 1048576}}]
    configs: [{source: app, target: /app.conf, mode: 0440}]
    networks: {back: {aliases: [w]}}
    healthcheck: {test: ["CMD", "/app", "health"], interval: 1s, timeout: 500ms, retries: 3, start_period: 2s}
    depends_on: {migrate: {condition: service_completed_successfully}}
    deploy: {resources: {limits: {cpus: "0.5", memory: 64M, pids: 50}}}
    logging: {driver: json-file, options: {max-size: 1m}}
    extra_hosts: ["a.example=10.0.0.1"]
    ulimits: {nofile: {soft: 10, hard: 20}}
    restart: unless-stopped
    stop_grace_period: 3s
    init: true
    labels: {role: front}
    user: "65534"
    sysctls: {net.core.somaxconn: 1024}
  migrate:
    image: example.com/migrate@sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855
    entrypoint: /m
    tmpfs: /run
volumes: {data: {}}
networks: {back: {internal: true}}
configs: {app: {content: "x: ${GREETING}\n"}}
`

func TestEncodeAndDecodeLoseNothing(t *testing.T) {
	values := []string{"plain", "${HOME} $$ $", "{{.}}", "\"quoted\" 'single'", "line\nbreak\ttab", "no", "0o17", "2001-01-01", "\u2028\u0085\u007f\ufeff<&>", "~", "日本", "a: b # c"}
	for _, v := range values {
		p := mustLoad(t, richCompose, map[string]string{"GREETING": v})
		data, err := Encode(t.Context(), p)
		if err != nil {
			t.Fatalf("%q: %v", v, err)
		}
		again, err := Encode(t.Context(), mustLoad(t, richCompose, map[string]string{"GREETING": v}))
		if err != nil || !bytes.Equal(data, again) {
			t.Fatalf("%q: rendering twice gives other bytes (%v)", v, err)
		}
		back, err := Decode(t.Context(), data, "demo")
		if err != nil {
			t.Fatalf("%q: %v", v, err)
		}
		web := back.Services["web"]
		if got := *web.Environment["GREETING"]; got != v || web.Command[2] != v || back.Configs["app"].Content != "x: "+v+"\n" {
			t.Errorf("%q became %q, %q, %q", v, got, web.Command, back.Configs["app"].Content)
		}
		if !json.Valid(data) || bytes.Contains(data, []byte("x-notes")) {
			t.Errorf("%q: %s", v, data)
		}
	}
}

func TestDecodeRefusesWhatEncodeDidNotWrite(t *testing.T) {
	data, err := Encode(t.Context(), mustLoad(t, richCompose, map[string]string{"GREETING": "x"}))
	if err != nil {
		t.Fatal(err)
	}
	text := string(data)
	cases := map[string]string{
		"other spelling":   strings.Replace(text, "  ", " ", 1),
		"unknown key":      strings.Replace(text, `"services": {`, `"services": {}, "x": {`, 1),
		"duplicate key":    strings.Replace(text, `"name": "demo",`, `"name": "other", "name": "demo",`, 1),
		"other project":    strings.Replace(text, `"name": "demo"`, `"name": "other"`, 1),
		"two values":       text + "{}",
		"null":             "null",
		"list":             "[]",
		"include":          strings.Replace(text, `"name": "demo",`, `"name": "demo", "include": ["/etc/x"],`, 1),
		"services missing": `{"name": "demo"}`,
	}
	for name, changed := range cases {
		if changed == text {
			t.Fatalf("%s: case changes nothing", name)
		}
		if _, err := Decode(t.Context(), []byte(changed), "demo"); err == nil || reason.Of(err) == reason.Internal {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestReplaceImages(t *testing.T) {
	const pin1, pin2 = "127.0.0.1:5000/c@sha256:1", "127.0.0.1:5000/c@sha256:2"
	compose := "services: {a: {image: 'x:1', pull_policy: always}, b: {image: docker.io/library/y}}"
	p := mustLoad(t, compose, nil)
	if err := ReplaceImages(p, map[string]string{"x:1": pin1}); !reason.Is(err, reason.ImageUnpinned) || !strings.Contains(err.Error(), `"docker.io/library/y"`) {
		t.Errorf("missing image: %v", err)
	}
	if err := ReplaceImages(p, map[string]string{"x:1": pin1, "y": pin2, "docker.io/library/x:1": pin2}); !reason.Is(err, reason.Malformed) {
		t.Errorf("two images for one name: %v", err)
	}
	if err := ReplaceImages(p, map[string]string{"docker.io/library/x:1": pin1, "y": pin2}); err != nil {
		t.Fatal(err)
	}
	if got := Images(p); !slices.Equal(got, []string{pin1, pin2}) {
		t.Errorf("images %q", got)
	}
	if p.Services["a"].PullPolicy != types.PullPolicyNever {
		t.Errorf("pull policy %q", p.Services["a"].PullPolicy)
	}
}

func FuzzLoad(f *testing.F) {
	f.Add([]byte(smallCompose))
	f.Add([]byte(richCompose))
	f.Add([]byte(secretCompose))
	f.Add([]byte("services: {web: {image: i, extends: {service: 1}}}"))
	f.Add([]byte("services: {a: {extends: b}, b: {extends: a}}"))
	f.Fuzz(func(t *testing.T, data []byte) {
		p, err := Load(t.Context(), Files{ComposeFile: data}, Vars{Values: map[string]string{"GREETING": "g"}, Secrets: map[string]string{"PASSWORD": "line-7"}}, "demo")
		if err != nil {
			if reason.Of(err) == reason.Internal {
				t.Errorf("error without a reason: %v", err)
			}
			return
		}
		if encoded, err := Encode(t.Context(), p); err == nil {
			if _, err := Decode(t.Context(), encoded, "demo"); err != nil {
				t.Error(err)
			}
		}
	})
}

// What a merge key brings in is judged like what stands there itself.
func TestMergedKeysAreJudged(t *testing.T) {
	for text, says := range map[string]string{
		"x-a: &a {build: .}\nservices: {web: {<<: *a, image: app}}":                        "build",
		"x-a: &a {extends: {file: other.yaml, service: b}}\nservices: {web: {<<: *a}}":     "same file",
		"x-a: &a {provider: {type: x}}\nservices: {web: {<<: [{image: app}, *a]}}":         "provider",
		"x-a: &a {volumes: ['./here:/x']}\nservices: {web: {<<: *a, image: app}}":          "relative path",
		"x-a: &a {web: {image: app, build: .}}\nservices: {<<: *a, other: {image: other}}": "build",
	} {
		_, err := Load(t.Context(), Files{ComposeFile: []byte(text)}, Vars{}, "p")
		if err == nil || !strings.Contains(err.Error(), says) {
			t.Errorf("%s\n%v, want a refusal of %s", text, err, says)
		}
	}
}
