package tufrepo

import (
	"maps"
	"slices"
	"time"

	"github.com/consign-dev/consign/internal/reason"
	"github.com/consign-dev/consign/internal/tufclient"
)

// Join makes r, the state that a registry serves, one that readers of both r
// and ours can follow; ours is the last state that the caller has accepted, of
// the same channel, and r contradicts it or is behind it. Each targets role
// keeps the document of the branch that is ahead:
//
//   - ours, if the served one is an ancestor of it or has a lower version. An
//     old document is never signed anew, whatever a registry serves and
//     whoever holds the online keys.
//   - the served one otherwise. When both have one version, it is signed again
//     above it, if mayRaise allows that for the role: what only ours says is
//     gone then, unless the caller stages it again.
//
// Snapshot and timestamp are signed above both at the next Sign. The error has
// reason equivocation where mayRaise forbids.
func (r *Repo) Join(ours *Repo, mayRaise func(role string) bool) error {
	if r.identity != ours.identity || !slices.Equal(slices.Sorted(maps.Keys(r.roles)), slices.Sorted(maps.Keys(ours.roles))) {
		return reason.New(reason.Equivocation, "join: the two states differ in their channel or roles")
	}
	for role := range r.roles {
		if err := r.joinRole(ours, role, mayRaise); err != nil {
			return err
		}
	}
	r.Above(ours.Versions())
	r.Above(ours.floor)
	r.changed[Snapshot] = true
	if ours.SignedAt().After(r.SignedAt()) {
		// The next signed time has to follow both.
		r.timestamp.Signed.UnrecognizedFields[tufclient.SignedAtField] = ours.SignedAt().Format(time.RFC3339)
	}
	return nil
}

func (r *Repo) joinRole(ours *Repo, role string, mayRaise func(role string) bool) error {
	served, own := r.Document(role), ours.Document(role)
	switch {
	case r.Standing(role, own) == Part:
		return nil
	case ours.Standing(role, served) == Part || served.Version < own.Version:
		delete(r.files, tufclient.FileName(role, served.Version))
		r.Above(map[string]int64{role: served.Version})
		r.files[tufclient.FileName(role, own.Version)] = ours.files[tufclient.FileName(role, own.Version)]
		r.roles[role], r.lineage[role] = ours.roles[role], ours.lineage[role]
		return nil
	case served.Version > own.Version:
		return nil
	case !mayRaise(role):
		return reason.New(reason.Equivocation, "join: role %s: version %d was signed with two contents, neither of them by these keys' last commands", role, own.Version)
	}
	r.changed[role] = true
	return nil
}
