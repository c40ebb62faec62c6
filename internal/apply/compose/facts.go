package compose

import (
	"cmp"
	"context"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"

	"github.com/containerd/errdefs"
	"github.com/moby/moby/api/types/container"
	"github.com/moby/moby/api/types/mount"
	"github.com/moby/moby/api/types/system"
	"github.com/moby/moby/client"

	"github.com/consign-dev/consign/internal/apply/task"
	"github.com/consign-dev/consign/internal/lazyregexp"
)

// surroundings is what one needs besides a container's own description to say
// what it can do: the engine's defaults, and what the volumes are made of.
type surroundings struct {
	engine  system.Info
	volumes map[string]string // name -> driver options
}

// look gathers the surroundings of containers.
func (e *engine) look(ctx context.Context, live map[string]container.InspectResponse) (surroundings, error) {
	s := surroundings{volumes: map[string]string{}}
	if len(live) == 0 {
		return s, nil
	}
	info, err := e.client.Info(ctx, client.InfoOptions{})
	if err != nil {
		return s, engineError("describe the engine", err)
	}
	s.engine = info.Info
	for _, c := range live {
		for _, m := range c.Mounts {
			if _, seen := s.volumes[m.Name]; seen || m.Type != mount.TypeVolume {
				continue
			}
			v, err := e.client.VolumeInspect(ctx, m.Name, client.VolumeInspectOptions{})
			if err != nil && !errdefs.IsNotFound(err) {
				return s, engineError("inspect volume "+m.Name, err)
			}
			s.volumes[m.Name] = pairs(v.Volume.Options)
		}
	}
	return s, nil
}

func pairs(options map[string]string) string {
	var out []string
	for _, name := range slices.Sorted(maps.Keys(options)) {
		out = append(out, name+"="+options[name])
	}
	return strings.Join(out, ",")
}

// facts says what a container can do to the machine. What the engine fills in
// by itself is left out, so that the absence of a fact is the default.
func (s surroundings) facts(c container.InspectResponse) task.Facts {
	h := c.HostConfig
	f := task.Facts{
		Privileged: h.Privileged, CapAdd: h.CapAdd, CapDrop: h.CapDrop, SecurityOpt: securityOptions(h),
		Unmasked:    !h.Privileged && h.MaskedPaths != nil && (len(h.MaskedPaths) == 0 || len(h.ReadonlyPaths) == 0),
		DeviceRules: h.DeviceCgroupRules, VolumesFrom: h.VolumesFrom,
		Network: string(h.NetworkMode), PID: string(h.PidMode), IPC: ownIPC(h.IpcMode), UTS: string(h.UTSMode),
		UserNS: string(h.UsernsMode), Cgroup: s.cgroup(h.CgroupnsMode), CgroupParent: h.CgroupParent,
		Sysctls: h.Sysctls, Annotations: len(h.Annotations), OOMScore: int64(h.OomScoreAdj),
		NoOOMKill: h.OomKillDisable != nil && *h.OomKillDisable,
		DNSSearch: h.DNSSearch, DNSOptions: h.DNSOptions, ExtraHosts: hosts(h.ExtraHosts), Links: h.Links,
		Memory: h.Memory, MemorySwap: h.MemorySwap, MemoryReservation: h.MemoryReservation, NanoCPUs: h.NanoCPUs,
		CPUSet: h.CpusetCpus, CPUShares: h.CPUShares, SharedMemory: h.ShmSize, Storage: h.StorageOpt["size"],
		OtherLimits: otherLimits(h), LogDriver: h.LogConfig.Type, LogOptions: h.LogConfig.Config,
		Restart: restart(h.RestartPolicy), Image: c.Config.Image, ReadOnly: h.ReadonlyRootfs,
	}
	if h.Runtime != s.engine.DefaultRuntime {
		f.Runtime = h.Runtime
	}
	if h.PidsLimit != nil {
		f.PIDs = *h.PidsLimit
	}
	for _, address := range h.DNS {
		f.DNS = append(f.DNS, address.String())
	}
	s.devices(&f, h)
	s.mounts(&f, c)
	s.network(&f, c)
	for _, u := range h.Ulimits {
		f.Ulimits = append(f.Ulimits, task.UlimitFact{Name: u.Name, Soft: u.Soft, Hard: u.Hard})
	}
	f.Fit()
	return f
}

// securityOptions leaves out the label that the engine gives by itself to
// containers that are not to be told apart from the machine.
func securityOptions(h *container.HostConfig) []string {
	if !h.Privileged && !h.PidMode.IsHost() && !h.IpcMode.IsHost() {
		return h.SecurityOpt
	}
	return slices.DeleteFunc(slices.Clone(h.SecurityOpt), func(o string) bool { return o == "label=disable" })
}

// ownIPC: what others may join is still the container's own.
func ownIPC(m container.IpcMode) string {
	if m.IsPrivate() || m.IsShareable() {
		return ""
	}
	return string(m)
}

// cgroup: with version 1 of control groups the engine's default is the
// machine's namespace, and a container has no choice in it.
func (s surroundings) cgroup(m container.CgroupnsMode) string {
	if m.IsPrivate() || s.engine.CgroupVersion == "1" {
		return ""
	}
	return string(m)
}

// hosts writes name:address, as the engine does, in the form of Compose.
func hosts(list []string) []string {
	var out []string
	for _, h := range list {
		out = append(out, strings.Replace(h, ":", "=", 1))
	}
	return out
}

func restart(p container.RestartPolicy) string {
	if p.IsOnFailure() && p.MaximumRetryCount > 0 {
		return string(p.Name) + ":" + strconv.Itoa(p.MaximumRetryCount)
	}
	return cmp.Or(string(p.Name), "no")
}

// otherLimits names what a project of ours never sets.
func otherLimits(h *container.HostConfig) []string {
	var out []string
	for _, l := range []struct {
		name string
		set  bool
	}{
		{"cpu-quota", h.CPUQuota != 0 || h.CPUPeriod != 0},
		{"cpu-realtime", h.CPURealtimePeriod != 0 || h.CPURealtimeRuntime != 0},
		{"cpuset-mems", h.CpusetMems != ""},
		{"cgroup", h.Cgroup != ""},
		{"volume-driver", h.VolumeDriver != "" && h.VolumeDriver != "local"},
		{"blkio", h.BlkioWeight != 0 || len(h.BlkioWeightDevice)+len(h.BlkioDeviceReadBps)+len(h.BlkioDeviceWriteBps)+len(h.BlkioDeviceReadIOps)+len(h.BlkioDeviceWriteIOps) > 0},
		{"storage-opt", len(h.StorageOpt) > 1 || len(h.StorageOpt) == 1 && h.StorageOpt["size"] == ""},
	} {
		if l.set {
			out = append(out, l.name)
		}
	}
	return out
}

func (s surroundings) devices(f *task.Facts, h *container.HostConfig) {
	for _, d := range h.Devices {
		f.Devices = append(f.Devices, task.DeviceFact{Source: d.PathOnHost, Target: d.PathInContainer, Permissions: d.CgroupPermissions})
	}
	for _, r := range h.DeviceRequests {
		fact := task.DeviceRequestFact{Driver: r.Driver, IDs: r.DeviceIDs, Options: len(r.Options)}
		for _, set := range r.Capabilities {
			for _, name := range set {
				if !slices.Contains(fact.Capabilities, name) {
					fact.Capabilities = append(fact.Capabilities, name)
				}
			}
		}
		f.DeviceRequests = append(f.DeviceRequests, fact)
	}
}

// anonymous is what the engine calls a volume that nobody named.
var anonymous = lazyregexp.New(`^[0-9a-f]{64}$`)

func (s surroundings) mounts(f *task.Facts, c container.InspectResponse) {
	sizes := map[string]int64{}
	for _, m := range c.HostConfig.Mounts {
		if m.TmpfsOptions != nil {
			sizes[m.Target] = m.TmpfsOptions.SizeBytes
		}
	}
	for _, m := range c.Mounts {
		fact := task.MountFact{Type: string(m.Type), Source: m.Source, Target: m.Destination, ReadOnly: !m.RW, Propagation: string(m.Propagation)}
		switch m.Type {
		case mount.TypeVolume:
			_, declared := c.Config.Volumes[m.Destination]
			fact.Source, fact.Driver, fact.Propagation = m.Name, m.Driver, ""
			fact.Options = s.volumes[m.Name]
			fact.Anonymous = declared && anonymous.MatchString(m.Name)
		case mount.TypeTmpfs:
			fact.Source, fact.Size = "", sizes[m.Destination]
		}
		f.Mounts = append(f.Mounts, fact)
	}
	for _, target := range slices.Sorted(maps.Keys(c.HostConfig.Tmpfs)) {
		options := c.HostConfig.Tmpfs[target]
		f.Mounts = append(f.Mounts, task.MountFact{Type: "tmpfs", Target: target, Options: options, Size: tmpfsSize(options)})
	}
	slices.SortFunc(f.Mounts, func(a, b task.MountFact) int { return cmp.Compare(a.Target, b.Target) })
}

var sizeOption = lazyregexp.New(`(?:^|,)size=([0-9]{1,15})([kmg]?)(?:,|$)`)

// tmpfsSize is 0 where the options have no size, or two.
func tmpfsSize(options string) int64 {
	found := sizeOption.FindStringSubmatch(options)
	if found == nil || strings.Count(options, "size=") != 1 {
		return 0
	}
	n, _ := strconv.ParseInt(found[1], 10, 64)
	return n * map[string]int64{"": 1, "k": 1 << 10, "m": 1 << 20, "g": 1 << 30}[found[2]]
}

func (s surroundings) network(f *task.Facts, c container.InspectResponse) {
	if c.NetworkSettings != nil {
		f.Networks = slices.Sorted(maps.Keys(c.NetworkSettings.Networks))
	}
	for port, bindings := range c.HostConfig.PortBindings {
		for _, b := range bindings {
			fact := task.PortFact{Target: int(port.Num()), Protocol: string(port.Proto()), Published: b.HostPort}
			if b.HostIP.IsValid() {
				fact.HostIP = b.HostIP.String()
			}
			f.Ports = append(f.Ports, fact)
		}
	}
	slices.SortFunc(f.Ports, func(a, b task.PortFact) int {
		return cmp.Or(cmp.Compare(a.Target, b.Target), cmp.Compare(a.Protocol, b.Protocol), cmp.Compare(a.Published, b.Published))
	})
}

// unbounded says in words which containers can fill the engine's disk: few
// storage drivers can hold a container to a size, so a render demands none.
func (s surroundings) unbounded(services []task.Service) []string {
	var names []string
	for _, svc := range services {
		if svc.Facts.Storage == "" && !svc.Facts.ReadOnly && !slices.Contains(names, svc.Name) {
			names = append(names, svc.Name)
		}
	}
	if len(names) == 0 {
		return nil
	}
	driver := s.engine.Driver
	for _, pair := range s.engine.DriverStatus {
		if pair[0] == "Backing Filesystem" {
			driver += " on " + pair[1]
		}
	}
	return []string{fmt.Sprintf("nothing bounds what these write into their own file systems (storage driver %s): %s", driver, strings.Join(names, ", "))}
}
