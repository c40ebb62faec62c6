package agent

import (
	"context"
	"fmt"

	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/consign-dev/consign/internal/apply"
	"github.com/consign-dev/consign/internal/apply/task"
	"github.com/consign-dev/consign/internal/gather"
	"github.com/consign-dev/consign/internal/margo"
	"github.com/consign-dev/consign/internal/oci"
	"github.com/consign-dev/consign/internal/verify"
)

// lastOrder reads the deployment that was applied last. What is lost of it is
// fetched from repo, the deployment channel, unless that is nil.
func (a *Agent) lastOrder(ctx context.Context, repo *oci.Repository, in Installation) ([]byte, error) {
	desc := ocispec.Descriptor{Digest: in.Order, Size: in.OrderSize}
	raw, err := gather.Cached{Store: a.store, Repository: repo}.Blob(ctx, desc)
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

// appliedRender reads what was applied for a component.
func (a *Agent) appliedRender(ctx context.Context, part InstalledComponent) ([]byte, error) {
	if part.Size > task.MaxRender {
		return nil, fmt.Errorf("read what was applied for component %s: %d bytes, at most %d are rendered", part.Name, part.Size, task.MaxRender)
	}
	data, err := gather.Cached{Store: a.store}.Blob(ctx, ocispec.Descriptor{Digest: part.Render, Size: part.Size})
	if err != nil {
		return nil, fmt.Errorf("read what was applied for component %s: %w", part.Name, err)
	}
	return data, nil
}

// whole reports whether the papers of an installation are there. One that turned
// out damaged is not; judging the same order again brings it back.
func (a *Agent) whole(in Installation) bool {
	for _, d := range in.papers() {
		if !a.store.Has(d) {
			return false
		}
	}
	return true
}

// holds reports whether the store has all of some content.
func (a *Agent) holds(blobs []ocispec.Descriptor) bool {
	for _, b := range blobs {
		if !a.store.Has(b.Digest) {
			return false
		}
	}
	return true
}

// render fetches what a verdict names and lets the applier make the objects of
// it. What turns out damaged on the disk meanwhile is fetched again, once, where
// anything may be fetched: else the damage is what there is to tell.
func (a *Agent) render(ctx context.Context, repo *oci.Repository, v *verify.Verdict) ([]verify.Render, error) {
	renders, err := a.applier.Render(ctx, v, apply.ReadArchive(a.store.Bytes))
	if err == nil || repo == nil || a.holds(v.Blobs()) {
		return renders, err
	}
	if err := a.fetch(ctx, repo, v.Blobs()); err != nil {
		return nil, err
	}
	return a.applier.Render(ctx, v, apply.ReadArchive(a.store.Bytes))
}
