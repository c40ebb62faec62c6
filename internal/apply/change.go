package apply

import (
	"context"
	"errors"
	"fmt"
	"slices"

	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/consign-dev/consign/internal/bundle"
	"github.com/consign-dev/consign/internal/reason"
	"github.com/consign-dev/consign/internal/verify"
)

// Applier makes one kind of component run: Compose projects on a Docker engine, or
// charts on a Kubernetes. internal/apply/applytest is the suite that every applier passes. Methods may
// be called again after an interruption at any point and then converge.
type Applier interface {
	// Render makes the exact objects of each component of a verdict, or of a
	// rehearsal, and touches nothing. archive lends the checked bytes of a component archive.
	Render(ctx context.Context, v verify.Renderable, archive func(ocispec.Descriptor) ([]byte, error)) ([]verify.Render, error)
	// Apply makes the n-th component of a permit run, in the place of what runs
	// under its name, and returns when it is healthy or has failed. An error that
	// [Untouched] recognises left everything as it was.
	Apply(ctx context.Context, p *verify.Permit, n int) (ApplyResult, error)
	// Observe says what runs of a component and how it differs from its render.
	Observe(ctx context.Context, in Observe) (ObserveResult, error)
	// Remove takes a component away; what is gone already is no error. Data goes
	// only when volumes says so.
	Remove(ctx context.Context, deployment string, part Part, volumes bool) (RemoveResult, error)
}

// Part is a component as the engine, or the cluster, knows it.
type Part struct {
	// Name is the component's name in margo.yaml, Project its name in the engine.
	Name    string `json:"name"`
	Project string `json:"project"`
	// Type is [bundle.Helm], or "" for [bundle.Compose].
	Type string `json:"type,omitempty"`
	// Namespace and PodSecurity are of a chart, see [verify.Component] and
	// [verify.PermittedComponent].
	Namespace   string `json:"namespace,omitempty"`
	PodSecurity string `json:"podSecurity,omitempty"`
}

// Same reports whether two parts are one thing in the engine or cluster, in
// whatever version.
func (p Part) Same(other Part) bool { return p.Project == other.Project && p.Type == other.Type }

// PartOf returns a component of a permit as the engine knows it.
func PartOf(c verify.PermittedComponent) Part {
	part := Part{Name: c.Name, Project: c.Project, Namespace: c.Namespace, PodSecurity: c.PodSecurity}
	if c.Type != bundle.Compose {
		part.Type = c.Type
	}
	return part
}

// Parts returns the components of a permit.
func Parts(p *verify.Permit) []Part {
	var out []Part
	for _, c := range p.Components() {
		out = append(out, PartOf(c))
	}
	return out
}

// Replace makes the components of next run in their order, in the place of
// before, what ran until now; those that only before has go when all of next is
// healthy, their data stays. The first failure ends it and names the component;
// touched says whether the machine may have been changed by then. notes say what
// was found in disorder and put right.
func Replace(ctx context.Context, a Applier, next *verify.Permit, before []Part) (notes []string, touched bool, err error) {
	for n, part := range next.Components() {
		said, changed, err := applyOne(ctx, a, next, n)
		notes = append(notes, said...)
		if err != nil {
			return notes, n > 0 || changed, fmt.Errorf("component %s: %w", part.Name, err)
		}
	}
	return notes, true, removeOthers(ctx, a, next.Verdict().Order().Deployment().ID, before, Parts(next))
}

// applyOne makes one component run and looks at what became of it: an engine may
// add to what it was told, and somebody may have been there before.
func applyOne(ctx context.Context, a Applier, p *verify.Permit, n int) (notes []string, changed bool, err error) {
	res, err := a.Apply(ctx, p, n)
	if err != nil {
		return nil, !Untouched(err), err
	}
	for _, note := range res.Notes {
		notes = append(notes, fmt.Sprintf("component %s: %s", p.Components()[n].Name, note))
	}
	return notes, true, p.CheckLive(n, verify.Live{Services: res.Services, Objects: res.Objects})
}

// Restore makes the components of last run again after something else was
// begun in their place, and takes away those of begun that last does not have.
// It goes on after an error and returns all of them.
func Restore(ctx context.Context, a Applier, last *verify.Permit, begun []Part) (notes []string, err error) {
	var errs []error
	for n, part := range last.Components() {
		said, _, err := applyOne(ctx, a, last, n)
		notes = append(notes, said...)
		if err != nil {
			errs = append(errs, fmt.Errorf("component %s: %w", part.Name, err))
		}
	}
	return notes, errors.Join(append(errs, removeOthers(ctx, a, last.Verdict().Order().Deployment().ID, begun, Parts(last)))...)
}

// TakeAway removes components of a deployment, last first, with their data only
// if volumes says so.
func TakeAway(ctx context.Context, a Applier, deployment string, parts []Part, volumes bool) error {
	var errs []error
	for _, part := range slices.Backward(parts) {
		if _, err := a.Remove(ctx, deployment, part, volumes); err != nil {
			errs = append(errs, fmt.Errorf("component %s: %w", part.Name, err))
		}
	}
	return errors.Join(errs...)
}

func removeOthers(ctx context.Context, a Applier, deployment string, parts, stay []Part) error {
	var gone []Part
	for _, p := range parts {
		if !slices.ContainsFunc(stay, p.Same) {
			gone = append(gone, p)
		}
	}
	return TakeAway(ctx, a, deployment, gone, false)
}

// Untouched reports whether an error of [Applier.Apply] came before anything on
// the machine was changed: the render, the names, the images or a secret were
// refused, or the engine was not there. Appliers make those checks first.
func Untouched(err error) bool {
	switch reason.Of(err) {
	case reason.Conflict, reason.DigestMismatch, reason.ImageUnpinned, reason.Malformed, reason.Unreachable, reason.TooSlow,
		reason.Ineligible: // a secret that is not as it must be
		return true
	default:
		return false
	}
}
