package policy_test

import (
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"

	"github.com/compose-spec/compose-go/v2/loader"
	"github.com/compose-spec/compose-go/v2/types"

	"github.com/consign-dev/consign/internal/composefile"
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
	composefile.SetLimits(p, policy.Limits{}.Defaults())
	return must(p.MarshalJSON())
}

// service is a Compose file with one service that says the given lines, and
// top one with further sections.
func service(yaml string) string {
	return "services:\n  web:\n    image: " + image + "\n    " + strings.ReplaceAll(yaml, "\n", "\n    ") + "\n"
}

func top(yaml string) string { return service("init: true") + yaml + "\n" }

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
    group_add: ["20"]
    domainname: plant
    oom_score_adj: 100
    cpu_shares: 512
    shm_size: 64m
    mem_reservation: 32m
    memswap_limit: 128m
    storage_opt: {size: 10G}
    ipc: private
    cgroup: private
  alone: {image: "` + image + `", network_mode: none}
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

// Some attacks cannot be written in a Compose file that compose-go loads.
// They are made by hand on the JSON.
func TestCheckComposeTrustsNoLoader(t *testing.T) {
	base := string(resolve(t, "services: {web: {image: \""+image+"\", volumes: ['data:/d'], configs: [c]}}\nvolumes: {data: {}}\nconfigs: {c: {content: x}}"))
	for name, c := range map[string]struct {
		old, new string
		code     reason.Code
		want     string
	}{
		"key in another case":      {`"image"`, `"Privileged": true, "image"`, reason.Grant, "services.web.Privileged (unknown, so not granted"},
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
		"log without bound":        {`"max-size": "10m"`, `"compress": "true"`, reason.Grant, "services.web.logging.options.max-size (is missing)"},
		"log without driver":       {`"driver": "json-file"`, `"x": "y"`, reason.Grant, "services.web.logging.driver (is missing)"},
		"no log at all":            {`"logging"`, `"labels": {}, "unknown"`, reason.Grant, "services.web.logging (is missing)"},
		"no memory limit":          {`"mem_limit"`, `"mem_reservation"`, reason.Grant, "services.web.mem_limit (is missing)"},
		"no limit of processors":   {`"cpus": 1`, `"init": true`, reason.Grant, "services.web.cpus (is missing)"},
		"no limit of processes":    {`"pids_limit": 512`, `"init": true`, reason.Grant, "services.web.pids_limit (is missing)"},
		"negative limit":           {`"pids_limit": 512`, `"pids_limit": -1`, reason.Grant, "services.web.pids_limit (must be"},
		"memory beyond counting":   {`"mem_limit": "1073741824"`, `"mem_limit": "99999999999999999999"`, reason.Grant, "services.web.mem_limit (must be"},
		"host network and another": {`"image"`, `"network_mode": "none", "image"`, reason.Grant, "services.web.networks (goes with no network_mode)"},
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

func TestRefusalIsBounded(t *testing.T) {
	web := map[string]any{"image": image}
	for i := range 500 {
		web[fmt.Sprintf("key%03d", i)] = strings.Repeat("x", 1000)
	}
	tree := map[string]any{"name": "press", "services": map[string]any{"web": web}}
	err := (policy.Grants{}).CheckCompose(must(json.Marshal(tree)))
	if !reason.Is(err, reason.Grant) || !strings.Contains(err.Error(), "and 484 more") || len(err.Error()) > 4000 {
		t.Errorf("got %v", err)
	}
}

func FuzzCheckCompose(f *testing.F) {
	f.Add(resolve(f, strings.ReplaceAll(harmless, `${"$"}`, "$$")))
	f.Add([]byte(`{"name":"press","services":{"web":{"image":"x","volumes":[null],"ports":[1],"deploy":null}}}`))
	f.Add(resolve(f, service(strings.Join([]string{"privileged: true", "pid: host", "cap_add: [SYS_TIME]", "devices: ['/dev/ttyS0:/dev/x']", "ports: ['80:80']", "mem_limit: 9g"}, "\n"))))
	f.Add([]byte(`{"name":5,"services":[],"networks":null,"volumes":"x"}`))
	words := []string{"privileged", "docker.sock", "bind", "cap_add", "devices", "network_mode"}
	nothing := []string{"false", "[]", "none"}
	f.Fuzz(func(t *testing.T, data []byte) {
		err := (policy.Grants{}).CheckCompose(data)
		if err != nil {
			if c := reason.Of(err); c != reason.Grant && c != reason.Malformed && c != reason.TooLarge {
				t.Errorf("refused as %q: %v", c, err)
			}
			// What is proposed for it is enough, unless it can never be granted.
			p, err := (policy.Grants{}).Propose(data)
			if err == nil && len(p.Never)+p.More == 0 {
				if err := p.Grants.CheckCompose(data); err != nil {
					t.Errorf("with what was proposed: %v", err)
				}
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
				if slices.Contains(words, key) && !slices.Contains(nothing, fmt.Sprint(s[key])) {
					t.Errorf("accepted %s: %v", key, s[key])
				}
			}
		}
	})
}
