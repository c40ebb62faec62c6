package compose

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"github.com/containerd/errdefs"
	"github.com/moby/moby/client"

	"github.com/consign-dev/consign/internal/apply/copies"
	"github.com/consign-dev/consign/internal/apply/task"
	"github.com/consign-dev/consign/internal/reason"
)

// Restore makes volumes hold what their copies hold. The copies are read whole
// and all names are checked before anything is changed; then the containers of
// the volumes' projects go, and each volume is removed, made again, filled, and
// read back. After an error the volumes are as far as it came, and the next
// Restore of the same copies converges.
func Restore(ctx context.Context, in task.RestoreInput) (task.RestoreResult, error) {
	if err := checkCopies(in); err != nil || len(in.Volumes) == 0 {
		return task.RestoreResult{}, err
	}
	ctx, cancel := context.WithTimeout(ctx, time.Duration(in.TimeoutSeconds)*time.Second)
	defer cancel()
	e, err := connect(ctx, in.Engine)
	if err != nil {
		return task.RestoreResult{}, err
	}
	defer e.Close()
	if err := e.mayReplace(ctx, in.Deployment, in.Volumes); err != nil {
		return task.RestoreResult{}, err
	}
	if err := e.pull(ctx, in.Images); err != nil {
		return task.RestoreResult{}, err
	}
	for _, project := range projectsOf(in.Volumes) {
		if err := e.down(ctx, owner{project, in.Deployment}, false); err != nil {
			return task.RestoreResult{}, err
		}
	}
	for _, v := range in.Volumes {
		if err := e.refill(ctx, in, v); err != nil {
			return task.RestoreResult{}, fmt.Errorf("put the data of volume %s back: %w", v.Name, timedOut(ctx, err))
		}
	}
	return task.RestoreResult{}, nil
}

// checkCopies reads each copy and compares it with what was recorded when it
// was made: data is not removed for a copy that is damaged.
func checkCopies(in task.RestoreInput) error {
	if in.Deployment == "" || in.TimeoutSeconds <= 0 || len(in.Images) == 0 || !filepath.IsAbs(in.Dir) {
		return reason.New(reason.Malformed, "restore: deployment, images, an absolute dir and timeoutSeconds are required")
	}
	for _, v := range in.Volumes {
		o := owner{v.Project, in.Deployment}
		if !o.owns(v.Labels) || v.Name == "" || !copies.Named(v.File) {
			return reason.New(reason.Malformed, "restore: volume %q of file %q is not of deployment %s and project %s", v.Name, v.File, in.Deployment, v.Project)
		}
		if err := copies.Check(in.Dir, v); err != nil {
			return fmt.Errorf("the copy of volume %s: %w", v.Name, err)
		}
	}
	return nil
}

// mayReplace refuses (conflict) what Restore must not touch.
func (e *engine) mayReplace(ctx context.Context, deployment string, volumes []task.Volume) error {
	for _, project := range projectsOf(volumes) {
		if err := e.checkOwner(ctx, owner{project, deployment}, nil); err != nil {
			return err
		}
	}
	for _, v := range volumes {
		o := owner{v.Project, deployment}
		found, err := e.client.VolumeInspect(ctx, v.Name, client.VolumeInspectOptions{})
		if errdefs.IsNotFound(err) {
			continue
		}
		if err != nil {
			return engineError("inspect volume "+v.Name, err)
		}
		if !o.owns(found.Volume.Labels) {
			return reason.New(reason.Conflict, "volume %q exists and is not of deployment %s (%s)", v.Name, deployment, whose(found.Volume.Labels))
		}
		if err := e.usedByOthers(ctx, o, v.Name); err != nil {
			return err
		}
	}
	return nil
}

// refill replaces one volume by one with the content of its copy.
func (e *engine) refill(ctx context.Context, in task.RestoreInput, v task.Volume) error {
	if err := e.renew(ctx, v); err != nil {
		return err
	}
	return e.withHelper(ctx, owner{v.Project, in.Deployment}, in.Images[0], v.Name, func(id string) error {
		if err := e.fill(ctx, id, filepath.Join(in.Dir, v.File)); err != nil {
			return err
		}
		got, err := e.readBack(ctx, id)
		if err == nil && got != v.Content {
			err = reason.New(reason.DigestMismatch, "the engine does not hold what was copied")
		}
		return err
	})
}

// renew removes a volume and makes it again, empty.
func (e *engine) renew(ctx context.Context, v task.Volume) error {
	if err := step("volume-remove"); err != nil {
		return err
	}
	if _, err := e.client.VolumeRemove(ctx, v.Name, client.VolumeRemoveOptions{}); err != nil && !errdefs.IsNotFound(err) {
		return engineError("remove it", err)
	}
	if err := step("volume-create"); err != nil {
		return err
	}
	_, err := e.client.VolumeCreate(ctx, client.VolumeCreateOptions{Name: v.Name, Driver: v.Driver, DriverOpts: v.Options, Labels: v.Labels})
	if err != nil {
		return engineError("make it again", err)
	}
	return nil
}

func (e *engine) fill(ctx context.Context, helper, path string) error {
	if err := step("fill"); err != nil {
		return err
	}
	f, err := os.Open(path)
	if err != nil {
		return err
	}
	defer f.Close()
	_, err = e.client.CopyToContainer(ctx, helper, client.CopyToContainerOptions{DestinationPath: mountParent, Content: f})
	switch {
	case err == nil:
		return nil
	case diskFull(err):
		return reason.New(reason.NoSpace, "fill it: %w", err)
	default:
		return engineError("fill it", err)
	}
}
