package apply

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"testing/fstest"
	"time"

	"github.com/opencontainers/go-digest"

	"github.com/consign-dev/consign/internal/apply/task"
	"github.com/consign-dev/consign/internal/archive"
	"github.com/consign-dev/consign/internal/reason"
	"github.com/consign-dev/consign/internal/testprograms"
	"github.com/consign-dev/consign/policy"
)

const pinnedImage = "127.0.0.1:5000/c@sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"

func applierCompose(t testing.TB) *Program { return applier(t, "applier-compose") }

// applier builds the real program.
func applier(t testing.TB, name string) *Program {
	t.Helper()
	dir, err := testprograms.Build("appliers", "", "./cmd/"+name)
	if err != nil {
		t.Fatal(err)
	}
	p, err := NewProgram(filepath.Join(dir, name))
	if err != nil {
		t.Fatal(err)
	}
	return p
}

// archived is an archive with files in the directory "app".
func archived(t testing.TB, files map[string]string) []byte {
	t.Helper()
	tree := fstest.MapFS{}
	for name, text := range files {
		tree[name] = &fstest.MapFile{Data: []byte(text)}
	}
	var buf bytes.Buffer
	if err := archive.Write(&buf, tree, archive.Options{Top: "app", Max: 1 << 20}); err != nil {
		t.Fatal(err)
	}
	return buf.Bytes()
}

func composeArchive(t testing.TB, compose string) []byte {
	return archived(t, map[string]string{"compose.yaml": compose})
}

func renderInput(t testing.TB, compose string) RenderInput {
	return RenderInput{
		Archive: composeArchive(t, compose), Project: "demo", Values: map[string]string{"GREETING": "${HOME} $$ {{x}}"},
		Images: map[string]string{"app:1": pinnedImage}, Labels: map[string]string{task.LabelDeployment: "d"},
		Limits: policy.Limits{}.Defaults(),
	}
}

func TestRenderByTheProgram(t *testing.T) {
	t.Setenv("HOSTVAR", "from the host")
	p := applierCompose(t)
	in := renderInput(t, "services: {web: {image: app:1, environment: {A: '${GREETING}', B: '${HOSTVAR:-unset}'}}}")
	out, err := p.render(t.Context(), in)
	if err != nil {
		t.Fatal(err)
	}
	if out.Digest != digest.FromBytes(out.Project) || len(out.Images) != 1 || out.Images[0] != pinnedImage {
		t.Errorf("result %+v", out)
	}
	for _, want := range []string{`"A": "${HOME} $$ {{x}}"`, `"B": "unset"`} {
		if !strings.Contains(string(out.Project), want) {
			t.Errorf("render lacks %s:\n%s", want, out.Project)
		}
	}
	again, err := p.render(t.Context(), in)
	if err != nil || !bytes.Equal(again.Project, out.Project) {
		t.Errorf("rendering twice gives other bytes (%v)", err)
	}
	in.Images = nil
	if _, err := p.render(t.Context(), in); !reason.Is(err, reason.ImageUnpinned) || !strings.Contains(err.Error(), `"app:1"`) {
		t.Errorf("a refusal arrived as %v", err)
	}
}

// A port range is a few bytes and thousands of objects. The loader counts what a
// project grows to and says so; what grew in a way that it does not count would
// end the program, by its limits (TestBombsEndByTheirLimit), and not us.
func TestARenderThatExplodesIsOnlyARefusal(t *testing.T) {
	p := applierCompose(t)
	compose := "services:\n"
	for i := range 50 {
		compose += fmt.Sprintf("  s%d: {image: app:1, ports: ['1-65535:1-65535/udp']}\n", i)
	}
	if _, err := p.render(t.Context(), renderInput(t, compose)); !reason.Is(err, reason.TooLarge) {
		t.Errorf("got %v", err)
	}
	if _, err := script(t, "exit 2").render(t.Context(), renderInput(t, compose)); !reason.Is(err, reason.Render) {
		t.Errorf("a program that ended: %v", err)
	}
}

// script makes a program of shell commands that reads its request first.
func script(t *testing.T, commands string) *Program {
	t.Helper()
	path := filepath.Join(t.TempDir(), "applier")
	if err := os.WriteFile(path, []byte("#!/bin/sh\nread -r request\n"+commands+"\n"), 0o700); err != nil {
		t.Fatal(err)
	}
	p, err := NewProgram(path)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

func TestAProgramThatMisbehaves(t *testing.T) {
	endless := "while :; do echo " + strings.Repeat("x", 4096) + "; done"
	cases := map[string]struct{ commands, says string }{
		"ends without a word":     {"exit 0", "ended without an answer"},
		"fails and complains":     {"echo 'cannot go on' >&2; exit 3", `exit status 3`},
		"its complaint is kept":   {"echo 'cannot go on' >&2; exit 3", `it said "cannot go on"`},
		"answers and then fails":  {`echo '{"result":{"services":[]}}'; exit 1`, "exit status 1"},
		"no JSON":                 {"echo hello", "answer: malformed"},
		"two answers":             {`echo '{"result":{"services":[]}}'; echo more`, "more than one line"},
		"half an answer":          {`printf '{"result":'`, "ended without an answer"},
		"result and refusal":      {`echo '{"result":{},"refusal":{"reason":"grant","message":"m"}}'`, "is not a refusal"},
		"neither":                 {`echo '{}'`, "result: malformed"},
		"a reason of its own":     {`echo '{"refusal":{"reason":"because","message":"m"}}'`, "is not a refusal"},
		"unknown field":           {`echo '{"result":{"services":[],"x":1}}'`, "result: malformed"},
		"writes without end":      {endless, "more than one line"},
		"one line without end":    {"while :; do printf '%4096s' x; done", "more than"},
		"complains without end":   {"while :; do echo noise >&2; done", "deadline"},
		"sleeps":                  {"sleep 60", "deadline"},
		"leaves a child behind":   {"sleep 60 & exit 0", "deadline"},
		"has an environment":      {`[ -z "$SECRET$HOME" ] && echo "empty" >&2; exit 9`, `it said "empty"`},
		"is in another directory": {`pwd >&2; exit 9`, `it said "/"`},
	}
	t.Setenv("SECRET", "1")
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			ctx, cancel := context.WithTimeout(t.Context(), 3*time.Second)
			defer cancel()
			start := time.Now()
			_, err := script(t, c.commands).observe(ctx, ObserveInput{})
			if !reason.Is(err, reason.Internal) || !strings.Contains(err.Error(), c.says) {
				t.Errorf("got %.500v, want it to say %q", err, c.says)
			}
			if took := time.Since(start); took > 8*time.Second {
				t.Errorf("took %s", took)
			}
		})
	}
}

// A device that cannot confine a render is at fault, not the component.
func TestARenderOutsideOfTheSandboxIsRefused(t *testing.T) {
	cmd := exec.Command(applierCompose(t).path, "render")
	out, err := cmd.Output()
	if err != nil || !strings.Contains(string(out), `"reason":"internal"`) || !strings.Contains(string(out), "not started in namespaces") {
		t.Errorf("%s, %v", out, err)
	}
}

func TestAProgramThatIsNotThere(t *testing.T) {
	if _, err := NewProgram("applier-compose"); err == nil {
		t.Error("a relative path was accepted")
	}
	p, err := NewProgram(filepath.Join(t.TempDir(), "applier-compose"))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := p.observe(t.Context(), ObserveInput{}); !reason.Is(err, reason.Internal) || !strings.Contains(err.Error(), "start applier-compose") {
		t.Errorf("got %v", err)
	}
}

func TestARequestThatIsTooLargeIsNotSent(t *testing.T) {
	in := renderInput(t, "services: {}")
	in.Archive = make([]byte, task.MaxRequest)
	if _, err := script(t, "exit 1").render(t.Context(), in); !reason.Is(err, reason.TooLarge) {
		t.Errorf("got %v", err)
	}
}

func testEngine(t *testing.T) string {
	t.Helper()
	address := os.Getenv("CONSIGN_TEST_ENGINE")
	if address == "" {
		t.Fatal("no Docker engine: run the tests with 'make test', which provides one (CONSIGN_TEST_ENGINE)")
	}
	return address
}

// The tasks on a real engine, through the program; what they do there is
// tested beside them in internal/apply/compose.
func TestEngineTasksByTheProgram(t *testing.T) {
	t.Setenv("DOCKER_HOST", "tcp://127.0.0.1:1") // means nothing
	engine, p := testEngine(t), applierCompose(t)
	project := fmt.Sprintf("consign-test-%d", os.Getpid())
	start := time.Now()
	seen, err := p.observe(t.Context(), ObserveInput{Engine: engine, Project: project, Deployment: "d"})
	if err != nil || len(seen.Services) != 0 {
		t.Errorf("observe: %+v, %v", seen, err)
	}
	t.Logf("observe took %s", time.Since(start).Round(time.Millisecond))
	gone, err := p.remove(t.Context(), RemoveInput{Engine: engine, Project: project, Deployment: "d", Volumes: true, TimeoutSeconds: 10})
	if err != nil || len(gone.Containers) != 0 {
		t.Errorf("remove: %+v, %v", gone, err)
	}
	in := renderInput(t, "services: {web: {image: app:1}}")
	in.Project = project
	rendered, err := p.render(t.Context(), in)
	if err != nil {
		t.Fatal(err)
	}
	order := ApplyInput{
		Engine: engine, Project: project, Deployment: "d", Render: rendered.Project, Digest: rendered.Digest,
		Images: rendered.Images, Wait: true, TimeoutSeconds: 20,
	}
	if _, err := p.apply(t.Context(), order); !reason.Is(err, reason.Unreachable) || !strings.Contains(err.Error(), pinnedImage) {
		t.Errorf("image that nobody serves: %v", err)
	}
	order.Render = append(order.Render, ' ')
	if _, err := p.apply(t.Context(), order); !reason.Is(err, reason.DigestMismatch) {
		t.Errorf("other bytes: %v", err)
	}
}

func BenchmarkRenderByTheProgram(b *testing.B) {
	p, in := applierCompose(b), renderInput(b, "services: {web: {image: app:1}}")
	for b.Loop() {
		if _, err := p.render(b.Context(), in); err != nil {
			b.Fatal(err)
		}
	}
}
