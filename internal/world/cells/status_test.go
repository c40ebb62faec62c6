package cells

import (
	"encoding/json"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/consign-dev/consign/internal/margo"
	"github.com/consign-dev/consign/internal/world"
)

// TestStatusReadsAlike: a device that has an application as containers and another as
// pods tells of both in the same fields and the same lines.
func TestStatusReadsAlike(t *testing.T) {
	s := newScene(t, margo.TypeCompose)
	s.d.Config.Engine = "unix://" + filepath.Join(s.Dir, "engine")
	program, config := s.program(helm(t), filepath.Join(world.Recorder(t), "applier-compose"))
	s.d.Programs = filepath.Dir(program)
	s.Applications = []string{"hello", "contained"}
	s.SetPolicy("")
	s.Publish("acme", "1.0.0", s.withoutCompose)
	s.Publish("acme", "2.0.0", func(dir string) {
		s.WithoutChart(dir)
		s.Edit(filepath.Join(dir, "margo.yaml"), "id: hello\n", "id: contained\n")
	})
	s.order("1.0.0", "pod")
	s.DeployApp("contained", s.d.ID, "2.0.0", map[string]string{"greeting": "container"})
	_, err := s.d.Sync()
	s.Must(err)

	out, err := exec.Command(program, "status", "--config", config, "--output", "json").CombinedOutput()
	if err != nil {
		t.Fatalf("agent status: %v: %s", err, out)
	}
	var status struct{ Installations []map[string]any }
	s.Must(json.Unmarshal(out, &status))
	if len(status.Installations) != 2 {
		t.Fatalf("%d installations in %s", len(status.Installations), out)
	}
	one, other := fields("", status.Installations[0]), fields("", status.Installations[1])
	if !slices.Equal(one, other) {
		t.Errorf("one installation has the fields %q, the other %q", one, other)
	}

	text, err := exec.Command(program, "status", "--config", config).CombinedOutput()
	if err != nil {
		t.Fatalf("agent status: %v: %s", err, text)
	}
	form := regexp.MustCompile(`(?m)^(hello|contained) [12]\.0\.0, applied [0-9: -]+[A-Z]+, bundle sha256:[0-9a-f]{64}\n  \S+ +running healthy\n`)
	if n := len(form.FindAll(text, -1)); n != 2 {
		t.Errorf("%d of two installations read as they should:\n%s", n, text)
	}
}

// own are the fields that one kind alone has: what Docker says of the rights of a
// container, and how a cluster keeps an application to itself.
var own = []string{".services.facts", ".components.type", ".components.namespace", ".components.podSecurity"}

// fields are the paths of all that an object says, each once.
func fields(prefix string, v any) []string {
	var out []string
	switch v := v.(type) {
	case map[string]any:
		for _, k := range slices.Sorted(maps.Keys(v)) {
			if path := prefix + "." + k; !slices.Contains(own, path) {
				out = append(append(out, path), fields(path, v[k])...)
			}
		}
	case []any:
		for _, e := range v {
			out = append(out, fields(prefix, e)...)
		}
	}
	slices.Sort(out)
	return slices.Compact(out)
}

// withoutCompose leaves a package its chart only.
func (s *scene) withoutCompose(dir string) {
	s.T.Helper()
	file := filepath.Join(dir, "margo.yaml")
	s.Must(os.RemoveAll(filepath.Join(dir, "components", "hello-stack")))
	text, err := os.ReadFile(file)
	s.Must(err)
	head, rest, found := strings.Cut(string(text), "  - type: compose\n")
	_, rest, ends := strings.Cut(rest, "  - type: helm\n")
	if !found || !ends {
		s.T.Fatalf("%s is not the example's:\n%s", file, text)
	}
	s.Must(os.WriteFile(file, []byte(head+"  - type: helm\n"+rest), 0o600))
	for _, pointer := range []string{"GREETING", "PORT"} {
		s.Edit(file, "      - pointer: "+pointer+"\n        components: [\"hello-stack\"]\n", "")
	}
}
