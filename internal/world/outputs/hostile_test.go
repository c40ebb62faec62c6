package outputs

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/consign-dev/consign/internal/world"
)

// Two spellings of a text that clears a screen, sets a title, turns the order of
// letters round, hides, and pretends to be a line of ours: as YAML escapes, and
// as the bytes themselves.
const (
	hostileYAML = `x\e[2J\e]0;owned\a\u202Egnp.exe\u200B\u2066\r\npublisher: done\x85`
	hostileText = "x\x1b[2J\x1b]0;owned\x07\u202egnp.exe\u200b\u2066\r\npublisher: done\u0085\xff"
)

// TestHostilePackages writes hostile text into every field of a package in turn,
// and runs what a person would run on it. Accepted or refused, nothing that a
// terminal acts upon is printed, and exit code and words agree.
func TestHostilePackages(t *testing.T) {
	s := newSite(t)
	q := `"` + hostileYAML + `"`
	sound := s.w.Package("1.0.0", nil)
	for name, edit := range map[string]struct{ file, old, new string }{
		"id":           {"margo.yaml", "id: hello\n", "id: " + q + "\n"},
		"name":         {"margo.yaml", "name: Hello\n", "name: " + q + "\n"},
		"description":  {"margo.yaml", "description: Greets whoever asks, in words that the operator chooses.", "description: " + q},
		"version":      {"margo.yaml", "  version: 1.0.0", "  version: " + q},
		"tagline":      {"margo.yaml", "tagline: The smallest application worth deploying.", "tagline: " + q},
		"file":         {"margo.yaml", "./resources/description.md", `./resources/\e[2J`},
		"tag":          {"margo.yaml", `tags: ["example"]`, "tags: [" + q + "]"},
		"organization": {"margo.yaml", "Example Industrial", q},
		"site":         {"margo.yaml", "https://example.com", `"https://example.com/` + hostileYAML + `"`},
		"profile":      {"margo.yaml", "id: hello-compose", "id: " + q},
		"type":         {"margo.yaml", "type: compose", "type: " + q},
		"component":    {"margo.yaml", "- name: hello-stack", "- name: " + q},
		"timeout":      {"margo.yaml", "timeout: 1m0s", "timeout: " + q},
		"parameter":    {"margo.yaml", "  port:\n    value", "  " + q + ":\n    value"},
		"pointer":      {"margo.yaml", "pointer: PORT", "pointer: " + q},
		"default":      {"margo.yaml", "value: 18080", "value: " + q},
		"setting":      {"margo.yaml", "name: Greeting", "name: " + q},
		"schema":       {"margo.yaml", "schema: unprivilegedPort", "schema: " + q},
		"key":          {"margo.yaml", "metadata:\n", q + ": 1\nmetadata:\n"},
		"no YAML":      {"margo.yaml", "metadata:\n", hostileText + "\nmetadata:\n"},
		"service":      {"components/hello-stack/compose.yaml", "  hello:\n", "  " + q + ":\n"},
		"image":        {"components/hello-stack/compose.yaml", "localhost/hello:1.0.0", q},
		"variable":     {"components/hello-stack/compose.yaml", "GREETING: ${GREETING}", q + ": ${GREETING}"},
		"expression":   {"components/hello-stack/compose.yaml", "${GREETING}", `"${GREETING:?` + hostileYAML + `}"`},
		"port":         {"components/hello-stack/compose.yaml", "127.0.0.1:${PORT}:8080", hostileYAML},
		"option":       {"components/hello-stack/compose.yaml", "restart: unless-stopped", "restart: " + q},
		"compose key":  {"components/hello-stack/compose.yaml", "services:\n", q + ": 1\nservices:\n"},
		"no compose":   {"components/hello-stack/compose.yaml", "services:\n", hostileText + "\nservices:\n"},
	} {
		dir := filepath.Join(s.w.Dir, "edited")
		s.w.Must(os.RemoveAll(dir))
		s.w.Must(os.CopyFS(dir, os.DirFS(sound)))
		s.w.Edit(filepath.Join(dir, edit.file), edit.old, edit.new)
		s.once(anyCode, "publisher", "plan", dir)
		s.once(anyCode, "publisher", "pack", dir, "--to", filepath.Join(s.w.Dir, "out-"+name), "--output", "json")
	}
	s.w.Must(os.WriteFile(filepath.Join(sound, "components", "hello-stack", "a\x1b[2Jb\u202e"), nil, 0o600))
	s.once(anyCode, "publisher", "plan", sound)
}

// TestHostileDescriptions sends a package whose free texts are hostile through
// the whole chain, and hostile words through every option of ours.
func TestHostileDescriptions(t *testing.T) {
	s := newSite(t)
	s.enrol()
	q := `"` + hostileYAML + `"`
	dir := s.w.Package("1.0.0", func(dir string) {
		file := filepath.Join(dir, "margo.yaml")
		s.w.Edit(file, "name: Hello\n", "name: "+q+"\n")
		s.w.Edit(file, "description: Greets whoever asks, in words that the operator chooses.", "description: "+q)
		s.w.Edit(file, "Example Industrial", q)
		s.w.Edit(file, "description: What the service answers.", "description: "+q)
	})
	acme, plant := s.keys("acme"), s.keys("plant")
	s.once(0, "publisher", append([]string{"publish", dir, "--channel", s.w.Releases}, acme...)...)
	s.once(0, "publisher", append([]string{"deploy", "hello@1.0.0", "--device", "press-07", "--channel", s.w.Deployments}, plant...)...)
	s.once(0, "agent", "sync")
	s.looksAround()
	for _, args := range [][]string{
		{"inspect", hostileText}, {"inspect", s.w.Releases + "@" + hostileText}, {"channel", "show", hostileText, "--keys", filepath.Join(s.w.Dir, "plant")},
		{"verify", hostileText + "@1.0.0", "--channel", s.w.Deployments, "--keys", filepath.Join(s.w.Dir, "plant")},
		append([]string{"deploy", "hello@" + hostileText, "--device", "press-07", "--channel", s.w.Deployments}, plant...),
		append([]string{"deploy", "hello@1.0.0", "--device", hostileText, "--channel", s.w.Deployments}, plant...),
		append([]string{"deploy", "hello@1.0.0", "--device", "press-07", "--set", hostileText + "=1", "--channel", s.w.Deployments}, plant...),
		{"publish", hostileText, "--channel", s.w.Releases}, {hostileText}, {"publish", "--" + hostileText},
		{"copy", hostileText, hostileText}, {"key", "show", hostileText},
	} {
		s.once(anyCode, "publisher", args...)
	}
	s.once(anyCode, "publisher", "copy", hostileText, hostileText, "--output", "json")
	s.once(anyCode, "auditor", "verify", hostileText, "--key", hostileText)
	s.once(anyCode, "auditor", "events", hostileText, "--key", s.device.LogKey, "--output", "json")
	s.once(anyCode, "agent", "verify", hostileText)
}

// TestHostileAnswers has a registry put hostile text into everything that
// clients may quote of its answers.
func TestHostileAnswers(t *testing.T) {
	w := world.New(t)
	s := &site{shell: newShell(t), w: w}
	s.file("passphrase", "test\n")
	s.flags["publisher"] = []string{"--docker-config", filepath.Join(w.Dir, "docker.json")}
	for _, status := range []int{200, 301, 400, 401, 403, 404, 405, 409, 412, 416, 429, 500} {
		server := httptest.NewServer(http.HandlerFunc(func(out http.ResponseWriter, req *http.Request) { hostileAnswer(out, req, status) }))
		repository := strings.TrimPrefix(server.URL, "http://") + "/plant/deployments"
		keys := []string{"--keys", filepath.Join(w.Dir, "plant")}
		for _, args := range [][]string{
			append([]string{"channel", "show", repository}, keys...),
			{"inspect", repository + "@sha256:" + strings.Repeat("0", 64)},
			{"copy", repository, "oci:" + filepath.Join(w.Dir, fmt.Sprint("media-", status)), "--root", filepath.Join(w.Dir, "plant", "root.json")},
		} {
			s.once(anyCode, "publisher", args...)
		}
		s.once(anyCode, "publisher", append([]string{"channel", "show", repository, "--output", "json"}, keys...)...)
		server.Close()
	}
	for _, out := range s.said {
		if out.stderr == "" {
			t.Errorf("%s ended without an error", out.command)
		}
	}
}

func hostileAnswer(w http.ResponseWriter, req *http.Request, status int) {
	short := strings.NewReplacer("\r", "", "\n", "").Replace(hostileText)
	for _, name := range []string{"Docker-Distribution-Api-Version", "Docker-Content-Digest", "OCI-Subject", "Link", "Content-Type", "Retry-After", "Etag"} {
		w.Header().Set(name, short)
	}
	w.Header().Set("Www-Authenticate", fmt.Sprintf("Bearer realm=%q,service=%q", "http://"+req.Host+"/"+short, short))
	if status == http.StatusMovedPermanently {
		w.Header().Set("Location", "http://"+req.Host+"/"+short)
	}
	w.WriteHeader(status)
	_, _ = fmt.Fprintf(w, `{"errors":[{"code":"%s","message":"%s","detail":"%s"}]}`, short, short, short)
}
