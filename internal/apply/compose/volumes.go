package compose

import (
	"cmp"
	"context"
	"errors"
	"slices"
	"time"

	"github.com/containerd/errdefs"
	"github.com/moby/moby/api/types/container"
	"github.com/moby/moby/api/types/mount"
	"github.com/moby/moby/client"

	"github.com/consign-dev/consign/internal/apply/task"
	"github.com/consign-dev/consign/internal/reason"
)

// A volume is mounted at mountPath of its helper, and read and written as an
// entry of the root directory. So the archive holds the volume's own directory
// with owner and mode, which the engine would pass over were it the one that is
// extracted into; and links that lead out of the volume stay below the root,
// beyond which the engine would not make them.
const (
	mountParent = "/"
	mountPath   = "/consign-data"
)

// helperGrace bounds taking a helper away after the task's own time is over.
const helperGrace = 30 * time.Second

// ownVolumes lists the named volumes of a deployment's projects, sorted by name.
// It refuses (conflict) what is somebody else's, and volumes that a stranger's
// container uses: they could not be put back.
func (e *engine) ownVolumes(ctx context.Context, deployment string, projects []string) ([]task.Volume, error) {
	var out []task.Volume
	for _, project := range projects {
		o := owner{project, deployment}
		if err := e.checkOwner(ctx, o, nil); err != nil {
			return nil, err
		}
		if err := e.sweep(ctx, o); err != nil {
			return nil, err
		}
		list, err := e.client.VolumeList(ctx, client.VolumeListOptions{Filters: o.filter()})
		if err != nil {
			return nil, engineError("list volumes", err)
		}
		for _, v := range list.Items {
			if err := e.usedByOthers(ctx, o, v.Name); err != nil {
				return nil, err
			}
			out = append(out, task.Volume{Project: project, Name: v.Name, Driver: v.Driver, Options: v.Options, Labels: v.Labels})
		}
	}
	slices.SortFunc(out, func(a, b task.Volume) int { return cmp.Compare(a.Name, b.Name) })
	return out, nil
}

func (e *engine) usedByOthers(ctx context.Context, o owner, volume string) error {
	users, err := e.client.ContainerList(ctx, client.ContainerListOptions{All: true, Filters: client.Filters{}.Add("volume", volume)})
	if err != nil {
		return engineError("list the users of volume "+volume, err)
	}
	for _, c := range users.Items {
		if !o.owns(c.Labels) && !o.helps(c.Labels) {
			return reason.New(reason.Conflict, "volume %q is used by container %s, which is not of deployment %s; remove the container", volume, c.ID, o.deployment)
		}
	}
	return nil
}

// helps reports whether a container is a helper of the owner's. It has no label
// of Compose, which would take it for a service.
func (o owner) helps(labels map[string]string) bool {
	return labels[task.LabelHelper] == o.project && labels[task.LabelDeployment] == o.deployment
}

// withHelper lends a container that has a volume mounted and is never started.
func (e *engine) withHelper(ctx context.Context, o owner, image, volume string, do func(id string) error) (err error) {
	if err := step("helper"); err != nil {
		return err
	}
	made, err := e.client.ContainerCreate(ctx, client.ContainerCreateOptions{
		Config: &container.Config{
			Image: image, Entrypoint: []string{"/never-started"}, NetworkDisabled: true,
			Labels: map[string]string{task.LabelDeployment: o.deployment, task.LabelHelper: o.project},
		},
		HostConfig: &container.HostConfig{
			NetworkMode: "none",
			Mounts: []mount.Mount{{
				Type: mount.TypeVolume, Source: volume, Target: mountPath,
				VolumeOptions: &mount.VolumeOptions{NoCopy: true},
			}},
		},
	})
	if err != nil {
		return engineError("make a container to reach it", err)
	}
	defer func() { err = errors.Join(err, e.removeHelper(ctx, made.ID)) }()
	return do(made.ID)
}

// removeHelper takes the volumes along that the image declares, never named ones.
func (e *engine) removeHelper(ctx context.Context, id string) error {
	if err := step("helper-remove"); err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), helperGrace)
	defer cancel()
	_, err := e.client.ContainerRemove(ctx, id, client.ContainerRemoveOptions{Force: true, RemoveVolumes: true})
	if err != nil && !errdefs.IsNotFound(err) {
		return engineError("remove helper container "+id, err)
	}
	return nil
}

// sweep removes the helpers that a task which was killed left behind.
func (e *engine) sweep(ctx context.Context, o owner) error {
	left, err := e.client.ContainerList(ctx, client.ContainerListOptions{All: true, Filters: client.Filters{}.
		Add("label", task.LabelHelper+"="+o.project, task.LabelDeployment+"="+o.deployment)})
	if err != nil {
		return engineError("list helper containers", err)
	}
	for _, c := range left.Items {
		if err := e.removeHelper(ctx, c.ID); err != nil {
			return err
		}
	}
	return nil
}
