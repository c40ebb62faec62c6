package cluster

import (
	"context"
	"time"

	"github.com/opencontainers/go-digest"

	"github.com/consign-dev/consign/internal/apply/task"
	"github.com/consign-dev/consign/internal/reason"
)

// Apply makes the cluster run a render. Until every name is free and the server
// would take every object it changes nothing but the namespace. After that, an
// error leaves the release as far as it came: the caller goes back by applying the
// former render.
func Apply(ctx context.Context, in task.ChartApplyInput) (task.ApplyResult, error) {
	o := owner{in.Release, in.Namespace, in.Deployment}
	r, before, err := checkedRenders(in, o)
	if err != nil {
		return task.ApplyResult{}, err
	}
	d, err := r.delivery(in.Secrets, false)
	if err != nil {
		return task.ApplyResult{}, err
	}
	ctx, cancel := context.WithTimeout(ctx, time.Duration(in.TimeoutSeconds)*time.Second)
	defer cancel()
	c, err := connect(ctx, in.Kubeconfig)
	if err != nil {
		return task.ApplyResult{}, err
	}
	c.delivery = d
	if err := c.prepare(ctx, o, r, in.PodSecurity); err != nil {
		return task.ApplyResult{}, beforehand(ctx, err)
	}
	h, err := c.helm(o)
	if err != nil {
		return task.ApplyResult{}, err
	}
	notes, err := c.change(ctx, h, before, r, in.Wait)
	if err != nil {
		err = afterwards(ctx, err)
		h.markFailed(err)
		return task.ApplyResult{}, err
	}
	out := task.ApplyResult{Notes: notes}
	inv, err := c.inventory(ctx, o)
	if err == nil {
		out.Services, out.Objects, err = c.live(ctx, h, inv)
	}
	if err != nil {
		return task.ApplyResult{}, afterwards(ctx, err)
	}
	return out, nil
}

// beforehand gives an error from before any change the reason too-slow when there
// was no time left: another try has it again.
func beforehand(ctx context.Context, err error) error {
	if ctx.Err() == nil {
		return err
	}
	return reason.New(reason.TooSlow, "the time allowed for the component was over before anything was changed: %w", err)
}

// afterwards gives an error of a change that was begun a reason that does not say
// that nothing was changed. A cluster that went away meanwhile is no fault of the
// version, which is tried again.
func afterwards(ctx context.Context, err error) error {
	switch code := reason.Of(err); {
	case code == reason.Health || code == reason.NoSpace:
		return err
	case ctx.Err() != nil:
		return reason.New(reason.Health, "the time allowed for the component is over: %w", err)
	default:
		return reason.New(reason.Internal, "the change was begun: %w", err)
	}
}

func checkedRenders(in task.ChartApplyInput, o owner) (r, before *render, err error) {
	if in.Deployment == "" || in.TimeoutSeconds <= 0 || in.PodSecurity == "" {
		return nil, nil, reason.New(reason.Malformed, "apply: deployment, podSecurity and timeoutSeconds are required")
	}
	if err := checkImages(in.Images); err != nil {
		return nil, nil, err
	}
	if r, err = provedRender(in.Render, in.Digest, o); err != nil || len(in.Before) == 0 {
		return r, nil, err
	}
	before, err = provedRender(in.Before, in.BeforeDigest, o)
	return r, before, err
}

func provedRender(data []byte, want digest.Digest, o owner) (*render, error) {
	r, err := readRender(data, want, o)
	if err != nil {
		return nil, err
	}
	return r, r.prove()
}

// prepare finds out whether the cluster would take all of the render.
func (c *cluster) prepare(ctx context.Context, o owner, r *render, level string) error {
	if err := c.oneNode(ctx); err != nil {
		return err
	}
	if err := c.checkOwner(ctx, o, r); err != nil {
		return err
	}
	if err := c.ensureNamespace(ctx, o, level); err != nil {
		return err
	}
	return c.rehearse(ctx, o, r)
}

// change puts the render in the place of what runs, and waits for it.
func (c *cluster) change(ctx context.Context, h *helm, before, r *render, wait bool) (notes []string, err error) {
	h.component = r.component()
	restarts, err := h.restarts(ctx)
	if err != nil {
		return nil, err
	}
	note, err := h.mend(ctx, before, r)
	if err != nil {
		return nil, err
	}
	if note != "" {
		notes = append(notes, note)
	}
	if err := c.keepClaims(ctx, h.owner, r); err != nil {
		return notes, err
	}
	if err := c.give(ctx, h.owner); err != nil {
		return notes, err
	}
	if err := c.ready(ctx, h.owner, before, r); err != nil {
		return notes, err
	}
	if err := h.install(ctx, r); err != nil {
		return notes, err
	}
	if err := c.straighten(ctx, h.owner, r); err != nil {
		return notes, err
	}
	if err := c.sweep(ctx, h.owner, r); err != nil || !wait {
		return notes, err
	}
	return notes, h.settle(ctx, r, restarts)
}
