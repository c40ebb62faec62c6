package verify

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"strings"
	"time"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/consign-dev/consign/internal/apply/task"
	"github.com/consign-dev/consign/internal/bundle"
	"github.com/consign-dev/consign/internal/margo"
	"github.com/consign-dev/consign/internal/oci"
	"github.com/consign-dev/consign/internal/reason"
	"github.com/consign-dev/consign/policy"
)

// Renderable is what an applier renders: a [Verdict], or a [Rehearsal] of what
// nobody has signed yet. A render touches nothing, so it needs no more; what may
// be applied is a [Permit], and only a verdict leads to one.
type Renderable interface {
	// DeploymentID is the Margo id of the deployment.
	DeploymentID() string
	// Components are in the order in which they are applied.
	Components() []Component
	// Images are those that components may run.
	Images() []Image
	// Limits are for containers that name none: the policy's, for this application.
	Limits() task.Limits
	// ImageFields are the fields of custom kinds that grants name as those of images.
	ImageFields() []task.ImageField

	resolved() *content
}

// content is what a deployment comes to on one platform, signed or not: the
// exact bytes, and what they may ask for.
type content struct {
	deployment string
	policy     digest.Digest
	grants     policy.Grants
	components []Component
	images     []Image
	blobs      []ocispec.Descriptor
	documents  []digest.Digest
}

// Component is what may be rendered.
type Component struct {
	// Name is the component's name in margo.yaml.
	Name string
	// Type is [bundle.Compose] or [bundle.Helm].
	Type string
	// Project is the Compose project name on the device, or the Helm release name.
	// It is derived from the deployment id, so no application can choose another
	// one's name (attack C8).
	Project string
	// Namespace is the Kubernetes namespace of the deployment, derived in the same
	// way: all its Helm components share it, and nobody else does.
	Namespace string
	// Archive is the component's archive or chart.
	Archive ocispec.Descriptor
	// Values are the parameters of a Compose component: variable name to text.
	Values map[string]string
	// ChartValues are those of a chart: pointer into values.yaml to JSON.
	ChartValues map[string]json.RawMessage
	// Secrets are the secret parameters of this component: variable name, or
	// pointer, to the name of the device's secret.
	Secrets map[string]string
	// Wait asks for healthy containers within Timeout.
	Wait    bool
	Timeout time.Duration
}

// Image is a container image for this device's platform.
type Image struct {
	// Reference is what components call it, in normal form.
	Reference string
	// Manifest is the platform manifest, the digest that will run.
	Manifest ocispec.Descriptor
}

// DeploymentID implements [Renderable].
func (c *content) DeploymentID() string { return c.deployment }

// Components implements [Renderable].
func (c *content) Components() []Component { return c.components }

// Images implements [Renderable].
func (c *content) Images() []Image { return c.images }

// Limits implements [Renderable].
func (c *content) Limits() task.Limits { return c.grants.Limits.Defaults() }

// ImageFields implements [Renderable].
func (c *content) ImageFields() []task.ImageField { return c.grants.ImageFields() }

// Blobs returns what has to be fetched before the images run: archives, image
// configurations and layers, each once.
func (c *content) Blobs() []ocispec.Descriptor { return c.blobs }

func (c *content) resolved() *content { return c }

// resolve finds the exact bytes behind the order: the archive of each component
// of the profile and the manifest of each image for the platform.
func resolve(ctx context.Context, t *trail, in DecideInput, docs Documents) (content, error) {
	const rule = "every component and image is in the bundle, for this device's platform"
	c := content{
		deployment: in.Order.deployment.ID, policy: in.Release.policy.digest,
		grants: in.Release.rules.Grants.Reserving(in.Device.Reserved...),
	}
	err := c.resolveComponents(ctx, in.Order, in.Release, docs)
	if err == nil {
		err = c.resolveImages(ctx, in.Release.bundle, in.Device.Platform, docs)
	}
	if err != nil {
		return content{}, t.refuse("content", rule, in.Release.digest, reason.Malformed, err)
	}
	var bytes int64
	for _, b := range c.blobs {
		bytes += b.Size
	}
	t.pass("content", rule, in.Release.digest, "%s: %d image(s), %d blob(s), %d bytes", bundle.PlatformString(in.Device.Platform), len(c.images), len(c.blobs), bytes)
	return c, nil
}

func (c *content) resolveComponents(ctx context.Context, o *Order, r *Release, docs Documents) error {
	for _, part := range o.deployment.Spec.DeploymentProfile.Components {
		entry, ok := r.bundle.Component(part.Name)
		if !ok {
			return reason.New(reason.DeploymentMismatch, "component %q is not in the bundle", part.Name)
		}
		data, err := readManifest(ctx, docs, entry.Manifest.Digest, entry.Manifest.Size)
		if err != nil {
			return fmt.Errorf("component %s: %w", part.Name, err)
		}
		m, err := bundle.ParseComponent(entry.Manifest, data)
		if err != nil {
			return fmt.Errorf("component %s: %w", part.Name, err)
		}
		this, err := newComponent(part, m, o, r)
		if err != nil {
			return fmt.Errorf("component %s: %w", part.Name, err)
		}
		c.documents = append(c.documents, entry.Manifest.Digest)
		c.addBlob(m.Archive)
		c.components = append(c.components, this)
	}
	return nil
}

func newComponent(part margo.Component, m bundle.ComponentManifest, o *Order, r *Release) (Component, error) {
	d := o.deployment
	if m.Type != d.Spec.DeploymentProfile.Type {
		return Component{}, reason.New(reason.DeploymentMismatch, "the profile is of type %s, the bundle has a %s component", d.Spec.DeploymentProfile.Type, m.Type)
	}
	c := Component{
		Name: part.Name, Type: m.Type, Project: projectName(d.ID, part.Name), Archive: m.Archive,
		Secrets: r.description.ComponentSecrets(o.terms.Secrets, part.Name),
		Wait:    part.WaitEnabled(), Timeout: part.TimeoutDuration(),
	}
	if m.Type == bundle.Compose {
		c.Values = d.ComponentValues(part.Name)
		return c, nil
	}
	var err error
	c.Namespace = projectName(d.ID, d.Spec.ApplicationID)
	c.ChartValues, err = r.description.ChartValues(d, part.Name)
	return c, reason.Wrap(reason.DeploymentMismatch, err)
}

func (c *content) resolveImages(ctx context.Context, b *bundle.Bundle, platform ocispec.Platform, docs Documents) error {
	for _, i := range b.Images {
		manifest, data, err := platformManifest(ctx, i.Manifest, platform, docs)
		if err != nil {
			return fmt.Errorf("image %s: %w", i.Reference, err)
		}
		children, err := oci.Children(manifest.MediaType, data)
		if err != nil {
			return fmt.Errorf("image %s: %w", i.Reference, err)
		}
		c.documents = append(c.documents, i.Manifest.Digest, manifest.Digest)
		for _, child := range children {
			c.addBlob(child)
		}
		c.images = append(c.images, Image{Reference: i.Reference, Manifest: manifest})
	}
	return nil
}

func platformManifest(ctx context.Context, image ocispec.Descriptor, want ocispec.Platform, docs Documents) (ocispec.Descriptor, []byte, error) {
	data, err := readManifest(ctx, docs, image.Digest, image.Size)
	if err != nil {
		return ocispec.Descriptor{}, nil, err
	}
	manifest, err := bundle.SelectImage(image, data, want)
	if err != nil || manifest.Digest == image.Digest {
		return manifest, data, err
	}
	data, err = readManifest(ctx, docs, manifest.Digest, manifest.Size)
	return manifest, data, err
}

func (c *content) addBlob(desc ocispec.Descriptor) {
	for _, b := range c.blobs {
		if b.Digest == desc.Digest {
			return
		}
	}
	c.blobs = append(c.blobs, ocispec.Descriptor{MediaType: desc.MediaType, Digest: desc.Digest, Size: desc.Size})
}

// projectName is readable and cannot collide: the hash covers what the
// shortened name leaves out. Compose allows [a-z0-9][a-z0-9_-]*, and names of
// objects made from it must stay below 64 bytes of DNS label for networks.
func projectName(deployment, component string) string {
	sum := sha256.Sum256([]byte(deployment + "/" + component))
	name := strings.Trim(component, "-")
	if len(name) > 24 {
		name = strings.TrimRight(name[:24], "-")
	}
	return "c" + hex.EncodeToString(sum[:5]) + "-" + name
}
