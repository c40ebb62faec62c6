package policy

import (
	"path"
	"slices"
	"strconv"
	"strings"

	"github.com/consign-dev/consign/internal/lazyregexp"
)

// What of the machine can be granted by name: paths, devices, capabilities,
// ports. A fault says why something cannot be, whoever signs it.

// engineSockets are the two spellings of the Docker engine's socket, which has
// a grant of its own.
var engineSockets = []string{"/var/run/docker.sock", "/run/docker.sock"}

// protected are the trees that no host path reaches, nor any directory that
// holds one of them: kernel interfaces (devices have their own grant), the
// engine's sockets and files, those of a Kubernetes node, and the state and log
// of the agent itself.
var protected = []string{
	"/proc", "/sys", "/dev",
	"/run/docker.sock", "/run/docker", "/run/containerd", "/run/podman", "/run/crio", "/run/systemd", "/run/dbus",
	"/var/lib/docker", "/var/lib/containerd", "/var/lib/containers", "/var/lib/consign", "/run/consign",
	"/etc/docker", "/etc/consign",
	"/var/lib/kubelet", "/etc/kubernetes", "/var/lib/etcd", "/var/lib/cni", "/etc/cni", "/opt/cni",
	"/var/lib/rancher", "/etc/rancher", "/run/k3s", "/run/flannel", "/var/lib/k0s", "/var/snap/microk8s",
}

func splitMode(s string) (string, string) {
	i := strings.LastIndexByte(s, ':')
	if i < 0 {
		return s, ""
	}
	return s[:i], s[i+1:]
}

func hostPathFault(value string) string {
	p, mode := splitMode(value)
	switch {
	case mode != "ro" && mode != "rw":
		return "only path:ro or path:rw"
	case len(p) > maxGrantBytes || !plainPath(p):
		return "only an absolute path in its shortest form, without colons, '..' and control characters"
	}
	return protectedFault(p, protected)
}

// plainPath: what Clean would change, another reader may read differently.
func plainPath(p string) bool {
	return strings.HasPrefix(p, "/") && path.Clean(p) == p && !strings.ContainsFunc(p, func(r rune) bool { return r < ' ' || r == 0x7f || r == ':' })
}

// protectedFault reports that p is one of the trees, is inside one, or holds one.
func protectedFault(p string, trees []string) string {
	p = runPath(p)
	for _, tree := range trees {
		tree = runPath(path.Clean(tree))
		if p == tree || p == "/" || strings.HasPrefix(p, tree+"/") || strings.HasPrefix(tree, p+"/") {
			return "it is, holds or is part of " + tree + ", which no host path reaches"
		}
	}
	return ""
}

// runPath spells /var/run, a link on every present system, as what it is.
func runPath(p string) string {
	if p == "/var/run" || strings.HasPrefix(p, "/var/run/") {
		return strings.TrimPrefix(p, "/var")
	}
	return p
}

// hostPathCovers: the same path, alone. A path below it would be reached
// through whatever links lie between.
func hostPathCovers(granted, value string) bool {
	path, mode := splitMode(value)
	have, may := splitMode(granted)
	return have == path && (may == mode || may == "rw")
}

// neverDevices are names and beginnings of names (with "*") below /dev that are
// never granted: memory and kernel, disks and flash (raw access reads and
// writes every file of the machine), keys, the machine's own terminals, and
// directories that reach other devices by number or link.
var neverDevices = append([]string{
	"mem", "kmem", "port", "kmsg", "nvram", "cpu/*", "mcelog", "cpu_dma_latency",
	"sd*", "hd*", "vd*", "xvd*", "nvme*", "ng*", "mmcblk*", "dm-*", "md*", "loop*", "ram*", "zram*", "sr*", "sg*", "bsg/*", "nbd*", "rbd*",
	"mtd*", "ubi*", "disk/*", "mapper/*", "block/*", "char/*", "pmem*", "dax*", "raw/*", "bcache*", "drbd*", "btrfs-control",
	"tpm*", "watchdog*",
	"console", "tty", "ptmx", "pts/*", "vcs*", "fd/*", "shm/*", "mqueue/*", "hugepages/*", "stdin", "stdout", "stderr", "core",
}, consoles()...)

// consoles are tty0 to tty63; ttyS0 and ttyUSB0 are serial ports.
func consoles() []string {
	var out []string
	for digit := range 10 {
		out = append(out, "tty"+strconv.Itoa(digit)+"*")
	}
	return out
}

var devicePattern = lazyregexp.New(`^/dev/([A-Za-z0-9_.,+-]+/)*([A-Za-z0-9_.,+-]+\*?|\*):r?w?m?$`)

func deviceFault(value string) string {
	p, permissions := splitMode(value)
	if len(value) > maxGrantBytes || permissions == "" || !devicePattern.MatchString(value) || path.Clean(p) != p || climbs(strings.TrimSuffix(p, "*")) {
		return "only /dev/…:permissions, the permissions some of rwm in this order; the last segment of the path may end in *"
	}
	name := strings.TrimPrefix(p, "/dev/")
	for _, other := range neverDevices {
		if overlap(name, other) {
			return "it is or covers /dev/" + other + ", which is the machine's own"
		}
	}
	return ""
}

// overlap reports whether two names, each with an optional "*" at its end,
// have a name in common. A directory overlaps what is in it: the engine takes
// a directory for all its devices.
func overlap(a, b string) bool {
	beginA, manyA := strings.CutSuffix(a, "*")
	beginB, manyB := strings.CutSuffix(b, "*")
	switch {
	case manyA && manyB:
		return strings.HasPrefix(beginA, beginB) || strings.HasPrefix(beginB, beginA)
	case manyA:
		return strings.HasPrefix(beginB, beginA)
	case manyB:
		return strings.HasPrefix(beginA, beginB) || beginA+"/" == beginB
	default:
		return a == b
	}
}

func deviceCovers(granted, value string) bool {
	have, may := splitMode(granted)
	name, wanted := splitMode(value)
	for _, p := range wanted {
		if !strings.ContainsRune(may, p) {
			return false
		}
	}
	begin, many := strings.CutSuffix(have, "*")
	if !many {
		return have == name
	}
	rest, ok := strings.CutPrefix(name, begin)
	return ok && !strings.Contains(rest, "/")
}

var deviceRulePattern = lazyregexp.New(`^c ([0-9]{1,4}):([0-9]{1,7}|\*) r?w?m?$`)

// deviceRuleFault: character devices of a named driver only. Block devices are
// disks; the majors that are left out are those of neverDevices, and 10, where
// unlike devices share a number (linux/Documentation/admin-guide/devices.txt).
func deviceRuleFault(value string) string {
	found := deviceRulePattern.FindStringSubmatch(value)
	if found == nil || strings.HasSuffix(value, " ") {
		return "only character devices, written as c MAJOR:MINOR rwm with a numeric major"
	}
	major, minor := number(found[1]), number(found[2])
	console := major == 4 && minor < 64 // and "*", of which number makes 0
	if console || slices.Contains([]int64{1, 5, 7, 10, 21, 90, 202, 203}, major) || major >= 136 && major <= 143 {
		return "this number is of memory, terminals, disks or unlike devices; grant a device by name"
	}
	return ""
}

// capabilities are those of capabilities(7).
var capabilities = strings.Fields(`AUDIT_CONTROL AUDIT_READ AUDIT_WRITE BLOCK_SUSPEND BPF CHECKPOINT_RESTORE CHOWN DAC_OVERRIDE
	DAC_READ_SEARCH FOWNER FSETID IPC_LOCK IPC_OWNER KILL LEASE LINUX_IMMUTABLE MAC_ADMIN MAC_OVERRIDE MKNOD NET_ADMIN
	NET_BIND_SERVICE NET_BROADCAST NET_RAW PERFMON SETFCAP SETGID SETPCAP SETUID SYSLOG SYS_ADMIN SYS_BOOT SYS_CHROOT
	SYS_MODULE SYS_NICE SYS_PACCT SYS_PTRACE SYS_RAWIO SYS_RESOURCE SYS_TIME SYS_TTY_CONFIG WAKE_ALARM`)

func capabilityFault(value string) string {
	if !slices.Contains(capabilities, value) {
		return "only the name of a capability, such as NET_ADMIN; ALL is written out, or is privileged"
	}
	return ""
}

// engineCapability is the one spelling of a capability: the engine accepts any
// case, with and without CAP_.
func engineCapability(s string) string { return strings.TrimPrefix(strings.ToUpper(s), "CAP_") }

// portRange is ports that a policy keeps for others.
type portRange struct {
	low, high int64
	protocol  string
}

var (
	portPattern  = lazyregexp.New(`^([1-9][0-9]{0,4})/(tcp|udp)$`)
	rangePattern = lazyregexp.New(`^([1-9][0-9]{0,4})(?:-([1-9][0-9]{0,4}))?/(tcp|udp)$`)
)

func portFault(value string) string {
	found := portPattern.FindStringSubmatch(value)
	if found == nil || number(found[1]) > 65535 {
		return "only one port and its protocol, such as 80/tcp"
	}
	return ""
}

// parsePorts reads an entry of a policy's reservedPorts.
func parsePorts(s string) (portRange, bool) {
	found := rangePattern.FindStringSubmatch(s)
	if found == nil {
		return portRange{}, false
	}
	r := portRange{number(found[1]), number(found[1]), found[3]}
	if found[2] != "" {
		r.high = number(found[2])
	}
	return r, r.low <= r.high && r.high <= 65535
}

// number is of at most five digits.
func number(digits string) int64 {
	n, _ := strconv.ParseInt(digits, 10, 64)
	return n
}
