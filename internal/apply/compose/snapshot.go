package compose

import (
	"context"
	"fmt"
	"path/filepath"
	"slices"
	"time"

	"github.com/docker/compose/v5/pkg/api"
	"github.com/moby/moby/api/types/container"
	"github.com/moby/moby/client"

	"github.com/consign-dev/consign/internal/apply/copies"
	"github.com/consign-dev/consign/internal/apply/task"
	"github.com/consign-dev/consign/internal/reason"
)

// restartTimeout bounds starting again what a snapshot stopped and could not copy.
const restartTimeout = 2 * time.Minute

// Snapshot copies the data of a deployment's named volumes while nothing writes
// to it, and leaves the containers of their projects stopped. Names, images and
// space are checked before. After an error what was stopped is started again;
// only one with the reason internal may say that this failed, too.
func Snapshot(ctx context.Context, in task.SnapshotInput) (task.SnapshotResult, error) {
	none := task.SnapshotResult{Volumes: []task.Volume{}}
	unnamed := func(project string) bool { return !projectName.MatchString(project) }
	if in.Deployment == "" || in.TimeoutSeconds <= 0 || len(in.Images) == 0 || !filepath.IsAbs(in.Dir) || slices.ContainsFunc(in.Projects, unnamed) {
		return none, reason.New(reason.Malformed, "snapshot: deployment, projects, images, an absolute dir and timeoutSeconds are required")
	}
	limited, cancel := context.WithTimeout(ctx, time.Duration(in.TimeoutSeconds)*time.Second)
	defer cancel()
	e, err := connect(limited, in.Engine)
	if err != nil {
		return none, err
	}
	defer e.Close()
	volumes, err := e.ownVolumes(limited, in.Deployment, in.Projects)
	if err != nil || len(volumes) == 0 {
		return none, err
	}
	if err := e.pull(limited, in.Images); err != nil {
		return none, err
	}
	if err := e.roomFor(limited, in, volumes); err != nil {
		return none, err
	}
	stopped, err := e.stop(limited, in.Deployment, projectsOf(volumes))
	if err == nil {
		err = e.copyOut(limited, in, volumes)
	}
	if err != nil {
		return none, e.startAgain(ctx, stopped, timedOut(limited, err))
	}
	return task.SnapshotResult{Volumes: volumes}, nil
}

// projectsOf lists the projects of volumes, each once.
func projectsOf(volumes []task.Volume) []string {
	var out []string
	for _, v := range volumes {
		if !slices.Contains(out, v.Project) {
			out = append(out, v.Project)
		}
	}
	return out
}

// roomFor holds what the engine says of the volumes' sizes against the room for
// the copies. It is an estimate: the copies themselves are bounded, too.
func (e *engine) roomFor(ctx context.Context, in task.SnapshotInput, volumes []task.Volume) error {
	if err := step("usage"); err != nil {
		return err
	}
	usage, err := e.client.DiskUsage(ctx, client.DiskUsageOptions{Volumes: true, Verbose: true})
	if err != nil {
		return engineError("ask for the sizes of volumes", err)
	}
	var need int64
	for _, item := range usage.Volumes.Items {
		ours := slices.ContainsFunc(volumes, func(v task.Volume) bool { return v.Name == item.Name })
		if ours && item.UsageData != nil && item.UsageData.Size > 0 {
			need += item.UsageData.Size
		}
	}
	return copies.Enough(need, in.Room, len(volumes), in.Dir)
}

// stop stops what runs of projects, in reverse order of dependencies, sees that
// nothing runs any more and returns the containers that did, also after an error.
func (e *engine) stop(ctx context.Context, deployment string, projects []string) (stopped []string, err error) {
	if err := step("stop"); err != nil {
		return nil, err
	}
	for _, project := range slices.Backward(projects) {
		o := owner{project, deployment}
		live, err := e.inspectAll(ctx, o)
		if err != nil {
			return stopped, err
		}
		if len(running(live)) == 0 {
			continue // Compose takes a project without containers for an error
		}
		stopped = append(stopped, running(live)...)
		if err := e.compose.Stop(ctx, project, api.StopOptions{}); err != nil {
			return stopped, engineError("stop "+project, err)
		}
		if err := e.stopRest(ctx, o); err != nil {
			return stopped, err
		}
	}
	return stopped, nil
}

// stopRest stops the owner's containers that Compose does not see, as removeRest
// removes them, and sees that nothing runs any more.
func (e *engine) stopRest(ctx context.Context, o owner) error {
	live, err := e.inspectAll(ctx, o)
	if err != nil {
		return err
	}
	for _, id := range running(live) {
		if _, err := e.client.ContainerStop(ctx, id, client.ContainerStopOptions{}); err != nil {
			return engineError("stop container "+id, err)
		}
	}
	if live, err = e.inspectAll(ctx, o); err != nil {
		return err
	}
	if left := running(live); len(left) > 0 {
		return fmt.Errorf("stop %s: container %s still runs", o.project, containerName(live[left[0]]))
	}
	return nil
}

// running lists the ids of containers whose processes may write.
func running(live map[string]container.InspectResponse) []string {
	var out []string
	for id, c := range live {
		switch c.State.Status {
		case container.StateRunning, container.StateRestarting, container.StatePaused:
			out = append(out, id)
		}
	}
	return out
}

// startAgain undoes stop after err, and returns err: with the reason internal
// when that did not work. Their order is not kept, as when the engine itself
// starts after a reboot. When the sender is gone nothing is started: its
// successor may be at work on the same containers.
func (e *engine) startAgain(ctx context.Context, stopped []string, err error) error {
	if ctx.Err() != nil {
		return reason.New(reason.Internal, "%w", err)
	}
	ctx, cancel := context.WithTimeout(ctx, restartTimeout)
	defer cancel()
	for _, id := range stopped {
		startErr := step("start")
		if startErr == nil {
			_, startErr = e.client.ContainerStart(ctx, id, client.ContainerStartOptions{})
		}
		if startErr != nil {
			return reason.New(reason.Internal, "%w; what was stopped for it cannot be started again: %w", err, startErr)
		}
	}
	return err
}
