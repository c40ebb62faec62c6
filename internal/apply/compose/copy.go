package compose

import (
	"context"
	"fmt"
	"io"

	"github.com/moby/moby/client"
	"github.com/opencontainers/go-digest"

	"github.com/consign-dev/consign/internal/apply/copies"
	"github.com/consign-dev/consign/internal/apply/task"
)

// copyOut copies each volume into a file of its own and notes what it holds.
func (e *engine) copyOut(ctx context.Context, in task.SnapshotInput, volumes []task.Volume) error {
	room := in.Room
	for n := range volumes {
		v := &volumes[n]
		v.File = copies.FileName(n)
		err := e.withHelper(ctx, owner{v.Project, in.Deployment}, in.Images[0], v.Name, func(id string) error {
			return e.copyVolume(ctx, id, in.Dir, room, v)
		})
		room -= v.Size
		if err != nil {
			return fmt.Errorf("copy volume %s: %w", v.Name, err)
		}
	}
	return nil
}

func (e *engine) copyVolume(ctx context.Context, helper, dir string, room int64, v *task.Volume) error {
	content, err := e.archive(ctx, helper)
	if err != nil {
		return err
	}
	defer content.Close()
	return copies.Save(content, dir, room, v)
}

// archive streams the volume of a helper as tar.
func (e *engine) archive(ctx context.Context, helper string) (io.ReadCloser, error) {
	if err := step("copy"); err != nil {
		return nil, err
	}
	res, err := e.client.CopyFromContainer(ctx, helper, client.CopyFromContainerOptions{SourcePath: mountPath})
	if err != nil {
		return nil, engineError("read it", err)
	}
	return res.Content, nil
}

func (e *engine) readBack(ctx context.Context, helper string) (digest.Digest, error) {
	content, err := e.archive(ctx, helper)
	if err != nil {
		return "", err
	}
	defer content.Close()
	return copies.Content(content)
}
