package policy

import "strings"

// WorkloadGrants is what the pods of one workload may ask of the machine. Flags
// grant one thing; lists grant exactly the entries.
type WorkloadGrants struct {
	// Privileged: all capabilities, devices and no confinement. It is the machine,
	// so it stands for no other grant.
	Privileged bool `yaml:"privileged,omitempty"`
	// HostNetwork: the machine's network stack, every port and loopback of it.
	HostNetwork bool `yaml:"hostNetwork,omitempty"`
	// HostPID: sees and signals the processes of the machine.
	HostPID bool `yaml:"hostPid,omitempty"`
	// HostIPC: shares System V IPC and POSIX queues with the machine.
	HostIPC bool `yaml:"hostIpc,omitempty"`
	// UnmaskedProc: sees what runtimes hide of /proc.
	UnmaskedProc bool `yaml:"unmaskedProc,omitempty"`
	// Root: may run as root where the level is restricted.
	Root bool `yaml:"root,omitempty"`
	// PrivilegeEscalation: programs may gain more rights than their parent has,
	// where the level is restricted.
	PrivilegeEscalation bool `yaml:"privilegeEscalation,omitempty"`
	// DefaultCapabilities: need not drop all capabilities where the level is
	// restricted.
	DefaultCapabilities bool `yaml:"defaultCapabilities,omitempty"`
	// DefaultSeccomp: need not name a seccomp profile where the level is restricted.
	DefaultSeccomp bool `yaml:"defaultSeccomp,omitempty"`
	// Capabilities beyond those of the level, as in capabilities(7), without CAP_,
	// never ALL.
	Capabilities []string `yaml:"capabilities,omitempty"`
	// HostPaths are path:ro or path:rw. The path is covered alone, not what is
	// below it; rw covers ro.
	HostPaths []string `yaml:"hostPaths,omitempty"`
	// HostPorts are ports on the node, such as 80/tcp.
	HostPorts []string `yaml:"hostPorts,omitempty"`
	// Sysctls are name=value, of those that the kernel keeps per container.
	Sysctls []string `yaml:"sysctls,omitempty"`
	// SecurityOpt are seccomp=unconfined, apparmor=unconfined, and label=type:NAME,
	// label=user:NAME and label=role:NAME of SELinux.
	SecurityOpt []string `yaml:"securityOpt,omitempty"`
	// ExtraHosts are name=address.
	ExtraHosts []string `yaml:"extraHosts,omitempty"`
	// DNS are addresses of name servers.
	DNS []string `yaml:"dns,omitempty"`
	// DNSSearch are search domains.
	DNSSearch []string `yaml:"dnsSearch,omitempty"`
	// DNSOptions are options of resolv.conf(5).
	DNSOptions []string `yaml:"dnsOptions,omitempty"`
	// ProbeHosts are hosts that probes and lifecycle handlers may call from the
	// node.
	ProbeHosts []string `yaml:"probeHosts,omitempty"`
	// Nodes are names of nodes that a pod may be put on without the scheduler.
	Nodes []string `yaml:"nodes,omitempty"`
	// Tolerations are key:effect or key=value:effect of taints; "*" is any.
	Tolerations []string `yaml:"tolerations,omitempty"`
	// PriorityClasses, RuntimeClasses and Schedulers are names of the cluster's.
	PriorityClasses []string `yaml:"priorityClasses,omitempty"`
	RuntimeClasses  []string `yaml:"runtimeClasses,omitempty"`
	Schedulers      []string `yaml:"schedulers,omitempty"`
	// ExtendedResources are such as nvidia.com/gpu or hugepages-2Mi.
	ExtendedResources []string `yaml:"extendedResources,omitempty"`
	// CSIDrivers are drivers of volumes that are written into the pod.
	CSIDrivers []string `yaml:"csiDrivers,omitempty"`
	// NFS are server:/path of network shares.
	NFS []string `yaml:"nfs,omitempty"`
	// TokenAudiences are for whom the pod may have tokens of its service account,
	// besides the API server.
	TokenAudiences []string `yaml:"tokenAudiences,omitempty"`
}

// workloadKinds make pods.
var workloadKinds = []string{"Pod", "Deployment", "StatefulSet", "DaemonSet", "ReplicaSet", "Job", "CronJob"}

// objectName is the name of an object that the cluster has or not.
const objectName = `^[a-z0-9]([a-z0-9.-]{0,251}[a-z0-9])?$`

// workloadTable are the fields of WorkloadGrants by their names in the document.
var workloadTable = grantTable[WorkloadGrants]{
	"privileged":          flagKind(func(s *WorkloadGrants) *bool { return &s.Privileged }),
	"hostNetwork":         flagKind(func(s *WorkloadGrants) *bool { return &s.HostNetwork }),
	"hostPid":             flagKind(func(s *WorkloadGrants) *bool { return &s.HostPID }),
	"hostIpc":             flagKind(func(s *WorkloadGrants) *bool { return &s.HostIPC }),
	"unmaskedProc":        flagKind(func(s *WorkloadGrants) *bool { return &s.UnmaskedProc }),
	"root":                flagKind(func(s *WorkloadGrants) *bool { return &s.Root }),
	"privilegeEscalation": flagKind(func(s *WorkloadGrants) *bool { return &s.PrivilegeEscalation }),
	"defaultCapabilities": flagKind(func(s *WorkloadGrants) *bool { return &s.DefaultCapabilities }),
	"defaultSeccomp":      flagKind(func(s *WorkloadGrants) *bool { return &s.DefaultSeccomp }),
	"capabilities":        {list: func(s *WorkloadGrants) *[]string { return &s.Capabilities }, fault: capabilityFault},
	"hostPaths":           {list: func(s *WorkloadGrants) *[]string { return &s.HostPaths }, fault: hostPathFault, covers: hostPathCovers},
	"hostPorts":           {list: func(s *WorkloadGrants) *[]string { return &s.HostPorts }, fault: portFault},
	"sysctls":             {list: func(s *WorkloadGrants) *[]string { return &s.Sysctls }, fault: sysctlFault},
	"securityOpt": listKind(func(s *WorkloadGrants) *[]string { return &s.SecurityOpt },
		`^(seccomp=unconfined|apparmor=unconfined|label=(type|user|role):[A-Za-z0-9_.-]{1,64})$`,
		"only seccomp=unconfined, apparmor=unconfined, label=type:…, label=user:… and label=role:…"),
	"extraHosts": {list: func(s *WorkloadGrants) *[]string { return &s.ExtraHosts }, fault: extraHostFault},
	"dns":        {list: func(s *WorkloadGrants) *[]string { return &s.DNS }, fault: addressFault},
	"dnsSearch":  {list: func(s *WorkloadGrants) *[]string { return &s.DNSSearch }, fault: domainFault},
	"dnsOptions": {list: func(s *WorkloadGrants) *[]string { return &s.DNSOptions }, fault: resolverFault},
	"probeHosts": listKind(func(s *WorkloadGrants) *[]string { return &s.ProbeHosts },
		`^[A-Za-z0-9:.-]{1,253}$`, "only a host name or address"),
	"nodes": listKind(func(s *WorkloadGrants) *[]string { return &s.Nodes }, objectName, "only the name of a node"),
	"tolerations": listKind(func(s *WorkloadGrants) *[]string { return &s.Tolerations },
		`^(\*|[A-Za-z0-9][A-Za-z0-9./_-]{0,315}(=[A-Za-z0-9._-]{0,63})?):(\*|NoSchedule|PreferNoSchedule|NoExecute)$`,
		"only key:effect or key=value:effect of a taint; * is any key or effect"),
	// system-node-critical and system-cluster-critical evict what the cluster needs.
	"priorityClasses": {list: func(s *WorkloadGrants) *[]string { return &s.PriorityClasses }, fault: priorityFault},
	"runtimeClasses":  listKind(func(s *WorkloadGrants) *[]string { return &s.RuntimeClasses }, objectName, "only the name of a runtime class"),
	"schedulers":      listKind(func(s *WorkloadGrants) *[]string { return &s.Schedulers }, objectName, "only the name of a scheduler"),
	"extendedResources": listKind(func(s *WorkloadGrants) *[]string { return &s.ExtendedResources },
		`^([a-z0-9][a-z0-9.-]{0,252}/[A-Za-z0-9._-]{1,63}|hugepages-[1-9][0-9]{0,5}[KMG]i)$`, "only an extended resource such as nvidia.com/gpu, or hugepages"),
	"csiDrivers": listKind(func(s *WorkloadGrants) *[]string { return &s.CSIDrivers }, objectName, "only the name of a CSI driver"),
	"nfs": listKind(func(s *WorkloadGrants) *[]string { return &s.NFS },
		`^[A-Za-z0-9.-]{1,253}:/[^\x00-\x1f:]*$`, "only server:/path"),
	"tokenAudiences": listKind(func(s *WorkloadGrants) *[]string { return &s.TokenAudiences }, `^[!-~]{1,253}$`, "only an audience without spaces"),
}

var ordinaryName = unless(objectName, "only the name of a priority class")

func priorityFault(value string) string {
	if strings.HasPrefix(value, "system-") {
		return "it is for what the cluster itself needs, and evicts everything else"
	}
	return ordinaryName(value)
}
