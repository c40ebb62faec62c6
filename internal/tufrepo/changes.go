package tufrepo

import (
	"encoding/json"
	"maps"
	"slices"

	"github.com/opencontainers/go-digest"
	"github.com/theupdateframework/go-tuf/v2/metadata"
)

// Change is what one SetTarget or RemoveTarget did. Before and After are nil
// where the role did not list the name.
type Change struct {
	Role   string  `json:"role"`
	Name   string  `json:"name"`
	Before *Target `json:"before,omitempty"`
	After  *Target `json:"after,omitempty"`
}

// Changes returns what was staged since the last Sign, in order.
func (r *Repo) Changes() []Change { return slices.Clone(r.changes) }

// Changed names the roles that the next Sign signs anew for their own sake.
func (r *Repo) Changed() []string { return slices.Sorted(maps.Keys(r.changed)) }

// Target returns what role lists under name, nil if nothing.
func (r *Repo) Target(role, name string) *Target {
	doc := r.roles[role]
	if doc == nil || doc.Signed.Targets[name] == nil {
		return nil
	}
	return targetOf(doc.Signed.Targets[name])
}

func targetOf(file *metadata.TargetFiles) *Target {
	t := &Target{Length: file.Length, Digest: digest.NewDigestFromBytes(digest.SHA256, file.Hashes["sha256"])}
	if file.Custom != nil {
		t.Custom = json.RawMessage(slices.Clone(*file.Custom))
	}
	return t
}

// SameTarget reports whether two entries of a role say the same; nil is no entry.
func SameTarget(a, b *Target) bool {
	if a == nil || b == nil {
		return a == b
	}
	fa, errA := a.file("x")
	fb, errB := b.file("x")
	return errA == nil && errB == nil && same(fa, fb)
}
