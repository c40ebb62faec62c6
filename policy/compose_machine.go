package policy

import (
	"fmt"
	"maps"
	"slices"
	"strings"
)

// The rules of what reaches for the machine, and of the limits that hold a
// container back. Each turns what the project says into the one spelling that
// a grant has.

func plain(s string) string { return s }

// byFlag: true needs the grant.
func byFlag(grant string) rule {
	return rule{check: func(w *walk, at place, v any) {
		switch v {
		case false:
		case true:
			w.want(at, grant, "")
		default:
			w.ask(at, "must be true or false", show(v))
		}
	}}
}

// byHost: "host" needs the grant; the namespaces of other containers cannot be
// granted, since nothing says what those may do.
func byHost(grant string, harmless ...string) rule {
	return rule{check: func(w *walk, at place, v any) {
		s, ok := v.(string)
		switch {
		case ok && slices.Contains(harmless, s):
		case s == "host":
			w.want(at, grant, "")
		default:
			w.ask(at, "must be "+strings.Join(append(harmless, "host"), " or "), show(v))
		}
	}}
}

// byEntry: the text, in the spelling of grants, needs an entry.
func byEntry(grant string, spelling func(string) string) rule {
	return rule{check: func(w *walk, at place, v any) {
		s, ok := v.(string)
		if !ok {
			w.ask(at, "must be text", show(v))
			return
		}
		w.want(at, grant, spelling(s))
	}}
}

// byPairs: each member needs an entry name=value.
func byPairs(grant string) rule {
	return rule{parts: []part{{".*", harmless(text)}}, check: func(w *walk, at place, v any) {
		object, ok := v.(map[string]any)
		if !ok {
			w.ask(at, "must be an object", "")
			return
		}
		for _, name := range slices.Sorted(maps.Keys(object)) {
			if s, ok := object[name].(string); ok {
				w.want(at.entry(name), grant, name+"="+s)
			} else {
				w.ask(at.entry(name), "must be text", show(object[name]))
			}
		}
	}}
}

// securityOption: the engine takes both ':' and '=' after the name.
var securityOption = rule{check: func(w *walk, at place, v any) {
	s, ok := v.(string)
	if i := strings.IndexAny(s, ":="); i >= 0 {
		s = s[:i] + "=" + s[i+1:]
	}
	switch {
	case !ok:
		w.ask(at, "must be text", show(v))
	case s == "no-new-privileges=true" || s == "no-new-privileges":
	default:
		w.want(at, "securityOpt", s)
	}
}}

var composeUlimit = ulimitRule()

func ulimitRule() rule {
	out := fields(keysOf{
		"soft":   harmless(between(-1, 1<<62)),
		"hard":   harmless(between(-1, 1<<62)),
		"single": never("written as a plain number"),
	}, "soft", "hard")
	object := out.check
	out.check = func(w *walk, at place, v any) {
		name := at.last
		if n, ok := whole(v); ok {
			w.want(at, "ulimits", fmt.Sprintf("%s=%d:%d", name, n, n))
			return
		}
		object(w, at, v)
		if o, ok := v.(map[string]any); ok {
			soft, _ := whole(o["soft"])
			hard, _ := whole(o["hard"])
			w.want(at, "ulimits", fmt.Sprintf("%s=%d:%d", name, soft, hard))
		}
	}
	return out
}

// Without permissions the engine gives all three.
var composeDevice = also(fields(keysOf{
	"source":      harmless(text),
	"target":      harmless(containerPath),
	"permissions": harmless(matching(`^(r?w?m?|[rwm]{1,3})$`, "some of r, w and m")),
}, "source"), func(w *walk, at place, device map[string]any) {
	source, ok := device["source"].(string)
	permissions, _ := device["permissions"].(string)
	switch {
	case !ok:
	case strings.Contains(source, "*"):
		w.ask(at, "must name one device", show(source))
	default:
		w.want(at, "devices", source+":"+inOrder(permissions))
	}
})

// inOrder spells device permissions in the order of grants.
func inOrder(permissions string) string {
	if permissions == "" {
		return "rwm"
	}
	var out string
	for _, p := range "rwm" {
		if strings.ContainsRune(permissions, p) {
			out += string(p)
		}
	}
	return out
}

var composeDeviceRequest = also(fields(keysOf{
	"capabilities": harmless(listOf(oneOf("gpu", "compute", "utility", "graphics", "video", "display", "compat32", "nvidia"))),
	"driver":       harmless(oneOf("nvidia", "amd")), // others, such as cdi, name any device
	"count":        harmless(between(-1, 1<<16)),
	"device_ids":   harmless(listOf(text)),
	"options":      never("they are orders to a driver of the device"),
}), func(w *walk, at place, _ map[string]any) { w.want(at, "gpus", "") })

// Without "published" the engine chooses a free port above 32767.
var composePort = also(fields(keysOf{
	"name":         harmless(text),
	"mode":         harmless(oneOf("ingress", "host")), // a Swarm setting that Compose ignores
	"host_ip":      harmless(matching(`^[0-9A-Fa-f.:]{1,45}$`, "an IP address")),
	"target":       harmless(between(1, 65535)),
	"published":    granted("ports", decimalText(1, 65535)),
	"protocol":     harmless(oneOf("tcp", "udp")),
	"app_protocol": harmless(text),
}, "target"), portGranted)

// portGranted keeps low ports, and those that the policy keeps for others, for
// whoever has them by name (attack C10).
func portGranted(w *walk, at place, port map[string]any) {
	n, ok := wholeText(port["published"])
	if !ok || n < 1 || n > 65535 {
		return
	}
	protocol, ok := port["protocol"].(string)
	if !ok {
		protocol = "tcp"
	}
	if n < 1024 || w.grants.reserves(n, protocol) {
		w.want(at.key("published"), "ports", fmt.Sprintf("%d/%s", n, protocol))
	}
}

// limitsPresent demands that the container is held back at all (attack C13); a
// render by the applier always says how.
func limitsPresent(w *walk, at place, service map[string]any) {
	deploy, _ := service["deploy"].(map[string]any)
	resources, _ := deploy["resources"].(map[string]any)
	limits, _ := resources["limits"].(map[string]any)
	for _, l := range []struct{ own, deploy string }{{"mem_limit", "memory"}, {"cpus", "cpus"}, {"pids_limit", "pids"}} {
		if service[l.own] == nil && limits[l.deploy] == nil {
			w.ask(at.key(l.own), "is missing", "")
		}
	}
	if service["logging"] == nil {
		w.ask(at.key("logging"), "is missing", "")
	}
	if w.ceilings.storage > 0 && service["storage_opt"] == nil {
		w.ask(at.key("storage_opt"), "is missing", "")
	}
}

// networkModeAlone: a mode and networks together have no one meaning.
func networkModeAlone(w *walk, at place, service map[string]any) {
	if service["network_mode"] != nil && service["networks"] != nil {
		w.ask(at.key("networks"), "goes with no network_mode", "")
	}
}

var composeStorage = fields(keysOf{"size": granted("limits.storage", rule{check: func(w *walk, at place, v any) {
	s, _ := v.(string)
	n := byteSize(strings.TrimSuffix(strings.ToLower(s), "b"))
	switch {
	case n == 0:
		w.ask(at, "must be a size such as 10g", show(v))
	case w.ceilings.storage > 0:
		w.within(at, "storage", n, w.ceilings.storage, sizeText)
	}
}})}, "size")

// Logs stay on the device and within bounds (attacks C12, C13). The driver is
// named because the engine's own default may be another one.
var composeLogging = rule{
	parts: fields(keysOf{"driver": granted("logDrivers", text), "options": granted("logOptions", mapOf(text))}).parts,
	check: func(w *walk, at place, v any) {
		object, _ := v.(map[string]any)
		driver, _ := object["driver"].(string)
		switch driver {
		case "json-file", "local":
			localLog.check(w, at, v)
		default:
			otherLog.check(w, at, v)
		}
	},
}

var localLog = also(fields(keysOf{
	"driver": harmless(text),
	"options": harmless(fields(keysOf{
		"max-size": harmless(matching(`^[1-9][0-9]{0,9}[kmg]?$`, "a size such as 10m")),
		"max-file": harmless(decimalText(1, maxLogFiles)),
		"compress": harmless(oneOf("true", "false")),
	}, "max-size")),
}, "driver", "options"), func(w *walk, at place, logging map[string]any) {
	options, _ := logging["options"].(map[string]any)
	size, _ := options["max-size"].(string)
	// What the drivers do without max-file: json-file keeps 1, local 5.
	files, ok := wholeText(options["max-file"])
	if !ok {
		files = 5
	}
	if n := byteSize(size); n > 0 && n < maxLimit/maxLogFiles {
		w.within(at.key("options"), "logs", n*files, w.ceilings.logs, sizeText)
	} else {
		w.ask(at.key("options"), "must have a size that can be counted", show(options["max-size"]))
	}
})

var otherLog = fields(keysOf{
	"driver":  granted("logDrivers", byEntry("logDrivers", plain)),
	"options": granted("logOptions", byPairs("logOptions")),
}, "driver")
