package main

import (
	"context"
	"errors"
	"io/fs"

	"github.com/opencontainers/go-digest"

	"github.com/consign-dev/consign/internal/apply/task"
	"github.com/consign-dev/consign/internal/composefile"
	"github.com/consign-dev/consign/internal/reason"
)

// project is what runs under one name.
type project struct {
	Deployment string         `json:"deployment"`
	Digest     digest.Digest  `json:"digest"`
	Services   []task.Service `json:"services"`
}

func apply(ctx context.Context, in task.ApplyInput) (task.ApplyResult, error) {
	var out task.ApplyResult
	if got := digest.FromBytes(in.Render); got != in.Digest {
		return out, reason.New(reason.DigestMismatch, "render: has digest %s, %s was checked", got, in.Digest)
	}
	want, err := composefile.Decode(ctx, in.Render, in.Project)
	if err != nil {
		return out, err
	}
	e, err := open(in.Engine)
	if err != nil {
		return out, err
	}
	if err := e.owns(in.Project, in.Deployment); err != nil {
		return out, err
	}
	if err := e.note("apply %s %s", in.Project, in.Digest); err != nil {
		return out, err
	}
	for _, image := range in.Images {
		if err := e.pull(ctx, image); err != nil {
			return out, err
		}
	}
	if err := e.stall(ctx); err != nil {
		return out, err
	}
	out.Services = services(want)
	if err := e.run(in.Project, project{in.Deployment, in.Digest, out.Services}); err != nil {
		return out, err
	}
	return out, e.healthy(in.Images)
}

func observe(_ context.Context, in task.ObserveInput) (task.ObserveResult, error) {
	var out task.ObserveResult
	e, err := open(in.Engine)
	if err != nil {
		return out, err
	}
	p, err := e.project(in.Project)
	if errors.Is(err, fs.ErrNotExist) || err == nil && p.Deployment != in.Deployment {
		if len(in.Render) > 0 {
			out.Drift = []string{"nothing runs"}
		}
		return out, nil
	}
	out.Services = p.Services
	if len(in.Render) > 0 && p.Digest != in.Digest {
		out.Drift = []string{"another render runs"}
	}
	return out, err
}

func remove(ctx context.Context, in task.RemoveInput) (task.RemoveResult, error) {
	var out task.RemoveResult
	e, err := open(in.Engine)
	if err != nil {
		return out, err
	}
	p, err := e.project(in.Project)
	if errors.Is(err, fs.ErrNotExist) || err == nil && p.Deployment != in.Deployment {
		return out, nil
	}
	if err != nil {
		return out, err
	}
	if err := e.stall(ctx); err != nil {
		return out, err
	}
	for _, s := range p.Services {
		out.Containers = append(out.Containers, s.ContainerName)
	}
	return out, e.stop(in.Project)
}

func info(_ context.Context, in task.InfoInput) (task.InfoResult, error) {
	e, err := open(in.Engine)
	if err != nil {
		return task.InfoResult{}, err
	}
	return task.InfoResult{Version: "recorder", APIVersion: "1", Driver: "none", DataRoot: e.dir}, nil
}

func prune(_ context.Context, in task.PruneInput) (task.PruneResult, error) {
	e, err := open(in.Engine)
	if err != nil {
		return task.PruneResult{}, err
	}
	return task.PruneResult{}, e.note("prune, keep %d", len(in.Keep))
}
