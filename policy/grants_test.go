package policy_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/consign-dev/consign/internal/reason"
	"github.com/consign-dev/consign/policy"
)

// granting reads grants as they stand in a policy.
func granting(t testing.TB, grants, reserved string) (policy.Grants, error) {
	t.Helper()
	doc := strings.Replace(goodDocument(), "grants: {}", "grants: "+grants, 1)
	if reserved != "" {
		doc += "reservedPorts: " + reserved + "\n"
	}
	p, err := policy.Parse([]byte(doc))
	if err != nil {
		return policy.Grants{}, err
	}
	return p.Applications[0].Grants, nil
}

func web(grants string) string { return "{compose: {web: {" + grants + "}}}" }

// Each grant covers the thing that it names, and no neighbour of it.
func TestGrantsCoverExactlyWhatTheyName(t *testing.T) {
	bind := func(source string, more string) string {
		return service("volumes: [{type: bind, source: " + source + ", target: /x" + more + "}]")
	}
	for name, c := range map[string]struct {
		grants, covered string
		others          []string
	}{
		"privileged":   {web("privileged: true"), service("privileged: true"), []string{service("network_mode: host"), service("cap_add: [ALL]"), bind("/srv/a", "")}},
		"hostNetwork":  {web("hostNetwork: true"), service("network_mode: host"), []string{service("network_mode: 'service:b'") + "  b: {image: '" + image + "'}\n", service("network_mode: bridge"), service("pid: host"), service("ports: ['80:80']")}},
		"hostPid":      {web("hostPid: true"), service("pid: host"), []string{service("pid: 'container:x'"), service("ipc: host"), service("privileged: true")}},
		"hostIpc":      {web("hostIpc: true"), service("ipc: host"), []string{service("ipc: shareable"), service("pid: host")}},
		"hostUts":      {web("hostUts: true"), service("uts: host"), []string{service("pid: host")}},
		"hostUserns":   {web("hostUserns: true"), service("userns_mode: host"), []string{service("userns_mode: 'keep-id'")}},
		"hostCgroup":   {web("hostCgroup: true"), service("cgroup: host"), []string{service("cgroup_parent: /")}},
		"engineSocket": {web("engineSocket: true"), bind("/var/run/docker.sock", ""), []string{bind("/run/containerd/containerd.sock", ""), bind("/run", ""), bind("/", ""), service("use_api_socket: true")}},
		"gpus":         {web("gpus: true"), service("gpus: all"), []string{service("gpus: [{driver: cdi, device_ids: [vendor.com/disk=0]}]"), service("gpus: [{options: {a: b}}]"), service("devices: ['/dev/nvidia0:/dev/nvidia0']")}},
		"capability":   {web("capabilities: [NET_ADMIN]"), service("cap_add: [CAP_NET_ADMIN, net_admin]"), []string{service("cap_add: [NET_ADMIN, SYS_ADMIN]"), service("cap_add: [ALL]"), service("cap_add: [NET]")}},
		"device": {web("devices: [/dev/ttyUSB0:rw]"), service("devices: ['/dev/ttyUSB0:/dev/ttyUSB0:rw', '/dev/ttyUSB0:/dev/line:r']"), []string{
			service("devices: ['/dev/ttyUSB0:/dev/ttyUSB0']"), service("devices: ['/dev/ttyUSB1:/dev/x:rw']"), service("devices: ['/dev/ttyUSB00:/dev/x:rw']"),
			service("devices: ['/dev/ttyUSB0:/dev/x:m']"), service("devices: ['/dev/../dev/ttyUSB0:/dev/x:rw']"), service("devices: ['/dev/sda:/dev/ttyUSB0:rw']"), service("devices: ['vendor.com/a=b']"),
		}},
		"devices by pattern": {web("devices: ['/dev/ttyUSB*:rw']"), service("devices: ['/dev/ttyUSB0:/dev/a:rw', '/dev/ttyUSB12:/dev/b:rw']"), []string{
			service("devices: ['/dev/ttyS0:/dev/x:rw']"), service("devices: ['/dev/ttyUSB/../sda:/dev/x:rw']"), service("devices: ['/dev/ttyUSB0/x:/dev/x:rw']"), service("devices: ['/dev/ttyUSB:/dev/x:rwm']"), service("devices: ['/dev/ttyUSB*:/dev/x:rw']"),
		}},
		"device rule": {web("deviceRules: ['c 188:* rw']"), service("device_cgroup_rules: ['c 188:* rw']"), []string{service("device_cgroup_rules: ['c 188:* rwm']"), service("device_cgroup_rules: ['c *:* rw']"), service("device_cgroup_rules: ['a *:* rwm']")}},
		"host path to read": {web("hostPaths: [/srv/a:ro]"), bind("/srv/a", ", read_only: true"), []string{
			bind("/srv/a", ""), bind("/srv/ab", ", read_only: true"), bind("/srv/a/b", ", read_only: true"), bind("/srv", ", read_only: true"),
			bind("/srv/a/../b", ", read_only: true"), bind("/srv/a/", ", read_only: true"), bind("/srv//a", ", read_only: true"), bind("/srv/./a", ", read_only: true"),
			bind("/srv/a", ", read_only: true, bind: {propagation: rshared}"), bind("/srv/a", ", read_only: true, bind: {recursive: writable}"), bind("/srv/a", ", read_only: true, bind: {selinux: z}"),
			service("volumes: ['/srv/a:/x']"), service("volumes: ['/srv/a:/x:ro,z']"),
		}},
		"host path to write": {web("hostPaths: [/srv/a:rw]"), service("volumes: ['/srv/a:/x', '/srv/a:/y:ro']"), []string{bind("/srv/a/b", ""), bind("/srv/b", "")}},
		"port":               {web("ports: [80/tcp]"), service("ports: ['80:80', '127.0.0.1:80:81']"), []string{service("ports: ['80:80/udp']"), service("ports: ['81:80']"), service("ports: [{target: 80, published: '80-90'}]")}},
		"sysctl":             {web("sysctls: [net.ipv4.ip_forward=1]"), service("sysctls: {net.ipv4.ip_forward: 1}"), []string{service("sysctls: {net.ipv4.ip_forward: 2}"), service("sysctls: {kernel.core_pattern: '|/x'}")}},
		"security option":    {web("securityOpt: [seccomp=unconfined]"), service("security_opt: ['seccomp:unconfined', 'no-new-privileges:true']"), []string{service("security_opt: ['seccomp=/etc/x.json']"), service("security_opt: ['apparmor=unconfined']"), service("security_opt: ['no-new-privileges:false']"), service("security_opt: [seccomp]")}},
		"ulimit":             {web("ulimits: [nofile=1024:2048]"), service("ulimits: {nofile: {soft: 1024, hard: 2048}}"), []string{service("ulimits: {nofile: 2048}"), service("ulimits: {nofile: {soft: 1024, hard: 4096}}"), service("ulimits: {rtprio: 99}")}},
		"runtime":            {web("runtimes: [nvidia]"), service("runtime: nvidia"), []string{service("runtime: runc")}},
		"cpuset":             {web("cpusets: [2-3]"), service("cpuset: 2-3"), []string{service("cpuset: 0-3")}},
		"container name":     {web("containerNames: [line]"), service("container_name: line"), []string{service("container_name: other")}},
		"extra host":         {web("extraHosts: [plc=10.0.0.9]"), service("extra_hosts: ['plc:10.0.0.9']"), []string{service("extra_hosts: ['plc:10.0.0.8']"), service("extra_hosts: ['plc:host-gateway']")}},
		"dns":                {web("dns: [10.0.0.1], dnsSearch: [plant.example], dnsOptions: ['ndots:1']"), service("dns: 10.0.0.1\ndns_search: plant.example\ndns_opt: ['ndots:1']"), []string{service("dns: 10.0.0.2"), service("dns_search: example"), service("dns_opt: [rotate]")}},
		"log driver": {web("logDrivers: [syslog], logOptions: ['syslog-address=udp://10.0.0.9:514']"), service("logging: {driver: syslog, options: {syslog-address: 'udp://10.0.0.9:514'}}"), []string{
			service("logging: {driver: syslog, options: {syslog-address: 'udp://evil.example:514'}}"), service("logging: {driver: syslog, options: {syslog-format: rfc5424}}"), service("logging: {driver: gelf, options: {gelf-address: 'udp://x:1'}}"),
		}},
		"limits": {"{limits: {containers: 17, cpus: 2.5, memory: 2g, pids: 1000, logs: 200m, tmpfs: 1g}}",
			service("mem_limit: 2g\ncpus: 2.5\npids_limit: 1000\ntmpfs: ['/t:size=1g']\nshm_size: 1g\nlogging: {driver: local, options: {max-size: 20m, max-file: '10'}}") + "  b: {image: '" + image + "', scale: 16}\n",
			[]string{service("mem_limit: 2049m"), service("cpus: 2.6"), service("pids_limit: 1001"), service("tmpfs: ['/t:size=1025m']"), service("shm_size: 1025m"), service("logging: {driver: local, options: {max-size: 21m, max-file: '10'}}"), service("memswap_limit: 5g")}},
		"lower limits": {"{limits: {containers: 1, cpus: 0.5, memory: 64m, pids: 20, logs: 1m, tmpfs: 1m}}", service("tmpfs: ['/t:size=1m']\nmem_limit: 64m\ncpus: 0.5\npids_limit: 20\nlogging: {driver: local, options: {max-size: 500k, max-file: '2'}}"), []string{
			service("mem_limit: 65m"), service("scale: 2"),
		}},
	} {
		t.Run(name, func(t *testing.T) {
			g, err := granting(t, c.grants, "")
			if err != nil {
				t.Fatal(err)
			}
			if err := g.CheckCompose(resolve(t, c.covered)); err != nil {
				t.Errorf("what is granted: %v", err)
			}
			if err := (policy.Grants{}).CheckCompose(resolve(t, c.covered)); !reason.Is(err, reason.Grant) && name != "lower limits" {
				t.Errorf("without the grant: %v", err)
			}
			for _, other := range c.others {
				if err := g.CheckCompose(resolve(t, other)); !reason.Is(err, reason.Grant) {
					t.Errorf("%v is accepted for\n%s", err, other)
				}
			}
		})
	}
}

// A grant of one service is no other's.
func TestGrantsAreOfOneService(t *testing.T) {
	g, err := granting(t, "{compose: {db: {privileged: true, hostPaths: ['/srv/a:rw']}, web.api: {hostPid: true}}}", "")
	if err != nil {
		t.Fatal(err)
	}
	err = g.CheckCompose(resolve(t, service("privileged: true\nvolumes: ['/srv/a:/a']")))
	if !reason.Is(err, reason.Grant) || !strings.Contains(err.Error(), "privileged") || !strings.Contains(err.Error(), `"/srv/a:rw"`) {
		t.Errorf("got %v", err)
	}
	if err := g.CheckCompose(resolve(t, "services: {web.api: {image: '"+image+"', pid: host}}")); err != nil {
		t.Errorf("a name with a dot: %v", err)
	}
}

// Attack C1: what no policy can hand out, in a policy and in a project.
func TestAttackC1PathsThatAreNeverGranted(t *testing.T) {
	for _, path := range []string{
		"/", "/proc", "/proc/1/root", "/sys", "/sys/class/gpio", "/dev", "/dev/shm", "/run", "/var/run", "/run/docker.sock", "/var/run/docker.sock",
		"/run/containerd/containerd.sock", "/var/run/containerd", "/run/podman/podman.sock", "/run/systemd", "/var", "/var/lib", "/var/lib/docker", "/var/lib/docker/volumes/x",
		"/var/lib/containerd", "/var/lib/consign", "/var/lib/consign/agent/log", "/etc", "/etc/consign/agent.yaml",
		"srv/a", "./a", "/srv/../etc", "/srv/a/", "/srv//a", "/srv/a\x00", "/srv/a:b", "", "~/a", "C:/x",
	} {
		for _, mode := range []string{":ro", ":rw"} {
			g := policy.Grants{Compose: map[string]policy.ServiceGrants{"web": {HostPaths: []string{path + mode}}}}
			if _, err := granting(t, web(fmt.Sprintf("hostPaths: [%q]", path+mode)), ""); !reason.Is(err, reason.Malformed) {
				t.Errorf("%q can be granted: %v", path+mode, err)
			}
			if !strings.HasPrefix(path, "/") || strings.ContainsAny(path, ":\x00") {
				continue
			}
			yaml := service(fmt.Sprintf("volumes: [{type: bind, source: %q, target: /x, read_only: %t}]", path, mode == ":ro"))
			if err := g.CheckCompose(resolve(t, yaml)); !reason.Is(err, reason.Grant) {
				t.Errorf("%q is mounted: %v", path+mode, err)
			}
		}
	}
	for _, list := range []string{"['/srv:rw', '/srv/a:ro']", "['/srv/a']", "['/srv/a:rwx']", "['/srv/*:ro']"} {
		if _, err := granting(t, web("hostPaths: "+list), ""); list != "['/srv/*:ro']" && !reason.Is(err, reason.Malformed) {
			t.Errorf("%s can be granted: %v", list, err)
		}
	}
	// A star in a path is a letter like any other.
	g, err := granting(t, web("hostPaths: ['/srv/*:ro']"), "")
	if err != nil {
		t.Fatal(err)
	}
	if err := g.CheckCompose(resolve(t, service("volumes: ['/srv/a:/a:ro']"))); !reason.Is(err, reason.Grant) {
		t.Errorf("a star works as a pattern: %v", err)
	}
}

// The agent's own directories can lie anywhere, so the device says where.
func TestAttackC1ReservedPathsOfTheDevice(t *testing.T) {
	g, err := granting(t, web("hostPaths: ['/data:ro', '/data/agent:ro', '/data/agent/log:ro', '/data/app:ro']"), "")
	if err != nil {
		t.Fatal(err)
	}
	g = g.Reserving("/data/agent", "/data/engine.sock")
	for path, want := range map[string]bool{"/data": false, "/data/agent": false, "/data/agent/log": false, "/data/app": true} {
		if err := g.CheckCompose(resolve(t, service("volumes: ['"+path+":/x:ro']"))); (err == nil) != want {
			t.Errorf("%s: %v", path, err)
		}
	}
}

// Attack C2: devices that are the machine.
func TestAttackC2DevicesThatAreNeverGranted(t *testing.T) {
	for _, device := range []string{
		"/dev/mem:r", "/dev/kmem:r", "/dev/port:rw", "/dev/kmsg:r", "/dev/sda:r", "/dev/sda1:r", "/dev/s*:r", "/dev/sd*:r", "/dev/nvme0n1:r", "/dev/mmcblk0p2:r",
		"/dev/dm-0:r", "/dev/mapper/root:r", "/dev/mapper:r", "/dev/disk/by-id/x:r", "/dev/disk:r", "/dev/loop0:r", "/dev/vda:r", "/dev/tpm0:rw", "/dev/tpmrm0:rw", "/dev/tty1:r",
		"/dev/tty:r", "/dev/tty*:r", "/dev/t*:r", "/dev/console:r", "/dev/pts/0:r", "/dev/block/8:0:r", "/dev/fd/0:r", "/dev/*:r", "/dev:rwm", "/dev/:r", "/dev/char/1:r", "/dev/mtd0:r",
		"/dev/cpu/0/msr:r", "/dev/cpu:r", "/dev/../etc/shadow:r", "/dev/a/../mem:r", "/dev/./mem:r", "/dev//mem:r", "/dev/*/x:r", "/dev/ttyU*B:r", "/srv/x:r", "/dev/ttyUSB0", "/dev/ttyUSB0:", "/dev/ttyUSB0:wr", "/dev/ttyUSB0:x",
	} {
		if _, err := granting(t, web(fmt.Sprintf("devices: [%q]", device)), ""); !reason.Is(err, reason.Malformed) {
			t.Errorf("%q can be granted: %v", device, err)
		}
	}
	for _, device := range []string{"/dev/ttyUSB*:rw", "/dev/ttyS0:rwm", "/dev/dri/renderD128:rw", "/dev/serial/by-id/usb-FTDI*:rw", "/dev/gpiochip0:rw", "/dev/i2c-*:rw", "/dev/spidev0.0:rw", "/dev/video0:r", "/dev/net/tun:rw", "/dev/snd/*:rw", "/dev/ttymxc1:rw", "/dev/bus/usb/001/*:rw"} {
		if _, err := granting(t, web(fmt.Sprintf("devices: [%q]", device)), ""); err != nil {
			t.Errorf("%q cannot be granted: %v", device, err)
		}
	}
	for _, rule := range []string{"c 188:* rwm", "c 4:64 rw", "c 81:0 r"} {
		if _, err := granting(t, web(fmt.Sprintf("deviceRules: [%q]", rule)), ""); err != nil {
			t.Errorf("rule %q cannot be granted: %v", rule, err)
		}
	}
	for _, rule := range []string{"a *:* rwm", "c *:* r", "b 8:* r", "c 1:1 r", "c 5:1 r", "c 10:* r", "c 10:130 rw", "c 4:* rw", "c 4:1 r", "c 202:0 r", "c 136:0 rw", "c 188:* ", "c 188 r"} {
		if _, err := granting(t, web(fmt.Sprintf("deviceRules: [%q]", rule)), ""); !reason.Is(err, reason.Malformed) {
			t.Errorf("rule %q can be granted: %v", rule, err)
		}
	}
}

func TestGrantsThatCannotBeGiven(t *testing.T) {
	for name, c := range map[string]struct{ grants, want string }{
		"unknown grant":      {web("priviledged: true"), `did you mean "privileged"?`},
		"unknown part":       {"{helm: {}}", `unknown field "helm"`},
		"all capabilities":   {web("capabilities: [ALL]"), "capabilities[0]"},
		"capability's alias": {web("capabilities: [CAP_NET_ADMIN]"), "capabilities[0]"},
		"misspelt one":       {web("capabilities: [NET_ADMN]"), "capabilities[0]"},
		"port range":         {web("ports: [80-90/tcp]"), "ports[0]"},
		"port of nothing":    {web("ports: ['80']"), "ports[0]"},
		"port too high":      {web("ports: [65536/tcp]"), "ports[0]"},
		"host sysctl":        {web("sysctls: [kernel.core_pattern=x]"), "sysctls[0]"},
		"profile file":       {web("securityOpt: ['seccomp=/etc/p.json']"), "securityOpt[0]"},
		"service pattern":    {"{compose: {'*': {privileged: true}}}", "patterns"},
		"many":               {web("dns: [" + strings.Repeat("10.0.0.1, ", 300) + "10.0.0.1]"), "at most 256"},
		"no limit":           {"{limits: {memory: '-1'}}", "limits.memory"},
		"unlimited":          {"{limits: {pids: -1}}", "limits.pids"},
		"too little memory":  {"{limits: {memory: 1k}}", "limits.memory"},
		"too much memory":    {"{limits: {memory: 9000000g}}", "limits.memory"},
		"containers":         {"{limits: {containers: 5000}}", "limits.containers"},
		"processors":         {"{limits: {cpus: -1}}", "limits.cpus"},
	} {
		if _, err := granting(t, c.grants, ""); !reason.Is(err, reason.Malformed) || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: got %v, want malformed with %q", name, err, c.want)
		}
	}
	for _, ports := range []string{"['502']", "[502/sctp]", "[600-500/tcp]", "['*/tcp']", "[0/tcp]", "[70000/udp]"} {
		if _, err := granting(t, "{}", ports); !reason.Is(err, reason.Malformed) || !strings.Contains(err.Error(), "reservedPorts[0]") {
			t.Errorf("reservedPorts %s: %v", ports, err)
		}
	}
}

// Attack C10: the ports of the device's other programs.
func TestAttackC10ReservedPorts(t *testing.T) {
	none, err := granting(t, "{}", "[4840/tcp, 9000-9010/udp]")
	if err != nil {
		t.Fatal(err)
	}
	with, err := granting(t, web("ports: [4840/tcp]"), "[4840/tcp, 9000-9010/udp]")
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		port        string
		none, grant bool
	}{{"4840:80", false, true}, {"4840:80/udp", true, true}, {"9005:80/udp", false, false}, {"9010:80/udp", false, false}, {"9011:80/udp", true, true}, {"9005:80", true, true}, {"80", true, true}} {
		yaml := service("ports: ['" + c.port + "']")
		if err := none.CheckCompose(resolve(t, yaml)); (err == nil) != c.none {
			t.Errorf("%s without a grant: %v", c.port, err)
		}
		if err := with.CheckCompose(resolve(t, yaml)); (err == nil) != c.grant {
			t.Errorf("%s with the grant: %v", c.port, err)
		}
	}
}
