package apply

import (
	"context"

	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/consign-dev/consign/internal/bundle"
	"github.com/consign-dev/consign/internal/reason"
	"github.com/consign-dev/consign/internal/verify"
)

// Each is the [Applier] of all profiles: it hands each component to the one that its
// type is for. One that a machine has no engine for is nil.
type Each struct {
	Compose *Compose
	Chart   *Chart
}

// of returns the applier for a type; "" is as good as [bundle.Compose]. A verdict
// has asked before, so none is left only where the machine's configuration changed.
func (e Each) of(profile string) (Keeper, error) {
	switch {
	case profile == bundle.Helm && e.Chart != nil:
		return e.Chart, nil
	case profile != bundle.Helm && e.Compose != nil:
		return e.Compose, nil
	case profile == bundle.Helm:
		return nil, reason.New(reason.Unreachable, "no cluster is configured for the component: set kubeconfig in the agent's configuration")
	default:
		return nil, reason.New(reason.Unreachable, "no engine is configured for the component: set engine in the agent's configuration")
	}
}

// Keeper is what copies the data of parts, which are all of one type.
func (e Each) Keeper(parts []Part) (Keeper, error) {
	profile := ""
	if len(parts) > 0 {
		profile = parts[0].Type
	}
	return e.of(profile)
}

// Render implements [Applier]. The components of one profile are of one type.
func (e Each) Render(ctx context.Context, v verify.Renderable, archive func(ocispec.Descriptor) ([]byte, error)) ([]verify.Render, error) {
	parts := v.Components()
	if len(parts) == 0 {
		return nil, nil
	}
	a, err := e.of(parts[0].Type)
	if err != nil {
		return nil, err
	}
	return a.Render(ctx, v, archive)
}

// Apply implements [Applier].
func (e Each) Apply(ctx context.Context, p *verify.Permit, n int) (ApplyResult, error) {
	a, err := e.of(p.Components()[n].Type)
	if err != nil {
		return ApplyResult{}, err
	}
	return a.Apply(ctx, p, n)
}

// Observe implements [Applier].
func (e Each) Observe(ctx context.Context, o Observe) (ObserveResult, error) {
	a, err := e.of(o.Type)
	if err != nil {
		return ObserveResult{}, err
	}
	return a.Observe(ctx, o)
}

// Remove implements [Applier].
func (e Each) Remove(ctx context.Context, deployment string, part Part, volumes bool) (RemoveResult, error) {
	a, err := e.of(part.Type)
	if err != nil {
		return RemoveResult{}, err
	}
	return a.Remove(ctx, deployment, part, volumes)
}
