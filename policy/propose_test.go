package policy_test

import (
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"

	"go.yaml.in/yaml/v3"

	"github.com/consign-dev/consign/internal/reason"
	"github.com/consign-dev/consign/policy"
)

// what can be asked for, each in one line of a service.
var grantable = []string{
	"privileged: true", "network_mode: host", "pid: host", "ipc: host", "uts: host", "userns_mode: host", "cgroup: host",
	"gpus: all", "cap_add: [NET_ADMIN, CAP_SYS_TIME]", "cap_add: [SYS_ADMIN]", "device_cgroup_rules: ['c 188:* rwm', 'c 189:* r']",
	"devices: ['/dev/ttyUSB0:/dev/ttyUSB0', '/dev/ttyS1:/dev/x:r', '/dev/ttyS1:/dev/y:rw']", "devices: ['/dev/dri/card0:/dev/dri/card0']",
	"volumes: ['/srv/a:/a', '/srv/a:/b:ro', '/srv/b:/c:ro']", "volumes: ['/var/run/docker.sock:/s', '/etc/localtime:/etc/localtime:ro']",
	"ports: ['80:80', '443:443/udp']", "ports: ['4840:4840']", "sysctls: {net.ipv4.ip_forward: 1, net.core.somaxconn: 1024}",
	"security_opt: ['seccomp:unconfined', 'apparmor=unconfined']", "ulimits: {nofile: 65536, memlock: {soft: -1, hard: -1}}", "runtime: nvidia",
	"cpuset: '1'", "container_name: fixed", "extra_hosts: ['plc:10.0.0.9', 'gw:host-gateway', 'six:fd00::1']", "dns: [10.0.0.1, 'fd00::53']", "dns_search: [plant.example]",
	"dns_opt: ['ndots:1']", "logging: {driver: syslog, options: {syslog-address: 'udp://10.0.0.9:514', tag: 'a: b'}}", "logging: {driver: none}",
	"mem_limit: 3g", "mem_limit: 1234567890", "memswap_limit: 7g", "cpus: 3.5", "pids_limit: 9999", "tmpfs: ['/t:size=1g']", "shm_size: 2g", "logging: {driver: local, options: {max-size: 60m}}",
	"deploy: {resources: {limits: {memory: 5g, cpus: '2', pids: 600}}}", "deploy: {resources: {reservations: {devices: [{capabilities: [gpu], driver: nvidia, count: all}]}}}", "scale: 16",
}

// What is proposed is accepted when it is pasted into a policy, and nothing of
// it is needless: without any one entry something is refused.
func TestProposalIsEnoughAndNoMore(t *testing.T) {
	for n := range 60 {
		rng := rand.New(rand.NewPCG(1, uint64(n)))
		project, lines := randomProject(rng, n)
		data := resolve(t, project)
		p, err := reserving(t, "{}").Propose(data)
		if err != nil {
			t.Fatal(err)
		}
		if len(p.Never) > 0 {
			t.Fatalf("%s\ncan never be granted: %s", project, p.Never)
		}
		text, err := p.Grants.YAML()
		if err != nil {
			t.Fatal(err)
		}
		if (text == "") != (lines == 0) {
			t.Fatalf("%d lines ask for\n%s", lines, text)
		}
		if err := pasted(t, text).CheckCompose(data); err != nil {
			t.Fatalf("%s\nthe proposal is refused: %v\n%s", project, err, text)
		}
		for _, less := range withoutOne(t, text) {
			if err := pasted(t, less).CheckCompose(data); !reason.Is(err, reason.Grant) {
				t.Fatalf("%s\n%v with less than was proposed:\n%s", project, err, less)
			}
		}
	}
}

func reserving(t *testing.T, grants string) policy.Grants {
	t.Helper()
	g, err := granting(t, grants, "[4840/tcp]")
	if err != nil {
		t.Fatal(err)
	}
	return g
}

// randomProject is a file of three services that ask for some grantable
// things; of each key once, so that it is one file.
func randomProject(rng *rand.Rand, n int) (string, int) {
	var out strings.Builder
	lines := 0
	out.WriteString("services:\n")
	for s := range 3 {
		fmt.Fprintf(&out, "  s%d:\n    image: %s\n", s, image)
		used := map[string]bool{}
		for _, i := range rng.Perm(len(grantable))[:min(n%12, 8)] {
			key, _, _ := strings.Cut(grantable[i], ":")
			if used[key] || contradicts(used, grantable[i]) {
				continue
			}
			used[key] = true
			lines++
			fmt.Fprintf(&out, "    %s\n", grantable[i])
		}
	}
	return out.String(), lines
}

// contradicts keeps to what compose-go accepts in one service.
func contradicts(used map[string]bool, line string) bool {
	for _, pair := range [][2]string{{"deploy", "mem_limit"}, {"deploy", "cpus"}, {"deploy", "pids_limit"}, {"deploy", "scale"}, {"network_mode", "ports"}, {"container_name", "scale"}, {"mem_limit", "memswap_limit"}} {
		for i := range pair {
			if used[pair[i]] && strings.HasPrefix(line, pair[1-i]+":") {
				return true
			}
		}
	}
	return false
}

// pasted parses a policy that has the proposal in the place of its grants.
func pasted(t *testing.T, text string) policy.Grants {
	t.Helper()
	if text == "" {
		text = "grants: {}\n"
	}
	doc := strings.Replace(goodDocument(), "    grants: {}\n", "    "+strings.ReplaceAll(strings.TrimSpace(text), "\n", "\n    ")+"\n", 1)
	p, err := policy.Parse([]byte(doc + "reservedPorts: [4840/tcp]\n"))
	if err != nil {
		t.Fatalf("%v\n%s", err, text)
	}
	return p.Applications[0].Grants
}

// withoutOne returns the text without each of its entries in turn.
func withoutOne(t *testing.T, text string) []string {
	t.Helper()
	var out []string
	for n := 0; ; n++ {
		var root yaml.Node
		if err := yaml.Unmarshal([]byte(text), &root); err != nil {
			t.Fatal(err)
		}
		left := n
		if !removeLeaf(&root, &left) {
			return out
		}
		out = append(out, string(must(yaml.Marshal(&root))))
	}
}

// removeLeaf removes the leaf number *n and reports whether there is one.
func removeLeaf(node *yaml.Node, n *int) bool {
	step := 1
	if node.Kind == yaml.MappingNode {
		step = 2
	}
	for i := 0; i+step-1 < len(node.Content); i += step {
		child := node.Content[i+step-1]
		if child.Kind != yaml.ScalarNode {
			if removeLeaf(child, n) {
				return true
			}
			continue
		}
		if *n == 0 {
			node.Content = append(node.Content[:i], node.Content[i+step:]...)
			return true
		}
		*n--
	}
	return false
}

func TestProposalAddsToWhatIsGranted(t *testing.T) {
	g := reserving(t, web("hostPaths: ['/srv/a:ro'], capabilities: [NET_RAW]"))
	p, err := g.Propose(
		resolve(t, service("cap_add: [NET_ADMIN, NET_RAW]\nvolumes: ['/srv/a:/a']\nmem_limit: 1536m")),
		resolve(t, service("pid: host\nmem_limit: 2g\nports: ['80:80']\nprovider: {type: x}\nprivileged: true")),
	)
	if err != nil {
		t.Fatal(err)
	}
	const want = `grants:
  compose:
    web:
      privileged: true
      hostPid: true
      capabilities:
        - NET_ADMIN
        - NET_RAW
      hostPaths:
        - /srv/a:rw
      ports:
        - 80/tcp
  limits:
    memory: 2g
`
	if got := must(p.Grants.YAML()); got != want {
		t.Errorf("proposed\n%s", got)
	}
	if len(p.Never) != 1 || !strings.Contains(p.Never[0], "services.web.provider (never granted: it runs a program of the device)") {
		t.Errorf("never: %q", p.Never)
	}
	if list := g.Compose["web"].HostPaths; len(list) != 1 || list[0] != "/srv/a:ro" {
		t.Errorf("the proposal changed what is granted: %q", list)
	}
}

func TestProposalOfHostileProjects(t *testing.T) {
	for _, data := range []string{"", "[]", `{"name":"x"`} {
		if _, err := (policy.Grants{}).Propose([]byte(data)); !reason.Is(err, reason.Malformed) {
			t.Errorf("%q: %v", data, err)
		}
	}
	many := service("dns: [" + strings.Repeat("10.0.0.1, ", 5) + strings.Join(addresses(400), ", ") + "]")
	if _, err := (policy.Grants{}).Propose(resolve(t, many)); err == nil || !strings.Contains(err.Error(), "at most 256") {
		t.Errorf("hundreds of name servers: %v", err)
	}
}

func addresses(n int) []string {
	var out []string
	for i := range n {
		out = append(out, fmt.Sprintf("10.1.%d.%d", i/250, i%250))
	}
	return out
}
