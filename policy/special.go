package policy

import (
	"regexp"
	"slices"
	"strings"
	"time"
)

// maxStopGrace bounds how long a container may delay its own replacement.
const maxStopGrace = 10 * time.Minute

const tmpfsOption = `(size=[0-9]{1,15}[kmg]?|mode=[0-7]{1,4}|uid=[0-9]{1,10}|gid=[0-9]{1,10}|ro|rw|exec|noexec|nosuid|nodev)`

const tmpfsPattern = `^/[^:,]*(:` + tmpfsOption + `(,` + tmpfsOption + `)*)?$`

var (
	// No underscore, so that "<project>_" is the beginning of no other
	// project's names (attack C8).
	projectPattern = regexp.MustCompile(`^[a-z0-9][a-z0-9-]{0,62}$`)
	// What the engine accepts as a name. In particular no separator: Compose
	// puts the name of a volume in front of a colon, where a path would be a
	// bind mount (attack C1).
	ownPattern = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9_.-]{0,200}$`)
)

var projectName = accept("lower case letters, digits and -, at most 63", func(v any) bool {
	s, ok := v.(string)
	return ok && projectPattern.MatchString(s)
})

// ownName accepts a name in the engine that only this project can have. It is
// the one that Compose gives by itself, or one that an author chose after the
// same beginning.
func ownName(w *walk, path string, v any) {
	s, ok := v.(string)
	rest, own := strings.CutPrefix(s, w.project+"_")
	if !ok || !own || w.project == "" || !ownPattern.MatchString(rest) {
		w.ask(path, "must begin with %q so that it is no other application's, not %s; leave name out", w.project+"_", show(v))
	}
}

// environmentValue refuses a variable without a value: Compose fills it from
// the environment of whoever runs it (attack C5).
func environmentValue(w *walk, path string, v any) {
	if v == nil {
		w.ask(path, "has no value and would take the machine's")
		return
	}
	text(w, path, v)
}

// containerPath is where something is mounted. A colon would be read as the
// beginning of mount options.
var containerPath = accept("an absolute path without ':' and '..'", func(v any) bool {
	s, ok := v.(string)
	return ok && strings.HasPrefix(s, "/") && !strings.ContainsAny(s, ":\x00") && !climbs(s)
})

// containerFile is where a config is copied to, relative to the container's
// root directory.
var containerFile = accept("a path without '..'", func(v any) bool {
	s, ok := v.(string)
	return ok && s != "" && !strings.Contains(s, "\x00") && !climbs(s)
})

func climbs(path string) bool { return slices.Contains(strings.Split(path, "/"), "..") }

// composeLabels accepts any labels but those by which Docker Compose finds
// the objects of a project (attack C8).
func composeLabels(w *walk, path string, v any) {
	object, _ := v.(map[string]any)
	plain := make(map[string]any, len(object))
	for key, value := range object {
		if strings.HasPrefix(key, "com.docker.") {
			w.ask(join(path, key), "labels of com.docker are the engine's own")
			continue
		}
		plain[key] = value
	}
	if object == nil {
		mapOf(text)(w, path, v)
		return
	}
	mapOf(text)(w, path, plain)
}
