package compose

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/containerd/errdefs"
	"github.com/docker/compose/v5/pkg/api"
	"github.com/moby/moby/client"

	"github.com/consign-dev/consign/internal/apply/task"
	"github.com/consign-dev/consign/internal/reason"
)

// Remove takes a deployment's project away: containers, networks and, when
// asked, named volumes with their data. What is gone already is no error.
func Remove(ctx context.Context, in task.RemoveInput) (task.RemoveResult, error) {
	if in.Deployment == "" || in.TimeoutSeconds <= 0 || !projectName.MatchString(in.Project) {
		return task.RemoveResult{}, reason.New(reason.Malformed, "remove: project, deployment and timeoutSeconds are required")
	}
	ctx, cancel := context.WithTimeout(ctx, time.Duration(in.TimeoutSeconds)*time.Second)
	defer cancel()
	e, err := connect(ctx, in.Engine)
	if err != nil {
		return task.RemoveResult{}, err
	}
	defer e.Close()
	o := owner{in.Project, in.Deployment}
	if err := e.checkOwner(ctx, o, nil); err != nil {
		return task.RemoveResult{}, err
	}
	before, err := e.objects(ctx, o.filter())
	if err != nil {
		return task.RemoveResult{}, err
	}
	if err := e.down(ctx, o, in.Volumes); err != nil {
		return task.RemoveResult{}, err
	}
	after, err := e.objects(ctx, o.filter())
	if err != nil {
		return task.RemoveResult{}, err
	}
	return removed(before, after, in.Volumes)
}

// down needs no render: Compose finds the project by its labels, which
// checkOwner has seen to be ours.
func (e *engine) down(ctx context.Context, o owner, volumes bool) error {
	if err := e.sweep(ctx, o); err != nil {
		return err
	}
	if err := step("down"); err != nil {
		return err
	}
	if err := e.compose.Down(ctx, o.project, api.DownOptions{RemoveOrphans: true, Volumes: volumes}); err != nil {
		return engineError("remove "+o.project, timedOut(ctx, err))
	}
	return e.removeRest(ctx, o)
}

// removeRest takes away the owner's containers that Compose does not see: it
// looks for labels of its own, which one that somebody made by hand lacks.
func (e *engine) removeRest(ctx context.Context, o owner) error {
	rest, err := e.client.ContainerList(ctx, client.ContainerListOptions{All: true, Filters: o.filter()})
	if err != nil {
		return engineError("list containers", err)
	}
	for _, c := range rest.Items {
		if _, err := e.client.ContainerRemove(ctx, c.ID, client.ContainerRemoveOptions{Force: true}); err != nil && !errdefs.IsNotFound(err) {
			return engineError("remove container "+c.ID, err)
		}
	}
	return nil
}

// removed compares what was there with what is left, since Compose reports
// success also when something stayed.
func removed(before, after []object, volumes bool) (task.RemoveResult, error) {
	left := map[string]bool{}
	for _, obj := range after {
		if obj.kind != "volume" || volumes {
			return task.RemoveResult{}, fmt.Errorf("remove: %s %q is still there", obj.kind, obj.name)
		}
		left[obj.name] = true
	}
	var out task.RemoveResult
	for _, obj := range before {
		switch {
		case obj.kind == "container":
			out.Containers = append(out.Containers, obj.name)
		case obj.kind == "network":
			out.Networks = append(out.Networks, obj.name)
		case !left[obj.name]:
			out.Volumes = append(out.Volumes, obj.name)
		}
	}
	slices.Sort(out.Containers)
	slices.Sort(out.Networks)
	slices.Sort(out.Volumes)
	return out, nil
}
