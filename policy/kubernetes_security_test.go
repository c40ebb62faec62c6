package policy_test

import (
	"strings"
	"testing"

	"github.com/consign-dev/consign/internal/reason"
	"github.com/consign-dev/consign/policy"
)

// restrictedSecurity and restrictedContainer are what the level restricted demands.
const (
	restrictedSecurity  = "runAsNonRoot: true, seccompProfile: {type: RuntimeDefault}"
	restrictedContainer = "allowPrivilegeEscalation: false, capabilities: {drop: [ALL]}"
)

// control is one line of the Pod Security Standards: what a pod says, and at which
// levels that may be.
type control struct {
	name                 string
	pod, container       string // lines of the pod; lines of its securityContext
	baseline, restricted bool
	want                 string
}

// The controls of both levels (Kubernetes, Pod Security Standards), with what is
// allowed and what is not.
var controls = []control{
	// Baseline.
	{"host process", "", "windowsOptions: {hostProcess: true}", false, false, "windowsOptions"},
	{"pod's host process", "securityContext: {RESTRICTED, windowsOptions: {hostProcess: true}}", "", false, false, "windowsOptions"},
	{"host network", "hostNetwork: true", "", false, false, "hostNetwork (needs the grant hostNetwork)"},
	{"no host network", "hostNetwork: false\nhostPID: false\nhostIPC: false", "", true, true, ""},
	{"host PID", "hostPID: true", "", false, false, "hostPID (needs the grant hostPid)"},
	{"host IPC", "hostIPC: true", "", false, false, "hostIPC (needs the grant hostIpc)"},
	{"privileged", "", "privileged: true", false, false, "privileged (needs the grant privileged)"},
	{"not privileged", "", "privileged: false", true, true, ""},
	{"default capabilities", "", "capabilities: {drop: [ALL], add: [AUDIT_WRITE, CHOWN, DAC_OVERRIDE, FOWNER, FSETID, KILL, MKNOD, NET_BIND_SERVICE, SETFCAP, SETGID, SETPCAP, SETUID, SYS_CHROOT]}", true, false, `capabilities.add[0] (needs the grant capabilities for "AUDIT_WRITE")`},
	{"NET_RAW", "", "capabilities: {drop: [ALL], add: [NET_RAW]}", false, false, `"NET_RAW"`},
	{"SYS_ADMIN", "", "capabilities: {drop: [ALL], add: [SYS_ADMIN]}", false, false, `"SYS_ADMIN"`},
	{"another spelling", "", "capabilities: {drop: [ALL], add: [cap_sys_admin]}", false, false, `"SYS_ADMIN"`},
	{"another of an ordinary one", "", "capabilities: {drop: [ALL], add: [CAP_CHOWN]}", false, false, `"CHOWN"`},
	{"all capabilities", "", "capabilities: {drop: [ALL], add: [ALL]}", false, false, "add[0] (never granted"},
	{"host path", "volumes: [{name: v, hostPath: {path: /srv}}]", "", false, false, `hostPaths for "/srv:ro"`},
	{"host port", "PORTS: [{containerPort: 80, hostPort: 8080}]", "", false, false, `hostPorts for "8080/tcp"`},
	{"host port of UDP", "PORTS: [{containerPort: 80, hostPort: 8080, protocol: UDP}]", "", false, false, `hostPorts for "8080/udp"`},
	{"host port 0", "PORTS: [{containerPort: 80, hostPort: 0}]", "", true, true, ""},
	{"probe of a host", "livenessProbe: {httpGet: {port: 80, host: 10.0.0.1}}", "", false, false, `httpGet.host (needs the grant probeHosts for "10.0.0.1")`},
	{"socket of a host", "readinessProbe: {tcpSocket: {port: 80, host: 127.0.0.1}}", "", false, false, "tcpSocket.host"},
	{"start-up of a host", "startupProbe: {httpGet: {port: 80, host: a}}", "", false, false, "startupProbe.httpGet.host"},
	{"hook of a host", "lifecycle: {preStop: {httpGet: {port: 80, host: a}}}", "", false, false, "preStop.httpGet.host"},
	{"hook's socket", "lifecycle: {postStart: {tcpSocket: {port: 80, host: a}}}", "", false, false, "postStart.tcpSocket.host"},
	{"probe of itself", "livenessProbe: {httpGet: {port: 80, host: \"\"}}", "", true, true, ""},
	{"AppArmor off", "", "appArmorProfile: {type: Unconfined}", false, false, `securityOpt for "apparmor=unconfined"`},
	{"pod's AppArmor off", "securityContext: {RESTRICTED, appArmorProfile: {type: Unconfined}}", "", false, false, `"apparmor=unconfined"`},
	{"AppArmor's default", "", "appArmorProfile: {type: RuntimeDefault}", true, true, ""},
	{"AppArmor of the node", "", "appArmorProfile: {type: Localhost, localhostProfile: web}", true, true, ""},
	{"AppArmor of no type", "", "appArmorProfile: {type: Other}", false, false, "appArmorProfile.type (must be"},
	{"SELinux type", "", "seLinuxOptions: {type: spc_t}", false, false, `securityOpt for "label=type:spc_t"`},
	{"pod's SELinux type", "securityContext: {RESTRICTED, seLinuxOptions: {type: unconfined_t}}", "", false, false, `"label=type:unconfined_t"`},
	{"SELinux types", "", "seLinuxOptions: {type: container_t}", true, true, ""},
	{"SELinux of engines", "", "seLinuxOptions: {type: container_engine_t, level: s0}", true, true, ""},
	{"SELinux user", "", "seLinuxOptions: {user: sysadm_u}", false, false, `"label=user:sysadm_u"`},
	{"SELinux role", "", "seLinuxOptions: {role: sysadm_r}", false, false, `"label=role:sysadm_r"`},
	{"unmasked proc", "", "procMount: Unmasked", false, false, "procMount (needs the grant unmaskedProc)"},
	{"default proc", "", "procMount: Default", true, true, ""},
	{"unmasked proc in a user namespace", "hostUsers: false", "procMount: Unmasked", true, false, "procMount"},
	{"seccomp off", "", "seccompProfile: {type: Unconfined}", false, false, `securityOpt for "seccomp=unconfined"`},
	{"pod's seccomp off", "securityContext: {runAsNonRoot: true, seccompProfile: {type: Unconfined}}", "", false, false, `"seccomp=unconfined"`},
	{"seccomp of the node", "", "seccompProfile: {type: Localhost, localhostProfile: a.json}", true, true, ""},
	{"seccomp from elsewhere", "", "seccompProfile: {type: Localhost, localhostProfile: ../../a.json}", false, false, "localhostProfile"},
	{"sysctls", "securityContext: {RESTRICTED, sysctls: [{name: kernel.shm_rmid_forced, value: '1'}, {name: net.ipv4.ip_local_port_range, value: a}, {name: net.ipv4.ip_unprivileged_port_start, value: '0'}, " +
		"{name: net.ipv4.tcp_syncookies, value: a}, {name: net.ipv4.ping_group_range, value: a}, {name: net.ipv4.ip_local_reserved_ports, value: a}, {name: net.ipv4.tcp_keepalive_time, value: a}, " +
		"{name: net.ipv4.tcp_fin_timeout, value: a}, {name: net.ipv4.tcp_keepalive_intvl, value: a}, {name: net.ipv4.tcp_keepalive_probes, value: a}, {name: net.ipv4.tcp_rmem, value: a}, " +
		"{name: net.ipv4.tcp_wmem, value: a}, {name: net.ipv4.tcp_slow_start_after_idle, value: a}, {name: net.ipv4.tcp_notsent_lowat, value: a}]}", "", true, true, ""},
	{"another sysctl", "securityContext: {RESTRICTED, sysctls: [{name: net.core.somaxconn, value: '1024'}]}", "", false, false, `sysctls for "net.core.somaxconn=1024"`},
	{"a sysctl with slashes", "securityContext: {RESTRICTED, sysctls: [{name: net/core/somaxconn, value: '1'}]}", "", false, false, `sysctls for "net.core.somaxconn=1"`},
	{"the kernel's sysctl", "securityContext: {RESTRICTED, sysctls: [{name: kernel.core_pattern, value: '|/x'}]}", "", false, false, "never granted"},

	// Restricted.
	{"nothing said", "securityContext: null", "ONLY", true, false, "must be false, or needs the grant privilegeEscalation"},
	{"network share", "volumes: [{name: v, nfs: {server: a, path: /}}]", "", false, false, `nfs for "a:/"`},
	{"iSCSI", "volumes: [{name: v, iscsi: {targetPortal: a, iqn: b, lun: 0}}]", "", false, false, "iscsi (never granted"},
	{"git", "volumes: [{name: v, gitRepo: {repository: a}}]", "", false, false, "gitRepo (never granted"},
	{"flex", "volumes: [{name: v, flexVolume: {driver: a}}]", "", false, false, "flexVolume (never granted"},
	{"volumes", "volumes: [{name: a, emptyDir: {}}, {name: b, downwardAPI: {items: []}}, {name: c, projected: {sources: []}}]", "", true, true, ""},
	{"escalation", "", "allowPrivilegeEscalation: true, capabilities: {drop: [ALL]}, ONLY", true, false, "must be false, or needs the grant privilegeEscalation"},
	{"root by default", "securityContext: {seccompProfile: {type: RuntimeDefault}}", "", true, false, "runAsNonRoot (must be true, or needs the grant root)"},
	{"root allowed", "", "runAsNonRoot: false", true, false, "runAsNonRoot (must be true"},
	{"root allowed in the pod", "securityContext: {runAsNonRoot: false, seccompProfile: {type: RuntimeDefault}}", "runAsNonRoot: true", true, false, "spec.securityContext.runAsNonRoot (must be true"},
	{"no root in the container", "securityContext: {seccompProfile: {type: RuntimeDefault}}", "runAsNonRoot: true", true, true, ""},
	{"root in a user namespace", "hostUsers: false\nsecurityContext: {seccompProfile: {type: RuntimeDefault}, runAsUser: 0}", "runAsUser: 0", true, true, ""},
	{"user 0", "", "runAsUser: 0", true, false, "runAsUser (must not be 0, or needs the grant root)"},
	{"pod's user 0", "securityContext: {RESTRICTED, runAsUser: 0}", "", true, false, "runAsUser (must not be 0"},
	{"user 1000", "securityContext: {RESTRICTED, runAsUser: 1000}", "runAsUser: 1000", true, true, ""},
	{"no seccomp", "securityContext: {runAsNonRoot: true}", "", true, false, "seccompProfile (must be RuntimeDefault or Localhost"},
	{"seccomp in the container", "securityContext: {runAsNonRoot: true}", "seccompProfile: {type: RuntimeDefault}", true, true, ""},
	{"not all dropped", "", "allowPrivilegeEscalation: false, capabilities: {drop: [NET_RAW]}, ONLY", true, false, "capabilities.drop (must have ALL"},
	{"dropped in another spelling", "", "allowPrivilegeEscalation: false, capabilities: {drop: [all]}, ONLY", true, false, "capabilities.drop (must have ALL"},
	{"NET_BIND_SERVICE", "", "capabilities: {drop: [ALL], add: [NET_BIND_SERVICE]}", true, true, ""},
}

// Attack H6: every control of both levels, in each kind that makes pods, in
// containers and in those that run before them.
func TestAttackH6PodSecurityStandards(t *testing.T) {
	for _, c := range controls {
		for _, kind := range kindsOfWorkloads {
			for _, list := range []string{"containers", "initContainers"} {
				data := chart(t, c.workload(kind, list))
				c.check(t, kind+", "+list, data, policy.Baseline, c.baseline)
				c.check(t, kind+", "+list, data, policy.Restricted, c.restricted)
			}
		}
	}
}

func (c control) check(t *testing.T, where string, data []byte, level string, allowed bool) {
	t.Helper()
	g := policy.Grants{Kubernetes: policy.KubernetesGrants{PodSecurity: level}}
	err := g.CheckKubernetes(data)
	if allowed && err != nil || !allowed && (!reason.Is(err, reason.Grant) || !strings.Contains(err.Error(), c.want)) {
		t.Errorf("%s, %s in %s: %v, allowed is %t, want %q", c.name, level, where, err, allowed, c.want)
	}
}

// workload says what the control is about in one list of containers; the other
// holds a container as the level restricted wants it.
func (c control) workload(kind, list string) string {
	pod, lines := c.pod, ""
	for _, own := range []string{"PORTS", "livenessProbe", "readinessProbe", "startupProbe", "lifecycle"} {
		if strings.HasPrefix(pod, own+":") {
			pod, lines = "", strings.Replace(pod, "PORTS", "ports", 1)+"\n"
		}
	}
	if !strings.Contains(pod, "securityContext") {
		pod += "\nsecurityContext: {RESTRICTED}"
	}
	pod = strings.ReplaceAll(pod, "RESTRICTED", restrictedSecurity)
	security := restrictedContainer
	switch only, whole := strings.CutSuffix(c.container, "ONLY"); {
	case whole:
		security = strings.Trim(only, ", ")
	case strings.Contains(c.container, "capabilities:"):
		security = "allowPrivilegeEscalation: false, " + c.container
	case c.container != "":
		security += ", " + c.container
	}
	lines += "securityContext: {" + security + "}"
	if list == "containers" {
		return workload(kind, "web", pod, lines)
	}
	pod += "\ninitContainers:\n- name: first\n  image: IMAGE\n" + shift(lines, 2)
	return workload(kind, "web", pod, "securityContext: {"+restrictedContainer+", "+restrictedSecurity+"}")
}

// The old form of profiles, in the annotations of pods and of templates.
func TestAttackH6ProfilesInAnnotations(t *testing.T) {
	for name, allowed := range map[string]bool{
		"container.apparmor.security.beta.kubernetes.io/main: runtime/default":    true,
		"container.apparmor.security.beta.kubernetes.io/main: localhost/web":      true,
		"container.apparmor.security.beta.kubernetes.io/main: unconfined":         false,
		"container.apparmor.security.beta.kubernetes.io/main: ' runtime/default'": false,
		"seccomp.security.alpha.kubernetes.io/pod: runtime/default":               true,
		"seccomp.security.alpha.kubernetes.io/pod: docker/default":                true,
		"seccomp.security.alpha.kubernetes.io/pod: unconfined":                    false,
		"container.seccomp.security.alpha.kubernetes.io/main: unconfined":         false,
		"container.seccomp.security.alpha.kubernetes.io/main: localhost/a":        true,
		"io.kubernetes.cri-o.Devices: /dev/mem":                                   false,
		"k8s.v1.cni.cncf.io/networks: host":                                       false,
		"security.alpha.kubernetes.io/unsafe-sysctls: kernel.msgmax=1":            false,
	} {
		for _, kind := range kindsOfWorkloads {
			for _, o := range []tree{objects(t, workload(kind, "web", "", ""))[0]} {
				key, value, _ := strings.Cut(name, ": ")
				meta := child(o, "metadata")
				for _, template := range templates(o) {
					meta = child(template, "metadata")
				}
				child(meta, "annotations")[key] = strings.Trim(value, "'")
				err := (policy.Grants{}).CheckKubernetes(rendered([]tree{o}))
				if (err == nil) != allowed {
					t.Errorf("%s in a %s: %v", name, kind, err)
				}
			}
		}
	}
}
