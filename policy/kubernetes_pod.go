package policy

import (
	"slices"
	"strings"
)

// kubePod is the PodSpec of a pod and of every template of pods.
var kubePod = podWith(also(also(also(members(keysOf{
	// What runs.
	"containers":          harmless(listOf(kubeContainer)),
	"initContainers":      harmless(listOf(kubeContainer)),
	"ephemeralContainers": never("they are put into a pod by hand and have no limits"),
	"volumes":             granted("hostPaths, csiDrivers, nfs", listOf(kubeVolume)),
	"imagePullSecrets":    granted("references", pullSecrets),
	"os":                  harmless(members(keysOf{"name": harmless(oneOf("linux"))})),

	// How it lives and ends.
	"restartPolicy":                 harmless(oneOf("Always", "OnFailure", "Never")),
	"terminationGracePeriodSeconds": harmless(between(0, graceSeconds)),
	"activeDeadlineSeconds":         harmless(between(1, 1<<31)),
	"readinessGates":                harmless(listOf(members(keysOf{"conditionType": harmless(text)}, "conditionType"))),
	"evictionResponders":            never("others would decide when a node is emptied"),

	// What it is confined to.
	"hostNetwork":           granted("hostNetwork", byFlag("hostNetwork")),
	"hostPID":               granted("hostPid", byFlag("hostPid")),
	"hostIPC":               granted("hostIpc", byFlag("hostIpc")),
	"hostUsers":             harmless(flag), // false is a user namespace of its own
	"shareProcessNamespace": harmless(flag),
	"securityContext":       granted("securityOpt, sysctls, root", kubePodSecurity),
	"runtimeClassName":      granted("runtimeClasses", byEntry("runtimeClasses", plain)),

	// Who it is at the API server.
	"serviceAccountName":           granted("references", orEmpty(accountName)),
	"serviceAccount":               granted("references", orEmpty(accountName)), // the old spelling, which the server fills in
	"automountServiceAccountToken": harmless(flag),

	// What it is called and whom it asks for names.
	"hostname":           harmless(labelName),
	"subdomain":          harmless(labelName),
	"hostnameOverride":   harmless(kubeName),
	"setHostnameAsFQDN":  harmless(flag),
	"hostAliases":        granted("extraHosts", listOf(kubeHostAlias)),
	"dnsPolicy":          harmless(oneOf("ClusterFirst", "ClusterFirstWithHostNet", "Default", "None")),
	"dnsConfig":          granted("dns, dnsSearch, dnsOptions", kubeDNS),
	"enableServiceLinks": harmless(flag),

	// Where it runs.
	"nodeName":                  granted("nodes", byEntry("nodes", plain)),
	"nodeSelector":              harmless(mapOf(text)),
	"affinity":                  harmless(kubeAffinity),
	"tolerations":               granted("tolerations", listOf(kubeToleration)),
	"topologySpreadConstraints": harmless(listOf(kubeSpread)),
	"schedulerName":             granted("schedulers", butFor("default-scheduler", byEntry("schedulers", plain))),
	"priorityClassName":         granted("priorityClasses", butFor("", byEntry("priorityClasses", plain))),
	"priority":                  never("it is the priority class's"),
	"preemptionPolicy":          harmless(oneOf("Never", "PreemptLowerPriority")),
	"overhead":                  never("it is the runtime class's"),
	"schedulingGates":           never("somebody else would have to take them away"),
	"schedulingGroup":           never("groups of pods are not supported"),
	"resources":                 never("limits are each container's"),
	"resourceClaims":            never("claims of devices are not supported; say an extended resource"),
}, "containers"), hostPathsGranted), restrictedPod), hostNetworkPorts))

// podWith lets rules of containers know what the pod says.
func podWith(of rule) rule {
	check := of.check
	of.check = func(w *walk, at place, v any) {
		spec, _ := v.(map[string]any)
		w.chart.userNamespace = spec["hostUsers"] == false
		check(w, at, v)
		w.chart.userNamespace = false
	}
	return of
}

// graceSeconds is maxStopGrace as Kubernetes counts.
var graceSeconds = int64(maxStopGrace.Seconds())

// butFor accepts one text without a grant.
func butFor(value string, other rule) rule {
	check := other.check
	other.check = func(w *walk, at place, v any) {
		if v != value {
			check(w, at, v)
		}
	}
	return other
}

func orEmpty(other rule) rule { return butFor("", other) }

var kubeHostAlias = also(members(keysOf{
	"ip":        harmless(text),
	"hostnames": harmless(listOf(text)),
}, "ip", "hostnames"), func(w *walk, at place, alias map[string]any) {
	ip, _ := alias["ip"].(string)
	names, _ := alias["hostnames"].([]any)
	for i, name := range names {
		if name, ok := name.(string); ok {
			w.want(at.key("hostnames").index(i), "extraHosts", name+"="+ip)
		}
	}
})

var kubeDNS = members(keysOf{
	"nameservers": granted("dns", listOf(byEntry("dns", plain))),
	"searches":    granted("dnsSearch", listOf(byEntry("dnsSearch", plain))),
	"options": granted("dnsOptions", listOf(also(members(keysOf{
		"name":  harmless(text),
		"value": harmless(text),
	}, "name"), func(w *walk, at place, option map[string]any) {
		entry, _ := option["name"].(string)
		if value, ok := option["value"].(string); ok {
			entry += ":" + value
		}
		w.want(at, "dnsOptions", entry)
	}))),
})

// containersOf are the lists of a pod that hold containers.
var containersOf = []string{"containers", "initContainers"}

// hostNetworkPorts: on the machine's network every port of a container is one of
// the machine's.
func hostNetworkPorts(w *walk, at place, spec map[string]any) {
	if spec["hostNetwork"] != true {
		return
	}
	for _, list := range containersOf {
		for i, container := range each(spec, list) {
			for j, port := range each(container, "ports") {
				if port["hostPort"] == nil {
					w.hostPort(at.key(list).index(i).key("ports").index(j).key("containerPort"), port["containerPort"], port)
				}
			}
		}
	}
}

// hostPort wants a port of the node (attack C10).
func (w *walk) hostPort(at place, v any, port map[string]any) {
	n, ok := whole(v)
	protocol, said := port["protocol"].(string)
	if !said {
		protocol = "TCP"
	}
	if ok && n != 0 {
		w.want(at, "hostPorts", count(n)+"/"+strings.ToLower(protocol))
	}
}

// hostPathsGranted asks for paths of the node (attack C1), to write unless every
// mount is to read only.
func hostPathsGranted(w *walk, at place, spec map[string]any) {
	for i, volume := range each(spec, "volumes") {
		source := sub(volume, "hostPath")
		path, ok := source["path"].(string)
		if !ok {
			continue
		}
		at := at.key("volumes").index(i).key("hostPath").key("path")
		if fault := protectedFault(path, w.grants.paths); fault != "" && plainPath(path) {
			w.ask(at, "never granted: "+fault, show(path))
			continue
		}
		mode := "ro"
		kind, _ := source["type"].(string)
		if strings.HasSuffix(kind, "OrCreate") || writes(spec, volume["name"]) {
			mode = "rw"
		}
		w.want(at, "hostPaths", path+":"+mode)
	}
}

func writes(spec map[string]any, volume any) bool {
	for _, list := range containersOf {
		for _, container := range each(spec, list) {
			if slices.ContainsFunc(each(container, "volumeMounts"), func(m map[string]any) bool { return m["name"] == volume && m["readOnly"] != true }) {
				return true
			}
		}
	}
	return false
}
