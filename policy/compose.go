package policy

// What every application may say in a resolved Compose project (Compose
// Specification, as compose-go 2.16 marshals it). The tables are the policy:
// a key that is not in one is refused, a key that is there may hold only what
// its rule accepts. Before adding a line, show that no value of it reaches
// beyond the container, the project's own networks and its own volumes.
//
// A dangerous key is listed with its harmless value where that value is the
// engine's default, so that writing the default out is not an offence.

// Bounds on what one application takes of the machine.
const (
	maxServices = 64
	maxReplicas = 16
	// Docker's default address pools hold about 30 networks for all
	// applications together.
	maxNetworks = 8
	maxVolumes  = 64
	maxConfigs  = 256
	maxLogFiles = 10
)

var composeProject = fields(keysOf{
	"name":     projectName,
	"services": eachOf(maxServices, composeService),
	"networks": eachOf(maxNetworks, composeNetwork),
	"volumes":  eachOf(maxVolumes, composeVolume),
	"configs":  eachOf(maxConfigs, composeConfig),
}, "name", "services")

var composeService = fields(keysOf{
	// What runs.
	"image":       matching(`^127\.0\.0\.1:[1-9][0-9]{0,4}/c@sha256:[0-9a-f]{64}$`, "an image of the bundle by digest"),
	"pull_policy": oneOf("never", "missing"),
	"platform":    text,
	"command":     orNull(listOf(text)),
	"entrypoint":  orNull(listOf(text)),
	"environment": mapOf(environmentValue),
	"working_dir": text,
	"user":        text,
	"hostname":    text,
	"init":        flag,
	"tty":         flag,
	"stdin_open":  only(false), // nobody is there to type
	"attach":      flag,        // about the output of the compose command

	// How it lives and ends.
	"depends_on":        mapOf(composeDependency),
	"healthcheck":       composeHealthcheck,
	"restart":           matching(`^(no|always|unless-stopped|on-failure(:[0-9]{1,4})?)$`, "no, always, unless-stopped or on-failure[:n]"),
	"stop_signal":       text,
	"stop_grace_period": durationUpTo(maxStopGrace),
	"scale":             between(0, maxReplicas),
	"deploy":            composeDeploy,
	"labels":            composeLabels,

	// What it is confined to.
	"cap_drop":     listOf(text),
	"security_opt": listOf(oneOf("no-new-privileges:true")),
	"read_only":    flag,
	"mem_limit":    byteCount,
	"cpus":         positive,
	"pids_limit":   between(1, 1<<31),
	"logging":      composeLogging,

	// What it is connected to.
	"networks": mapOfDeclared("networks", orNull(composeEndpoint)),
	"ports":    listOf(composePort),
	"expose":   listOf(matching(`^[0-9]{1,5}(-[0-9]{1,5})?(/(tcp|udp))?$`, "a port or port range")),

	// What it stores and reads.
	"volumes": listOf(composeMount),
	"tmpfs":   listOf(matching(tmpfsPattern, "an absolute path with options size, mode, uid, gid, ro, rw, exec, noexec, nosuid or nodev")),
	"configs": listOf(composeConfigUse),

	// Dangerous, unless it is the engine's default written out.
	"privileged":       only(false),
	"use_api_socket":   only(false),
	"oom_kill_disable": only(false),
}, "image")

var composeDependency = fields(keysOf{
	"condition": oneOf("service_started", "service_healthy", "service_completed_successfully"),
	"restart":   flag,
	"required":  flag,
})

var composeHealthcheck = fields(keysOf{
	"test":           listOf(text),
	"interval":       duration,
	"timeout":        duration,
	"start_period":   duration,
	"start_interval": duration,
	"retries":        between(0, 1<<31),
	"disable":        flag,
})

var composeDeploy = fields(keysOf{
	"mode":      oneOf("replicated"),
	"replicas":  between(0, maxReplicas),
	"labels":    composeLabels,
	"placement": emptyObject, // always written by compose-go
	"resources": fields(keysOf{
		"limits":       fields(keysOf{"cpus": positive, "memory": byteCount, "pids": between(1, 1<<31)}),
		"reservations": fields(keysOf{"cpus": positive, "memory": byteCount}),
	}),
	"restart_policy": fields(keysOf{
		"condition":    oneOf("none", "on-failure", "any", "no", "always", "unless-stopped"),
		"delay":        duration,
		"max_attempts": between(0, 1<<31),
		"window":       duration,
	}),
})

// Logs stay on the device and within bounds (attacks C12, C13). The driver is
// named because the engine's own default may be another one.
var composeLogging = fields(keysOf{
	"driver": oneOf("json-file", "local"),
	"options": fields(keysOf{
		"max-size": matching(`^([1-9][0-9]{0,5}k|[1-9][0-9]?m|100m)$`, "at most 100m, such as 10m"),
		"max-file": decimalText(1, maxLogFiles),
		"compress": oneOf("true", "false"),
	}, "max-size"),
}, "driver", "options")

var composeEndpoint = fields(keysOf{
	"aliases":  listOf(text),
	"priority": between(0, 1<<31),
})

// Without "published" the engine chooses a free port above 32767.
var composePort = fields(keysOf{
	"name":         text,
	"mode":         oneOf("ingress", "host"), // a Swarm setting that Compose ignores
	"host_ip":      matching(`^[0-9A-Fa-f.:]{1,45}$`, "an IP address"),
	"target":       between(1, 65535),
	"published":    decimalText(1024, 65535),
	"protocol":     oneOf("tcp", "udp"),
	"app_protocol": text,
}, "target")

var composeMount = byType(map[string]rule{
	"volume": fields(keysOf{
		"type":      text,
		"source":    nameOfDeclared("volumes"),
		"target":    containerPath,
		"read_only": flag,
		"volume":    fields(keysOf{"nocopy": flag}),
	}, "source", "target"),
	"tmpfs": fields(keysOf{
		"type":      text,
		"target":    containerPath,
		"read_only": flag,
		"tmpfs":     fields(keysOf{"size": byteCount, "mode": between(0, 0o7777)}),
	}, "target"),
})

// A config that is not declared, or declared without content, would make
// Compose mount a directory of the applier instead.
var composeConfigUse = fields(keysOf{
	"source": nameOfDeclared("configs"),
	"target": containerFile,
	"uid":    decimalText(0, 1<<31),
	"gid":    decimalText(0, 1<<31),
	"mode":   matching(`^0?[0-7]{1,4}$`, "an octal file mode"),
}, "source")

var composeConfig = fields(keysOf{
	"name":    text,
	"content": someText, // of the bundle; never a file or variable of the device (attack C4)
}, "content")

var composeNetwork = fields(keysOf{
	"name":       ownName,
	"driver":     oneOf("bridge"),
	"internal":   flag,
	"labels":     composeLabels,
	"ipam":       emptyObject, // always written by compose-go
	"attachable": only(false),
	"external":   only(false),
}, "name")

var composeVolume = fields(keysOf{
	"name":     ownName,
	"driver":   oneOf("local"),
	"labels":   composeLabels,
	"external": only(false),
}, "name")
