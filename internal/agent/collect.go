package agent

import (
	"fmt"

	"github.com/opencontainers/go-digest"
)

// collect removes from the content store what nothing needs any more: not what
// runs, not what is ordered, not what the past is read by. It runs after a
// change; a cycle that changed nothing deletes nothing.
func (a *Agent) collect(v *view) error {
	roots := []digest.Digest{v.orders.State(), v.orders.Policy().Digest()}
	for _, o := range v.orders.List() {
		roots = append(roots, digest.Digest(o.Terms().Bundle.Digest), o.Digest())
	}
	for _, in := range a.state.Installed {
		roots = append(roots, in.Bundle)
		roots = append(roots, in.papers()...)
	}
	for _, in := range a.state.Past {
		roots = append(roots, in.Policy)
	}
	keep, err := a.store.Closure(roots...)
	if err != nil {
		return fmt.Errorf("collect what is not needed: %w", err)
	}
	for _, in := range a.state.Past {
		for _, d := range in.papers() {
			keep[d] = true
		}
	}
	return a.store.GC(keep)
}

// papers are the small documents of an installation: what its verdict rested
// on, its order and its renders. Image layers are not among them.
func (in Installation) papers() []digest.Digest {
	out := append([]digest.Digest{in.Order, in.Policy, in.Manifest}, in.Documents...)
	for _, c := range in.Components {
		out = append(out, c.Render)
	}
	return out
}
