package policy

import (
	"slices"
	"strings"
	"time"

	"github.com/consign-dev/consign/internal/lazyregexp"
)

// maxStopGrace bounds how long a container may delay its own replacement.
const maxStopGrace = 10 * time.Minute

var (
	// No underscore, so that "<project>_" is the beginning of no other
	// project's names (attack C8).
	projectPattern = lazyregexp.New(`^[a-z0-9][a-z0-9-]{0,62}$`)
	// What the engine accepts as a name. In particular no separator: Compose
	// puts the name of a volume in front of a colon, where a path would be a
	// bind mount (attack C1).
	ownPattern = lazyregexp.New(`^[A-Za-z0-9][A-Za-z0-9_.-]{0,200}$`)
)

var projectName = accept("must be lower case letters, digits and -, at most 63", func(v any) bool {
	s, ok := v.(string)
	return ok && projectPattern.MatchString(s)
})

// ownName accepts a name in the engine that only this project can have. It is
// the one that Compose gives by itself, or one that an author chose after the
// same beginning.
var ownName = rule{check: func(w *walk, at place, v any) {
	s, ok := v.(string)
	rest, own := strings.CutPrefix(s, w.project+"_")
	if !ok || !own || w.project == "" || !ownPattern.MatchString(rest) {
		w.ask(at, "must begin with the project's name and _ so that it is no other application's; leave name out", show(v))
	}
}}

// environmentValue refuses a variable without a value: Compose fills it from
// the environment of whoever runs it (attack C5).
var environmentValue = rule{check: func(w *walk, at place, v any) {
	if v == nil {
		w.ask(at, "has no value and would take the machine's", "")
		return
	}
	text.check(w, at, v)
}}

// containerPath is where something is mounted. A colon would be read as the
// beginning of mount options.
var containerPath = accept("must be an absolute path without ':' and '..'", func(v any) bool {
	s, ok := v.(string)
	return ok && strings.HasPrefix(s, "/") && !strings.ContainsAny(s, ":\x00") && !climbs(s)
})

// containerFile is where a config is copied to, relative to the container's
// root directory.
var containerFile = accept("must be a path without '..'", func(v any) bool {
	s, ok := v.(string)
	return ok && s != "" && !strings.Contains(s, "\x00") && !climbs(s)
})

func climbs(path string) bool { return slices.Contains(strings.Split(path, "/"), "..") }

// composeLabels accepts any labels but those by which Docker Compose finds
// the objects of a project (attack C8).
var composeLabels = rule{check: func(w *walk, at place, v any) {
	object, _ := v.(map[string]any)
	plain := make(map[string]any, len(object))
	for name, value := range object {
		if strings.HasPrefix(name, "com.docker.") {
			w.ask(at.entry(name), "labels of com.docker are the engine's own", "")
			continue
		}
		plain[name] = value
	}
	if object == nil {
		mapOf(text).check(w, at, v)
		return
	}
	mapOf(text).check(w, at, plain)
}}
