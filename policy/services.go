package policy

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/consign-dev/consign/internal/lazyregexp"
	"github.com/consign-dev/consign/internal/margo"
)

// ServiceGrants is what one Compose service may ask of the machine. Flags
// grant one thing; lists grant exactly the entries, each of which is
// compared whole (devices and host paths: see there).
type ServiceGrants struct {
	// Privileged: all capabilities, devices and no confinement. It is the
	// machine, so it stands for no other grant: what else the service asks for
	// is still named.
	Privileged bool `yaml:"privileged,omitempty"`
	// HostNetwork: the machine's network stack, every port and loopback of it.
	HostNetwork bool `yaml:"hostNetwork,omitempty"`
	// HostPID: sees and signals the processes of the machine.
	HostPID bool `yaml:"hostPid,omitempty"`
	// HostIPC: shares System V IPC and POSIX queues with the machine.
	HostIPC bool `yaml:"hostIpc,omitempty"`
	// HostUTS: the machine's host name, and with a capability, setting it.
	HostUTS bool `yaml:"hostUts,omitempty"`
	// HostUserNS: no user namespace on an engine that remaps users.
	HostUserNS bool `yaml:"hostUserns,omitempty"`
	// HostCgroup: sees the machine's control groups.
	HostCgroup bool `yaml:"hostCgroup,omitempty"`
	// EngineSocket: mounts the engine's socket. Whoever has it has the machine.
	EngineSocket bool `yaml:"engineSocket,omitempty"`
	// GPUs: device requests with the capability gpu.
	GPUs bool `yaml:"gpus,omitempty"`
	// Capabilities as in capabilities(7), without CAP_, never ALL.
	Capabilities []string `yaml:"capabilities,omitempty"`
	// Devices are path:permissions, such as /dev/ttyUSB0:rw. The last segment
	// of the path may end in "*"; permissions are some of r, w and m.
	Devices []string `yaml:"devices,omitempty"`
	// DeviceRules are device_cgroup_rules, such as "c 188:* rw".
	DeviceRules []string `yaml:"deviceRules,omitempty"`
	// HostPaths are path:ro or path:rw. The path is covered alone, not what is
	// below it; rw covers ro.
	HostPaths []string `yaml:"hostPaths,omitempty"`
	// Ports are published ports below 1024 or reserved ones, such as 80/tcp.
	Ports []string `yaml:"ports,omitempty"`
	// Sysctls are name=value, of those that the kernel keeps per container.
	Sysctls []string `yaml:"sysctls,omitempty"`
	// SecurityOpt are such as seccomp=unconfined or apparmor=NAME.
	SecurityOpt []string `yaml:"securityOpt,omitempty"`
	// Ulimits are name=soft:hard.
	Ulimits []string `yaml:"ulimits,omitempty"`
	// Runtimes are names of runtimes that the engine knows, such as nvidia.
	Runtimes []string `yaml:"runtimes,omitempty"`
	// CPUSets are lists of processors, such as 2-3.
	CPUSets []string `yaml:"cpusets,omitempty"`
	// ContainerNames are fixed names in the engine, which all applications share.
	ContainerNames []string `yaml:"containerNames,omitempty"`
	// ExtraHosts are name=address.
	ExtraHosts []string `yaml:"extraHosts,omitempty"`
	// DNS are addresses of name servers.
	DNS []string `yaml:"dns,omitempty"`
	// DNSSearch are search domains.
	DNSSearch []string `yaml:"dnsSearch,omitempty"`
	// DNSOptions are options of resolv.conf(5).
	DNSOptions []string `yaml:"dnsOptions,omitempty"`
	// LogDrivers are log drivers other than json-file and local.
	LogDrivers []string `yaml:"logDrivers,omitempty"`
	// LogOptions are name=value options of such a driver: where it sends to.
	LogOptions []string `yaml:"logOptions,omitempty"`
}

// serviceName is what Compose accepts.
var serviceName = lazyregexp.New(`^[A-Za-z0-9._-]{1,200}$`)

// grantKinds are the fields of ServiceGrants by their names in the document.
var grantKinds = grantTable[ServiceGrants]{
	"privileged":   flagKind(func(s *ServiceGrants) *bool { return &s.Privileged }),
	"hostNetwork":  flagKind(func(s *ServiceGrants) *bool { return &s.HostNetwork }),
	"hostPid":      flagKind(func(s *ServiceGrants) *bool { return &s.HostPID }),
	"hostIpc":      flagKind(func(s *ServiceGrants) *bool { return &s.HostIPC }),
	"hostUts":      flagKind(func(s *ServiceGrants) *bool { return &s.HostUTS }),
	"hostUserns":   flagKind(func(s *ServiceGrants) *bool { return &s.HostUserNS }),
	"hostCgroup":   flagKind(func(s *ServiceGrants) *bool { return &s.HostCgroup }),
	"engineSocket": flagKind(func(s *ServiceGrants) *bool { return &s.EngineSocket }),
	"gpus":         flagKind(func(s *ServiceGrants) *bool { return &s.GPUs }),
	"capabilities": {list: func(s *ServiceGrants) *[]string { return &s.Capabilities }, fault: capabilityFault},
	"devices":      {list: func(s *ServiceGrants) *[]string { return &s.Devices }, fault: deviceFault, covers: deviceCovers},
	"deviceRules":  {list: func(s *ServiceGrants) *[]string { return &s.DeviceRules }, fault: deviceRuleFault},
	"hostPaths":    {list: func(s *ServiceGrants) *[]string { return &s.HostPaths }, fault: hostPathFault, covers: hostPathCovers},
	"ports":        {list: func(s *ServiceGrants) *[]string { return &s.Ports }, fault: portFault},
	"sysctls":      {list: func(s *ServiceGrants) *[]string { return &s.Sysctls }, fault: sysctlFault},
	"securityOpt": listKind(func(s *ServiceGrants) *[]string { return &s.SecurityOpt },
		`^(seccomp=unconfined|systempaths=unconfined|apparmor=[A-Za-z0-9_.-]+|label=[a-z]+(:[A-Za-z0-9_.:,-]+)?)$`,
		"only seccomp=unconfined, systempaths=unconfined, apparmor=NAME and label=…; a profile in a file would be read from the device"),
	"ulimits": listKind(func(s *ServiceGrants) *[]string { return &s.Ulimits },
		`^[a-z]{1,20}=(-1|[0-9]{1,19}):(-1|[0-9]{1,19})$`, "only name=soft:hard"),
	"runtimes": listKind(func(s *ServiceGrants) *[]string { return &s.Runtimes },
		`^[A-Za-z0-9][A-Za-z0-9_.-]{0,63}$`, "only the name of a runtime that the engine knows"),
	"cpusets": listKind(func(s *ServiceGrants) *[]string { return &s.CPUSets },
		`^[0-9]{1,4}(-[0-9]{1,4})?(,[0-9]{1,4}(-[0-9]{1,4})?)*$`, "only a list of processors such as 2-3"),
	"containerNames": listKind(func(s *ServiceGrants) *[]string { return &s.ContainerNames },
		`^[A-Za-z0-9][A-Za-z0-9_.-]{0,200}$`, "only a name of the engine's form"),
	"extraHosts": {list: func(s *ServiceGrants) *[]string { return &s.ExtraHosts }, fault: extraHostFault},
	"dns":        {list: func(s *ServiceGrants) *[]string { return &s.DNS }, fault: addressFault},
	"dnsSearch":  {list: func(s *ServiceGrants) *[]string { return &s.DNSSearch }, fault: domainFault},
	"dnsOptions": {list: func(s *ServiceGrants) *[]string { return &s.DNSOptions }, fault: resolverFault},
	"logDrivers": listKind(func(s *ServiceGrants) *[]string { return &s.LogDrivers },
		`^[a-z0-9][a-z0-9_.-]{0,63}$`, "only the name of a log driver"),
	"logOptions": listKind(func(s *ServiceGrants) *[]string { return &s.LogOptions },
		`^[a-z0-9][a-z0-9_.-]{0,63}=[^\x00-\x1f]*$`, "only name=value"),
}

// Faults of what a Compose service and a Kubernetes workload can both be granted.
var (
	sysctlFault = unless(`^(net\.[a-zA-Z0-9_.-]+|kernel\.(shm[a-z_]+|msg[a-z]+|sem)|fs\.mqueue\.[a-z_]+)=[^\x00-\x1f]+$`,
		"only name=value of net.*, kernel.shm*, kernel.msg*, kernel.sem and fs.mqueue.*, which the kernel keeps per container")
	extraHostFault = unless(`^[A-Za-z0-9_.-]{1,253}=(host-gateway|[0-9A-Fa-f.:]{2,45})$`, "only name=address, the address a number or host-gateway")
	addressFault   = unless(`^[0-9A-Fa-f.:]{2,45}$`, "only the address of a name server")
	domainFault    = unless(`^[A-Za-z0-9_.-]{1,253}$`, "only a domain")
	resolverFault  = unless(`^[a-z0-9-]{1,64}(:[0-9]{1,4})?$`, "only an option of resolv.conf")
)

func (g Grants) validate() error {
	for _, name := range slices.Sorted(maps.Keys(g.Compose)) {
		if !serviceName.MatchString(name) {
			return fmt.Errorf("grants.compose: %.100q is not the name of a Compose service; patterns are not allowed", name)
		}
		s := g.Compose[name]
		if err := s.validate(); err != nil {
			return fmt.Errorf("grants.compose.%s.%w", name, err)
		}
	}
	if err := g.Kubernetes.validate(); err != nil {
		return fmt.Errorf("grants.kubernetes.%w", err)
	}
	for i, name := range g.Secrets {
		if !margo.ValidSecretName(name) || slices.Contains(g.Secrets[:i], name) {
			return fmt.Errorf("grants.secrets[%d]: %.100q is not the name of a secret, or is there twice: 1 to 64 of a-z, 0-9, dot, _ and -", i, name)
		}
	}
	if err := g.Limits.validate(); err != nil {
		return fmt.Errorf("grants.limits.%w", err)
	}
	return nil
}

func (s *ServiceGrants) validate() error {
	if err := grantKinds.validate(s); err != nil {
		return err
	}
	return nestedPaths(s.HostPaths)
}

// nestedPaths refuses a path below one that the application may write to: there
// it could leave a link to any place of the machine, and the engine follows it.
func nestedPaths(hostPaths []string) error {
	for i, inner := range hostPaths {
		path, _ := splitMode(inner)
		for j, outer := range hostPaths {
			if dir, mode := splitMode(outer); mode == "rw" && strings.HasPrefix(path, dir+"/") {
				return fmt.Errorf("hostPaths[%d]: %.200q is below hostPaths[%d], where the application can write and so put a link to anywhere", i, path, j)
			}
		}
	}
	return nil
}
