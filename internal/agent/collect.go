package agent

import (
	"context"
	"fmt"
	"maps"
	"slices"

	"github.com/opencontainers/go-digest"
)

// collect removes from the content store, and then from the engine, what
// nothing needs any more: not what runs, not what is ordered, not what the past
// is read by, not what archived decisions were made from. It runs after a change;
// a cycle that changed nothing deletes nothing.
func (a *Agent) collect(ctx context.Context, v *view) error {
	roots := []digest.Digest{v.orders.State(), v.orders.Policy().Digest()}
	for _, o := range v.orders.List() {
		roots = append(roots, digest.Digest(o.Terms().Bundle.Digest), o.Digest())
	}
	roots = append(roots, a.state.needed()...)
	for _, in := range a.state.Past {
		roots = append(roots, in.Policy)
	}
	keep, err := a.store.Closure(roots...)
	if err != nil {
		return fmt.Errorf("collect what is not needed: %w", err)
	}
	// The papers of the past name images that may go: only what they are read by stays.
	images := slices.Collect(maps.Keys(keep))
	for _, in := range a.state.Past {
		for _, d := range in.papers() {
			keep[d] = true
		}
	}
	if err := a.thinInto(keep); err != nil {
		return err
	}
	if err := a.store.GC(keep); err != nil {
		return err
	}
	a.prune(ctx, images)
	return nil
}

// prune removes from the engine the images that it once pulled from here, but
// for those in keep, which may name any content. What stays on a failure is
// looked at after the next change, so a failure is no error of the cycle.
func (a *Agent) prune(ctx context.Context, keep []digest.Digest) {
	if a.applier.Compose == nil {
		return // a cluster's node removes images that nothing runs by itself
	}
	if _, err := a.applier.Compose.Prune(ctx, keep); err != nil && ctx.Err() == nil {
		a.warn("images that nothing needs are still in the engine", "error", err.Error())
	}
}

// needed is what installations rest on and return to: their bundles and papers.
func (s *state) needed() []digest.Digest {
	var out []digest.Digest
	for _, in := range s.Installed {
		out = append(out, in.Bundle)
		out = append(out, in.papers()...)
	}
	return out
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
