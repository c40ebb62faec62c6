package apply

import (
	"context"
	"encoding/json"
	"fmt"

	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/consign-dev/consign/internal/apply/task"
	"github.com/consign-dev/consign/internal/bundle"
	"github.com/consign-dev/consign/internal/verify"
)

// Chart renders Helm components.
type Chart struct {
	// Program is the applier-helm program.
	Program *Program
	// Registry and Device are as for [Compose].
	Registry, Device string
	// Capabilities are what charts see of the cluster.
	Capabilities task.Capabilities
}

// AnyCluster are the capabilities of a cluster that nobody has looked at: what a
// Kubernetes of the version that Consign is tested with offers without additions.
var AnyCluster = task.Capabilities{KubeVersion: "v1.37.2", APIVersions: []string{
	"apps/v1", "apps/v1/DaemonSet", "apps/v1/Deployment", "apps/v1/ReplicaSet", "apps/v1/StatefulSet",
	"autoscaling/v2", "autoscaling/v2/HorizontalPodAutoscaler",
	"batch/v1", "batch/v1/CronJob", "batch/v1/Job",
	"networking.k8s.io/v1", "networking.k8s.io/v1/Ingress", "networking.k8s.io/v1/NetworkPolicy",
	"policy/v1", "policy/v1/PodDisruptionBudget",
	"rbac.authorization.k8s.io/v1", "rbac.authorization.k8s.io/v1/Role", "rbac.authorization.k8s.io/v1/RoleBinding",
	"v1", "v1/ConfigMap", "v1/PersistentVolumeClaim", "v1/Pod", "v1/Secret", "v1/Service", "v1/ServiceAccount",
}}

// Render makes the objects of every chart of v.
func (c *Chart) Render(ctx context.Context, v verify.Renderable, archive func(ocispec.Descriptor) ([]byte, error)) ([]verify.Render, error) {
	images := imageNames(c.Registry, v)
	var out []verify.Render
	for _, part := range v.Components() {
		data, err := archive(part.Archive)
		if err != nil {
			return nil, fmt.Errorf("component %s: %w", part.Name, err)
		}
		in := task.ChartInput{
			Chart: data, Release: part.Project, Namespace: part.Namespace, Values: part.ChartValues, Images: images, ImageFields: v.ImageFields(),
			Labels:      map[string]string{task.LabelDeployment: v.DeploymentID()},
			Annotations: map[string]string{task.AnnotationComponent: part.Name, task.AnnotationDevice: c.Device},
			Limits:      v.Limits(), Capabilities: c.Capabilities,
		}
		res, err := c.Program.renderChart(ctx, in)
		if err != nil {
			return nil, fmt.Errorf("component %s: %w", part.Name, err)
		}
		out = append(out, verify.Render{Component: part.Name, Type: part.Type, Project: res.Render, Defaulted: res.Defaulted, Volatile: res.Volatile})
	}
	return out, nil
}

// The release and namespace under which a chart is rendered to learn its images.
const (
	anyRelease   = "pack"
	anyNamespace = "pack"
)

// Images lists the image references that a chart names with given values.
func (c *Chart) Images(ctx context.Context, chart []byte, values map[string]json.RawMessage) ([]string, error) {
	in := task.ChartImagesInput{Chart: chart, Release: anyRelease, Namespace: anyNamespace, Values: values, Capabilities: c.Capabilities}
	res, err := c.Program.chartImages(ctx, in)
	return res.Images, err
}

// Renderers render a profile with the applier that its type is for.
type Renderers struct {
	Compose *Compose
	Chart   *Chart
}

// Render makes the objects of every component of v, which are of one type.
func (r Renderers) Render(ctx context.Context, v verify.Renderable, archive func(ocispec.Descriptor) ([]byte, error)) ([]verify.Render, error) {
	if parts := v.Components(); len(parts) > 0 && parts[0].Type == bundle.Helm {
		return r.Chart.Render(ctx, v, archive)
	}
	return r.Compose.Render(ctx, v, archive)
}
