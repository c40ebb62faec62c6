package apply

import (
	"context"
	"encoding/json"
	"fmt"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/consign-dev/consign/internal/apply/task"
	"github.com/consign-dev/consign/internal/verify"
)

// Chart is the [Applier] of Helm components on one Kubernetes. Without a Kubeconfig
// it renders only.
type Chart struct {
	// Program is the applier-helm program.
	Program *Program
	// Registry and Device are as for [Compose].
	Registry, Device string
	// Kubeconfig is the absolute path of the file that says where the cluster is and
	// who we are there.
	Kubeconfig string
	// Capabilities are what charts see of the cluster where there is none to ask.
	Capabilities task.Capabilities
	// Installed returns the render of a component that became good last; nil for
	// none. It may be nil.
	Installed func(ctx context.Context, deployment string, part Part) ([]byte, error)
	// Secrets are the device's.
	Secrets SecretFiles
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

// Render implements [Applier].
func (c *Chart) Render(ctx context.Context, v verify.Renderable, archive func(ocispec.Descriptor) ([]byte, error)) ([]verify.Render, error) {
	images := imageNames(c.Registry, v)
	capabilities, err := c.capabilities(ctx)
	if err != nil {
		return nil, err
	}
	var out []verify.Render
	for _, part := range v.Components() {
		data, err := archive(part.Archive)
		if err != nil {
			return nil, fmt.Errorf("component %s: %w", part.Name, err)
		}
		before, err := c.before(ctx, v.DeploymentID(), Part{Name: part.Name, Project: part.Project, Type: part.Type})
		if err != nil {
			return nil, fmt.Errorf("component %s: %w", part.Name, err)
		}
		in := task.ChartInput{
			Chart: data, Release: part.Project, Namespace: part.Namespace, Values: part.ChartValues, Secrets: part.Secrets, Images: images, ImageFields: v.ImageFields(),
			Labels:      map[string]string{task.LabelDeployment: v.DeploymentID()},
			Annotations: map[string]string{task.AnnotationComponent: part.Name, task.AnnotationDevice: c.Device},
			Limits:      v.Limits(), Capabilities: capabilities, Previous: before,
		}
		res, err := c.Program.renderChart(ctx, in)
		if err != nil {
			return nil, fmt.Errorf("component %s: %w", part.Name, err)
		}
		out = append(out, verify.Render{Component: part.Name, Type: part.Type, Project: res.Render, Defaulted: res.Defaulted, Volatile: res.Volatile})
	}
	return out, nil
}

// The release and namespace under which a chart is rendered to learn its images: a
// refusal names objects by them.
const (
	anyRelease   = "release"
	anyNamespace = "namespace"
)

// Images lists the image references that a chart names with given values.
func (c *Chart) Images(ctx context.Context, chart []byte, values map[string]json.RawMessage) ([]string, error) {
	in := task.ChartImagesInput{Chart: chart, Release: anyRelease, Namespace: anyNamespace, Values: values, Capabilities: c.Capabilities}
	res, err := c.Program.chartImages(ctx, in)
	return res.Images, err
}

// capabilities are the cluster's. Charts choose by them what they make, so they are
// asked for whenever something new is rendered.
func (c *Chart) capabilities(ctx context.Context) (task.Capabilities, error) {
	if c.Kubeconfig == "" {
		return c.Capabilities, nil
	}
	info, err := c.Info(ctx)
	return info.Capabilities, err
}

// Info says what the cluster is. It changes nothing.
func (c *Chart) Info(ctx context.Context) (task.ChartInfoResult, error) {
	return c.Program.clusterInfo(ctx, task.ChartInfoInput{Kubeconfig: c.Kubeconfig})
}

func (c *Chart) before(ctx context.Context, deployment string, part Part) ([]byte, error) {
	if c.Installed == nil {
		return nil, nil
	}
	return c.Installed(ctx, deployment, part)
}

// Apply implements [Applier].
func (c *Chart) Apply(ctx context.Context, p *verify.Permit, n int) (ApplyResult, error) {
	part, deployment := p.Components()[n], p.Verdict().Order().Deployment().ID
	in := task.ChartApplyInput{
		Kubeconfig: c.Kubeconfig, Release: part.Project, Namespace: part.Namespace, Deployment: deployment,
		Render: part.Render, Digest: part.Digest, Images: part.Images, PodSecurity: part.PodSecurity,
		Wait: part.Wait, TimeoutSeconds: int(part.Timeout.Seconds()),
	}
	var err error
	if in.Secrets, err = c.Secrets.namedIn(part.Type, part.Render); err != nil {
		return ApplyResult{}, err
	}
	if in.Before, err = c.before(ctx, deployment, PartOf(part)); err != nil {
		return ApplyResult{}, err
	}
	if len(in.Before) > 0 {
		in.BeforeDigest = digest.SHA256.FromBytes(in.Before)
	}
	return c.Program.applyChart(ctx, in)
}

// Observe implements [Applier].
func (c *Chart) Observe(ctx context.Context, o Observe) (ObserveResult, error) {
	ctx, cancel := context.WithTimeout(ctx, observeTimeout)
	defer cancel()
	in := task.ChartObserveInput{
		Kubeconfig: c.Kubeconfig, Release: o.Project, Namespace: o.Namespace, Deployment: o.Deployment, Render: o.Render, PodSecurity: o.PodSecurity,
	}
	if len(o.Render) > 0 {
		in.Digest = digest.SHA256.FromBytes(o.Render)
		var err error
		if in.Secrets, err = c.Secrets.readable(o.Type, o.Render); err != nil {
			return ObserveResult{}, err
		}
	}
	return c.Program.observeChart(ctx, in)
}

// Remove implements [Applier]. It needs no verdict, see [Compose.Remove].
func (c *Chart) Remove(ctx context.Context, deployment string, part Part, volumes bool) (RemoveResult, error) {
	ctx, cancel := context.WithTimeout(ctx, removeTimeout)
	defer cancel()
	return c.Program.removeChart(ctx, task.ChartRemoveInput{
		Kubeconfig: c.Kubeconfig, Release: part.Project, Namespace: part.Namespace, Deployment: deployment, Volumes: volumes,
		TimeoutSeconds: int(removeTimeout.Seconds()),
	})
}
