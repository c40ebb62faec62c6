package architecture

import (
	"strings"
	"testing"
)

// pure packages decide; whoever calls them brings bytes and a time. The same
// function can then be run again years later, by an auditor, with one result.
var pure = []string{"policy", "internal/verify", "internal/inputs", "internal/replay", "internal/agent/doctor"}

// impure are the standard library's ways to the world.
var impure = []string{"net", "os", "syscall", "io/ioutil", "golang.org/x/sys"}

// homes says where a family of libraries may be imported. They are large, and
// they act on the machine.
var homes = []struct {
	libraries []string
	home      []string
}{
	{[]string{"github.com/docker", "github.com/moby", "github.com/containerd"}, []string{"internal/apply/compose", "tools"}},
	{[]string{"helm.sh", "k8s.io", "sigs.k8s.io"}, []string{"internal/apply/helm", "tools"}},
}

func TestPurePackagesReachNothing(t *testing.T) {
	seen := 0
	for _, p := range packages(t) {
		if !under(p.path(), pure...) {
			continue
		}
		seen++
		for _, imported := range p.Imports {
			if under(imported, impure...) {
				t.Errorf("%s imports %s: take bytes and values instead", p.path(), imported)
			}
		}
	}
	if seen < len(pure) {
		t.Errorf("found %d of the pure packages %s", seen, strings.Join(pure, ", "))
	}
}

func TestEngineLibrariesStayAtHome(t *testing.T) {
	for _, p := range packages(t) {
		for _, rule := range homes {
			if under(p.path(), rule.home...) {
				continue
			}
			for _, imported := range p.Imports {
				if under(imported, rule.libraries...) && !excused(imported) {
					t.Errorf("%s imports %s, which belongs under %s", p.path(), imported, strings.Join(rule.home, " or "))
				}
			}
		}
	}
}
