package architecture

import (
	"strings"
	"testing"
)

// forbidden are packages that the three programs for people must not link, by
// prefix: an engine's libraries are ten times the size of the agent and act on
// the machine, which is the work of the applier programs; and those of every cloud
// are as large.
var forbidden = []string{
	"github.com/docker/compose/", "github.com/docker/docker/", "github.com/docker/cli/",
	"github.com/moby/", "github.com/containerd/containerd/",
	"helm.sh/", "k8s.io/", "sigs.k8s.io/",
	// the clients of clouds, which cmd/publisher-kms alone links
	"github.com/aws/", "github.com/Azure/azure-sdk-for-go/", "cloud.google.com/", "github.com/hashicorp/vault/", "github.com/sigstore/sigstore/pkg/signature/kms/hashivault/",
}

// linkable are the exceptions.
var linkable = []struct{ prefix, why string }{
	{"k8s.io/klog/", "the logger of tessera, which brings nothing else of Kubernetes"},
}

func TestProgramsLinkNoEngine(t *testing.T) {
	for _, program := range []string{"publisher", "agent", "auditor"} {
		for _, dep := range strings.Fields(string(goList(t, "-deps", "./cmd/"+program))) {
			if prefix := match(dep); prefix != "" {
				t.Errorf("%s links %s: nothing under %s may be linked; find who imports it with: go list -deps -f '{{.ImportPath}} {{.Imports}}' ./cmd/%s", program, dep, prefix, program)
			}
		}
	}
}

func excused(path string) bool {
	for _, l := range linkable {
		if strings.HasPrefix(path+"/", l.prefix) {
			return true
		}
	}
	return false
}

// match returns the forbidden prefix of an import path, or "".
func match(path string) string {
	if excused(path) {
		return ""
	}
	for _, prefix := range forbidden {
		if strings.HasPrefix(path+"/", prefix) {
			return prefix
		}
	}
	return ""
}
