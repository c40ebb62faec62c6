package policy

// kubeImage is an image by digest and without a tag. Which digests are of the
// bundle is for the verifier.
var kubeImage = matching(`^[a-z0-9][a-z0-9.-]{0,252}(:[1-9][0-9]{0,4})?(/[a-z0-9]+([._-]+[a-z0-9]+)*){1,16}@sha256:[0-9a-f]{64}$`, "an image of the bundle by digest")

var pullPolicy = oneOf("IfNotPresent", "Never", "Always")

var kubeContainer = members(keysOf{
	// What runs.
	"name":            harmless(labelName),
	"image":           harmless(kubeImage),
	"imagePullPolicy": harmless(pullPolicy),
	"command":         harmless(listOf(text)),
	"args":            harmless(listOf(text)),
	"workingDir":      harmless(text),
	"env":             granted("references", listOf(kubeEnv)),
	"envFrom":         granted("references", listOf(kubeEnvFrom)),
	"stdin":           neverBut(false, "nobody is there to type"),
	"stdinOnce":       neverBut(false, "nobody is there to type"),
	"tty":             harmless(flag),

	// How it lives and ends.
	"livenessProbe":            granted("probeHosts", kubeProbe),
	"readinessProbe":           granted("probeHosts", kubeProbe),
	"startupProbe":             granted("probeHosts", kubeProbe),
	"lifecycle":                granted("probeHosts", kubeLifecycle),
	"restartPolicy":            harmless(oneOf("Always", "OnFailure", "Never")),
	"restartPolicyRules":       harmless(listOf(kubeRestartRule)),
	"terminationMessagePath":   harmless(containerPath),
	"terminationMessagePolicy": harmless(oneOf("File", "FallbackToLogsOnError")),

	// What it is confined to and what it may take.
	"securityContext": granted("privileged, capabilities, securityOpt, unmaskedProc, root, privilegeEscalation, defaultCapabilities, defaultSeccomp", kubeSecurity),
	"resources":       granted("limits.cpus, limits.memory, limits.storage, extendedResources", kubeResources),
	"resizePolicy": harmless(listOf(members(keysOf{
		"resourceName":  harmless(oneOf("cpu", "memory")),
		"restartPolicy": harmless(oneOf("NotRequired", "RestartContainer")),
	}))),

	// What it is connected to, stores and reads.
	"ports":         granted("hostPorts", listOf(kubePort)),
	"volumeMounts":  harmless(listOf(kubeMount)),
	"volumeDevices": harmless(listOf(members(keysOf{"name": harmless(text), "devicePath": harmless(containerPath)}, "name", "devicePath"))),
}, "name", "image", "resources")

var kubePort = also(members(keysOf{
	"name":          harmless(text),
	"containerPort": harmless(between(1, 65535)),
	"protocol":      harmless(oneOf("TCP", "UDP", "SCTP")),
	"hostPort":      granted("hostPorts", between(0, 65535)),
	"hostIP":        harmless(matching(`^[0-9A-Fa-f.:]{0,45}$`, "an IP address")),
}, "containerPort"), func(w *walk, at place, port map[string]any) { w.hostPort(at.key("hostPort"), port["hostPort"], port) })

// kubeMount: mounts are passed neither to the node nor from it.
var kubeMount = members(keysOf{
	"name":              harmless(text),
	"mountPath":         harmless(containerPath),
	"readOnly":          harmless(flag),
	"recursiveReadOnly": harmless(oneOf("Disabled", "IfPossible", "Enabled")),
	"mountPropagation":  harmless(oneOf("None")),
	"subPath":           harmless(orEmpty(containerFile)),
	"subPathExpr":       harmless(orEmpty(containerFile)),
	"bindMountOptions":  harmless(listOf(oneOf("noexec", "nodev", "nosuid"))),
}, "name", "mountPath")

var kubeEnv = members(keysOf{
	"name":  harmless(text),
	"value": harmless(hidden),
	"valueFrom": granted("references", members(keysOf{
		"fieldRef":         harmless(kubeFieldRef),
		"resourceFieldRef": harmless(kubeResourceRef),
		"configMapKeyRef":  granted("references", keyOf(configMapName)),
		"secretKeyRef":     granted("references", keyOf(secretName)),
		"fileKeyRef": harmless(members(keysOf{
			"volumeName": harmless(text),
			"path":       harmless(containerFile),
			"key":        harmless(text),
			"optional":   harmless(flag),
		})),
	})),
}, "name")

// hidden is text that may be a secret: what stands in its place is told to nobody.
var hidden = rule{check: func(w *walk, at place, v any) {
	if _, ok := v.(string); !ok {
		w.ask(at, "must be text", "")
	}
}}

func keyOf(name rule) rule {
	return members(keysOf{
		"name":     granted("references", name),
		"key":      harmless(text),
		"optional": harmless(flag),
	}, "name", "key")
}

// kubeFieldRef and kubeResourceRef are about the pod itself.
var kubeFieldRef = members(keysOf{
	"apiVersion": harmless(oneOf("v1")),
	"fieldPath":  harmless(text),
}, "fieldPath")

var kubeResourceRef = members(keysOf{
	"containerName": harmless(text),
	"resource":      harmless(text),
	"divisor":       harmless(amount),
}, "resource")

var kubeEnvFrom = members(keysOf{
	"prefix":       harmless(text),
	"configMapRef": granted("references", members(keysOf{"name": granted("references", configMapName), "optional": harmless(flag)}, "name")),
	"secretRef":    granted("references", members(keysOf{"name": granted("references", secretName), "optional": harmless(flag)}, "name")),
})

// probeHost: the node would call, so a host is somebody on the node's network.
var probeHost = orEmpty(byEntry("probeHosts", plain))

var portOrName = accept("must be a port or the name of one", func(v any) bool {
	n, isNumber := whole(v)
	s, isText := v.(string)
	return isNumber && n >= 1 && n <= 65535 || isText && s != "" && len(s) <= 63
})

var kubeExec = members(keysOf{"command": harmless(listOf(text))})

var kubeHTTPGet = members(keysOf{
	"path":        harmless(text),
	"port":        harmless(portOrName),
	"host":        granted("probeHosts", probeHost),
	"scheme":      harmless(oneOf("HTTP", "HTTPS")),
	"protocol":    harmless(text), // a version of HTTP
	"httpHeaders": harmless(listOf(members(keysOf{"name": harmless(text), "value": harmless(hidden)}, "name", "value"))),
}, "port")

var kubeTCPSocket = members(keysOf{
	"port": harmless(portOrName),
	"host": granted("probeHosts", probeHost),
}, "port")

var seconds = between(0, 1<<31-1)

var kubeProbe = members(keysOf{
	"exec":      harmless(kubeExec),
	"httpGet":   granted("probeHosts", kubeHTTPGet),
	"tcpSocket": granted("probeHosts", kubeTCPSocket),
	"grpc": harmless(members(keysOf{
		"port":    harmless(between(1, 65535)),
		"service": harmless(text),
		"mode":    harmless(text), // with or without TLS
	}, "port")),
	"initialDelaySeconds":           harmless(seconds),
	"timeoutSeconds":                harmless(seconds),
	"periodSeconds":                 harmless(seconds),
	"successThreshold":              harmless(seconds),
	"failureThreshold":              harmless(seconds),
	"terminationGracePeriodSeconds": harmless(between(1, graceSeconds)),
})

var kubeHandler = members(keysOf{
	"exec":      harmless(kubeExec),
	"httpGet":   granted("probeHosts", kubeHTTPGet),
	"tcpSocket": granted("probeHosts", kubeTCPSocket),
	"sleep":     harmless(members(keysOf{"seconds": harmless(between(0, graceSeconds))}, "seconds")),
})

var kubeLifecycle = members(keysOf{
	"postStart":  granted("probeHosts", kubeHandler),
	"preStop":    granted("probeHosts", kubeHandler),
	"stopSignal": harmless(text),
})

var kubeRestartRule = members(keysOf{
	"action": harmless(text),
	"exitCodes": harmless(members(keysOf{
		"operator": harmless(oneOf("In", "NotIn")),
		"values":   harmless(listOf(between(0, 255))),
	})),
}, "action")
