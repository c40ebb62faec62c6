package policy

import (
	"cmp"
	"maps"
	"slices"
)

// Class says what becomes of a key of a Compose project.
type Class string

// The classes. A key that is in none of them is refused as unknown.
const (
	// Harmless: every application may use it, within the rule of the key.
	Harmless Class = "harmless"
	// Grantable: some of its values need a grant by name.
	Grantable Class = "grantable"
	// Never: refused whatever the policy says.
	Never Class = "never"
)

// Key is one classified key of a Compose project.
type Key struct {
	// Path has "*" for a name that the author chooses and "[]" for the elements
	// of a list, such as services.*.ports[].published.
	Path string `json:"path"`
	// Class is what becomes of it.
	Class Class `json:"class"`
	// Note is the grant that covers a grantable key, and for one that is never
	// granted the reason.
	Note string `json:"note,omitempty"`
}

// ComposeKeys lists every key that the check knows, sorted by path, each once.
// Below a key that is never granted nothing is listed.
func ComposeKeys() []Key {
	found := map[string]Key{}
	collect(found, "", composeProject)
	return slices.SortedFunc(maps.Values(found), func(a, b Key) int { return cmp.Compare(a.Path, b.Path) })
}

func collect(found map[string]Key, at string, r rule) {
	for _, p := range r.parts {
		path := at + p.step
		if len(p.step) > 1 && p.step[0] == '.' && p.step != ".*" {
			k := Key{Path: path[1:], Class: p.class, Note: p.note}
			// The kinds of mount share their keys: what one of them allows counts.
			if other, dup := found[k.Path]; !dup || rank[k.Class] > rank[other.Class] {
				found[k.Path] = k
			}
		}
		collect(found, path, p.rule)
	}
}

var rank = map[Class]int{Never: 0, Harmless: 1, Grantable: 2}

// KubernetesKeys lists every field of every known kind, as [ComposeKeys] does.
// Paths begin with the kind, such as Deployment.spec.replicas.
func KubernetesKeys() []Key {
	var out []Key
	for kind, k := range kubernetesKinds {
		found := map[string]Key{}
		collect(found, "", k.rule)
		for _, key := range found {
			key.Path = kind + "." + key.Path
			out = append(out, key)
		}
	}
	slices.SortFunc(out, func(a, b Key) int { return cmp.Compare(a.Path, b.Path) })
	return out
}
