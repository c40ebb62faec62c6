package architecture

import (
	"os"
	"path/filepath"
	"testing"
)

// The rules are tested too: one that finds nothing looks like one that holds.

func TestRestrictedCallsAreFound(t *testing.T) {
	for _, c := range []struct {
		name, source string
		rule         restriction
		want         int
	}{
		{"clock", `import "time"; var t = time.Now()`, clocks, 1},
		{"clock under another name", `import clock "time"; var t = clock.Since(clock.Time{})`, clocks, 1},
		{"clock as a value", `import "time"; var now = time.Now`, clocks, 1},
		{"another package's Now", `import "example.test/time"; var t = time.Now()`, clocks, 0},
		{"rename", `import "os"; var err = os.Rename("a", "b")`, writes, 1},
		{"sync of a file", `import "os"; func f(f *os.File) { f.Sync() }`, writes, 1},
		{"sync of something of ours", `func f(p interface{ Sync() error }) { p.Sync() }`, writes, 0},
		{"reading", `import "os"; var f, err = os.Open("a")`, writes, 0},
	} {
		file := filepath.Join(t.TempDir(), "a.go")
		if err := os.WriteFile(file, []byte("package a\n"+c.source), 0o600); err != nil {
			t.Fatal(err)
		}
		if found := c.rule.find(t, file); len(found) != c.want {
			t.Errorf("%s: found %q, want %d", c.name, found, c.want)
		}
	}
}

func TestForbiddenPackagesAreRecognised(t *testing.T) {
	for path, want := range map[string]string{
		"github.com/docker/compose/v5/pkg/api": "github.com/docker/compose/",
		"github.com/moby/moby/client":          "github.com/moby/",
		"k8s.io/api/core/v1":                   "k8s.io/",
		"k8s.io/klog/v2":                       "",
		"github.com/mobyish/x":                 "",
	} {
		if got := match(path); got != want {
			t.Errorf("match(%s) = %q, want %q", path, got, want)
		}
	}
}

func TestPathsBelowADirectory(t *testing.T) {
	for path, want := range map[string]bool{"os": true, "os/exec": true, "osx": false, "internal/os": false} {
		if got := under(path, "net", "os"); got != want {
			t.Errorf("under(%s) = %v, want %v", path, got, want)
		}
	}
}
