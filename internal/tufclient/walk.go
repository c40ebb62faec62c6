package tufclient

import (
	"errors"
	"slices"

	"github.com/theupdateframework/go-tuf/v2/metadata"

	"github.com/consign-dev/consign/internal/reason"
)

// ErrNoTarget is the answer when no role that may speak for a target lists it.
var ErrNoTarget = errors.New("no such target")

// lender lends the document of a role that was reached through the delegation
// of another, verified against that delegation.
type lender func(role, from string) (*targetsDoc, error)

type visit struct{ role, from string }

// walk searches the roles that may speak for a target in the order of trust:
// pre-order, depth first, in the order in which delegations are listed; a
// terminating delegation that matches ends the search after its own subtree
// (TUF 1.0.34 section 5.6.7). It returns the first role that lists the target.
func walk(target string, lend lender) (string, *metadata.TargetFiles, error) {
	stack := []visit{{metadata.TARGETS, metadata.ROOT}}
	visited := map[string]bool{}
	for len(stack) > 0 {
		v := stack[len(stack)-1]
		stack = stack[:len(stack)-1]
		if visited[v.role] {
			continue
		}
		if len(visited) == MaxLookupRoles {
			return "", nil, reason.New(reason.TooLarge, "target %q: the search visits more than %d roles", target, MaxLookupRoles)
		}
		d, err := lend(v.role, v.from)
		if err != nil {
			return "", nil, err
		}
		visited[v.role] = true
		if file := d.meta.Signed.Targets[target]; file != nil {
			return v.role, file, nil
		}
		children, terminating := matching(d, v.role, target)
		if terminating {
			stack = nil
		}
		slices.Reverse(children)
		stack = append(stack, children...)
	}
	return "", nil, ErrNoTarget
}

// matching returns the delegations of d, the document of role, that may speak for target, up to the
// first that is terminating.
func matching(d *targetsDoc, role, target string) (children []visit, terminating bool) {
	if d.meta.Signed.Delegations == nil {
		return nil, false
	}
	for _, r := range d.meta.Signed.Delegations.GetRolesForTarget(target) {
		children = append(children, visit{r.Name, role})
		if r.Terminating {
			return children, true
		}
	}
	return children, false
}
