package composefile

import (
	"encoding/json"
	"fmt"
	"strconv"
	"strings"
	"testing"

	"github.com/compose-spec/compose-go/v2/types"

	"github.com/consign-dev/consign/internal/reason"
)

// scalars mean one thing to a reader of YAML 1.1, another to one of YAML 1.2,
// to one of JSON, or to people.
var scalars = []string{
	"yes", "no", "on", "off", "y", "n", "True", "FALSE", "true", "false", "~", "null", "Null", "", "''", "0", "-0", "+1", "1", "010", "0o17", "0x1F", "0b101",
	"1_000", "1e3", "1E3", "1.", ".5", "1.50", ".inf", "-.INF", ".nan", "22:22", "1:20:30", "190:20:30.15", "2024-01-01", "2024-01-01T00:00:00Z",
	"9223372036854775807", "9223372036854775808", "18446744073709551616", "99999999999999999999999999", "1e999", "9007199254740993", "0.1e-400",
	"=", "<<", "'yes'", "'010'", "\"22:22\"", "\"\\x31\"", "1k", "64m", "0.5g", "1 ", "\u0661", "\uff11", "!!int '1'", "!!str 1", "!!bool yes", "!!binary MQ==", "!!float 1",
}

// whatIsChecked is what a policy reads in the JSON of a service.
type whatIsChecked struct {
	Privileged  bool               `json:"privileged"`
	Init        *bool              `json:"init"`
	User        string             `json:"user"`
	MemLimit    any                `json:"mem_limit"`
	PidsLimit   json.Number        `json:"pids_limit"`
	Scale       json.Number        `json:"scale"`
	CPUs        json.Number        `json:"cpus"`
	Environment map[string]*string `json:"environment"`
	Labels      map[string]string  `json:"labels"`
	Hostname    string             `json:"hostname"`
	Ports       []struct {
		Published string `json:"published"`
		Target    uint32 `json:"target"`
	} `json:"ports"`
}

// whatIsRun is the same of the project that the engine is given.
func whatIsRun(s types.ServiceConfig) string {
	text := fmt.Sprint(s.Privileged, s.User, int64(s.MemLimit), s.PidsLimit, s.GetScale(), s.CPUS, s.Hostname, s.Labels)
	if s.Init != nil {
		text += fmt.Sprint("init", *s.Init)
	}
	if v := s.Environment["A"]; v != nil {
		text += "env" + *v
	}
	for _, p := range s.Ports {
		text += fmt.Sprint("port", p.Published, p.Target)
	}
	return text
}

func (c whatIsChecked) text(t *testing.T) string {
	number := func(v any) int64 {
		if v == nil || v == json.Number("") {
			return 0
		}
		n, err := strconv.ParseInt(fmt.Sprint(v), 10, 64)
		if err != nil {
			t.Errorf("the policy reads the number %v: %v", v, err)
		}
		return n
	}
	scale := int64(1)
	if c.Scale != "" {
		scale = number(c.Scale)
	}
	cpus, _ := strconv.ParseFloat(string(c.CPUs), 32)
	text := fmt.Sprint(c.Privileged, c.User, number(c.MemLimit), number(c.PidsLimit), scale, float32(cpus), c.Hostname, types.Labels(c.Labels))
	if c.Init != nil {
		text += fmt.Sprint("init", *c.Init)
	}
	if v := c.Environment["A"]; v != nil {
		text += "env" + *v
	}
	for _, p := range c.Ports {
		text += fmt.Sprint("port", p.Published, p.Target)
	}
	return text
}

// Attack A8: what the policy reads in a render is what the engine is given,
// however the Compose file spells it, and nothing is bent to fit on the way.
func TestAttackA8SpellingsOfScalars(t *testing.T) {
	accepted := 0
	for _, key := range []string{"privileged: %s", "init: %s", "user: %s", "mem_limit: %s", "pids_limit: %s", "scale: %s", "cpus: %s", "hostname: %s",
		"environment: {A: %s}", "environment: [A=%s]", "labels: {A: %s}", "ports: [%s]", "ports: [{target: 80, published: %s}]", "ports: [{target: %s}]"} {
		for _, scalar := range scalars {
			text := "services:\n  a:\n    image: x:1\n    " + fmt.Sprintf(key, scalar) + "\n"
			p, err := Load(t.Context(), Files{ComposeFile: []byte(text)}, Vars{}, "p")
			var data []byte
			if err == nil {
				data, err = Encode(t.Context(), p)
			}
			if err != nil {
				if reason.Of(err) == reason.Internal {
					t.Errorf("%s: error without a reason: %v", text, err)
				}
				continue
			}
			accepted++
			var checked struct{ Services map[string]whatIsChecked }
			if err := json.Unmarshal(data, &checked); err != nil {
				t.Errorf("%s: the policy cannot read it: %v", text, err)
				continue
			}
			run, err := Decode(t.Context(), data, "p")
			if err != nil {
				t.Fatal(err)
			}
			if is, was := whatIsRun(run.Services["a"]), checked.Services["a"].text(t); is != was {
				t.Errorf("%s: the policy reads %s, the engine is given %s", text, was, is)
			}
		}
	}
	if accepted < 100 {
		t.Errorf("only %d spellings were compared", accepted)
	}
}

// A limit must not become none because of how it is spelt.
func TestAttackA8NumbersThatAreLost(t *testing.T) {
	for _, scalar := range []string{"1e3", "1E3", "1.", ".inf", "-.INF", ".nan", "2024-01-01", "2024-01-01T00:00:00Z", "9223372036854775808", "18446744073709551616", "99999999999999999999999999", "0.1e-400"} {
		for _, key := range []string{"mem_limit", "pids_limit", "scale", "x-note"} {
			text := "services:\n  a:\n    image: x:1\n    " + key + ": " + scalar + "\n"
			if _, err := Load(t.Context(), Files{ComposeFile: []byte(text)}, Vars{}, "p"); !reason.Is(err, reason.Malformed) {
				t.Errorf("%s: %s: %v, want malformed", key, scalar, err)
			}
		}
	}
}

// wholeNumbers are the places of a Compose file that the library keeps as whole
// numbers and whose form, or whose decoder, lets a fraction pass.
var wholeNumbers = []string{
	"mem_limit: %s", "mem_reservation: %s", "memswap_limit: %s", "mem_swappiness: %s", "shm_size: %s", "pids_limit: %s", "oom_score_adj: %s", "scale: %s",
	"cpu_shares: %s", "cpu_quota: %s", "cpu_period: %s", "cpu_rt_period: %s", "cpu_rt_runtime: %s", "cpu_count: %s",
	"ulimits: {nofile: %s}", "ulimits: {nofile: {soft: %s, hard: 2}}", "blkio_config: {weight: %s}",
	"healthcheck: {test: [NONE], retries: %s}", "ports: [%s]", "ports: [{target: %s}]", "build: {context: ., shm_size: %s}",
	"volumes: [{type: tmpfs, target: /t, tmpfs: {size: %s}}]", "volumes: [{type: tmpfs, target: /t, tmpfs: {mode: %s}}]", "configs: [{source: c, mode: %s}]",
	"networks: {default: {priority: %s}}", "networks: {default: {gw_priority: %s}}",
	"deploy: {replicas: %s}", "deploy: {resources: {limits: {pids: %s}}}", "deploy: {resources: {limits: {memory: %s}}}",
	"deploy: {resources: {reservations: {memory: %s}}}", "deploy: {resources: {reservations: {devices: [{capabilities: [gpu], count: %s}]}}}",
	"deploy: {update_config: {parallelism: %s}}", "deploy: {restart_policy: {max_attempts: %s}}",
}

// Attack A8: of a fraction the library makes 0, which is no limit, or a smaller
// number, where it keeps a whole one. Where it keeps a fraction, or text, a
// fraction stays.
func TestAttackA8FractionsOfWholeNumbers(t *testing.T) {
	load := func(line, scalar string) (*types.Project, error) {
		text := "services:\n  a:\n    image: x:1\n    " + fmt.Sprintf(line, scalar) + "\nconfigs: {c: {content: x}}\n"
		return Load(t.Context(), Files{ComposeFile: []byte(text)}, Vars{}, "p")
	}
	for _, line := range wholeNumbers {
		for _, scalar := range []string{"1.50", "1.5", "0.5", "2.0", "64000000.5", "67108864.0"} {
			if _, err := load(line, scalar); !reason.Is(err, reason.Malformed) || !strings.Contains(err.Error(), "is a fraction where a whole number is read") {
				t.Errorf(line+": %v", scalar, err)
			}
		}
	}
	templates := "x-limits: &limits {mem_limit: 1.5}\nservices:\n  a:\n    <<: *limits\n    image: x:1\n"
	if _, err := Load(t.Context(), Files{ComposeFile: []byte(templates)}, Vars{}, "p"); !reason.Is(err, reason.Malformed) {
		t.Errorf("merged in: %v", err)
	}
	p, err := load("cpus: %s", "1.50\n    environment: {A: 1.5}\n    labels: {a: 2.0}\n    x-note: 1.5\n"+
		"    deploy: {resources: {reservations: {cpus: 0.25}}, update_config: {max_failure_ratio: 0.5}}")
	if err != nil {
		t.Fatal(err)
	}
	a := p.Services["a"]
	if a.CPUS != 1.5 || *a.Environment["A"] != "1.5" || a.Deploy.Resources.Reservations.NanoCPUs != 0.25 || a.Deploy.UpdateConfig.MaxFailureRatio != 0.5 {
		t.Errorf("cpus %v, environment %q, %+v", a.CPUS, *a.Environment["A"], a.Deploy)
	}
}
