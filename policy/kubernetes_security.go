package policy

import (
	"slices"
	"strings"
)

// The Pod Security Standards (Kubernetes 1.37), level "baseline" for everything
// and "restricted" where the policy says so. What is beyond the level needs a
// grant of the workload.

var kubePodSecurity = members(keysOf{
	"seLinuxOptions":           granted("securityOpt", kubeSELinux),
	"windowsOptions":           never("for Windows"),
	"runAsUser":                granted("root", kubeUser),
	"runAsGroup":               harmless(between(0, 1<<31)),
	"runAsNonRoot":             granted("root", flag), // restrictedPod
	"supplementalGroups":       harmless(listOf(between(0, 1<<31))),
	"supplementalGroupsPolicy": harmless(oneOf("Merge", "Strict")),
	"fsGroup":                  harmless(between(0, 1<<31)),
	"fsGroupChangePolicy":      harmless(oneOf("OnRootMismatch", "Always")),
	"seLinuxChangePolicy":      harmless(oneOf("MountOption", "Recursive")),
	"sysctls":                  granted("sysctls", listOf(kubeSysctl)),
	"seccompProfile":           granted("securityOpt", kubeProfile("seccomp")),
	"appArmorProfile":          granted("securityOpt", kubeProfile("apparmor")),
})

var kubeSecurity = members(keysOf{
	"privileged": granted("privileged", byFlag("privileged")),
	"capabilities": granted("capabilities", members(keysOf{
		"add":  granted("capabilities", listOf(kubeCapability)),
		"drop": harmless(listOf(text)),
	})),
	"allowPrivilegeEscalation": granted("privilegeEscalation", flag), // restrictedPod
	"procMount":                granted("unmaskedProc", kubeProcMount),
	"readOnlyRootFilesystem":   harmless(flag),
	"seLinuxOptions":           granted("securityOpt", kubeSELinux),
	"windowsOptions":           never("for Windows"),
	"runAsUser":                granted("root", kubeUser),
	"runAsGroup":               harmless(between(0, 1<<31)),
	"runAsNonRoot":             granted("root", flag), // restrictedPod
	"seccompProfile":           granted("securityOpt", kubeProfile("seccomp")),
	"appArmorProfile":          granted("securityOpt", kubeProfile("apparmor")),
})

// demand is want with what would do without the grant.
func (w *walk) demand(at place, must, grant string) {
	if h, _ := w.grants.holder(w.owner); !h.covered(grant, "") {
		w.record(ask{at: at, rule: must + ", or needs the grant " + grant, need: need{owner: w.owner, grant: grant}})
	}
}

// ordinaryCapabilities are those that runtimes give to every container, without
// NET_RAW.
var ordinaryCapabilities = strings.Fields(`AUDIT_WRITE CHOWN DAC_OVERRIDE FOWNER FSETID KILL MKNOD NET_BIND_SERVICE SETFCAP SETGID SETPCAP SETUID SYS_CHROOT`)

var kubeCapability = rule{check: func(w *walk, at place, v any) {
	s, ok := v.(string)
	// The standard has one spelling; runtimes take others for the same.
	ordinary := slices.Contains(ordinaryCapabilities, s)
	if w.chart.restricted {
		ordinary = s == "NET_BIND_SERVICE"
	}
	switch {
	case !ok:
		w.ask(at, "must be text", show(v))
	case !ordinary:
		w.want(at, "capabilities", engineCapability(s))
	}
}}

// kubeUser: root is for the level baseline, or inside of a user namespace.
var kubeUser = rule{check: func(w *walk, at place, v any) {
	n, ok := whole(v)
	switch {
	case !ok || n < 0 || n >= 1<<31:
		w.ask(at, "must be the number of a user", show(v))
	case n == 0 && w.chart.restricted && !w.chart.userNamespace:
		w.demand(at, "must not be 0", "root")
	}
}}

var kubeProcMount = rule{check: func(w *walk, at place, v any) {
	switch v {
	case "Default":
	case "Unmasked":
		if w.chart.restricted || !w.chart.userNamespace {
			w.want(at, "unmaskedProc", "")
		}
	default:
		w.ask(at, "must be Default or Unmasked", show(v))
	}
}}

// kubeSELinux: types that confine; a user or role of one's own could be any.
var kubeSELinux = members(keysOf{
	"level": harmless(text),
	"type":  granted("securityOpt", seLinux("type", "", "container_t", "container_init_t", "container_kvm_t", "container_engine_t")),
	"user":  granted("securityOpt", seLinux("user", "")),
	"role":  granted("securityOpt", seLinux("role", "")),
})

func seLinux(part string, harmless ...string) rule {
	return rule{check: func(w *walk, at place, v any) {
		s, ok := v.(string)
		switch {
		case !ok:
			w.ask(at, "must be text", show(v))
		case !slices.Contains(harmless, s):
			w.want(at, "securityOpt", "label="+part+":"+s)
		}
	}}
}

// kubeProfile is a seccomp or AppArmor profile. Localhost names one that the
// operator has put on the node.
func kubeProfile(of string) rule {
	return members(keysOf{
		"type": granted("securityOpt", rule{check: func(w *walk, at place, v any) {
			switch v {
			case "RuntimeDefault", "Localhost":
			case "Unconfined":
				w.want(at, "securityOpt", of+"=unconfined")
			default:
				w.ask(at, "must be RuntimeDefault, Localhost or Unconfined", show(v))
			}
		}}),
		"localhostProfile": harmless(containerFile),
	}, "type")
}

// safeSysctls are the namespaced ones that reach no other pod.
var safeSysctls = strings.Fields(`kernel.shm_rmid_forced net.ipv4.ip_local_port_range net.ipv4.tcp_syncookies net.ipv4.ping_group_range
	net.ipv4.ip_unprivileged_port_start net.ipv4.ip_local_reserved_ports net.ipv4.tcp_keepalive_time net.ipv4.tcp_fin_timeout
	net.ipv4.tcp_keepalive_intvl net.ipv4.tcp_keepalive_probes net.ipv4.tcp_rmem net.ipv4.tcp_wmem
	net.ipv4.tcp_slow_start_after_idle net.ipv4.tcp_notsent_lowat`)

var kubeSysctl = also(members(keysOf{
	"name":  harmless(text),
	"value": harmless(text),
}, "name", "value"), func(w *walk, at place, sysctl map[string]any) {
	name, _ := sysctl["name"].(string)
	value, ok := sysctl["value"].(string)
	// Kubernetes takes a slash for a dot.
	if name = strings.ReplaceAll(name, "/", "."); ok && !slices.Contains(safeSysctls, name) {
		w.want(at, "sysctls", name+"="+value)
	}
})

// restrictedPod demands what the level restricted wants to be said.
func restrictedPod(w *walk, at place, spec map[string]any) {
	if !w.chart.restricted {
		return
	}
	pod := sub(spec, "securityContext")
	if pod["runAsNonRoot"] == false && !w.chart.userNamespace {
		w.demand(at.key("securityContext").key("runAsNonRoot"), "must be true", "root")
	}
	for _, list := range containersOf {
		for i, container := range each(spec, list) {
			w.restrictedContainer(at.key(list).index(i).key("securityContext"), pod, sub(container, "securityContext"))
		}
	}
}

func (w *walk) restrictedContainer(at place, pod, own map[string]any) {
	if own["allowPrivilegeEscalation"] != false {
		w.demand(at.key("allowPrivilegeEscalation"), "must be false", "privilegeEscalation")
	}
	if drop, _ := sub(own, "capabilities")["drop"].([]any); !slices.Contains(drop, any("ALL")) {
		w.demand(at.key("capabilities").key("drop"), "must have ALL", "defaultCapabilities")
	}
	nonRoot := own["runAsNonRoot"]
	if nonRoot == nil {
		nonRoot = pod["runAsNonRoot"]
	}
	if nonRoot != true && !w.chart.userNamespace {
		w.demand(at.key("runAsNonRoot"), "must be true", "root")
	}
	if own["seccompProfile"] == nil && pod["seccompProfile"] == nil {
		w.demand(at.key("seccompProfile"), "must be RuntimeDefault or Localhost", "defaultSeccomp")
	}
}
