package compose

import (
	"context"
	"errors"
	"slices"
	"strings"

	"github.com/containerd/errdefs"
	"github.com/moby/moby/client"

	"github.com/consign-dev/consign/internal/reason"
)

// pull makes the engine fetch the images that it does not have, each by its
// digest, and sees that all are there before it returns.
func (e *engine) pull(ctx context.Context, images []string) error {
	for _, ref := range images {
		have, err := e.hasImage(ctx, ref)
		if err != nil {
			return err
		}
		if have {
			continue
		}
		if err := e.pullOne(ctx, ref); err != nil {
			return err
		}
		if have, err = e.hasImage(ctx, ref); err != nil {
			return err
		}
		if !have {
			return reason.New(reason.ImageUnpinned, "image %s: the engine pulled it and does not know it by this digest", ref)
		}
	}
	return nil
}

// hasImage asks for the image by the reference whose digest the engine
// checked when it was pulled.
func (e *engine) hasImage(ctx context.Context, ref string) (bool, error) {
	if err := step("images"); err != nil {
		return false, err
	}
	found, err := e.client.ImageInspect(ctx, ref)
	if errdefs.IsNotFound(err) {
		return false, nil
	}
	if err != nil {
		return false, engineError("inspect image "+ref, err)
	}
	return slices.Contains(found.RepoDigests, ref), nil
}

func (e *engine) pullOne(ctx context.Context, ref string) error {
	if err := step("pull"); err != nil {
		return err
	}
	response, err := e.client.ImagePull(ctx, ref, client.ImagePullOptions{})
	if err == nil {
		err = response.Wait(ctx)
	}
	switch {
	case err == nil:
		return nil
	case diskFull(err):
		return reason.New(reason.NoSpace, "pull image %s: %w", ref, err)
	case errors.Is(err, context.DeadlineExceeded):
		return reason.New(reason.TooSlow, "pull image %s: the time allowed for the component is over: %w", ref, err)
	default:
		return reason.New(reason.Unreachable, "pull image %s: %w", ref, err)
	}
}

// diskFull recognises the engine's own disk being full. The engine reports it
// as text only.
func diskFull(err error) bool { return strings.Contains(err.Error(), "no space left on device") }
