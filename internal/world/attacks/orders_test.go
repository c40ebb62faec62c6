package attacks

import (
	"bytes"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/opencontainers/go-digest"

	"github.com/consign-dev/consign/internal/agent"
	"github.com/consign-dev/consign/internal/channel"
	"github.com/consign-dev/consign/internal/publish"
	"github.com/consign-dev/consign/internal/reason"
	"github.com/consign-dev/consign/internal/tufrepo"
	"github.com/consign-dev/consign/internal/world"
)

// order makes the device's one order name another bundle, with the deploy key.
func (s *site) order(version string, to digest.Digest) {
	s.T.Helper()
	s.Reorder(device, func(documents [][]byte) [][]byte {
		text := versions.ReplaceAll(documents[0], []byte("${1}"+version))
		return [][]byte{digests.ReplaceAll(text, []byte("${1}"+to))}
	})
}

var (
	versions = regexp.MustCompile(`((?:version|revision): )\S+`)
	digests  = regexp.MustCompile(`(digest: )sha256:\S+`)
)

// TestAttackT3OlderReleaseInNewerMetadata: everything is new and well signed but
// the version that it orders, which is below the highest that ran here.
func TestAttackT3OlderReleaseInNewerMetadata(t *testing.T) {
	s := fresh(t)
	s.Recovers(t)
	s.Refuses(t, reason.Downgrade, func() { s.Deploy(device, "1.0.0", nil) }, nothing)

	_, err := s.Party("plant").Deploy(s.Context(), publish.DeployInput{
		Channel: s.Deployments, Application: "hello", Version: "1.0.0", Device: device, AllowDowngrade: true,
	})
	s.Must(err)
	if _, err := s.D.Sync(); err != nil {
		t.Errorf("a downgrade that the operator has signed: %v", err)
	}
}

// TestAttackT10SwappedNames: the release channel lists two signed bundles under
// each other's names, and the order names what it lists.
func TestAttackT10SwappedNames(t *testing.T) {
	s := fresh(t)
	first, second := s.Release("1.0.0"), s.Release("1.1.0")
	swap := func(first, second string) {
		s.Resign("acme", s.Releases, func(r *tufrepo.Repo) {
			one, other := *r.Target(tufrepo.Targets, first), *r.Target(tufrepo.Targets, second)
			s.Must(r.SetTarget(tufrepo.Targets, first, other))
			s.Must(r.SetTarget(tufrepo.Targets, second, one))
		}, tufrepo.Targets)
	}
	s.Refuses(t, reason.NotReleased, func() {
		s.order("1.1.0", second.Digest)
		s.Reorder(device, func(documents [][]byte) [][]byte {
			return [][]byte{bytes.ReplaceAll(documents[0], []byte(second.Digest), []byte(first.Digest))}
		})
		swap("hello/1.0.0", "hello/1.1.0")
	}, func() { swap("hello/1.0.0", "hello/1.1.0") })
}

// TestAttackT11ImageNotInTheIndex: a signed component runs an image that the
// bundle does not list. It is never asked for.
func TestAttackT11ImageNotInTheIndex(t *testing.T) {
	extra := "localhost/extra@sha256:" + strings.Repeat("e", 64)
	s := fresh(t)
	s.Requests()
	s.Refuses(t, reason.ImageUnpinned, func() {
		s.order("1.2.0", s.Supply("1.1.0", "1.2.0", func(p *world.Parts) {
			p.Compose["compose.yaml"] += "  extra:\n    image: " + extra + "\n"
		}))
	}, nothing)
	for _, r := range s.Requests() {
		if strings.Contains(r, "extra") || strings.Contains(r, strings.Repeat("e", 64)) {
			t.Errorf("the registry was asked %s", r)
		}
	}
}

// TestAttackT11ComponentNotInTheIndex: margo.yaml names a component that the
// bundle does not list, with a repository that serves one.
func TestAttackT11ComponentNotInTheIndex(t *testing.T) {
	s := fresh(t)
	s.Requests()
	s.Refuses(t, reason.Malformed, func() {
		s.order("1.2.0", s.Supply("1.1.0", "1.2.0", func(p *world.Parts) {
			p.Description = replaced(t, p.Description, "      - name: hello-stack\n",
				"      - name: dependency\n        properties:\n          repository: oci://"+s.Releases+"/dependency\n          revision: 1.0.0\n      - name: hello-stack\n")
		}))
	}, nothing)
	for _, r := range s.Requests() {
		if strings.Contains(r, "dependency") {
			t.Errorf("the registry was asked %s", r)
		}
	}
}

// TestAttackT24AnotherDevicesOrder: the signed desired state of one device is
// listed as that of its neighbour.
func TestAttackT24AnotherDevicesOrder(t *testing.T) {
	s := fresh(t)
	s.Deploy(neighbour, "1.0.0", map[string]string{"port": "8080"})
	s.D = s.neighbour
	if _, err := s.D.Sync(); err != nil {
		t.Fatal(err)
	}
	var theirs, ours tufrepo.Target
	s.Refuses(t, reason.WrongDevice, func() {
		s.Resign("plant", s.Deployments, func(r *tufrepo.Repo) {
			theirs, ours = *r.Target(tufrepo.Deploy, channel.DeviceTarget(device)), *r.Target(tufrepo.Deploy, channel.DeviceTarget(neighbour))
			s.Must(r.SetTarget(tufrepo.Deploy, channel.DeviceTarget(neighbour), theirs))
		}, tufrepo.Deploy)
	}, func() { s.list(neighbour, ours) })
}

// TestAttackT24CopiedState: what one device has stored of the channel, put into
// its neighbour's state, gives the neighbour no order.
func TestAttackT24CopiedState(t *testing.T) {
	s := fresh(t)
	s.D = s.neighbour
	for _, dir := range []string{"operator", "suppliers", "store"} {
		from, to := filepath.Join(s.Dir, "device-"+device, dir), filepath.Join(s.D.Config.StateDir, dir)
		s.Must(os.RemoveAll(to))
		s.Must(world.CopyTree(from, to))
	}
	res, err := s.D.SyncScope(agent.ApplyOnly)
	if err == nil && len(res.Changes) > 0 {
		t.Errorf("it did %+v", res.Changes)
	}
	s.Untouched(t, []string{}, 0)
	s.Recovers(t)
}

// list names a target as a device's desired state, with the deploy key.
func (s *site) list(device string, target tufrepo.Target) {
	s.T.Helper()
	s.Resign("plant", s.Deployments, func(r *tufrepo.Repo) {
		s.Must(r.SetTarget(tufrepo.Deploy, channel.DeviceTarget(device), target))
	}, tufrepo.Deploy)
}

// TestAttackT25OldEmptyOrder: the signed state from before anything was ordered,
// and a channel that says nothing of the device, do not end what runs.
func TestAttackT25OldEmptyOrder(t *testing.T) {
	t.Run("replayed", func(t *testing.T) {
		s := fresh(t)
		s.Undeploy("hello", device)
		empty, old := s.Head(s.Deployments)
		s.Deploy(device, "1.1.0", map[string]string{"greeting": "again", "port": "8080"})
		if _, err := s.D.Sync(); err != nil {
			t.Fatal(err)
		}
		newest, head := s.Head(s.Deployments)
		s.Refuses(t, reason.Rollback, func() { s.PutBack(s.Deployments, empty, old) }, func() { s.PutBack(s.Deployments, newest, head) })
	})
	t.Run("no word of the device", func(t *testing.T) {
		s := fresh(t)
		var target tufrepo.Target
		s.Refuses(t, reason.NoOrder, func() {
			s.Resign("plant", s.Deployments, func(r *tufrepo.Repo) {
				target = *r.Target(tufrepo.Deploy, channel.DeviceTarget(device))
				s.Must(r.RemoveTarget(tufrepo.Deploy, channel.DeviceTarget(device)))
			}, tufrepo.Deploy)
		}, func() { s.list(device, target) })
	})
}

// TestAttackT29OrderThatDoesNotFit: a thief of the deploy key edits the order
// beyond what the package lets an operator choose.
func TestAttackT29OrderThatDoesNotFit(t *testing.T) {
	s := fresh(t)
	s.Publish("acme", "1.2.0", func(dir string) {
		s.Edit(dir+"/margo.yaml", "          timeout: 1m0s\n", "          timeout: 1m0s\n      - name: side\n        properties:\n          repository: oci://registry.example.com/hello/side\n          revision: 1.2.0\n")
		component := filepath.Join(dir, "components", "side")
		s.Must(os.MkdirAll(component, 0o700))
		s.Must(os.WriteFile(filepath.Join(component, "compose.yaml"), []byte("services: {side: {image: 'localhost/hello:1.2.0'}}\n"), 0o600))
	})
	s.Deploy(device, "1.2.0", map[string]string{"greeting": "fits", "port": "8080"})
	var genuine []byte
	s.Reorder(device, func(documents [][]byte) [][]byte {
		genuine = documents[0]
		return documents
	})
	const side = "      - name: side\n        properties:\n          repository: oci://registry.example.com/hello/side\n          revision: 1.2.0\n"
	for name, edit := range map[string][2]string{
		"undeclared parameter": {"  parameters:\n", "  parameters:\n    evil:\n      value: x\n      targets:\n        - pointer: LD_PRELOAD\n          components:\n            - hello-stack\n"},
		"other pointer":        {"pointer: GREETING", "pointer: LD_PRELOAD"},
		"other component":      {"pointer: GREETING\n          components:\n            - hello-stack", "pointer: GREETING\n          components:\n            - side"},
		"value beyond schema":  {"value: 8080", "value: 80"},
		"dropped component":    {side, ""},
		"added component":      {side, side + strings.ReplaceAll(side, "side", "hello")},
		"wait":                 {"wait: true", "wait: false"},
		"timeout":              {"timeout: 1m0s", "timeout: 59m0s"},
		"revision":             {"revision: 1.2.0", "revision: 1.0.0"},
		"repository":           {"hello/hello-stack", "evil/hello-stack"},
		"constraints":          {"    x-consign-extensions:", "    deviceConstraints:\n      capacityRequirements:\n        memory: 1Ki\n    x-consign-extensions:"},
	} {
		t.Run(name, func(t *testing.T) {
			s.Refused(t, reason.DeploymentMismatch, func() {
				s.Reorder(device, func([][]byte) [][]byte { return [][]byte{[]byte(replaced(t, string(genuine), edit[0], edit[1]))} })
			})
		})
	}
	s.Reorder(device, func([][]byte) [][]byte { return [][]byte{genuine} })
	s.Recovers(t)
}
