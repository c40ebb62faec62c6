package policy

import (
	"maps"
	"slices"
	"strings"

	"github.com/consign-dev/consign/internal/lazyregexp"
)

var composeMount = byType(map[string]rule{
	"volume": mount(keysOf{
		"source": harmless(nameOfDeclared("volumes")),
		"volume": harmless(fields(keysOf{
			"nocopy":  harmless(flag),
			"labels":  harmless(composeLabels),
			"subpath": harmless(containerFile),
		})),
	}, "source"),
	"tmpfs": mount(keysOf{
		"tmpfs": harmless(fields(keysOf{
			"size": granted("limits.tmpfs", tmpfsLimit),
			"mode": harmless(between(0, 0o7777)),
		}, "size")),
	}, "tmpfs"),
	"bind": also(mount(keysOf{
		"source": granted("hostPaths, engineSocket", text),
		"bind": harmless(fields(keysOf{
			"create_host_path": harmless(flag),
			"propagation":      harmless(oneOf("rprivate", "private")), // others carry mounts to the machine
			"recursive":        harmless(oneOf("enabled", "disabled", "readonly")),
			"selinux":          never("it relabels files of the machine"),
		})),
	}, "source"), bindGranted),
})

// mount is an object of one type of mount: what is of another type is refused.
func mount(own keysOf, required ...string) rule {
	keys := keysOf{
		"type":        harmless(text),
		"target":      harmless(containerPath),
		"read_only":   harmless(flag),
		"consistency": harmless(oneOf("consistent", "cached", "delegated")), // of Docker Desktop
		"source":      never("this type of mount has none"),
		"bind":        never("of another type of mount; relabelling a volume is not supported"),
		"volume":      never("of another type of mount"),
		"tmpfs":       never("of another type of mount"),
		"image":       never("mounts of images are not supported"),
	}
	maps.Copy(keys, own)
	return fields(keys, append(required, "target")...)
}

// bindGranted asks for a path of the machine (attack C1), the engine's socket
// by its own grant.
func bindGranted(w *walk, at place, bind map[string]any) {
	source, ok := bind["source"].(string)
	if !ok {
		return
	}
	if slices.Contains(engineSockets, source) {
		w.want(at, "engineSocket", "")
		return
	}
	if fault := protectedFault(source, w.grants.paths); fault != "" && plainPath(source) {
		w.ask(at, "never granted: "+fault, show(source))
		return
	}
	mode := "rw"
	if bind["read_only"] == true {
		mode = "ro"
	}
	w.want(at, "hostPaths", source+":"+mode)
}

var tmpfsOption = lazyregexp.New(`^(size=[0-9]{1,15}[kmg]?|mode=[0-7]{1,4}|uid=[0-9]{1,10}|gid=[0-9]{1,10}|ro|rw|exec|noexec|nosuid|nodev)$`)

// composeTmpfs is "path" or "path:options". The size is demanded: the kernel's
// default is half of the memory.
var composeTmpfs = rule{check: func(w *walk, at place, v any) {
	s, ok := v.(string)
	path, options, _ := strings.Cut(s, ":")
	if !ok || !strings.HasPrefix(path, "/") || strings.Contains(path, ",") || climbs(path) {
		w.ask(at, "must be an absolute path, perhaps with options", show(v))
		return
	}
	var size int64
	for option := range strings.SplitSeq(options, ",") {
		if options == "" {
			break
		}
		if !tmpfsOption.MatchString(option) {
			w.ask(at, "must have options of size, mode, uid, gid, ro, rw, exec, noexec, nosuid, nodev", show(v))
			return
		}
		if n, ok := strings.CutPrefix(option, "size="); ok {
			if size != 0 {
				w.ask(at, "must have one size", show(v))
				return
			}
			size = byteSize(n)
		}
	}
	if size == 0 {
		w.ask(at, "must have a size, such as size=64m", show(v))
		return
	}
	w.within(at, "tmpfs", size, w.ceilings.tmpfs, sizeText)
}}
