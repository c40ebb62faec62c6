package compose

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/compose-spec/compose-go/v2/types"
	"github.com/docker/compose/v5/pkg/api"
	"github.com/opencontainers/go-digest"

	"github.com/consign-dev/consign/internal/apply/task"
	"github.com/consign-dev/consign/internal/composefile"
	"github.com/consign-dev/consign/internal/reason"
)

// Apply makes the engine run a render. Until the images are there and every
// name is free it changes nothing. After that, an error leaves the project as
// far as it came: the caller goes back by applying the former render.
func Apply(ctx context.Context, in task.ApplyInput) (task.ApplyResult, error) {
	p, err := checkedProject(ctx, in)
	if err != nil {
		return task.ApplyResult{}, err
	}
	if err := deliver(p, in.Secrets); err != nil {
		return task.ApplyResult{}, err
	}
	ctx, cancel := context.WithTimeout(ctx, time.Duration(in.TimeoutSeconds)*time.Second)
	defer cancel()
	e, err := connect(ctx, in.Engine)
	if err != nil {
		return task.ApplyResult{}, err
	}
	defer e.Close()
	o := owner{in.Project, in.Deployment}
	if err := e.checkOwner(ctx, o, p); err != nil {
		return task.ApplyResult{}, err
	}
	if err := e.pull(ctx, in.Images); err != nil {
		return task.ApplyResult{}, err
	}
	if err := e.run(ctx, o, p, in.Wait); err != nil {
		return task.ApplyResult{}, err
	}
	services, err := e.services(ctx, o)
	return task.ApplyResult{Services: services}, err
}

// run replaces what runs by the project and waits for it.
func (e *engine) run(ctx context.Context, o owner, p *types.Project, wait bool) error {
	before, err := e.inspectAll(ctx, o)
	if err != nil {
		return err
	}
	if err := e.sweep(ctx, o); err != nil {
		return err
	}
	if err := e.up(ctx, p); err != nil {
		return err
	}
	if !wait {
		return nil
	}
	return e.settle(ctx, o, before)
}

// checkedProject proves that the render is the one with the given digest, of
// the given project and deployment, with exactly the given images, and reads it.
func checkedProject(ctx context.Context, in task.ApplyInput) (*types.Project, error) {
	if in.Deployment == "" || in.TimeoutSeconds <= 0 {
		return nil, reason.New(reason.Malformed, "apply: deployment and timeoutSeconds are required")
	}
	p, err := readRender(ctx, in.Render, in.Digest, in.Project)
	if err != nil {
		return nil, err
	}
	for name, s := range p.Services {
		if s.Labels[task.LabelDeployment] != in.Deployment {
			return nil, reason.New(reason.Conflict, "render: services.%s is of deployment %q, not %q", name, s.Labels[task.LabelDeployment], in.Deployment)
		}
		if s.PullPolicy != types.PullPolicyNever {
			return nil, reason.New(reason.ImageUnpinned, "render: services.%s.pull_policy is %q", name, s.PullPolicy)
		}
	}
	images := composefile.Images(p)
	if !slices.Equal(images, slices.Sorted(slices.Values(in.Images))) {
		return nil, reason.New(reason.ImageUnpinned, "render: its images %q are not the ones given, %q", images, in.Images)
	}
	for _, ref := range images {
		if !pinnedImage.MatchString(ref) {
			return nil, reason.New(reason.ImageUnpinned, "render: image %q is not a reference by digest", ref)
		}
	}
	return p, nil
}

func readRender(ctx context.Context, render []byte, want digest.Digest, project string) (*types.Project, error) {
	if got := digest.FromBytes(render); got != want {
		return nil, reason.New(reason.DigestMismatch, "render: has digest %s, %s was checked", got, want)
	}
	return composefile.Decode(ctx, render, project)
}

// up hands the project to Compose: create and start in order of dependencies,
// recreate what differs, take away containers of services that are gone.
func (e *engine) up(ctx context.Context, p *types.Project) error {
	if err := step("up"); err != nil {
		return err
	}
	markServices(p)
	err := e.compose.Up(ctx, p, api.UpOptions{
		Create: api.CreateOptions{
			RemoveOrphans: true, Recreate: api.RecreateDiverged, RecreateDependencies: api.RecreateDiverged,
			QuietPull: true, SkipProviders: true,
		},
		Start: api.StartOptions{Project: p},
	})
	if err != nil && diskFull(err) {
		return reason.New(reason.NoSpace, "start %s: %w", p.Name, err)
	}
	if err != nil {
		return reason.Wrap(reason.Health, engineError("start "+p.Name, timedOut(ctx, err)))
	}
	return nil
}

// markServices adds what Compose's own loader would: the labels by which it
// finds its containers again. The paths that belong there do not exist.
func markServices(p *types.Project) {
	for name, s := range p.Services {
		s.CustomLabels = types.Labels{
			api.ProjectLabel:     p.Name,
			api.ServiceLabel:     name,
			api.VersionLabel:     api.ComposeVersion,
			api.WorkingDirLabel:  "",
			api.ConfigFilesLabel: "",
			api.OneoffLabel:      "False",
		}
		p.Services[name] = s
	}
}

// timedOut says so when the time is over; libraries say "context deadline
// exceeded" in many ways.
func timedOut(ctx context.Context, err error) error {
	if ctx.Err() != nil {
		return fmt.Errorf("the time allowed for the component is over: %w", err)
	}
	return err
}
