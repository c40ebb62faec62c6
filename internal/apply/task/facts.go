package task

import (
	"github.com/consign-dev/consign/internal/reason"
)

// Limits are what a render gives to each container that names none itself.
type Limits struct {
	// CPUs is processor time in processors.
	CPUs float64 `json:"cpus"`
	// Memory and Tmpfs (of each tmpfs without a size) are in bytes.
	Memory int64 `json:"memory"`
	Tmpfs  int64 `json:"tmpfs"`
	// PIDs is the number of processes and threads.
	PIDs int64 `json:"pids"`
	// LogFile is the size in bytes of one file of the container's log, of which
	// LogFiles are kept.
	LogFile  int64 `json:"logFile"`
	LogFiles int64 `json:"logFiles"`
	// Storage is what the container may write into its own file system, in
	// bytes; 0 sets no bound.
	Storage int64 `json:"storage,omitempty"`
}

// Check reports limits that bound nothing.
func (l Limits) Check() error {
	if l.CPUs <= 0 || l.Memory <= 0 || l.Tmpfs <= 0 || l.PIDs <= 0 || l.LogFile <= 0 || l.LogFiles <= 0 || l.Storage < 0 {
		return reason.New(reason.Malformed, "limits: cpus, memory, tmpfs, pids, logFile and logFiles must be above zero")
	}
	return nil
}

// Facts is what matters of a live container for what it can do to the machine,
// as the engine reports it. Absent means the engine's default. A policy judges
// it; what the container was once made from does not matter.
type Facts struct {
	Privileged  bool     `json:"privileged,omitempty"`
	CapAdd      []string `json:"capAdd,omitempty"`
	CapDrop     []string `json:"capDrop,omitempty"`
	SecurityOpt []string `json:"securityOpt,omitempty"`
	// Unmasked: the kernel's interfaces in /proc and /sys are not hidden, though
	// the container is not privileged.
	Unmasked bool `json:"unmasked,omitempty"`

	Devices     []DeviceFact `json:"devices,omitempty"`
	DeviceRules []string     `json:"deviceRules,omitempty"`
	// DeviceRequests are devices that a driver chooses, such as GPUs.
	DeviceRequests []DeviceRequestFact `json:"deviceRequests,omitempty"`
	Mounts         []MountFact         `json:"mounts,omitempty"`
	VolumesFrom    []string            `json:"volumesFrom,omitempty"`

	// The namespaces: "" is the container's own, "host" the machine's, anything
	// else another container's. Network is a network's name, host or none.
	Network string `json:"network,omitempty"`
	PID     string `json:"pid,omitempty"`
	IPC     string `json:"ipc,omitempty"`
	UTS     string `json:"uts,omitempty"`
	UserNS  string `json:"userns,omitempty"`
	Cgroup  string `json:"cgroup,omitempty"`

	CgroupParent string            `json:"cgroupParent,omitempty"`
	Sysctls      map[string]string `json:"sysctls,omitempty"`
	Ulimits      []UlimitFact      `json:"ulimits,omitempty"`
	Runtime      string            `json:"runtime,omitempty"`
	Annotations  int               `json:"annotations,omitempty"` // how many
	OOMScore     int64             `json:"oomScore,omitempty"`
	NoOOMKill    bool              `json:"noOomKill,omitempty"`

	// Networks are the names of the networks that it is on, and Ports what the
	// machine passes on to it.
	Networks   []string   `json:"networks,omitempty"`
	Ports      []PortFact `json:"ports,omitempty"`
	DNS        []string   `json:"dns,omitempty"`
	DNSSearch  []string   `json:"dnsSearch,omitempty"`
	DNSOptions []string   `json:"dnsOptions,omitempty"`
	// ExtraHosts are name=address, Links other containers under other names.
	ExtraHosts []string `json:"extraHosts,omitempty"`
	Links      []string `json:"links,omitempty"`

	// The limits, in bytes, 0 without one. CPUs is in billionths of a processor.
	Memory            int64  `json:"memory,omitempty"`
	MemorySwap        int64  `json:"memorySwap,omitempty"`
	MemoryReservation int64  `json:"memoryReservation,omitempty"`
	NanoCPUs          int64  `json:"nanoCpus,omitempty"`
	CPUSet            string `json:"cpuset,omitempty"`
	CPUShares         int64  `json:"cpuShares,omitempty"`
	PIDs              int64  `json:"pids,omitempty"`
	SharedMemory      int64  `json:"sharedMemory,omitempty"`
	Storage           string `json:"storage,omitempty"`
	// OtherLimits are limits in use that a Compose project of ours never has:
	// cpu-quota, cpu-realtime, blkio, storage-opt.
	OtherLimits []string `json:"otherLimits,omitempty"`

	LogDriver  string            `json:"logDriver,omitempty"`
	LogOptions map[string]string `json:"logOptions,omitempty"`
	// Restart is the restart policy as in a Compose file.
	Restart string `json:"restart,omitempty"`
	// Image is the reference that the container was made from.
	Image string `json:"image"`
	// ReadOnly: it cannot write into its own file system.
	ReadOnly bool `json:"readOnly,omitempty"`
	// Cut: there is more than these bounds hold, so the facts are not complete.
	Cut bool `json:"cut,omitempty"`
}

// DeviceFact is a device of the machine in a container.
type DeviceFact struct {
	Source      string `json:"source"`
	Target      string `json:"target"`
	Permissions string `json:"permissions"`
}

// DeviceRequestFact is a request to a device driver.
type DeviceRequestFact struct {
	Driver       string   `json:"driver,omitempty"`
	Capabilities []string `json:"capabilities,omitempty"`
	IDs          []string `json:"ids,omitempty"`
	// Options is how many there are.
	Options int `json:"options,omitempty"`
}

// MountFact is something mounted in a container.
type MountFact struct {
	// Type is bind, volume, tmpfs or another of the engine's.
	Type string `json:"type"`
	// Source is a path of the machine (bind) or the name of a volume.
	Source string `json:"source,omitempty"`
	Target string `json:"target"`
	// ReadOnly, Driver (of a volume) and Propagation (of a bind) as the engine
	// has them. Options of a tmpfs or of the volume itself, comma separated.
	ReadOnly    bool   `json:"readOnly,omitempty"`
	Driver      string `json:"driver,omitempty"`
	Propagation string `json:"propagation,omitempty"`
	Options     string `json:"options,omitempty"`
	// Size is the bound of a tmpfs in bytes, 0 without one.
	Size int64 `json:"size,omitempty"`
	// Anonymous: a volume without a name, that the image asks for.
	Anonymous bool `json:"anonymous,omitempty"`
}

// PortFact is a published port.
type PortFact struct {
	Target   int    `json:"target"`
	Protocol string `json:"protocol"`
	HostIP   string `json:"hostIp,omitempty"`
	// Published is as it was asked for: "" lets the engine choose.
	Published string `json:"published,omitempty"`
}

// UlimitFact is a resource limit of setrlimit(2).
type UlimitFact struct {
	Name string `json:"name"`
	Soft int64  `json:"soft"`
	Hard int64  `json:"hard"`
}

// MaxFactList and MaxFactText bound each list and each text of Facts. What a
// render may hold is well below; a container that somebody made by hand may be
// above, and is then cut and says so.
const (
	MaxFactList = 512
	MaxFactText = 4096
)

// Fit cuts the facts to their bounds and notes it in Cut.
func (f *Facts) Fit() {
	b := bounder{}
	b.facts(f)
	f.Cut = f.Cut || b.over
}

// Check refuses facts beyond their bounds (too-large): whoever receives some
// does not rely on the sender's Fit.
func (f *Facts) Check() error {
	b := bounder{}
	copied := *f
	b.facts(&copied)
	if b.over {
		return reason.New(reason.TooLarge, "facts of a container: a list of more than %d or a text of more than %d bytes", MaxFactList, MaxFactText)
	}
	return nil
}

// bounder looks at every list and text. It replaces slices and never changes
// their elements, so that Check can run it on a shallow copy.
type bounder struct{ over bool }

func (b *bounder) facts(f *Facts) {
	for _, list := range []*[]string{
		&f.CapAdd, &f.CapDrop, &f.SecurityOpt, &f.DeviceRules, &f.VolumesFrom, &f.Networks, &f.DNS, &f.DNSSearch,
		&f.DNSOptions, &f.ExtraHosts, &f.Links, &f.OtherLimits,
	} {
		b.texts(list)
	}
	for _, text := range []*string{
		&f.Network, &f.PID, &f.IPC, &f.UTS, &f.UserNS, &f.Cgroup, &f.CgroupParent, &f.Runtime, &f.CPUSet, &f.Storage,
		&f.LogDriver, &f.Restart, &f.Image,
	} {
		b.text(text)
	}
	b.pairs(&f.Sysctls)
	b.pairs(&f.LogOptions)
	each(b, &f.Devices, func(d *DeviceFact) { b.text(&d.Source); b.text(&d.Target); b.text(&d.Permissions) })
	each(b, &f.DeviceRequests, func(d *DeviceRequestFact) { b.text(&d.Driver); b.texts(&d.Capabilities); b.texts(&d.IDs) })
	each(b, &f.Mounts, func(m *MountFact) {
		for _, text := range []*string{&m.Type, &m.Source, &m.Target, &m.Driver, &m.Propagation, &m.Options} {
			b.text(text)
		}
	})
	each(b, &f.Ports, func(p *PortFact) { b.text(&p.Protocol); b.text(&p.HostIP); b.text(&p.Published) })
	each(b, &f.Ulimits, func(u *UlimitFact) { b.text(&u.Name) })
}

func (b *bounder) text(s *string) {
	if len(*s) > MaxFactText {
		*s, b.over = (*s)[:MaxFactText], true
	}
}

func (b *bounder) texts(list *[]string) { each(b, list, b.text) }

func (b *bounder) pairs(m *map[string]string) {
	out := make(map[string]string, len(*m))
	for name, value := range *m {
		if len(out) >= MaxFactList {
			b.over = true
			break
		}
		b.text(&name)
		b.text(&value)
		out[name] = value
	}
	if len(out) > 0 {
		*m = out
	}
}

func each[T any](b *bounder, list *[]T, element func(*T)) {
	if len(*list) > MaxFactList {
		*list, b.over = (*list)[:MaxFactList], true
	}
	out := append([]T(nil), *list...)
	for i := range out {
		element(&out[i])
	}
	*list = out
}
