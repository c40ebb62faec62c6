package compose

import (
	"context"
	"fmt"
	"strings"

	"github.com/compose-spec/compose-go/v2/types"
	"github.com/docker/compose/v5/pkg/api"
	"github.com/moby/moby/client"

	"github.com/consign-dev/consign/internal/apply/task"
	"github.com/consign-dev/consign/internal/reason"
)

// owner says whose objects a task may touch.
type owner struct{ project, deployment string }

// owns reports whether an object's labels say that it is the owner's.
func (o owner) owns(labels map[string]string) bool {
	return labels[api.ProjectLabel] == o.project && labels[task.LabelDeployment] == o.deployment
}

// filter selects the owner's objects in a list.
func (o owner) filter() client.Filters {
	return client.Filters{}.Add("label", api.ProjectLabel+"="+o.project, task.LabelDeployment+"="+o.deployment)
}

// object is anything in an engine that has a name and labels.
type object struct {
	kind, name string
	labels     map[string]string
}

// checkOwner refuses (conflict) when an object that belongs to the project, or
// has a name that the project wants, is not the owner's. want may be nil.
func (e *engine) checkOwner(ctx context.Context, o owner, want *types.Project) error {
	if err := step("owner"); err != nil {
		return err
	}
	objects, err := e.objects(ctx, client.Filters{})
	if err != nil {
		return err
	}
	names := wantedNames(want)
	for _, obj := range objects {
		claimed := obj.labels[api.ProjectLabel] == o.project || names[obj.kind+" "+obj.name]
		if claimed && !o.owns(obj.labels) {
			return reason.New(reason.Conflict, "%s %q exists and is not of deployment %s (%s); remove it or deploy under another name",
				obj.kind, obj.name, o.deployment, whose(obj.labels))
		}
	}
	return nil
}

func whose(labels map[string]string) string {
	if d := labels[task.LabelDeployment]; d != "" {
		return fmt.Sprintf("it is of deployment %q, project %q", d, labels[api.ProjectLabel])
	}
	return "it was not made by Consign"
}

// wantedNames lists what the project will create, as "kind name".
func wantedNames(p *types.Project) map[string]bool {
	names := map[string]bool{}
	if p == nil {
		return names
	}
	for _, s := range p.Services {
		if s.ContainerName != "" {
			names["container "+s.ContainerName] = true
		}
		for i := range s.GetScale() {
			names[fmt.Sprintf("container %s-%s-%d", p.Name, s.Name, i+1)] = true
		}
	}
	for _, n := range p.Networks {
		names["network "+n.Name] = !bool(n.External)
	}
	for _, v := range p.Volumes {
		names["volume "+v.Name] = !bool(v.External)
	}
	return names
}

// objects lists the containers, networks and volumes that match a filter.
func (e *engine) objects(ctx context.Context, f client.Filters) ([]object, error) {
	var out []object
	containers, err := e.client.ContainerList(ctx, client.ContainerListOptions{All: true, Filters: f})
	if err != nil {
		return nil, engineError("list containers", err)
	}
	for _, c := range containers.Items {
		for _, name := range c.Names {
			out = append(out, object{"container", strings.TrimPrefix(name, "/"), c.Labels})
		}
	}
	networks, err := e.client.NetworkList(ctx, client.NetworkListOptions{Filters: f})
	if err != nil {
		return nil, engineError("list networks", err)
	}
	for _, n := range networks.Items {
		out = append(out, object{"network", n.Name, n.Labels})
	}
	volumes, err := e.client.VolumeList(ctx, client.VolumeListOptions{Filters: f})
	if err != nil {
		return nil, engineError("list volumes", err)
	}
	for _, v := range volumes.Items {
		out = append(out, object{"volume", v.Name, v.Labels})
	}
	return out, nil
}
