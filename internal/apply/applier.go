package apply

import (
	"context"
	"fmt"
	"time"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/consign-dev/consign/internal/apply/task"
	"github.com/consign-dev/consign/internal/reason"
	"github.com/consign-dev/consign/internal/verify"
)

// renderTimeout ends a render that does not come back. A Compose project takes
// milliseconds; a minute covers the slowest device and leaves no room for a bomb.
const renderTimeout = time.Minute

// observeTimeout ends an observation of an engine that does not answer.
const observeTimeout = time.Minute

// removeTimeout covers stopping every container of a project, each of which is
// given its own grace period.
const removeTimeout = 5 * time.Minute

// Compose is the [Applier] of Compose components on one Docker engine.
type Compose struct {
	// Program is the applier-compose program.
	Program *Program
	// Engine is the engine's address, unix:///path.
	Engine string
	// Registry is the loopback address, 127.0.0.1:port, from which the engine
	// pulls. It is part of every image name.
	Registry string
	// Device is the device's id, put on every object as a label.
	Device string
	// Secrets are the device's.
	Secrets SecretFiles
}

// ImageName is the one name under which the engine knows an image: constant in
// all but the digest, since a name that changed would restart every container.
func ImageName(registry string, manifest ocispec.Descriptor) string {
	return registry + imagePath + "@" + string(manifest.Digest)
}

// imageNames are the names of what v may run, by reference.
func imageNames(registry string, v verify.Renderable) map[string]string {
	names := map[string]string{}
	for _, i := range v.Images() {
		names[i.Reference] = ImageName(registry, i.Manifest)
	}
	return names
}

// imagePath is the one repository of the loopback registry (store.Handler).
const imagePath = "/c"

// Render implements [Applier].
func (c *Compose) Render(ctx context.Context, v verify.Renderable, archive func(ocispec.Descriptor) ([]byte, error)) ([]verify.Render, error) {
	images := imageNames(c.Registry, v)
	var out []verify.Render
	for _, part := range v.Components() {
		data, err := archive(part.Archive)
		if err != nil {
			return nil, fmt.Errorf("component %s: %w", part.Name, err)
		}
		deployment := v.DeploymentID()
		in := RenderInput{
			Archive: data, Project: part.Project, Values: part.Values, Secrets: part.Secrets, Images: images,
			Labels: map[string]string{task.LabelDeployment: deployment, task.LabelComponent: part.Name, task.LabelDevice: c.Device},
			Limits: v.Limits(),
		}
		ctx, cancel := context.WithTimeout(ctx, renderTimeout)
		res, err := c.Program.render(ctx, in)
		cancel()
		if err != nil {
			return nil, fmt.Errorf("component %s: %w", part.Name, err)
		}
		out = append(out, verify.Render{Component: part.Name, Type: part.Type, Project: res.Project, Defaulted: res.Defaulted})
	}
	return out, nil
}

// Apply implements [Applier].
func (c *Compose) Apply(ctx context.Context, p *verify.Permit, n int) (ApplyResult, error) {
	part := p.Components()[n]
	secrets, err := c.Secrets.namedIn(part.Type, part.Render)
	if err != nil {
		return ApplyResult{}, err
	}
	return c.Program.apply(ctx, ApplyInput{
		Engine: c.Engine, Project: part.Project, Deployment: p.Verdict().Order().Deployment().ID,
		Render: part.Render, Digest: part.Digest, Images: part.Images, Secrets: secrets,
		Wait: part.Wait, TimeoutSeconds: int(part.Timeout.Seconds()),
	})
}

// Observe names a component that was applied.
type Observe struct {
	// Deployment is the Margo deployment id.
	Deployment string
	Part
	// Render is what should run; without it there is no drift in the result.
	Render []byte
}

// Observe implements [Applier].
func (c *Compose) Observe(ctx context.Context, o Observe) (ObserveResult, error) {
	ctx, cancel := context.WithTimeout(ctx, observeTimeout)
	defer cancel()
	in := ObserveInput{Engine: c.Engine, Project: o.Project, Deployment: o.Deployment, Render: o.Render}
	if len(o.Render) > 0 {
		in.Digest = digest.SHA256.FromBytes(o.Render)
		secrets, err := c.Secrets.readable(o.Type, o.Render)
		if err != nil {
			return ObserveResult{}, err
		}
		in.Secrets = versions(secrets)
	}
	return c.Program.observe(ctx, in)
}

// Remove implements [Applier]. It needs no verdict: which deployments may go is
// the caller's to decide from signed orders, and the program touches only
// objects that carry the deployment's label.
func (c *Compose) Remove(ctx context.Context, deployment string, part Part, volumes bool) (RemoveResult, error) {
	ctx, cancel := context.WithTimeout(ctx, removeTimeout)
	defer cancel()
	return c.Program.remove(ctx, RemoveInput{
		Engine: c.Engine, Project: part.Project, Deployment: deployment, Volumes: volumes,
		TimeoutSeconds: int(removeTimeout.Seconds()),
	})
}

// ReadArchive bounds the read of a component archive by what a request can carry.
func ReadArchive(read func(desc ocispec.Descriptor, max int64) ([]byte, error)) func(ocispec.Descriptor) ([]byte, error) {
	return func(desc ocispec.Descriptor) ([]byte, error) {
		if desc.Size > maxArchiveBytes {
			return nil, reason.New(reason.TooLarge, "component archive %s is %d bytes, at most %d can be rendered", desc.Digest, desc.Size, maxArchiveBytes)
		}
		return read(desc, desc.Size)
	}
}

// maxArchiveBytes fits a request of task.MaxRequest after base64. It is below
// bundle.MaxArchiveBytes, the bound of what may be distributed.
const maxArchiveBytes = 16 << 20
