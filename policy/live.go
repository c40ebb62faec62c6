package policy

import (
	"encoding/json"
	"fmt"
	"strconv"
	"strings"

	"github.com/consign-dev/consign/internal/apply/task"
	"github.com/consign-dev/consign/internal/reason"
)

// CheckLive decides whether the containers of a Compose project, as the engine
// reports them, stay within the grants: a container can be started or changed
// by hand after the project was checked. The facts are put into the words of a
// project and judged by the same rules, each container with the grants of the
// service whose label it bears. project is the project's name.
//
// What is not granted is refused with reason grant, by an [Excess] whose
// elements begin with containers.<name>. That the containers are the ones that
// were applied is not its question.
func (g Grants) CheckLive(project string, services []task.Service) error {
	w := newWalk(g, map[string]any{"name": project})
	root := place{}.key("containers")
	w.within(root, "containers", int64(len(services)), w.ceilings.containers, func(n int64) string { return fmt.Sprintf("%d containers", n) })
	for _, s := range services {
		if err := s.Facts.Check(); err != nil {
			return fmt.Errorf("container %.200q: %w", s.ContainerName, err)
		}
		if err := w.live(root.key(s.ContainerName), project+"_", s); err != nil {
			return reason.New(reason.Internal, "container %.200q: %w", s.ContainerName, err)
		}
	}
	return w.refusal("what runs is not granted: ")
}

func (w *walk) live(at place, own string, s task.Service) error {
	l := liveService{facts: s.Facts, own: own, tree: map[string]any{}, networks: map[string]any{}, volumes: map[string]any{}}
	l.describe()
	data, err := json.Marshal(l.tree)
	if err != nil {
		return err
	}
	tree, err := decodeTree(data)
	if err != nil {
		return err
	}
	w.owner = owner{sectionCompose, s.Name}
	w.declared["networks"], w.declared["volumes"] = l.networks, l.volumes
	composeService.check(w, at, tree)
	w.unspeakable(at, s.Facts)
	return nil
}

// unspeakable reports what no project can say.
func (w *walk) unspeakable(at place, f task.Facts) {
	if f.Cut {
		w.ask(at, "has more devices, mounts or options than can be judged", "")
	}
	for _, name := range f.OtherLimits {
		w.ask(at.key(name), "never granted: no project of an application sets it", "")
	}
	for i, m := range f.Mounts {
		if m.Type == "volume" && (m.Options != "" || m.Driver != "" && m.Driver != "local") {
			w.ask(at.key("volumes").index(i), "never granted: the volume is made of something else by a driver or its options", show(m.Driver+" "+m.Options))
		}
	}
}

// liveService turns facts into the JSON of a resolved Compose service.
type liveService struct {
	facts             task.Facts
	own               string // how names of the project begin
	tree              map[string]any
	networks, volumes map[string]any // what is the project's own
}

func (l *liveService) describe() {
	f := l.facts
	l.tree["image"], l.tree["privileged"], l.tree["read_only"] = f.Image, f.Privileged, f.ReadOnly
	l.tree["oom_kill_disable"] = f.NoOOMKill
	l.set("oom_score_adj", f.OOMScore != 0, f.OOMScore)
	l.texts("cap_add", f.CapAdd)
	l.texts("cap_drop", f.CapDrop)
	l.texts("device_cgroup_rules", f.DeviceRules)
	l.texts("volumes_from", f.VolumesFrom)
	l.texts("dns", f.DNS)
	l.texts("dns_search", f.DNSSearch)
	l.texts("dns_opt", f.DNSOptions)
	l.texts("extra_hosts", f.ExtraHosts)
	l.texts("external_links", f.Links)
	l.text("pid", f.PID)
	l.text("ipc", f.IPC)
	l.text("uts", f.UTS)
	l.text("userns_mode", f.UserNS)
	l.text("cgroup", f.Cgroup)
	l.text("cgroup_parent", f.CgroupParent)
	l.text("runtime", f.Runtime)
	l.text("cpuset", f.CPUSet)
	l.text("restart", f.Restart)
	l.set("sysctls", len(f.Sysctls) > 0, f.Sysctls)
	l.set("annotations", f.Annotations > 0, f.Annotations)
	l.security()
	l.devices()
	l.network()
	l.mounts()
	l.limits()
}

func (l *liveService) set(name string, there bool, v any) {
	if there {
		l.tree[name] = v
	}
}

func (l *liveService) text(name, v string) { l.set(name, v != "", v) }

func (l *liveService) texts(name string, v []string) { l.set(name, len(v) > 0, v) }

func (l *liveService) security() {
	options := append([]string(nil), l.facts.SecurityOpt...)
	if l.facts.Unmasked {
		options = append(options, "systempaths=unconfined")
	}
	l.texts("security_opt", options)
}

func (l *liveService) devices() {
	var devices, requests []map[string]any
	for _, d := range l.facts.Devices {
		devices = append(devices, map[string]any{"source": d.Source, "target": d.Target, "permissions": d.Permissions})
	}
	for _, r := range l.facts.DeviceRequests {
		request := map[string]any{"capabilities": append([]string{}, r.Capabilities...), "device_ids": append([]string{}, r.IDs...)}
		if r.Driver != "" {
			request["driver"] = r.Driver
		}
		if r.Options > 0 {
			request["options"] = r.Options
		}
		requests = append(requests, request)
	}
	l.set("devices", len(devices) > 0, devices)
	l.set("gpus", len(requests) > 0, requests)
}

func (l *liveService) network() {
	switch mode := l.facts.Network; {
	case mode == "host" || mode == "none" || strings.Contains(mode, ":"):
		l.tree["network_mode"] = mode
	default:
		l.attached()
	}
	var ports []map[string]any
	for _, p := range l.facts.Ports {
		port := map[string]any{"target": p.Target, "protocol": p.Protocol}
		if p.HostIP != "" {
			port["host_ip"] = p.HostIP
		}
		if p.Published != "" {
			port["published"] = p.Published
		}
		ports = append(ports, port)
	}
	l.set("ports", len(ports) > 0, ports)
}

func (l *liveService) attached() {
	attached := map[string]any{}
	for _, name := range l.facts.Networks {
		short, own := strings.CutPrefix(name, l.own)
		if own {
			l.networks[short] = nil
			name = short
		}
		attached[name] = nil
	}
	l.set("networks", len(attached) > 0, attached)
}

func (l *liveService) mounts() {
	list := []map[string]any{}
	for _, m := range l.facts.Mounts {
		mount := map[string]any{"type": m.Type, "target": m.Target, "read_only": m.ReadOnly}
		switch m.Type {
		case "tmpfs":
			mount["tmpfs"] = map[string]any{"size": strconv.FormatInt(m.Size, 10)}
		case "volume":
			name, own := strings.CutPrefix(m.Source, l.own)
			if own || m.Anonymous {
				l.volumes[name] = nil
			}
			mount["source"] = name
		default:
			mount["source"] = m.Source
			if m.Propagation != "" {
				mount["bind"] = map[string]any{"propagation": m.Propagation}
			}
		}
		list = append(list, mount)
	}
	l.tree["volumes"] = list
}

func (l *liveService) limits() {
	f := l.facts
	bytes := func(name string, n int64) { l.set(name, n != 0, strconv.FormatInt(n, 10)) }
	bytes("mem_limit", f.Memory)
	bytes("memswap_limit", f.MemorySwap)
	bytes("mem_reservation", f.MemoryReservation)
	bytes("shm_size", f.SharedMemory)
	// Compose computes billionths in 32 bits, so 2.6 can become a hair more.
	l.set("cpus", f.NanoCPUs != 0, float64(f.NanoCPUs)/1e9*(1-1e-6))
	l.set("cpu_shares", f.CPUShares != 0, f.CPUShares)
	l.set("pids_limit", f.PIDs != 0, f.PIDs)
	l.set("storage_opt", f.Storage != "", map[string]string{"size": f.Storage})
	ulimits := map[string]any{}
	for _, u := range f.Ulimits {
		ulimits[u.Name] = map[string]any{"soft": u.Soft, "hard": u.Hard}
	}
	l.set("ulimits", len(ulimits) > 0, ulimits)
	options := map[string]string{}
	for name, value := range f.LogOptions {
		options[name] = value
	}
	l.set("logging", f.LogDriver != "", map[string]any{"driver": f.LogDriver, "options": options})
}
