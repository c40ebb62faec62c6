package compose

import (
	"archive/tar"
	"bytes"
	"encoding/json"
	"io"
	"strings"
	"testing"

	"github.com/moby/moby/client"

	"github.com/consign-dev/consign/internal/apply/task"
	"github.com/consign-dev/consign/internal/reason"
)

const withSecrets = `
services:
  web:
    image: app:1
    ports: ["127.0.0.1::8080"]
    healthcheck: {test: ["CMD", "/app", "health"], interval: 500ms}
    secrets: [db, {source: db, target: own, uid: "1234", gid: "4321", mode: 0400}]
  user:
    image: app:1
    user: "65534:65534"
    secrets: [{source: db, target: own, uid: "1234", gid: "4321", mode: 0400}]
  other: {image: app:1}
secrets: {db: {environment: DB_PASSWORD}}
`

// secretText holds what Compose, YAML and JSON would change if they read it.
const secretText = "planted \xff\x00 ${HOME} $$ \"secret\"\n"

func (s *site) renderSecrets(compose string) task.ApplyInput {
	s.t.Helper()
	out, err := Render(s.t.Context(), task.RenderInput{
		Archive: archive(s.t, compose), Project: s.project, Images: s.images, Labels: s.labels(), Limits: limits,
		Secrets: map[string]string{"DB_PASSWORD": "line-7"},
	})
	if err != nil {
		s.t.Fatal(err)
	}
	return task.ApplyInput{
		Engine: s.engine, Project: s.project, Deployment: s.deployment,
		Render: out.Project, Digest: out.Digest, Images: out.Images, Wait: true, TimeoutSeconds: 60,
		Secrets: map[string]task.Secret{"line-7": {Content: []byte(secretText), Version: "v1"}},
	}
}

func (s *site) observeSecrets(in task.ApplyInput, version string) task.ObserveResult {
	s.t.Helper()
	out, err := Observe(s.t.Context(), task.ObserveInput{
		Engine: s.engine, Project: s.project, Deployment: s.deployment, Render: in.Render, Digest: in.Digest,
		Secrets: map[string]string{"line-7": version},
	})
	if err != nil {
		s.t.Fatal(err)
	}
	return out
}

func TestASecretIsAFileInTheContainerAndNothingElse(t *testing.T) {
	s := newSite(t)
	in := s.renderSecrets(withSecrets)
	services := s.mustApply(in)
	web := services["web"]
	if got := s.get(web, "/file", "path", "/run/secrets/db"); got != secretText {
		t.Errorf("the service reads %q", got)
	}
	if h := s.copied(web, "/run/secrets/own"); h.Uid != 1234 || h.Gid != 4321 || h.Mode&0o7777 != 0o400 || h.Size != int64(len(secretText)) {
		t.Errorf("the second file: %+v", h)
	}
	if h := s.copied(web, "/run/secrets/db"); h.Uid != 0 || h.Mode&0o7777 != 0o444 {
		t.Errorf("the first file: %+v", h)
	}
	if h := s.copied(services["user"], "/run/secrets/own"); h.Uid != 1234 || h.Gid != 4321 || h.Mode&0o7777 != 0o400 {
		t.Errorf("the file of a service with a user: %+v", h)
	}
	s.nowhere(in, services)
	if _, err := s.docker.ContainerStatPath(t.Context(), services["other"].Container, client.ContainerStatPathOptions{Path: "/run/secrets"}); err == nil {
		t.Error("a service that asks for no secret has the directory")
	}
	if seen := s.observeSecrets(in, "v1"); len(seen.Drift)+len(seen.Rotated) > 0 {
		t.Errorf("right after apply: %+v", seen)
	}
}

// copied is the tar header of a file in a container.
func (s *site) copied(svc task.Service, path string) *tar.Header {
	s.t.Helper()
	out, err := s.docker.CopyFromContainer(s.t.Context(), svc.Container, client.CopyFromContainerOptions{SourcePath: path})
	if err != nil {
		s.t.Fatal(err)
	}
	defer out.Content.Close()
	h, err := tar.NewReader(out.Content).Next()
	if err != nil {
		s.t.Fatal(err)
	}
	return h
}

// nowhere looks for the secret in everything that the engine tells and in the
// render.
func (s *site) nowhere(in task.ApplyInput, services map[string]task.Service) {
	s.t.Helper()
	found := map[string][]byte{"render": in.Render}
	for name, svc := range services {
		seen, err := s.docker.ContainerInspect(s.t.Context(), svc.Container, client.ContainerInspectOptions{})
		if err != nil {
			s.t.Fatal(err)
		}
		found["inspect "+name] = seen.Raw
		logs, err := s.docker.ContainerLogs(s.t.Context(), svc.Container, client.ContainerLogsOptions{ShowStdout: true, ShowStderr: true})
		if err != nil {
			s.t.Fatal(err)
		}
		text, err := io.ReadAll(logs)
		if err != nil {
			s.t.Fatal(err)
		}
		found["log "+name] = text
	}
	for where, text := range found {
		if bytes.Contains(text, []byte("planted")) {
			s.t.Errorf("%s holds the secret:\n%s", where, text)
		}
	}
	env := found["inspect web"]
	var inspected struct{ Config struct{ Env []string } }
	if err := json.Unmarshal(env, &inspected); err != nil || len(env) == 0 {
		s.t.Fatalf("inspect: %v", err)
	}
	if strings.Contains(strings.Join(inspected.Config.Env, " "), "DB_PASSWORD") {
		s.t.Errorf("environment %q", inspected.Config.Env)
	}
}

// A new secret replaces the containers that have it and no other; the same one
// replaces nothing. A render that was stored long ago gets the present secret.
func TestARotatedSecretReplacesItsServices(t *testing.T) {
	s := newSite(t)
	in := s.renderSecrets(withSecrets)
	first := s.mustApply(in)
	if again := s.mustApply(in); again["web"].Container != first["web"].Container {
		t.Error("the same secret replaced the container")
	}
	seen := s.observeSecrets(in, "v2")
	if len(seen.Drift) > 0 || len(seen.Rotated) != 2 || !strings.Contains(seen.Rotated[1], "service web ") {
		t.Errorf("with another version: %+v", seen)
	}
	in.Secrets = map[string]task.Secret{"line-7": {Content: []byte("planted anew"), Version: "v2"}}
	second := s.mustApply(in)
	if second["web"].Container == first["web"].Container || second["other"].Container != first["other"].Container {
		t.Errorf("replaced the wrong containers: %+v, then %+v", first, second)
	}
	if got := s.get(second["web"], "/file", "path", "/run/secrets/db"); got != "planted anew" {
		t.Errorf("the service reads %q", got)
	}
	if seen := s.observeSecrets(in, "v2"); len(seen.Drift)+len(seen.Rotated) > 0 {
		t.Errorf("after the rotation: %+v", seen)
	}
	// Somebody stops the container and starts it: the file is in its layer.
	if _, err := s.docker.ContainerRestart(t.Context(), second["web"].Container, client.ContainerRestartOptions{}); err != nil {
		t.Fatal(err)
	}
	if got := s.get(s.mustApply(in)["web"], "/file", "path", "/run/secrets/db"); got != "planted anew" {
		t.Errorf("after a restart the service reads %q", got)
	}
}

func TestApplyWantsExactlyTheSecretsOfTheRender(t *testing.T) {
	s := newSite(t)
	in := s.renderSecrets(withSecrets)
	for name, secrets := range map[string]map[string]task.Secret{
		"none":       nil,
		"another":    {"line-8": {Content: []byte("planted"), Version: "v"}},
		"one more":   {"line-7": {Content: []byte("planted"), Version: "v"}, "line-8": {Content: []byte("planted"), Version: "v"}},
		"empty":      {"line-7": {Version: "v"}},
		"no version": {"line-7": {Content: []byte("planted")}},
		"too large":  {"line-7": {Content: make([]byte, task.MaxSecret+1), Version: "v"}},
	} {
		in.Secrets = secrets
		_, err := s.apply(in)
		if !reason.Is(err, reason.Malformed) || strings.Contains(err.Error(), "planted") {
			t.Errorf("%s: %v", name, err)
		}
	}
	if left := s.observeSecrets(in, "v").Services; len(left) > 0 {
		t.Errorf("something runs: %+v", left)
	}
}
