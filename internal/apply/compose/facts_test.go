package compose

import (
	"bytes"
	"context"
	"strings"
	"testing"

	"github.com/docker/compose/v5/pkg/api"
	"github.com/moby/moby/api/types/container"
	"github.com/moby/moby/client"

	"github.com/consign-dev/consign/internal/apply/task"
	"github.com/consign-dev/consign/internal/reason"
	"github.com/consign-dev/consign/policy"
)

// The agent serves images under the name "c", which the client that fills this
// test's registry refuses; everything else is judged as it is.
func asServed(render []byte) []byte { return bytes.ReplaceAll(render, []byte("/app@"), []byte("/c@")) }

func live(g policy.Grants, project string, services []task.Service) error {
	var out []task.Service
	for _, svc := range services {
		svc.Facts.Image = string(asServed([]byte(svc.Facts.Image)))
		out = append(out, svc)
	}
	return g.CheckLive(project, out)
}

// What an apply makes of a checked project passes the check of what is live,
// whatever the engine fills in by itself.
func TestWhatWasAppliedIsWithinTheGrants(t *testing.T) {
	s := newSite(t)
	in := s.render(`
services:
  web:
    image: app:1
    ports: ["127.0.0.1::8080"]
    volumes: ["data:/data", {type: tmpfs, target: /scratch}]
    tmpfs: [/tmp]
    networks: {back: {aliases: [site]}, default: null}
    cap_drop: [ALL]
    security_opt: ["no-new-privileges:true"]
    stop_grace_period: 1s
    restart: on-failure:3
    init: true
  alone: {image: app:1, network_mode: none, mem_limit: 64m, shm_size: 1m, read_only: true}
networks: {back: {}}
volumes: {data: {}}
`, nil)
	if err := (policy.Grants{}).CheckCompose(asServed(in.Render)); err != nil {
		t.Fatal(err)
	}
	out, err := Apply(t.Context(), in)
	if err != nil {
		t.Fatal(err)
	}
	if err := live(policy.Grants{}, s.project, out.Services); err != nil {
		t.Errorf("right after apply: %v", err)
	}
	seen := s.observe(in)
	if err := live(policy.Grants{}, s.project, seen.Services); err != nil {
		t.Errorf("observed: %v", err)
	}
	if len(seen.Notes) != 1 || !strings.Contains(seen.Notes[0], "storage driver") || !strings.HasSuffix(seen.Notes[0], ": web") {
		t.Errorf("notes: %q", seen.Notes)
	}
}

// Grants hold for what is live in the same words as for the project.
func TestWhatWasGrantedIsWithinTheGrants(t *testing.T) {
	s := newSite(t)
	in := s.render(`
services:
  web:
    image: app:1
    cap_add: [NET_ADMIN]
    sysctls: {net.ipv4.ip_unprivileged_port_start: 80}
    ulimits: {nofile: {soft: 1024, hard: 2048}}
    security_opt: ["seccomp:unconfined", "systempaths=unconfined"]
    devices: ["/dev/net/tun:/dev/net/tun:rw"]
    device_cgroup_rules: ["c 188:* rw"]
    extra_hosts: ["plc:10.0.0.9"]
    dns: [10.0.0.1]
    volumes: ["/etc/hostname:/machine:ro"]
    pid: host
    cpuset: "0"
    mem_limit: 1100m
  deep: {image: app:1, privileged: true, ipc: host, uts: host, network_mode: host}
`, nil)
	p, err := policy.Grants{}.Propose(asServed(in.Render))
	if err != nil || len(p.Never) > 0 {
		t.Fatalf("%v, never %q", err, p.Never)
	}
	// An engine inside of another container may not be allowed to start these.
	// They are made all the same, and judged as what anybody can start.
	if _, err := Apply(t.Context(), in); err != nil && !reason.Is(err, reason.Health) {
		t.Fatal(err)
	}
	services := s.observe(in).Services
	if len(services) != 2 {
		t.Fatalf("made %+v", services)
	}
	if err := live(p.Grants, s.project, services); err != nil {
		t.Errorf("with what the project needs: %v", err)
	}
	err = live(policy.Grants{}, s.project, services)
	if !reason.Is(err, reason.Grant) {
		t.Fatalf("without grants: %v", err)
	}
	for _, want := range []string{"cap_add", "sysctls", "ulimits", "security_opt[0]", "security_opt[1]", "devices[0]", "device_cgroup_rules", "extra_hosts", "dns[0]", "hostPaths", "web-1.pid", "cpuset", "mem_limit", "deep-1.privileged", "deep-1.ipc", "deep-1.uts", "deep-1.network_mode"} {
		if !strings.Contains(err.Error(), want) {
			t.Errorf("%s is not named: %v", want, err)
		}
	}
}

// A container that somebody makes by hand under the project's labels is seen
// and judged, and so is a limit that is taken away from one that runs.
func TestWhatIsDoneByHandIsJudged(t *testing.T) {
	s := newSite(t)
	in := s.render("services: {web: {image: app:1, stop_grace_period: 1s}}", nil)
	web := s.mustApply(in)["web"]
	created, err := s.docker.ContainerCreate(t.Context(), client.ContainerCreateOptions{
		Name: s.project + "-hand",
		Config: &container.Config{Image: s.images["app:1"], Labels: map[string]string{
			api.ProjectLabel: s.project, api.ServiceLabel: "web", api.OneoffLabel: "False", task.LabelDeployment: s.deployment,
		}},
		HostConfig: &container.HostConfig{Privileged: true, PidMode: "host", Binds: []string{"/:/host", "/var/run/docker.sock:/s"}},
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_, _ = s.docker.ContainerRemove(context.Background(), created.ID, client.ContainerRemoveOptions{Force: true})
	})
	// Whether it starts is for the kernel and what the engine itself runs in;
	// either way it is there.
	_, startErr := s.docker.ContainerStart(t.Context(), created.ID, client.ContainerStartOptions{})
	t.Logf("started by hand: %v", startErr)
	check := func(want ...string) {
		t.Helper()
		err := live(policy.Grants{}, s.project, s.observe(in).Services)
		if !reason.Is(err, reason.Grant) {
			t.Fatalf("got %v", err)
		}
		for _, w := range want {
			if !strings.Contains(err.Error(), w) {
				t.Errorf("%q is not in: %v", w, err)
			}
		}
	}
	check("-hand.privileged (needs the grant privileged)", "-hand.pid (needs the grant hostPid)", "-hand.volumes[0] (never granted", "engineSocket",
		"-hand.mem_limit (is missing)", "-hand.pids_limit (is missing)", "-hand.networks.bridge (is not declared")

	if _, err := s.docker.ContainerRemove(t.Context(), created.ID, client.ContainerRemoveOptions{Force: true}); err != nil {
		t.Fatal(err)
	}
	if err := live(policy.Grants{}, s.project, s.observe(in).Services); err != nil {
		t.Errorf("after the container is gone: %v", err)
	}
	unlimited := int64(-1)
	if _, err := s.docker.ContainerUpdate(t.Context(), web.Container, client.ContainerUpdateOptions{Resources: &container.Resources{PidsLimit: &unlimited}}); err != nil {
		t.Fatal(err)
	}
	check("-web-1.pids_limit (")
}
