package agent

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// Not a byte of a configuration that others could have written is looked at:
// neither its length nor its form is what is wrong with it.
func TestLoadConfigLooksBeforeItReads(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "agent.yaml")
	for name, content := range map[string]string{"form": "{", "length": strings.Repeat("#", 2<<20)} {
		if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
		for _, at := range []string{path, dir} {
			info, err := os.Stat(at)
			if err != nil {
				t.Fatal(err)
			}
			if err := os.Chmod(at, info.Mode().Perm()|0o002); err != nil {
				t.Fatal(err)
			}
			if _, err := LoadConfig(path); err == nil || !strings.Contains(err.Error(), at+" has mode") {
				t.Errorf("%s, %s: %v", name, at, err)
			}
			if err := os.Chmod(at, info.Mode().Perm()); err != nil {
				t.Fatal(err)
			}
		}
	}
	if err := os.WriteFile(path, []byte("pollInterval: 10m\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	if c, err := LoadConfig(path); err != nil || c.PollInterval != "10m" {
		t.Errorf("%+v, %v", c, err)
	}
	if _, err := LoadConfig(filepath.Join(dir, "none", "agent.yaml")); err == nil {
		t.Error("a named file that is missing")
	}
}
