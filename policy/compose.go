package policy

import "fmt"

// What an application may say in a resolved Compose project (Compose
// Specification, as compose-go 2.16 marshals it). The tables are the policy:
// every key is harmless, grantable or never granted, and one that is in no
// table is refused. A test compares them with the keys that compose-go has.
// Before marking a key harmless, show that no value of it reaches beyond the
// container, the project's own networks and its own volumes.

// Bounds on what one application takes of the machine, whatever it is granted.
const (
	maxServices = 64
	maxReplicas = 16
	// Docker's default address pools hold about 30 networks for all
	// applications together.
	maxNetworks = 8
	maxVolumes  = 64
	maxConfigs  = 256
	maxSecrets  = 64
	maxLogFiles = 10
)

var composeProject = also(fields(keysOf{
	"name":     harmless(projectName),
	"services": granted("limits.containers", eachOf(maxServices, oneService(composeService))),
	"networks": harmless(eachOf(maxNetworks, composeNetwork)),
	"volumes":  harmless(eachOf(maxVolumes, composeVolume)),
	"configs":  harmless(eachOf(maxConfigs, composeConfig)),
	"secrets":  harmless(eachOf(maxSecrets, composeSecret)),

	"include": never("other Compose files are outside the bundle"),
	"jobs":    never("jobs are not supported; use a service that exits"),
	"models":  never("models are fetched from outside the bundle and run by a program of the device"),
	"version": never("obsolete, and in no resolved project"),
}, "name", "services"), containerCount)

// oneService lets the rules below know whose grants count.
func oneService(of rule) rule {
	check := of.check
	of.check = func(w *walk, at place, v any) {
		w.owner = owner{sectionCompose, at.last}
		check(w, at, v)
		w.owner = owner{}
	}
	return of
}

// containerCount bounds the sum of all replicas (attack C13).
func containerCount(w *walk, at place, project map[string]any) {
	services, _ := project["services"].(map[string]any)
	var sum int64
	for _, v := range services {
		sum += replicas(v)
	}
	w.within(at.key("services"), "containers", sum, w.ceilings.containers, func(n int64) string { return fmt.Sprintf("%d containers", n) })
}

// replicas is how many containers Compose makes of a service: scale, else
// deploy.replicas, else 1.
func replicas(v any) int64 {
	service, _ := v.(map[string]any)
	if n, ok := whole(service["scale"]); ok {
		return max(n, 0)
	}
	deploy, _ := service["deploy"].(map[string]any)
	if n, ok := whole(deploy["replicas"]); ok {
		return max(n, 0)
	}
	return 1
}

var composeNetwork = fields(keysOf{
	"name":        harmless(ownName),
	"driver":      harmless(oneOf("bridge")),
	"internal":    harmless(flag),
	"labels":      harmless(composeLabels),
	"enable_ipv4": harmless(flag),
	"enable_ipv6": harmless(flag),
	"ipam": harmless(fields(keysOf{ // always written by compose-go, as {}
		"config":  never("addresses are the engine's to give: a range may be the plant's"),
		"driver":  never("it is a program of the device"),
		"options": never("they are for a driver of the device"),
	})),
	"attachable":  neverBut(false, "others could join"),
	"external":    neverBut(false, "it is another application's or the machine's"),
	"driver_opts": never("they reach the machine's interfaces and filters"),
}, "name")

var composeVolume = fields(keysOf{
	"name":        harmless(ownName),
	"driver":      harmless(oneOf("local")),
	"labels":      harmless(composeLabels),
	"external":    neverBut(false, "it is another application's"),
	"driver_opts": never("a volume can be made of any directory or network share; use a host path"),
}, "name")

// A config that is not declared, or declared without content, would make
// Compose mount a directory of the applier instead.
var composeConfig = fields(keysOf{
	"name":            harmless(text),
	"content":         harmless(someText), // of the bundle; never a file or variable of the device (attack C4)
	"labels":          harmless(composeLabels),
	"file":            never("it is a file of the device; a render holds the content"),
	"environment":     never("it is a variable of the device; a render holds the content"),
	"external":        neverBut(false, "it is outside the bundle"),
	"driver":          never("Swarm"),
	"driver_opts":     never("Swarm"),
	"template_driver": never("Swarm"),
}, "content")

// A secret is a reference to one that the order gives the component; the
// verifier compares the two. A file, or a form without a reference, would make
// Compose mount a path of the device.
var composeSecret = fields(keysOf{
	"name":            harmless(text),
	"environment":     harmless(matching(`^[a-z0-9][a-z0-9._-]{0,63}$`, "the name of a secret of the device")),
	"labels":          never("nothing bears them"),
	"file":            never("it is a file of the device; a render names a secret"),
	"content":         never("a render holds no secret"),
	"external":        neverBut(false, "it is outside the bundle"),
	"driver":          never("Swarm"),
	"driver_opts":     never("Swarm"),
	"template_driver": never("Swarm"),
}, "environment")
