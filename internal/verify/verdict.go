package verify

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"strings"
	"time"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/consign-dev/consign/internal/apply/task"
	"github.com/consign-dev/consign/internal/bundle"
	"github.com/consign-dev/consign/internal/oci"
	"github.com/consign-dev/consign/internal/reason"
	"github.com/consign-dev/consign/policy"
)

// Verdict says that one order may be fetched and rendered on one device. Only
// [Decide] makes one.
type Verdict struct {
	order      *Order
	release    *Release
	grants     policy.Grants
	components []Component
	images     []Image
	blobs      []ocispec.Descriptor
	documents  []digest.Digest
	steps      []Step
}

// Component is what a verdict allows to be rendered.
type Component struct {
	// Name is the component's name in margo.yaml.
	Name string
	// Project is the Compose project name on the device. It is derived from the
	// deployment id, so no application can choose another one's name (attack C8).
	Project string
	// Archive is the component's archive.
	Archive ocispec.Descriptor
	// Values are the parameters of this component: variable name to text.
	Values map[string]string
	// Secrets are the secret parameters of this component: variable name to the
	// name of the device's secret.
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

// Order returns the order that was judged.
func (v *Verdict) Order() *Order { return v.order }

// Release returns the release that was judged.
func (v *Verdict) Release() *Release { return v.release }

// Components returns what may be rendered, in the order in which it is applied.
func (v *Verdict) Components() []Component { return v.components }

// Images returns the images that components may run.
func (v *Verdict) Images() []Image { return v.images }

// Limits returns what a render gives to containers that name no limits: the
// policy's, for this application.
func (v *Verdict) Limits() task.Limits { return v.grants.Limits.Defaults() }

// Blobs returns what has to be fetched before a render: archives, image
// configurations and layers, each once.
func (v *Verdict) Blobs() []ocispec.Descriptor { return v.blobs }

// Documents returns the digests of the documents that the verdict rests on.
func (v *Verdict) Documents() []digest.Digest {
	return append(append([]digest.Digest{v.order.digest, v.release.policy.digest}, v.release.documents...), v.documents...)
}

// Steps returns the checks that were made, for --explain and for the log.
func (v *Verdict) Steps() []Step { return v.steps }

// resolve finds the exact bytes behind the order: the archive of each component
// of the profile and the manifest of each image for the platform.
func (v *Verdict) resolve(ctx context.Context, t *trail, dev Device, docs Documents) error {
	const rule = "every component and image is in the bundle, for this device's platform"
	if err := v.resolveComponents(ctx, docs); err != nil {
		return t.refuse("content", rule, v.release.digest, reason.Malformed, err)
	}
	if err := v.resolveImages(ctx, dev, docs); err != nil {
		return t.refuse("content", rule, v.release.digest, reason.Malformed, err)
	}
	var bytes int64
	for _, b := range v.blobs {
		bytes += b.Size
	}
	t.pass("content", rule, v.release.digest, "%s: %d image(s), %d blob(s), %d bytes", bundle.PlatformString(dev.Platform), len(v.images), len(v.blobs), bytes)
	return nil
}

func (v *Verdict) resolveComponents(ctx context.Context, docs Documents) error {
	d := v.order.deployment
	for _, c := range d.Spec.DeploymentProfile.Components {
		entry, ok := v.release.bundle.Component(c.Name)
		if !ok {
			return reason.New(reason.DeploymentMismatch, "component %q is not in the bundle", c.Name)
		}
		data, err := readManifest(ctx, docs, entry.Manifest.Digest, entry.Manifest.Size)
		if err != nil {
			return fmt.Errorf("component %s: %w", c.Name, err)
		}
		m, err := bundle.ParseComposeComponent(data)
		if err != nil {
			return fmt.Errorf("component %s: %w", c.Name, err)
		}
		v.documents = append(v.documents, entry.Manifest.Digest)
		v.addBlob(m.Archive)
		v.components = append(v.components, Component{
			Name: c.Name, Project: projectName(d.ID, c.Name), Archive: m.Archive,
			Values: d.ComponentValues(c.Name), Secrets: v.release.description.ComponentSecrets(v.order.terms.Secrets, c.Name), Wait: c.WaitEnabled(), Timeout: c.TimeoutDuration(),
		})
	}
	return nil
}

func (v *Verdict) resolveImages(ctx context.Context, dev Device, docs Documents) error {
	for _, i := range v.release.bundle.Images {
		manifest, data, err := platformManifest(ctx, i.Manifest, dev.Platform, docs)
		if err != nil {
			return fmt.Errorf("image %s: %w", i.Reference, err)
		}
		children, err := oci.Children(manifest.MediaType, data)
		if err != nil {
			return fmt.Errorf("image %s: %w", i.Reference, err)
		}
		v.documents = append(v.documents, i.Manifest.Digest, manifest.Digest)
		for _, c := range children {
			v.addBlob(c)
		}
		v.images = append(v.images, Image{Reference: i.Reference, Manifest: manifest})
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

func (v *Verdict) addBlob(desc ocispec.Descriptor) {
	for _, b := range v.blobs {
		if b.Digest == desc.Digest {
			return
		}
	}
	v.blobs = append(v.blobs, ocispec.Descriptor{MediaType: desc.MediaType, Digest: desc.Digest, Size: desc.Size})
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
