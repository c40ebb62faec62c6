package cluster

import (
	"context"
	"errors"
	"fmt"

	"helm.sh/helm/v3/pkg/action"
	"helm.sh/helm/v3/pkg/release"
	"helm.sh/helm/v3/pkg/storage/driver"

	"github.com/consign-dev/consign/internal/reason"
)

// install has Helm put the render in the place of what its record holds.
func (h *helm) install(ctx context.Context, r *render) error {
	if err := step("install"); err != nil {
		return err
	}
	_, err := h.config.Releases.Last(h.release)
	switch {
	case errors.Is(err, driver.ErrReleaseNotFound):
		err = h.first(ctx, r)
	case err == nil:
		err = h.upgrade(ctx, r)
	}
	switch {
	case err == nil:
		return nil
	case ctx.Err() != nil, isAway(err):
		return fmt.Errorf("install release %s: %w", h.release, err)
	default:
		return reason.New(reason.Health, "install release %s: %w", h.release, err)
	}
}

func (h *helm) first(ctx context.Context, r *render) error {
	chart, err := literal(r)
	if err != nil {
		return err
	}
	in := action.NewInstall(h.config)
	in.ReleaseName, in.Namespace, in.Description = h.release, h.namespace, description(r)
	// Validated by the server before (rehearse), by the kinds that it has.
	in.DisableHooks, in.SkipCRDs, in.DisableOpenAPIValidation = true, true, true
	_, err = in.RunWithContext(ctx, chart, r.Values)
	return err
}

func (h *helm) upgrade(ctx context.Context, r *render) error {
	chart, err := literal(r)
	if err != nil {
		return err
	}
	up := action.NewUpgrade(h.config)
	up.Namespace, up.Description, up.MaxHistory = h.namespace, description(r), 0
	up.DisableHooks, up.SkipCRDs, up.DisableOpenAPIValidation, up.ResetValues = true, true, true, true
	_, err = up.RunWithContext(ctx, h.release, chart, r.Values)
	return err
}

// markFailed has Helm's record say that the release did not become healthy. That
// is for people; what comes after believes the content store.
func (h *helm) markFailed(why error) {
	last, err := h.config.Releases.Last(h.release)
	if err != nil {
		return
	}
	last.SetStatus(release.StatusFailed, fmt.Sprintf("%.200s", why))
	_ = h.config.Releases.Update(last)
}
