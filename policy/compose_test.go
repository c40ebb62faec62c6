package policy_test

import (
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/compose-spec/compose-go/v2/loader"
	"github.com/compose-spec/compose-go/v2/types"

	"github.com/consign-dev/consign/internal/reason"
	"github.com/consign-dev/consign/policy"
)

const image = "127.0.0.1:5555/c@sha256:0000000000000000000000000000000000000000000000000000000000000000"

// resolve loads a Compose file the way an applier does and returns what the
// checker is given.
func resolve(t testing.TB, yaml string) []byte {
	t.Helper()
	details := types.ConfigDetails{
		WorkingDir:  "/",
		ConfigFiles: []types.ConfigFile{{Filename: "compose.yaml", Content: []byte(yaml)}},
		Environment: types.Mapping{},
	}
	p, err := loader.LoadWithContext(context.Background(), details, func(o *loader.Options) {
		o.SetProjectName("press", true)
		o.SkipInclude = true
		o.SkipResolveEnvironment = true
		o.ResolvePaths = false
	})
	if err != nil {
		t.Fatalf("compose-go refuses the test's file: %v", err)
	}
	return must(p.MarshalJSON())
}

// harmless uses every key of the allow-list, mostly in the short forms that
// people write.
const harmless = `
services:
  web:
    image: ` + image + `
    pull_policy: never
    platform: linux/amd64
    command: ["serve", "--port", "8080"]
    entrypoint: /app
    environment: {LINE: "7", GREETING: "a=b ${"$"}{HOME}"}
    working_dir: /srv
    user: "1000:1000"
    hostname: web
    init: true
    tty: true
    stdin_open: false
    attach: false
    depends_on: {db: {condition: service_healthy, restart: true}}
    restart: on-failure:3
    stop_signal: SIGINT
    stop_grace_period: 30s
    scale: 2
    labels: {com.example.line: "7"}
    cap_drop: [ALL]
    security_opt: ["no-new-privileges:true"]
    read_only: true
    mem_limit: 64m
    cpus: 0.5
    pids_limit: 100
    logging: {driver: json-file, options: {max-size: 10m, max-file: "3", compress: "true"}}
    networks: {default: null, back: {aliases: [site], priority: 10}}
    ports: ["8080:80", "127.0.0.1:9090:90/udp", "70", "2000-2002:2000-2002"]
    expose: ["1234", "2000-2100/udp"]
    volumes:
      - data:/data
      - data:/ro:ro
      - {type: volume, source: data, target: /c, volume: {nocopy: true}}
      - {type: tmpfs, target: /scratch, tmpfs: {size: 1m, mode: 0o700}}
    tmpfs: ["/run", "/tmp:size=1m,noexec,mode=1777"]
    configs: [site, {source: site, target: /etc/site.conf, uid: "0", gid: "0", mode: 0440}]
    privileged: false
    use_api_socket: false
  db:
    image: ` + image + `
    healthcheck: {test: "true", interval: 5s, timeout: 1s, retries: 3, start_period: 10s, start_interval: 1s}
    deploy:
      mode: replicated
      replicas: 1
      resources:
        limits: {cpus: "0.5", memory: 64M, pids: 10}
        reservations: {cpus: "0.1", memory: 1M}
      restart_policy: {condition: on-failure, delay: 1s, max_attempts: 3, window: 5s}
    networks: [back]
networks:
  back: {driver: bridge, internal: true, labels: {a: b}, name: press_behind}
volumes:
  data: {}
  more: {driver: local, labels: {a: b}, external: false}
configs:
  site: {content: "listen 80"}
`

func TestCheckComposeAcceptsWhatIsHarmless(t *testing.T) {
	yaml := strings.ReplaceAll(harmless, `${"$"}`, "$$")
	for name, project := range map[string]string{
		"every key": yaml,
		"smallest":  "services: {web: {image: \"" + image + "\"}}",
	} {
		if err := (policy.Grants{}).CheckCompose(resolve(t, project)); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// Each case is a Compose file as an attacker would write it, loaded by
// compose-go, so what is checked is the form that reaches an engine.
func TestCheckComposeRefuses(t *testing.T) {
	service := func(yaml string) string {
		return "services:\n  web:\n    image: " + image + "\n    " + strings.ReplaceAll(yaml, "\n", "\n    ") + "\n"
	}
	top := func(yaml string) string { return service("init: true") + yaml + "\n" }
	for name, c := range map[string]struct {
		yaml string
		want []string // paths that the message must name
	}{
		"C1: engine socket, short":  {service("volumes: ['/var/run/docker.sock:/s']"), []string{"services.web.volumes[0] (type must be"}},
		"C1: host root, long":       {service("volumes: [{type: bind, source: /, target: /host}]"), []string{"services.web.volumes[0]"}},
		"C1: relative escape":       {service("volumes: ['../../etc:/e']"), []string{"services.web.volumes[0]"}},
		"C1: driver options bind":   {service("volumes: ['data:/d']") + "volumes: {data: {driver: local, driver_opts: {type: none, o: bind, device: /}}}", []string{"volumes.data.driver_opts"}},
		"C1: other driver":          {service("volumes: ['data:/d']") + "volumes: {data: {driver: nfs}}", []string{"volumes.data.driver"}},
		"C1: path as volume name":   {service("volumes: ['data:/d']") + "volumes: {data: {name: 'press_/etc'}}", []string{"volumes.data.name"}},
		"C1: mount from name":       {service("volumes: ['data:/d']") + "volumes: {data: {name: 'press_d:/etc'}}", []string{"volumes.data.name"}},
		"C1: options in target":     {service("volumes: [{type: volume, source: data, target: '/d:rshared'}]") + "volumes: {data: {}}", []string{"services.web.volumes[0].target"}},
		"C1: anonymous volume":      {service("volumes: ['/data']"), []string{"services.web.volumes[0].source"}},
		"C1: named pipe":            {service("volumes: [{type: npipe, source: x, target: /x}]"), []string{"services.web.volumes[0]"}},
		"C1: image volume":          {service("volumes: [{type: image, source: x, target: /x}]"), []string{"services.web.volumes[0]"}},
		"C1: volume of another":     {service("volumes_from: ['container:other']"), []string{"services.web.volumes_from"}},
		"C1: relabel":               {service("volumes: ['data:/d:z']") + "volumes: {data: {}}", []string{"services.web.volumes[0].bind"}},
		"C1: tmpfs as a mount":      {service("tmpfs: ['/t:bind']"), []string{"services.web.tmpfs[0]"}},
		"C1: socket by flag":        {service("use_api_socket: true"), []string{"services.web.use_api_socket (must be false, not true)"}},
		"C2: privileged":            {service("privileged: true"), []string{"services.web.privileged (must be false, not true)"}},
		"C2: cap_add":               {service("cap_add: [SYS_ADMIN]"), []string{"services.web.cap_add"}},
		"C2: devices":               {service("devices: ['/dev/sda:/dev/sda']"), []string{"services.web.devices"}},
		"C2: device rules":          {service("device_cgroup_rules: ['a *:* rwm']"), []string{"services.web.device_cgroup_rules"}},
		"C2: device reservation":    {service("deploy: {resources: {reservations: {devices: [{capabilities: [gpu]}]}}}"), []string{"services.web.deploy.resources.reservations.devices"}},
		"C2: gpus":                  {service("gpus: all"), []string{"services.web.gpus"}},
		"C2: seccomp off":           {service("security_opt: ['seccomp:unconfined']"), []string{"services.web.security_opt[0]"}},
		"C2: system paths":          {service("security_opt: ['no-new-privileges:true', 'systempaths=unconfined']"), []string{"services.web.security_opt[1]"}},
		"C2: privileges back on":    {service("security_opt: ['no-new-privileges:false']"), []string{"services.web.security_opt[0]"}},
		"C2: cgroup parent":         {service("cgroup_parent: /"), []string{"services.web.cgroup_parent"}},
		"C2: host cgroup":           {service("cgroup: host"), []string{"services.web.cgroup"}},
		"C2: userns":                {service("userns_mode: host"), []string{"services.web.userns_mode"}},
		"C2: pid":                   {service("pid: host"), []string{"services.web.pid"}},
		"C2: ipc":                   {service("ipc: host"), []string{"services.web.ipc"}},
		"C2: uts":                   {service("uts: host"), []string{"services.web.uts"}},
		"C2: host network":          {service("network_mode: host"), []string{"services.web.network_mode"}},
		"C2: other's network":       {service("network_mode: 'container:other'"), []string{"services.web.network_mode"}},
		"C2: sysctls":               {service("sysctls: {net.ipv4.ip_forward: 1}"), []string{"services.web.sysctls"}},
		"C2: runtime":               {service("runtime: runc"), []string{"services.web.runtime"}},
		"C2: isolation":             {service("isolation: hyperv"), []string{"services.web.isolation"}},
		"C2: group":                 {service("group_add: ['999']"), []string{"services.web.group_add"}},
		"C2: annotations":           {service("annotations: {run.oci.x: y}"), []string{"services.web.annotations"}},
		"C2: oom":                   {service("oom_kill_disable: true\noom_score_adj: -1000"), []string{"services.web.oom_kill_disable", "services.web.oom_score_adj"}},
		"C2: existing network":      {top("networks: {n: {external: true, name: other_default}}"), []string{"networks.n.external", "networks.n.name"}},
		"C2: macvlan":               {top("networks: {n: {driver: macvlan, driver_opts: {parent: eth0}}}"), []string{"networks.n.driver (", "networks.n.driver_opts"}},
		"C2: address range":         {top("networks: {n: {ipam: {config: [{subnet: 10.0.0.0/8}]}}}"), []string{"networks.n.ipam"}},
		"C2: fixed address":         {service("networks: {default: {ipv4_address: 10.0.0.2}}"), []string{"services.web.networks.default.ipv4_address"}},
		"C2: mac address":           {service("mac_address: '02:00:00:00:00:01'"), []string{"services.web.mac_address"}},
		"C4: env_file":              {service("env_file: [{path: /etc/shadow, required: false}]"), []string{"services.web.env_file"}},
		"C4: config of a file":      {service("configs: [c]") + "configs: {c: {file: /etc/shadow}}", []string{"configs.c.file", "configs.c.content (is missing)"}},
		"C4: config of a variable":  {service("configs: [c]") + "configs: {c: {environment: HOME}}", []string{"configs.c.environment"}},
		"C4: empty config":          {service("configs: [c]") + "configs: {c: {content: ''}}", []string{"configs.c.content"}},
		"C4: config climbing out":   {service("configs: [{source: c, target: '/etc/../../x'}]") + "configs: {c: {content: x}}", []string{"services.web.configs[0].target"}},
		"C4: external config":       {service("configs: [c]") + "configs: {c: {external: true}}", []string{"configs.c.external"}},
		"C4: secret":                {service("secrets: [s]") + "secrets: {s: {file: /etc/shadow}}", []string{"services.web.secrets", "secrets"}},
		"C4: label file":            {service("label_file: ['/etc/shadow']"), []string{"services.web.label_file"}},
		"C4: credential spec":       {service("credential_spec: {file: x}"), []string{"services.web.credential_spec"}},
		"C5: host environment":      {service("environment: [HOME]"), []string{"services.web.environment.HOME (has no value"}},
		"C6: build":                 {service("build: {dockerfile_inline: FROM scratch}"), []string{"services.web.build"}},
		"C7: tag":                   {strings.Replace(service("init: true"), image, "docker.io/library/nginx:1.27", 1), []string{"services.web.image"}},
		"C7: digest elsewhere":      {strings.Replace(service("init: true"), "127.0.0.1:5555", "evil.example:5555", 1), []string{"services.web.image"}},
		"C7: tag and digest":        {strings.Replace(service("init: true"), "/c@", "/c:latest@", 1), []string{"services.web.image"}},
		"C7: no image":              {"services: {web: {build: .}}", []string{"services.web.build", "services.web.image (is missing)"}},
		"C7: pull policy":           {service("pull_policy: always"), []string{"services.web.pull_policy"}},
		"C7: refresh":               {service("pull_policy: refresh\npull_refresh_after: 1h"), []string{"services.web.pull_policy", "services.web.pull_refresh_after"}},
		"C8: container name":        {service("container_name: other-web-1"), []string{"services.web.container_name"}},
		"C8: other's volume":        {service("volumes: ['data:/d']") + "volumes: {data: {name: other_data}}", []string{"volumes.data.name (must begin with \"press_\""}},
		"C8: external volume":       {service("volumes: ['data:/d']") + "volumes: {data: {external: true}}", []string{"volumes.data.external", "volumes.data.name"}},
		"C8: longer project":        {service("volumes: ['data:/d']") + "volumes: {data: {name: press-2_data}}", []string{"volumes.data.name"}},
		"C8: other's network":       {top("networks: {n: {name: other_default}}"), []string{"networks.n.name"}},
		"C8: the engine's network":  {top("networks: {n: {name: bridge}}"), []string{"networks.n.name"}},
		"C8: Compose's labels":      {service("labels: {com.docker.compose.project: other}"), []string{`services.web.labels["com.docker.compose.project"]`}},
		"C8: volume labels":         {service("volumes: ['data:/d']") + "volumes: {data: {labels: {com.docker.compose.project: other}}}", []string{"volumes.data.labels["}},
		"C8: links":                 {service("external_links: [other]"), []string{"services.web.external_links"}},
		"C9: post_start":            {service("post_start: [{command: [x], privileged: true}]"), []string{"services.web.post_start"}},
		"C9: pre_stop":              {service("pre_stop: [{command: [x]}]"), []string{"services.web.pre_stop"}},
		"C9: pre_start":             {service("pre_start: [{command: [x]}]"), []string{"services.web.pre_start"}},
		"C9: develop":               {service("develop: {watch: [{action: rebuild, path: /}]}"), []string{"services.web.develop"}},
		"C9: provider":              {service("provider: {type: x}"), []string{"services.web.provider"}},
		"C9: models":                {service("models: [m]") + "models: {m: {model: x}}", []string{"services.web.models"}},
		"C9: jobs":                  {top("jobs: {j: {image: x, triggers: {manual: true}}}"), []string{"jobs"}},
		"C10: privileged port":      {service("ports: ['80:80']"), []string{"services.web.ports[0].published (must be one whole number from 1024 to 65535, not \"80\")"}},
		"C10: port range":           {service("ports: [{target: 80, published: '1024-2000'}]"), []string{"services.web.ports[0].published"}},
		"C10: range below":          {service("ports: [{target: 80, published: '22-9000'}]"), []string{"services.web.ports[0].published"}},
		"C10: protocol":             {service("ports: [{target: 80, published: '2000', protocol: sctp}]"), []string{"services.web.ports[0].protocol"}},
		"C11: profile":              {service("profiles: []\nprivileged: true"), []string{"services.web.privileged"}},
		"C12: remote log":           {service("logging: {driver: syslog, options: {syslog-address: 'tcp://evil.example:514'}}"), []string{"services.web.logging.driver", "services.web.logging.options.syslog-address"}},
		"C12: dns":                  {service("dns: [6.6.6.6]\ndns_search: [evil.example]\ndns_opt: [x]"), []string{"services.web.dns (", "services.web.dns_search", "services.web.dns_opt"}},
		"C12: extra hosts":          {service("extra_hosts: ['registry:6.6.6.6']"), []string{"services.web.extra_hosts"}},
		"C13: unbounded log":        {service("logging: {driver: json-file, options: {max-size: '-1'}}"), []string{"services.web.logging.options.max-size"}},
		"C13: log without bound":    {service("logging: {driver: json-file}"), []string{"services.web.logging.options (is missing)"}},
		"C13: unnamed log driver":   {service("logging: {options: {max-size: 1m}}"), []string{"services.web.logging.driver (is missing)"}},
		"C13: many log files":       {service("logging: {driver: local, options: {max-size: 1m, max-file: '1000'}}"), []string{"services.web.logging.options.max-file"}},
		"C13: no pids limit":        {service("pids_limit: -1"), []string{"services.web.pids_limit"}},
		"C13: swap without end":     {service("mem_limit: 64m\nmemswap_limit: -1"), []string{"services.web.memswap_limit"}},
		"C13: ulimits":              {service("ulimits: {nofile: 1000000}"), []string{"services.web.ulimits"}},
		"C13: shared memory":        {service("shm_size: 100g"), []string{"services.web.shm_size"}},
		"C13: replicas":             {service("deploy: {replicas: 1000}"), []string{"services.web.deploy.replicas"}},
		"C13: scale":                {service("scale: 1000"), []string{"services.web.scale"}},
		"C13: real time":            {service("cpu_rt_runtime: 950000"), []string{"services.web.cpu_rt_runtime"}},
		"C13: never stops":          {service("stop_grace_period: 1000h"), []string{"services.web.stop_grace_period"}},
		"C13: storage":              {service("storage_opt: {size: 1t}"), []string{"services.web.storage_opt"}},
		"C13: many networks":        {top("networks: {a: {}, b: {}, c: {}, d: {}, e: {}, f: {}, g: {}, h: {}, i: {}}"), []string{"networks (10 of them"}},
		"top level extension":       {top("x-note: {}"), []string{"x-note"}},
		"several at once, all told": {service("privileged: true\npid: host\ncap_add: [ALL]\nruntime: x"), []string{"privileged", "pid", "cap_add", "runtime"}},
	} {
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
}

// Some attacks cannot be written in a Compose file that compose-go loads.
// They are made by hand on the JSON.
func TestCheckComposeTrustsNoLoader(t *testing.T) {
	base := string(resolve(t, "services: {web: {image: \""+image+"\", volumes: ['data:/d'], configs: [c]}}\nvolumes: {data: {}}\nconfigs: {c: {content: x}}"))
	for name, c := range map[string]struct {
		old, new string
		code     reason.Code
		want     string
	}{
		"key in another case":      {`"image"`, `"Privileged": true, "image"`, reason.Grant, "services.web.Privileged (not granted"},
		"misspelt key":             {`"image"`, `"entrypont": [], "image"`, reason.Grant, `did you mean "entrypoint"?`},
		"key twice":                {`"image"`, `"image": "nginx", "image"`, reason.Malformed, "duplicate"},
		"undeclared volume":        {`"source": "data"`, `"source": "other_data"`, reason.Grant, "services.web.volumes[0].source"},
		"undeclared config":        {`"source": "c"`, `"source": "other"`, reason.Grant, "services.web.configs[0].source"},
		"undeclared network":       {`"default": null`, `"host": null`, reason.Grant, "services.web.networks.host"},
		"volume without a name":    {`"name": "press_data"`, `"labels": {}`, reason.Grant, "volumes.data.name (is missing)"},
		"no project name":          {`"name": "press",`, ``, reason.Grant, "name (is missing)"},
		"project name with _":      {`"name": "press",`, `"name": "press_d",`, reason.Grant, "name (must be"},
		"image in another place":   {image, image + "\\n", reason.Grant, "services.web.image"},
		"number for a text":        {`"image"`, `"user": 0, "image"`, reason.Grant, "services.web.user"},
		"text for a flag":          {`"image"`, `"init": "true", "image"`, reason.Grant, "services.web.init"},
		"null where none is usual": {`"image"`, `"healthcheck": null, "image"`, reason.Grant, "services.web.healthcheck"},
		"hostile key":              {`"image"`, `"a\u001b[2J` + strings.Repeat("b", 500) + `": 1, "image"`, reason.Grant, `services.web["a\x1b[2J`},
		"port as leading zero":     {`"image"`, `"ports": [{"target": 80, "published": "01024"}], "image"`, reason.Grant, "services.web.ports[0].published"},
		"port zero":                {`"image"`, `"ports": [{"target": 80, "published": "0"}], "image"`, reason.Grant, "services.web.ports[0].published"},
		"no service at all":        {`"services"`, `"service"`, reason.Grant, `did you mean "services"?`},
		"not a project":            {base, `[]`, reason.Malformed, "not a JSON object"},
		"null":                     {base, `null`, reason.Malformed, "not a JSON object"},
		"nothing":                  {base, ``, reason.Malformed, ""},
		"deep":                     {base, strings.Repeat(`{"a":`, 50) + "1" + strings.Repeat("}", 50), reason.TooLarge, "deeper"},
	} {
		t.Run(name, func(t *testing.T) {
			if !strings.Contains(base, c.old) {
				t.Fatalf("no %q in %s", c.old, base)
			}
			err := (policy.Grants{}).CheckCompose([]byte(strings.Replace(base, c.old, c.new, 1)))
			if !reason.Is(err, c.code) || !strings.Contains(err.Error(), c.want) {
				t.Errorf("got %v, want %s with %q", err, c.code, c.want)
			}
			if err != nil && len(err.Error()) > 4000 {
				t.Errorf("message of %d bytes", len(err.Error()))
			}
		})
	}
	if err := (policy.Grants{}).CheckCompose([]byte(base)); err != nil {
		t.Errorf("unchanged: %v", err)
	}
}

// The second copy of the allow-list. Every other key that compose-go knows,
// now or in a later version, must be refused by name (attack C2).
var allowed = map[string][]string{
	"": {"name", "services", "networks", "volumes", "configs"},
	"services.web": {
		"attach", "cap_drop", "command", "configs", "cpus", "depends_on", "deploy", "entrypoint", "environment",
		"expose", "healthcheck", "hostname", "image", "init", "labels", "logging", "mem_limit", "networks",
		"oom_kill_disable", "pids_limit", "platform", "ports", "privileged", "pull_policy", "read_only", "restart",
		"scale", "security_opt", "stdin_open", "stop_grace_period", "stop_signal", "tmpfs", "tty", "use_api_socket",
		"user", "volumes", "working_dir",
	},
	"services.web.deploy":                        {"labels", "mode", "placement", "replicas", "resources", "restart_policy"},
	"services.web.deploy.resources":              {"limits", "reservations"},
	"services.web.deploy.resources.limits":       {"cpus", "memory", "pids"},
	"services.web.deploy.resources.reservations": {"cpus", "memory"},
	"services.web.deploy.placement":              {},
	"services.web.healthcheck":                   {"disable", "interval", "retries", "start_interval", "start_period", "test", "timeout"},
	"services.web.logging":                       {"driver", "options"},
	"services.web.networks.n":                    {"aliases", "priority"},
	"services.web.ports[0]":                      {"app_protocol", "host_ip", "mode", "name", "protocol", "published", "target"},
	"services.web.volumes[0]":                    {"read_only", "source", "target", "type", "volume"},
	"services.web.volumes[0].volume":             {"nocopy"},
	"services.web.volumes[1]":                    {"read_only", "target", "tmpfs", "type"},
	"services.web.configs[0]":                    {"gid", "mode", "source", "target", "uid"},
	"networks.n":                                 {"attachable", "driver", "external", "internal", "ipam", "labels", "name"},
	"networks.n.ipam":                            {},
	"volumes.v":                                  {"driver", "external", "labels", "name"},
	"configs.c":                                  {"content", "name"},
}

func TestEveryOtherKeyOfComposeIsRefusedByName(t *testing.T) {
	skeleton := func() map[string]any {
		var tree map[string]any
		err := json.Unmarshal([]byte(`{"name":"press","services":{"web":{"image":"`+image+`",
			"deploy":{"resources":{"limits":{},"reservations":{}},"placement":{}},"healthcheck":{},
			"logging":{"driver":"local","options":{"max-size":"1m"}},"networks":{"n":{}},"ports":[{"target":80}],
			"volumes":[{"type":"volume","source":"v","target":"/v","volume":{}},{"type":"tmpfs","target":"/t"}],
			"configs":[{"source":"c"}]}},
			"networks":{"n":{"name":"press_n","ipam":{}}},"volumes":{"v":{"name":"press_v"}},"configs":{"c":{"content":"x"}}}`), &tree)
		if err != nil {
			t.Fatal(err)
		}
		return tree
	}
	if err := (policy.Grants{}).CheckCompose(must(json.Marshal(skeleton()))); err != nil {
		t.Fatalf("the skeleton itself: %v", err)
	}
	for at, typ := range map[string]reflect.Type{
		"":                                     reflect.TypeFor[types.Project](),
		"services.web":                         reflect.TypeFor[types.ServiceConfig](),
		"services.web.deploy":                  reflect.TypeFor[types.DeployConfig](),
		"services.web.deploy.resources":        reflect.TypeFor[types.Resources](),
		"services.web.deploy.resources.limits": reflect.TypeFor[types.Resource](),
		"services.web.deploy.resources.reservations": reflect.TypeFor[types.Resource](),
		"services.web.deploy.placement":              reflect.TypeFor[types.Placement](),
		"services.web.healthcheck":                   reflect.TypeFor[types.HealthCheckConfig](),
		"services.web.logging":                       reflect.TypeFor[types.LoggingConfig](),
		"services.web.networks.n":                    reflect.TypeFor[types.ServiceNetworkConfig](),
		"services.web.ports[0]":                      reflect.TypeFor[types.ServicePortConfig](),
		"services.web.volumes[0]":                    reflect.TypeFor[types.ServiceVolumeConfig](),
		"services.web.volumes[0].volume":             reflect.TypeFor[types.ServiceVolumeVolume](),
		"services.web.volumes[1]":                    reflect.TypeFor[types.ServiceVolumeConfig](),
		"services.web.configs[0]":                    reflect.TypeFor[types.ServiceConfigObjConfig](),
		"networks.n":                                 reflect.TypeFor[types.NetworkConfig](),
		"networks.n.ipam":                            reflect.TypeFor[types.IPAMConfig](),
		"volumes.v":                                  reflect.TypeFor[types.VolumeConfig](),
		"configs.c":                                  reflect.TypeFor[types.ConfigObjConfig](),
	} {
		keys := slices.Concat(jsonKeys(typ), []string{"x-later", "another_later_key"})
		for _, key := range keys {
			if slices.Contains(allowed[at], key) {
				continue
			}
			tree := skeleton()
			find(t, tree, at)[key] = "value"
			err := (policy.Grants{}).CheckCompose(must(json.Marshal(tree)))
			want := strings.TrimPrefix(at+"."+key, ".")
			if strings.HasSuffix(at, "placement") || strings.HasSuffix(at, "ipam") {
				want = at
			}
			if !reason.Is(err, reason.Grant) || !strings.Contains(err.Error(), want+" (") {
				t.Errorf("%s: got %v", want, err)
			}
		}
	}
}

// jsonKeys lists the names under which encoding/json writes the fields of t.
func jsonKeys(t reflect.Type) []string {
	var out []string
	for i := range t.NumField() {
		f := t.Field(i)
		name, _, _ := strings.Cut(f.Tag.Get("json"), ",")
		switch {
		case f.Anonymous:
			out = append(out, jsonKeys(f.Type)...)
		case f.IsExported() && name != "-":
			if name == "" {
				name = f.Name
			}
			out = append(out, name)
		}
	}
	return out
}

// find follows a path such as services.web.ports[0].
func find(t *testing.T, tree map[string]any, path string) map[string]any {
	t.Helper()
	at := tree
	for _, part := range strings.Split(path, ".") {
		if part == "" {
			continue
		}
		key, index, isList := strings.Cut(strings.TrimSuffix(part, "]"), "[")
		next := at[key]
		if isList {
			next = next.([]any)[int(index[0]-'0')]
		}
		object, ok := next.(map[string]any)
		if !ok {
			t.Fatalf("nothing at %s of %s", part, path)
		}
		at = object
	}
	return at
}

func TestRefusalIsBounded(t *testing.T) {
	web := map[string]any{"image": image}
	for i := range 500 {
		web[fmt.Sprintf("key%03d", i)] = strings.Repeat("x", 1000)
	}
	tree := map[string]any{"name": "press", "services": map[string]any{"web": web}}
	err := (policy.Grants{}).CheckCompose(must(json.Marshal(tree)))
	if !reason.Is(err, reason.Grant) || !strings.Contains(err.Error(), "and 480 more") || len(err.Error()) > 4000 {
		t.Errorf("got %v", err)
	}
}

func FuzzCheckCompose(f *testing.F) {
	f.Add(resolve(f, strings.ReplaceAll(harmless, `${"$"}`, "$$")))
	f.Add([]byte(`{"name":"press","services":{"web":{"image":"x","volumes":[null],"ports":[1],"deploy":null}}}`))
	f.Add([]byte(`{"name":5,"services":[],"networks":null,"volumes":"x"}`))
	words := []string{"privileged", "docker.sock", "bind", "cap_add", "devices", "network_mode"}
	f.Fuzz(func(t *testing.T, data []byte) {
		err := (policy.Grants{}).CheckCompose(data)
		if err != nil {
			if c := reason.Of(err); c != reason.Grant && c != reason.Malformed && c != reason.TooLarge {
				t.Errorf("refused as %q: %v", c, err)
			}
			return
		}
		var tree struct {
			Services map[string]map[string]any
		}
		if err := json.Unmarshal(data, &tree); err != nil {
			t.Fatal(err)
		}
		for _, s := range tree.Services {
			for _, key := range slices.Sorted(maps.Keys(s)) {
				if slices.Contains(words, key) && s[key] != false {
					t.Errorf("accepted %s: %v", key, s[key])
				}
			}
		}
	})
}
