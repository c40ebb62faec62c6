package compose

import (
	"bytes"
	"encoding/json"
	"slices"
	"strings"
	"testing"

	"github.com/opencontainers/go-digest"

	"github.com/consign-dev/consign/internal/apply/task"
	"github.com/consign-dev/consign/internal/reason"
	"github.com/consign-dev/consign/policy"
)

const pinned = "127.0.0.1:5000/c@sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"

func renderInput(t *testing.T, compose string) task.RenderInput {
	return task.RenderInput{
		Archive: archive(t, compose), Project: "demo", Values: map[string]string{"GREETING": "g"},
		Images: map[string]string{"app:1": pinned}, Labels: map[string]string{task.LabelDeployment: "d", task.LabelDevice: "press-07"},
		Limits: limits,
	}
}

// limits are what a policy without any gives.
var limits = policy.Limits{}.Defaults()

func TestRenderIsPinnedAndLabelled(t *testing.T) {
	in := renderInput(t, "services: {web: {image: app:1, volumes: ['v:/v'], labels: {dev.consign.deployment: forged, own: '1'}}}\nvolumes: {v: {}}\nnetworks: {default: {}}\n")
	out, err := Render(t.Context(), in)
	if err != nil {
		t.Fatal(err)
	}
	again, err := Render(t.Context(), in)
	if err != nil || !bytes.Equal(out.Project, again.Project) {
		t.Errorf("rendering twice gives other bytes (%v)", err)
	}
	if out.Digest != digest.FromBytes(out.Project) || len(out.Images) != 1 || out.Images[0] != pinned {
		t.Errorf("result %+v", out)
	}
	type labelled struct {
		Labels map[string]string
	}
	var p struct {
		Services map[string]struct {
			labelled
			Image      string
			PullPolicy string `json:"pull_policy"`
		}
		Networks, Volumes map[string]labelled
	}
	if err := json.Unmarshal(out.Project, &p); err != nil {
		t.Fatal(err)
	}
	web := p.Services["web"]
	for what, l := range map[string]map[string]string{"service": web.Labels, "network": p.Networks["default"].Labels, "volume": p.Volumes["v"].Labels} {
		if l[task.LabelDeployment] != "d" || l[task.LabelDevice] != "press-07" {
			t.Errorf("%s has labels %v", what, l)
		}
	}
	if web.Image != pinned || web.PullPolicy != "never" || web.Labels["own"] != "1" {
		t.Errorf("service %+v", web)
	}
}

func TestRenderRefuses(t *testing.T) {
	const good = "services: {web: {image: app:1}}"
	cases := map[string]struct {
		change func(*task.RenderInput)
		code   reason.Code
	}{
		"no limits":        {func(in *task.RenderInput) { in.Limits = task.Limits{} }, reason.Malformed},
		"unlimited memory": {func(in *task.RenderInput) { in.Limits.Memory = -1 }, reason.Malformed},
		"project name":     {func(in *task.RenderInput) { in.Project = "Demo App" }, reason.Malformed},
		"long name":        {func(in *task.RenderInput) { in.Project = strings.Repeat("p", 64) }, reason.Malformed},
		"no deployment":    {func(in *task.RenderInput) { in.Labels = nil }, reason.Malformed},
		"image by tag":     {func(in *task.RenderInput) { in.Images["app:1"] = "app:1" }, reason.ImageUnpinned},
		"image not given":  {func(in *task.RenderInput) { in.Images = nil }, reason.ImageUnpinned},
		"not an archive":   {func(in *task.RenderInput) { in.Archive = []byte("x") }, reason.Archive},
		"unset variable":   {func(in *task.RenderInput) { in.Archive = archive(t, "services: {web: {image: 'app:${TAG}'}}") }, reason.Render},
		"variable's value": {func(in *task.RenderInput) { in.Values["GREETING"] = "\x00" }, reason.Render},
	}
	for name, c := range cases {
		in := renderInput(t, good)
		c.change(&in)
		if _, err := Render(t.Context(), in); !reason.Is(err, c.code) {
			t.Errorf("%s: got %v, want reason %s", name, err, c.code)
		}
	}
}

func BenchmarkRender(b *testing.B) {
	in := task.RenderInput{
		Archive: archive(b, healthyWeb), Project: "demo", Values: map[string]string{"GREETING": "g"},
		Images: map[string]string{"app:1": pinned}, Labels: map[string]string{task.LabelDeployment: "d"}, Limits: limits,
	}
	for b.Loop() {
		if _, err := Render(b.Context(), in); err != nil {
			b.Fatal(err)
		}
	}
}

// Attack C13: a container that says nothing is held back all the same, and one
// that says something is left as it is, for the policy to judge.
func TestAttackC13LimitsAreDefaulted(t *testing.T) {
	in := renderInput(t, `
services:
  silent: {image: app:1, tmpfs: [/a, "/b:noexec", "/c:size=1k"], volumes: [{type: tmpfs, target: /d}]}
  own: {image: app:1, mem_limit: 5g, cpus: 0.1, pids_limit: 7, logging: {driver: local, options: {max-size: 1m, compress: "false"}}}
  deployed: {image: app:1, deploy: {resources: {limits: {memory: 64m, cpus: "0.2", pids: 9}}}}
  journal: {image: app:1, logging: {driver: journald}}
`)
	in.Limits.Storage = 5 << 30
	out, err := Render(t.Context(), in)
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{
		`"mem_limit": "1073741824"`, `"cpus": 1,`, `"pids_limit": 512`, `"max-size": "10m"`, `"max-file": "3"`, `"/a:size=67108864"`, `"/b:noexec,size=67108864"`, `"/c:size=1k"`,
		`"size": "67108864"`, `"mem_limit": "5368709120"`, `"cpus": 0.1,`, `"pids_limit": 7`, `"max-size": "1m"`, `"driver": "journald"`, `"storage_opt"`, `"size": "5368709120"`,
	} {
		if !bytes.Contains(out.Project, []byte(want)) {
			t.Errorf("the render lacks %s:\n%s", want, out.Project)
		}
	}
	all := "cpus logging.driver logging.options.max-file logging.options.max-size mem_limit pids_limit storage_opt.size"
	want := []string{"services.own.logging.options.max-file", "services.own.storage_opt.size"}
	for _, at := range strings.Fields("logging.driver logging.options.max-file logging.options.max-size storage_opt.size") {
		want = append(want, "services.deployed."+at)
	}
	for _, at := range strings.Fields("cpus mem_limit pids_limit storage_opt.size") {
		want = append(want, "services.journal."+at)
	}
	for _, at := range append(strings.Fields(all), "tmpfs[0]", "tmpfs[1]", "volumes[0].tmpfs.size") {
		want = append(want, "services.silent."+at)
	}
	if slices.Sort(want); !slices.Equal(out.Defaulted, want) {
		t.Errorf("defaulted\n%q, want\n%q", out.Defaulted, want)
	}
	var p struct {
		Services map[string]map[string]any
	}
	if err := json.Unmarshal(out.Project, &p); err != nil {
		t.Fatal(err)
	}
	for _, key := range []string{"mem_limit", "cpus", "pids_limit"} {
		if v, ok := p.Services["deployed"][key]; ok {
			t.Errorf("deployed.%s is %v beside deploy's", key, v)
		}
	}
	if got := p.Services["journal"]["logging"]; len(got.(map[string]any)) != 1 {
		t.Errorf("journal's log became %v", got)
	}
	err = policy.Grants{}.CheckCompose(out.Project)
	if !reason.Is(err, reason.Grant) || !strings.Contains(err.Error(), "services.own.mem_limit (at most 1g") || !strings.Contains(err.Error(), "services.journal.logging.driver") {
		t.Errorf("the check of what was asked for beyond the ceilings: %v", err)
	}
}
