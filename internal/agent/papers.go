package agent

import (
	"context"
	"fmt"
	"slices"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/consign-dev/consign/internal/apply"
	"github.com/consign-dev/consign/internal/apply/task"
	"github.com/consign-dev/consign/internal/bundle"
	"github.com/consign-dev/consign/internal/gather"
	"github.com/consign-dev/consign/internal/margo"
	"github.com/consign-dev/consign/internal/oci"
	"github.com/consign-dev/consign/internal/reason"
	"github.com/consign-dev/consign/internal/verify"
)

// paper reads a small document that an installation rests on. What is lost of it
// is fetched from repo, unless that is nil. One longer than max is too-large,
// before anything is read.
func (a *Agent) paper(ctx context.Context, repo *oci.Repository, d digest.Digest, size, max int64) ([]byte, error) {
	if size > max {
		return nil, reason.New(reason.TooLarge, "%s has %d bytes, at most %d are read", d, size, max)
	}
	return gather.Cached{Store: a.store, Repository: repo}.Blob(ctx, ocispec.Descriptor{Digest: d, Size: size})
}

// lastOrder reads the deployment that was applied last. repo is the deployment
// channel, or nil.
func (a *Agent) lastOrder(ctx context.Context, repo *oci.Repository, in Installation) ([]byte, error) {
	raw, err := a.paper(ctx, repo, in.Order, in.OrderSize, bundle.MaxDocumentBytes)
	if err != nil {
		return nil, fmt.Errorf("read the deployment that was applied last: %w", err)
	}
	return raw, nil
}

// lastDeployment is the deployment that was applied last.
func (a *Agent) lastDeployment(ctx context.Context, v *view, in Installation) (*margo.ApplicationDeployment, error) {
	repo, err := a.ordersRepository(v)
	if err != nil {
		return nil, err
	}
	raw, err := a.lastOrder(ctx, repo, in)
	if err != nil {
		return nil, err
	}
	return margo.ParseDeployment(raw)
}

// ordersRepository is where the deployment channel lies; nil when nothing may be
// fetched.
func (a *Agent) ordersRepository(v *view) (*oci.Repository, error) {
	if v.offline {
		return nil, nil
	}
	return a.client.Repository(a.identity.Channel)
}

// appliedRender reads what was applied for a component. It is made, not fetched.
func (a *Agent) appliedRender(ctx context.Context, part InstalledComponent) ([]byte, error) {
	data, err := a.paper(ctx, nil, part.Render, part.Size, task.MaxRender)
	if err != nil {
		return nil, fmt.Errorf("read what was applied for component %s: %w", part.Name, err)
	}
	return data, nil
}

// whole reports whether the papers of an installation are there. One that turned
// out damaged is not; judging the same order again brings it back.
func (a *Agent) whole(in Installation) bool {
	return !slices.ContainsFunc(in.papers(), func(d digest.Digest) bool { return !a.store.Has(d) })
}

// render lets the applier make the objects of a verdict whose content was fetched.
// What turns out damaged on the disk then is fetched again, once, where anything
// may be fetched: else the damage is what there is to tell.
func (a *Agent) render(ctx context.Context, repo *oci.Repository, v *verify.Verdict) ([]verify.Render, error) {
	renders, err := a.applier.Render(ctx, v, apply.ReadArchive(a.store.Bytes))
	if err == nil || repo == nil || gather.Complete(a.store, v.Blobs()) {
		return renders, err
	}
	if err := a.fetch(ctx, repo, v.Blobs()); err != nil {
		return nil, err
	}
	return a.applier.Render(ctx, v, apply.ReadArchive(a.store.Bytes))
}
