package compose

import (
	"context"
	"slices"
	"strings"
	"time"

	"github.com/containerd/errdefs"
	"github.com/moby/moby/client"
	"github.com/opencontainers/go-digest"

	"github.com/consign-dev/consign/internal/apply/task"
	"github.com/consign-dev/consign/internal/reason"
)

// Prune removes the references by digest under a repository that are not to be
// kept and whose image no container was made from. With its last reference the
// engine drops an image and the layers that only it held; an image that has
// another name keeps both. The trap: asking for the removal of an image by its
// id would take the other names along, so only references are removed, and
// never by force.
func Prune(ctx context.Context, in task.PruneInput) (task.PruneResult, error) {
	if err := checkPrune(in); err != nil {
		return task.PruneResult{}, err
	}
	ctx, cancel := context.WithTimeout(ctx, time.Duration(in.TimeoutSeconds)*time.Second)
	defer cancel()
	e, err := connect(ctx, in.Engine)
	if err != nil {
		return task.PruneResult{}, err
	}
	defer e.Close()
	images, err := e.ownImages(ctx, in.Repository)
	if err != nil {
		return task.PruneResult{}, err
	}
	used, err := e.usedImages(ctx)
	if err != nil {
		return task.PruneResult{}, err
	}
	var out task.PruneResult
	for _, i := range images {
		if used[i.id] {
			continue
		}
		if err := e.pruneOne(ctx, i, in.Keep, &out); err != nil {
			return task.PruneResult{}, err
		}
	}
	slices.Sort(out.Images)
	return out, nil
}

func checkPrune(in task.PruneInput) error {
	if err := checkRepository(in.Repository); err != nil {
		return err
	}
	if in.TimeoutSeconds <= 0 {
		return reason.New(reason.Malformed, "prune: timeoutSeconds is required")
	}
	for _, d := range in.Keep {
		if err := d.Validate(); err != nil {
			return reason.New(reason.Malformed, "prune: keep: %q: %w", d, err)
		}
	}
	return nil
}

// usedImages are the ids of the images that containers were made from, of
// containers that have ended, too.
func (e *engine) usedImages(ctx context.Context) (map[string]bool, error) {
	list, err := e.client.ContainerList(ctx, client.ContainerListOptions{All: true})
	if err != nil {
		return nil, engineError("list containers", err)
	}
	used := map[string]bool{}
	for _, c := range list.Items {
		used[c.ImageID] = true
	}
	return used, nil
}

// pruneOne removes the references of one image that are not kept. What a
// container has taken up meanwhile the engine refuses to remove, and what is
// gone already is what was asked for.
func (e *engine) pruneOne(ctx context.Context, i ownImage, keep []digest.Digest, out *task.PruneResult) error {
	left := len(i.refs)
	for _, ref := range i.refs {
		if _, d, _ := strings.Cut(ref, "@"); slices.Contains(keep, digest.Digest(d)) {
			continue
		}
		if err := step("prune"); err != nil {
			return err
		}
		_, err := e.client.ImageRemove(ctx, ref, client.ImageRemoveOptions{PruneChildren: true})
		if errdefs.IsConflict(err) {
			continue
		}
		if err != nil && !errdefs.IsNotFound(err) {
			return engineError("remove image "+ref, timedOut(ctx, err))
		}
		out.Images = append(out.Images, ref)
		left--
	}
	if left == 0 && !i.shared {
		out.Bytes += i.size
	}
	return nil
}
