package policy

var composeService = also(also(fields(keysOf{
	// What runs.
	"image":       harmless(matching(`^127\.0\.0\.1:[1-9][0-9]{0,4}/c@sha256:[0-9a-f]{64}$`, "an image of the bundle by digest")),
	"pull_policy": harmless(oneOf("never", "missing")),
	"platform":    harmless(text),
	"command":     harmless(orNull(listOf(text))),
	"entrypoint":  harmless(orNull(listOf(text))),
	"environment": harmless(mapOf(environmentValue)),
	"working_dir": harmless(text),
	"user":        harmless(text),
	// Any root of a container may take any group; what groups reach is host
	// paths and devices, which have grants.
	"group_add":  harmless(listOf(text)),
	"umask":      harmless(between(0, 0o777)),
	"hostname":   harmless(text),
	"domainname": harmless(text),
	"init":       harmless(flag),
	"tty":        harmless(flag),
	"stdin_open": neverBut(false, "nobody is there to type"),
	"attach":     harmless(flag), // about the output of the compose command

	// How it lives and ends.
	"depends_on":        harmless(mapOf(composeDependency)),
	"healthcheck":       harmless(composeHealthcheck),
	"restart":           harmless(matching(`^(no|always|unless-stopped|on-failure(:[0-9]{1,4})?)$`, "no, always, unless-stopped or on-failure[:n]")),
	"stop_signal":       harmless(text),
	"stop_grace_period": harmless(durationUpTo(maxStopGrace)),
	"scale":             harmless(between(0, maxReplicas)),
	"deploy":            harmless(composeDeploy),
	"labels":            harmless(composeLabels),
	"container_name":    granted("containerNames", byEntry("containerNames", plain)),

	// What it is confined to.
	"privileged":          granted("privileged", byFlag("privileged")),
	"cap_add":             granted("capabilities", listOf(byEntry("capabilities", engineCapability))),
	"cap_drop":            harmless(listOf(text)),
	"security_opt":        granted("securityOpt", listOf(securityOption)),
	"sysctls":             granted("sysctls", byPairs("sysctls")),
	"ulimits":             granted("ulimits", mapOf(composeUlimit)),
	"runtime":             granted("runtimes", byEntry("runtimes", plain)),
	"read_only":           harmless(flag),
	"pid":                 granted("hostPid", byHost("hostPid")),
	"ipc":                 granted("hostIpc", byHost("hostIpc", "private", "none")),
	"uts":                 granted("hostUts", byHost("hostUts")),
	"userns_mode":         granted("hostUserns", byHost("hostUserns")),
	"cgroup":              granted("hostCgroup", byHost("hostCgroup", "private")),
	"cgroup_parent":       never("it leaves the engine's own limits"),
	"isolation":           never("for Windows"),
	"credential_spec":     never("for Windows; it would be read from the device"),
	"annotations":         never("they are orders to the runtime"),
	"use_api_socket":      neverBut(false, "it hands out registry credentials, too; mount the socket, with the grant engineSocket"),
	"device_cgroup_rules": granted("deviceRules", listOf(byEntry("deviceRules", plain))),
	"devices":             granted("devices", listOf(composeDevice)),
	"gpus":                granted("gpus", listOf(composeDeviceRequest)),

	// What it may take.
	"mem_limit":        granted("limits.memory", memoryLimit),
	"mem_reservation":  granted("limits.memory", memoryLimit),
	"memswap_limit":    granted("limits.memory", swapLimit),
	"mem_swappiness":   harmless(decimalText(0, 100)),
	"cpus":             granted("limits.cpus", cpuLimit),
	"cpu_shares":       harmless(between(2, 1024)), // 1024 is what everybody has
	"cpuset":           granted("cpusets", byEntry("cpusets", plain)),
	"pids_limit":       granted("limits.pids", pidsLimit),
	"shm_size":         granted("limits.tmpfs", tmpfsLimit),
	"storage_opt":      granted("limits.storage", composeStorage),
	"oom_score_adj":    harmless(between(0, 1000)), // less than nothing: others are killed first
	"logging":          granted("logDrivers, logOptions", composeLogging),
	"oom_kill_disable": neverBut(false, "it would stop the machine instead"),
	"blkio_config":     never("disks are shared by everything on the machine"),
	"cpu_count":        never("for Windows"),
	"cpu_percent":      never("for Windows"),
	"cpu_period":       never("say cpus"),
	"cpu_quota":        never("say cpus"),
	"cpu_rt_period":    never("real time starves everything else on the machine"),
	"cpu_rt_runtime":   never("real time starves everything else on the machine"),

	// What it is connected to.
	"network_mode":   granted("hostNetwork", byHost("hostNetwork", "none")),
	"networks":       harmless(mapOfDeclared("networks", orNull(composeEndpoint))),
	"ports":          granted("ports", listOf(composePort)),
	"expose":         harmless(listOf(matching(`^[0-9]{1,5}(-[0-9]{1,5})?(/(tcp|udp))?$`, "a port or port range"))),
	"dns":            granted("dns", listOf(byEntry("dns", plain))),
	"dns_search":     granted("dnsSearch", listOf(byEntry("dnsSearch", plain))),
	"dns_opt":        granted("dnsOptions", listOf(byEntry("dnsOptions", plain))),
	"extra_hosts":    granted("extraHosts", listOf(byEntry("extraHosts", plain))),
	"links":          never("obsolete; services of a network find each other by name"),
	"external_links": never("they reach containers of others"),
	"mac_address":    never("two machines could have it"),

	// What it stores and reads.
	"volumes":       granted("hostPaths, engineSocket", listOf(composeMount)),
	"volumes_from":  never("they reach what other containers have mounted"),
	"volume_driver": never("it is a program of the device"),
	"tmpfs":         granted("limits.tmpfs", listOf(composeTmpfs)),
	"configs":       harmless(listOf(composeConfigUse)),
	"secrets":       harmless(listOf(composeSecretUse)),

	// What runs code, or takes something, outside of the containers (attack C9).
	"build":              never("nothing is built on a device (attack C6)"),
	"dockerfile":         never("nothing is built on a device (attack C6)"),
	"develop":            never("for development machines"),
	"provider":           never("it runs a program of the device"),
	"models":             never("models are fetched from outside the bundle and run by a program of the device"),
	"pre_start":          never("hooks run beside what was declared; use a service that exits"),
	"post_start":         never("hooks run with privileges of their own; use the entrypoint"),
	"pre_stop":           never("hooks run with privileges of their own; use stop_signal"),
	"extends":            never("a render is resolved"),
	"env_file":           never("it is a file of the device; a render holds the variables"),
	"label_file":         never("it is a file of the device; a render holds the labels"),
	"profiles":           never("no profile is ever active, so such a service is never seen"),
	"pull_refresh_after": never("images come by digest, once"),
	"net":                never("obsolete; say network_mode"),
	"log_driver":         never("obsolete; say logging"),
	"log_opt":            never("obsolete; say logging"),
}, "image"), limitsPresent), networkModeAlone)

var composeDependency = fields(keysOf{
	"condition": harmless(oneOf("service_started", "service_healthy", "service_completed_successfully")),
	"restart":   harmless(flag),
	"required":  harmless(flag),
})

var composeHealthcheck = fields(keysOf{
	"test":           harmless(listOf(text)),
	"interval":       harmless(duration),
	"timeout":        harmless(duration),
	"start_period":   harmless(duration),
	"start_interval": harmless(duration),
	"retries":        harmless(between(0, 1<<31)),
	"disable":        harmless(flag),
})

const swarm = "a Swarm setting, which Compose ignores"

var composeDeploy = fields(keysOf{
	"mode":     harmless(oneOf("replicated")),
	"replicas": harmless(between(0, maxReplicas)),
	"labels":   harmless(composeLabels),
	"placement": harmless(fields(keysOf{ // always written by compose-go, as {}
		"constraints":           never(swarm),
		"preferences":           never(swarm),
		"max_replicas_per_node": never(swarm),
	})),
	"resources": harmless(fields(keysOf{
		"limits": harmless(fields(keysOf{
			"cpus":              granted("limits.cpus", cpuLimit),
			"memory":            granted("limits.memory", memoryLimit),
			"pids":              granted("limits.pids", pidsLimit),
			"devices":           never("devices are reserved, not limited"),
			"generic_resources": never(swarm),
		})),
		"reservations": harmless(fields(keysOf{
			"cpus":              granted("limits.cpus", cpuLimit),
			"memory":            granted("limits.memory", memoryLimit),
			"devices":           granted("gpus", listOf(composeDeviceRequest)),
			"pids":              never("nothing reserves them"),
			"generic_resources": never(swarm),
		})),
	})),
	"restart_policy": harmless(fields(keysOf{
		"condition":    harmless(oneOf("none", "on-failure", "any", "no", "always", "unless-stopped")),
		"delay":        harmless(duration),
		"max_attempts": harmless(between(0, 1<<31)),
		"window":       harmless(duration),
	})),
	"update_config":   never(swarm),
	"rollback_config": never(swarm),
	"endpoint_mode":   never(swarm),
})

var composeEndpoint = fields(keysOf{
	"aliases":                harmless(listOf(text)),
	"priority":               harmless(between(0, 1<<31)),
	"gw_priority":            harmless(between(0, 1<<31)),
	"interface_name":         harmless(matching(`^[a-z][a-z0-9]{0,14}$`, "a name of 1 to 15 of a-z and 0-9")),
	"use_service_name_alias": harmless(flag),
	"driver_opts":            never("they reach the machine's interfaces and filters"),
	"ipv4_address":           never("addresses are the engine's to give"),
	"ipv6_address":           never("addresses are the engine's to give"),
	"link_local_ips":         never("addresses are the engine's to give"),
	"mac_address":            never("two machines could have it"),
})

var composeConfigUse = fields(keysOf{
	"source": harmless(nameOfDeclared("configs")),
	"target": harmless(containerFile),
	"uid":    harmless(decimalText(0, 1<<31)),
	"gid":    harmless(decimalText(0, 1<<31)),
	"mode":   harmless(matching(`^0?[0-7]{1,4}$`, "an octal file mode")),
}, "source")

var composeSecretUse = fields(keysOf{
	"source": harmless(nameOfDeclared("secrets")),
	"target": harmless(matching(`^/run/secrets/[A-Za-z0-9_-][A-Za-z0-9._-]{0,254}$`, "a file directly below /run/secrets")),
	"uid":    harmless(decimalText(0, 1<<31)),
	"gid":    harmless(decimalText(0, 1<<31)),
	"mode":   harmless(matching(`^0?[0-7]{1,3}$`, "an octal file mode without special bits")),
}, "source", "target")
