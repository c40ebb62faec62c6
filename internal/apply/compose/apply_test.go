package compose

import (
	"bytes"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/moby/moby/api/types/container"
	"github.com/moby/moby/client"
	"github.com/opencontainers/go-digest"

	"github.com/consign-dev/consign/internal/apply/task"
	"github.com/consign-dev/consign/internal/reason"
)

const healthyWeb = `
services:
  web:
    image: app:1
    command: [serve, "--greeting", "${GREETING}"]
    environment: {GREETING: "${GREETING}"}
    ports: ["127.0.0.1::8080"]
    healthcheck: {test: ["CMD", "/app", "health"], interval: 500ms, timeout: 2s, retries: 3, start_period: 10s}
    restart: unless-stopped
`

// A parameter value is data from the order to the container, whatever it looks
// like to Compose, YAML or a template engine.
func TestParametersReachTheContainerUnchanged(t *testing.T) {
	s := newSite(t)
	for _, value := range []string{"${HOME} $$ $GREETING ${X:-y}", "{{ .Values }} %v", "\"q\" 'q' \\ <&>\ttab", "no", "1e3", "#x: y", "日本"} {
		in := s.render(healthyWeb, map[string]string{"GREETING": value})
		web := s.mustApply(in)["web"]
		if got := s.environment(web)["GREETING"]; got != value {
			t.Errorf("environment: %q became %q", value, got)
		}
		if args := strings.Split(s.get(web, "/args"), "\x00"); args[len(args)-1] != value {
			t.Errorf("command: %q became %q", value, args)
		}
		if web.Health != "healthy" || web.State != "running" || web.Image != s.images["app:1"] {
			t.Errorf("reported %+v", web)
		}
	}
}

func TestUpgradeRollbackAndRemove(t *testing.T) {
	s := newSite(t)
	const compose = `
services:
  web:
    image: app:1
    ports: ["127.0.0.1::8080"]
    volumes: ["data:/data"]
    healthcheck: {test: ["CMD", "/app", "health"], interval: 500ms}
  old: {image: app:1}
volumes: {data: {}}
`
	first := s.render(compose, nil)
	services := s.mustApply(first)
	web := services["web"]
	s.get(web, "/write", "path", "/data/kept", "text", "kept")

	if again := s.mustApply(first)["web"]; again.Container != web.Container {
		t.Error("applying the same render again replaced the container")
	}
	if drift := s.observe(first).Drift; len(drift) > 0 {
		t.Errorf("drift right after apply: %q", drift)
	}

	s.image("app:2")
	second := s.render(strings.ReplaceAll(strings.Replace(compose, "  old: {image: app:1}\n", "", 1), "app:1", "app:2"), nil)
	if drift := s.observe(second).Drift; len(drift) != 2 {
		t.Errorf("drift from the next release: %q", drift)
	}
	upgraded := s.mustApply(second)
	if got := upgraded["web"]; got.Container == web.Container || got.Image != s.images["app:2"] || got.ImageID == web.ImageID {
		t.Errorf("not upgraded: %+v", got)
	}
	if _, ok := upgraded["old"]; ok {
		t.Error("a service that is gone still runs")
	}
	if got := s.get(upgraded["web"], "/file", "path", "/data/kept"); got != "kept" {
		t.Errorf("volume holds %q", got)
	}

	if back := s.mustApply(first)["web"]; back.Image != s.images["app:1"] {
		t.Errorf("not rolled back: %+v", back)
	}
	s.checkRemove(false, nil)
	if services := s.observe(first).Services; len(services) != 0 {
		t.Errorf("still running: %+v", services)
	}
	s.checkRemove(true, []string{s.project + "_data"})
	s.checkRemove(true, nil)
}

// checkRemove removes and compares the volumes that went.
func (s *site) checkRemove(volumes bool, want []string) {
	s.t.Helper()
	out, err := Remove(s.t.Context(), task.RemoveInput{Engine: s.engine, Project: s.project, Deployment: s.deployment, Volumes: volumes, TimeoutSeconds: 60})
	if err != nil || !slices.Equal(out.Volumes, want) {
		s.t.Errorf("remove (volumes %t): %+v, %v", volumes, out, err)
	}
}

func TestConfigsOfThePackage(t *testing.T) {
	s := newSite(t)
	const compose = `
services:
  web:
    image: app:1
    ports: ["127.0.0.1::8080"]
    configs: [{source: app, target: /etc/app.conf}]
    env_file: base.env
configs: {app: {file: ./app.conf}}
`
	first := s.mustApply(s.render(compose, nil, "app.conf", "port $PORT $$\n", "base.env", "A=1\n"))["web"]
	if got := s.get(first, "/file", "path", "/etc/app.conf"); got != "port $PORT $$\n" {
		t.Errorf("config is %q", got)
	}
	if got := s.environment(first)["A"]; got != "1" {
		t.Errorf("A is %q", got)
	}
	second := s.mustApply(s.render(compose, nil, "app.conf", "changed\n", "base.env", "A=1\n"))["web"]
	if second.Container == first.Container || s.get(second, "/file", "path", "/etc/app.conf") != "changed\n" {
		t.Error("a changed config did not reach the container")
	}
}

// Attack C14: what cannot run is found, and said, in good time.
func TestWhatDoesNotStayUpFails(t *testing.T) {
	cases := map[string]struct{ service, says string }{
		"crash loop without health check": {"command: [exit, '7'], restart: always", "does not stay up"},
		"slow crash loop":                 {"command: [flap], restart: unless-stopped", "does not stay up"},
		"ends well, for ever":             {"command: [exit, '0'], restart: always", "does not stay up"},
		"exits with an error":             {"command: [exit, '3']", "exited with code 3"},
		"retried on failure":              {"command: [exit, '3'], restart: on-failure", "does not stay up"},
		"never healthy":                   {"environment: {SICK: '1'}, healthcheck: {test: [CMD, /app, health], interval: 200ms, retries: 2}", "unhealthy"},
		"no such program":                 {"entrypoint: [/none]", "/none"},
		"depends on what fails":           {"depends_on: {job: {condition: service_completed_successfully}}", "job"},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			s := newSite(t)
			in := s.render("services: {job: {image: app:1, command: [exit, "+map[bool]string{true: "'1'", false: "'0'"}[c.says == "job"]+"]}, web: {image: app:1, "+c.service+"}}", nil)
			_, err := s.apply(in)
			if !reason.Is(err, reason.Health) || !strings.Contains(err.Error(), c.says) {
				t.Errorf("got %v, want reason health saying %q", err, c.says)
			}
		})
	}
}

func TestTimeoutIsKept(t *testing.T) {
	s := newSite(t)
	in := s.render("services: {web: {image: app:1, environment: {SICK: '1'}, healthcheck: {test: [CMD, /app, health], interval: 1s, start_period: 60s}}}", nil)
	// A busy machine may need all of a short time to start the container.
	var err error
	for _, in.TimeoutSeconds = range []int{8, 16, 32} {
		if _, err = s.apply(in); !reason.Is(err, reason.Health) {
			break
		}
		if strings.Contains(err.Error(), "web is running, health starting") {
			return
		}
	}
	t.Errorf("got %v", err)
}

func TestOneShotServicesAreNoFailure(t *testing.T) {
	s := newSite(t)
	services := s.mustApply(s.render(`
services:
  lonely: {image: app:1, command: [exit, "0"]}
  retried: {image: app:1, command: [exit, "0"], restart: on-failure}
  migrate: {image: app:1, command: [exit, "0"]}
  web: {image: app:1, depends_on: {migrate: {condition: service_completed_successfully}}}
`, nil))
	for name, state := range map[string]string{"lonely": "exited", "retried": "exited", "migrate": "exited", "web": "running"} {
		if services[name].State != state {
			t.Errorf("%s: %+v", name, services[name])
		}
	}
}

func TestWithoutWaitingStartedIsEnough(t *testing.T) {
	s := newSite(t)
	in := s.render("services: {web: {image: app:1, environment: {SICK: '1'}, healthcheck: {test: [CMD, /app, health], interval: 1h}}}", nil)
	in.Wait = false
	if web := s.mustApply(in)["web"]; web.State != "running" || web.Health != "starting" {
		t.Errorf("%+v", web)
	}
}

// Attacks C8 and H14: objects of others are left alone, and nothing of ours
// changes when they are in the way.
func TestObjectsOfOthersAreLeftAlone(t *testing.T) {
	const compose = `
services: {web: {image: app:1, volumes: ["data:/data"]}}
volumes: {data: {}}
`
	cases := map[string]struct {
		make   func(s *site, labels map[string]string) foreign
		labels map[string]string
	}{
		"container":               {(*site).foreignContainer, nil},
		"volume":                  {(*site).foreignVolume, nil},
		"network":                 {(*site).foreignNetwork, nil},
		"another deployment's":    {(*site).foreignVolume, map[string]string{task.LabelDeployment: "other"}},
		"Compose, not Consign":    {(*site).foreignVolume, map[string]string{"com.docker.compose.project": "PROJECT"}},
		"right label, no project": {(*site).foreignNetwork, map[string]string{task.LabelDeployment: "DEPLOYMENT"}},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			s := newSite(t)
			labels := map[string]string{}
			for k, v := range c.labels {
				labels[k] = strings.NewReplacer("PROJECT", s.project, "DEPLOYMENT", s.deployment).Replace(v)
			}
			f := c.make(s, labels)
			defer f.remove()
			before := f.inspect()
			_, err := s.apply(s.render(compose, nil))
			if !reason.Is(err, reason.Conflict) || !strings.Contains(err.Error(), f.name) {
				t.Errorf("got %v", err)
			}
			if after := f.inspect(); !bytes.Equal(after, before) {
				t.Errorf("%s was changed from %s to %s", f.name, before, after)
			}
			if services := s.observe(s.render(compose, nil)).Services; len(services) > 0 {
				t.Errorf("containers were made: %+v", services)
			}
		})
	}
}

// foreign is an object that Consign did not make.
type foreign struct {
	name    string
	inspect func() []byte
	remove  func()
}

func (s *site) foreignVolume(labels map[string]string) foreign {
	name := s.project + "_data"
	s.done(s.docker.VolumeCreate(s.t.Context(), client.VolumeCreateOptions{Name: name, Labels: labels}))
	return foreign{
		name: name,
		inspect: func() []byte {
			return must(s.docker.VolumeInspect(s.t.Context(), name, client.VolumeInspectOptions{})).Raw
		},
		remove: func() { s.done(s.docker.VolumeRemove(s.t.Context(), name, client.VolumeRemoveOptions{})) },
	}
}

func (s *site) foreignNetwork(labels map[string]string) foreign {
	name := s.project + "_default"
	s.done(s.docker.NetworkCreate(s.t.Context(), name, client.NetworkCreateOptions{Labels: labels}))
	return foreign{
		name: name,
		inspect: func() []byte {
			return must(s.docker.NetworkInspect(s.t.Context(), name, client.NetworkInspectOptions{})).Raw
		},
		remove: func() { s.done(s.docker.NetworkRemove(s.t.Context(), name, client.NetworkRemoveOptions{})) },
	}
}

func (s *site) foreignContainer(labels map[string]string) foreign {
	name, image := s.project+"-web-1", s.images["app:1"]
	pull, err := s.docker.ImagePull(s.t.Context(), image, client.ImagePullOptions{})
	if err == nil {
		err = pull.Wait(s.t.Context())
	}
	s.done(pull, err)
	s.done(s.docker.ContainerCreate(s.t.Context(), client.ContainerCreateOptions{Name: name, Image: image, Config: &container.Config{Labels: labels}}))
	return foreign{
		name: name,
		inspect: func() []byte {
			return must(s.docker.ContainerInspect(s.t.Context(), name, client.ContainerInspectOptions{})).Raw
		},
		remove: func() { s.done(s.docker.ContainerRemove(s.t.Context(), name, client.ContainerRemoveOptions{})) },
	}
}

func (s *site) done(_ any, err error) {
	s.t.Helper()
	if err != nil {
		s.t.Fatal(err)
	}
}

// What was checked is what runs, or nothing does: every mismatch is refused
// before the running application is touched.
func TestRefusedBeforeAnythingIsTouched(t *testing.T) {
	s := newSite(t)
	good := s.render(healthyWeb, map[string]string{"GREETING": "good"})
	running := s.mustApply(good)["web"]
	missing := s.images["app:1"][:len(s.images["app:1"])-8] + "00000000"

	changed := func(change func(*task.ApplyInput)) task.ApplyInput {
		in := s.render(healthyWeb, map[string]string{"GREETING": "next"})
		change(&in)
		return in
	}
	edit := func(old, new string) task.ApplyInput {
		return changed(func(in *task.ApplyInput) {
			in.Render = []byte(strings.ReplaceAll(string(in.Render), old, new))
			in.Digest = digest.FromBytes(in.Render)
		})
	}
	cases := map[string]struct {
		in   task.ApplyInput
		code reason.Code
	}{
		"bytes changed":           {changed(func(in *task.ApplyInput) { in.Render = append(in.Render, ' ') }), reason.DigestMismatch},
		"another project":         {changed(func(in *task.ApplyInput) { in.Project = "other" }), reason.Conflict},
		"another deployment":      {changed(func(in *task.ApplyInput) { in.Deployment = "other" }), reason.Conflict},
		"images not listed":       {changed(func(in *task.ApplyInput) { in.Images = nil }), reason.ImageUnpinned},
		"no timeout":              {changed(func(in *task.ApplyInput) { in.TimeoutSeconds = 0 }), reason.Malformed},
		"pulls by itself":         {edit(`"pull_policy": "never"`, `"pull_policy": "always"`), reason.ImageUnpinned},
		"image by tag":            {withImage(edit(s.images["app:1"], "example.com/app:1"), "example.com/app:1"), reason.ImageUnpinned},
		"image is nowhere":        {withImage(edit(s.images["app:1"], missing), missing), reason.Unreachable},
		"engine is not there":     {changed(func(in *task.ApplyInput) { in.Engine = "unix:///run/consign-none.sock" }), reason.Unreachable},
		"engine is somewhere":     {changed(func(in *task.ApplyInput) { in.Engine = "tcp://192.0.2.1:2375" }), reason.Malformed},
		"engine of a name":        {changed(func(in *task.ApplyInput) { in.Engine = "ssh://host" }), reason.Malformed},
		"engine from environment": {changed(func(in *task.ApplyInput) { in.Engine = "" }), reason.Malformed},
	}
	for name, c := range cases {
		if _, err := s.apply(c.in); !reason.Is(err, c.code) {
			t.Errorf("%s: got %v, want reason %s", name, err, c.code)
		}
	}
	if now := s.mustApply(good)["web"]; now.Container != running.Container || now.Restarts != 0 {
		t.Error("the running container was touched")
	}
}

func withImage(in task.ApplyInput, ref string) task.ApplyInput {
	in.Images = []string{ref}
	return in
}

// Attack C5: neither the environment nor the home directory of the agent's
// user has a say in which engine is used and what runs on it.
func TestDockerSettingsOfTheHostMeanNothing(t *testing.T) {
	s := newSerialSite(t)
	home := t.TempDir()
	if err := os.MkdirAll(filepath.Join(home, ".docker"), 0o700); err != nil {
		t.Fatal(err)
	}
	config := `{"currentContext": "evil", "credsStore": "evil", "HttpHeaders": {"X-Evil": "1"},
		"proxies": {"default": {"httpProxy": "http://evil.example:1", "httpsProxy": "http://evil.example:1"}}}`
	if err := os.WriteFile(filepath.Join(home, ".docker", "config.json"), []byte(config), 0o600); err != nil {
		t.Fatal(err)
	}
	for name, value := range map[string]string{
		"HOME": home, "DOCKER_HOST": "tcp://127.0.0.1:1", "DOCKER_CONTEXT": "evil", "DOCKER_CONFIG": filepath.Join(home, ".docker"),
		"DOCKER_TLS_VERIFY": "1", "DOCKER_API_VERSION": "1.99", "DOCKER_CUSTOM_HEADERS": "x", "GREETING": "from the host",
		"COMPOSE_PROJECT_NAME": "evil", "COMPOSE_FILE": "/evil.yaml", "COMPOSE_PROFILES": "*", "COMPOSE_PARALLEL_LIMIT": "x",
	} {
		t.Setenv(name, value)
	}
	web := s.mustApply(s.render(healthyWeb, map[string]string{"GREETING": "given"}))["web"]
	env := s.environment(web)
	for name, value := range env {
		if strings.Contains(value, "evil") || strings.Contains(value, "from the host") {
			t.Errorf("%s=%s reached the container", name, value)
		}
	}
	if env["GREETING"] != "given" {
		t.Errorf("GREETING is %q", env["GREETING"])
	}
}

// A volume outlives a change of its definition, with its data.
func TestVolumesAreNeverRecreated(t *testing.T) {
	s := newSite(t)
	const compose = "services: {web: {image: app:1, ports: ['127.0.0.1::8080'], volumes: ['data:/data']}}\nvolumes: {data: {labels: {v: '1'}}}\n"
	web := s.mustApply(s.render(compose, nil))["web"]
	s.get(web, "/write", "path", "/data/kept", "text", "kept")
	web = s.mustApply(s.render(strings.Replace(compose, "v: '1'", "v: '2'", 1), nil))["web"]
	if got := s.get(web, "/file", "path", "/data/kept"); got != "kept" {
		t.Errorf("volume holds %q", got)
	}
}

func TestDriftIsSeen(t *testing.T) {
	s := newSite(t)
	in := s.render("services: {a: {image: app:1, restart: 'no'}, b: {image: app:1}, c: {image: app:1}}", nil)
	services := s.mustApply(in)
	s.done(s.docker.ContainerKill(t.Context(), services["a"].Container, client.ContainerKillOptions{}))
	s.done(s.docker.ContainerRemove(t.Context(), services["b"].Container, client.ContainerRemoveOptions{Force: true}))
	want := []string{"service a is exited (exit code 137)", "service b has 0 containers, not 1"}
	if got := s.observe(in).Drift; !slices.Equal(got, want) {
		t.Errorf("drift %q\nwant  %q", got, want)
	}
}
