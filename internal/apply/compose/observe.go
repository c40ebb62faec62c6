package compose

import (
	"cmp"
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/compose-spec/compose-go/v2/types"
	"github.com/containerd/errdefs"
	"github.com/docker/compose/v5/pkg/api"
	"github.com/moby/moby/api/types/container"
	"github.com/moby/moby/client"

	"github.com/consign-dev/consign/internal/apply/task"
)

// Observe lists what runs of a deployment's project and, when a render is
// given, how it differs.
func Observe(ctx context.Context, in task.ObserveInput) (task.ObserveResult, error) {
	var want *types.Project
	if len(in.Render) > 0 {
		var err error
		if want, err = readRender(ctx, in.Render, in.Digest, in.Project); err != nil {
			return task.ObserveResult{}, err
		}
		labelSecrets(want, in.Secrets)
	}
	e, err := connect(ctx, in.Engine)
	if err != nil {
		return task.ObserveResult{}, err
	}
	defer e.Close()
	live, err := e.inspectAll(ctx, owner{in.Project, in.Deployment})
	if err != nil {
		return task.ObserveResult{}, err
	}
	around, err := e.look(ctx, live)
	if err != nil {
		return task.ObserveResult{}, err
	}
	result := task.ObserveResult{Services: listed(live, around)}
	result.Notes = around.unbounded(result.Services)
	if want != nil {
		result.Drift, result.Rotated, err = drift(want, live)
	}
	return result, err
}

// inspectAll returns the owner's containers by id. One that vanishes between
// the list and the look is left out.
func (e *engine) inspectAll(ctx context.Context, o owner) (map[string]container.InspectResponse, error) {
	if err := step("observe"); err != nil {
		return nil, err
	}
	list, err := e.client.ContainerList(ctx, client.ContainerListOptions{All: true, Filters: o.filter()})
	if err != nil {
		return nil, engineError("list containers", err)
	}
	out := map[string]container.InspectResponse{}
	for _, c := range list.Items {
		found, err := e.client.ContainerInspect(ctx, c.ID, client.ContainerInspectOptions{})
		if errdefs.IsNotFound(err) {
			continue
		}
		if err != nil {
			return nil, engineError("inspect container "+c.ID, err)
		}
		if found.Container.State == nil || found.Container.Config == nil || found.Container.HostConfig == nil {
			return nil, fmt.Errorf("inspect container %s: the engine's answer is incomplete", c.ID)
		}
		out[c.ID] = found.Container
	}
	return out, nil
}

func (e *engine) services(ctx context.Context, o owner) ([]task.Service, error) {
	live, err := e.inspectAll(ctx, o)
	if err != nil {
		return nil, err
	}
	around, err := e.look(ctx, live)
	return listed(live, around), err
}

// listed is sorted by service and container name.
func listed(live map[string]container.InspectResponse, around surroundings) []task.Service {
	out := []task.Service{}
	for _, c := range live {
		s := task.Service{
			Name: c.Config.Labels[api.ServiceLabel], Container: c.ID, ContainerName: containerName(c),
			State: string(c.State.Status), Restarts: c.RestartCount, Image: c.Config.Image, ImageID: c.Image,
			Facts: around.facts(c),
		}
		if c.State.Health != nil && hasHealthCheck(c) {
			s.Health = string(c.State.Health.Status)
		}
		if c.State.Status != container.StateRunning {
			s.ExitCode = c.State.ExitCode
		}
		out = append(out, s)
	}
	slices.SortFunc(out, func(a, b task.Service) int {
		return cmp.Or(cmp.Compare(a.Name, b.Name), cmp.Compare(a.ContainerName, b.ContainerName))
	})
	return out
}

func containerName(c container.InspectResponse) string { return strings.TrimPrefix(c.Name, "/") }

// drift says how live containers differ from a project, and which services have
// older secrets.
func drift(want *types.Project, live map[string]container.InspectResponse) (out, old []string, err error) {
	byService := map[string][]container.InspectResponse{}
	for _, c := range live {
		name := c.Config.Labels[api.ServiceLabel]
		byService[name] = append(byService[name], c)
	}
	for _, name := range slices.Sorted(maps.Keys(want.Services)) {
		s := want.Services[name]
		found, err := serviceDrift(s, byService[name])
		if err != nil {
			return nil, nil, err
		}
		out = append(out, found...)
		if slices.ContainsFunc(byService[name], func(c container.InspectResponse) bool { return rotated(s, c) }) {
			old = append(old, fmt.Sprintf("service %s runs with a secret that has changed since", name))
		}
		delete(byService, name)
	}
	for _, name := range slices.Sorted(maps.Keys(byService)) {
		out = append(out, fmt.Sprintf("service %s is not in the render", name))
	}
	return out, old, nil
}

func serviceDrift(s types.ServiceConfig, live []container.InspectResponse) ([]string, error) {
	var out []string
	if len(live) != s.GetScale() {
		out = append(out, fmt.Sprintf("service %s has %d containers, not %d", s.Name, len(live), s.GetScale()))
	}
	for _, c := range live {
		same, err := sameDefinition(s, c)
		if err != nil {
			return nil, err
		}
		switch {
		case c.Config.Image != s.Image:
			out = append(out, fmt.Sprintf("service %s runs image %s, not %s", s.Name, c.Config.Image, s.Image))
		case !same:
			out = append(out, fmt.Sprintf("service %s was made from another definition", s.Name))
		case c.State.Status != container.StateRunning && (c.State.ExitCode != 0 || !oneShot(c)):
			out = append(out, fmt.Sprintf("service %s is %s (exit code %d)", s.Name, c.State.Status, c.State.ExitCode))
		}
	}
	return out, nil
}
