// Package bundle defines the OCI documents that Consign signs and lists: the
// bundle itself and the small manifests around it. docs/spec/bundle.md
// describes them field by field.
//
// A bundle is an OCI image index that names, by digest, everything that one
// version of an application brings to a device:
//
//	manifests[0]     the Margo application package (margo.yaml and its resources)
//	then             each component, in the order of the deployment profiles
//	then             each container image, in the order of its reference
//
// The digest of the index therefore covers every byte a device will run. The
// role of an entry is an annotation, and so is the reference by which a
// component's source calls an image, so that a render can be rewritten to
// digests. No annotation is ever used as a path.
//
// For every document there is a Build function and a Parse function. Build
// writes one canonical encoding: compact JSON, fields in the order of the OCI
// image-spec, entries sorted, nothing that differs between two machines.
// Parse accepts only what Build could have made from its fields, within the
// bounds of media.go; unknown fields, unknown annotations, repeated names and
// digests other than sha256 are refused as malformed. Two documents are
// exceptions, since other tools write them too: Compose components and images
// may carry annotations that we do not know.
//
// A parsed document says nothing about trust: its bytes must have been checked
// against a signed digest first.
package bundle

import (
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/consign-dev/consign/internal/lazyregexp"
	"github.com/consign-dev/consign/internal/reason"
)

// Bundle is the content of a bundle index.
type Bundle struct {
	// Application is the Margo application id.
	Application string
	// Version is metadata.version of margo.yaml; it is also an OCI tag.
	Version string
	// Package is the manifest of the Margo application package.
	Package ocispec.Descriptor
	// Components are in the order of the deployment profiles.
	Components []Component
	// Images are sorted by reference.
	Images []Image
}

// Component is a component of the application.
type Component struct {
	// Name is the component's name in margo.yaml, unique in the bundle.
	Name string
	// Manifest is its OCI manifest; the artifactType, [MediaTypeCompose] or
	// [MediaTypeHelm], says what kind of component it is.
	Manifest ocispec.Descriptor
}

// Image is a container image.
type Image struct {
	// Reference is what components call it, normalised by
	// [NormalizeReference] and unique in the bundle.
	Reference string
	// Manifest is its index, or its manifest with the platform it is for.
	Manifest ocispec.Descriptor
}

// Component returns the component of that name.
func (b *Bundle) Component(name string) (Component, bool) {
	for _, c := range b.Components {
		if c.Name == name {
			return c, true
		}
	}
	return Component{}, false
}

// Image returns the image that a component's source calls reference, in
// whichever form the source wrote it.
func (b *Bundle) Image(reference string) (Image, bool) {
	normal, err := NormalizeReference(reference)
	if err != nil {
		return Image{}, false
	}
	for _, i := range b.Images {
		if i.Reference == normal {
			return i, true
		}
	}
	return Image{}, false
}

var (
	// Margo 1.0.0-rc.3, Application Description, id.
	applicationID = lazyregexp.New(`^[a-z0-9-]{1,200}$`)
	// The same document, component name; the bound is ours.
	componentName = lazyregexp.New(`^[a-z0-9-]{1,200}$`)
	// OCI Distribution Spec 1.1, Pulling manifests.
	tagPattern = lazyregexp.New(`^[a-zA-Z0-9_][a-zA-Z0-9._-]{0,127}$`)
)

// check holds the rules that Build and Parse share. Images are sorted already.
func (b *Bundle) check() error {
	if !applicationID.MatchString(b.Application) {
		return malformed("bundle: application id %q: want 1 to 200 of a-z, 0-9 and '-'", b.Application)
	}
	if !tagPattern.MatchString(b.Version) {
		return malformed("bundle: version %q is not a valid OCI tag: use letters, digits, '.', '_' and '-'", b.Version)
	}
	if err := checkManifestEntry("bundle: package", b.Package, MediaTypePackage); err != nil {
		return err
	}
	if err := b.checkComponents(); err != nil {
		return err
	}
	return b.checkImages()
}

func (b *Bundle) checkComponents() error {
	if len(b.Components) == 0 || len(b.Components) > MaxComponents {
		return malformed("bundle: %d components: want 1 to %d", len(b.Components), MaxComponents)
	}
	seen := map[string]bool{}
	for _, c := range b.Components {
		if !componentName.MatchString(c.Name) {
			return malformed("bundle: component name %q: want 1 to 200 of a-z, 0-9 and '-'", c.Name)
		}
		if seen[c.Name] {
			return malformed("bundle: component %q is listed twice", c.Name)
		}
		seen[c.Name] = true
		if err := checkManifestEntry("bundle: component "+c.Name, c.Manifest, MediaTypeCompose, MediaTypeHelm); err != nil {
			return err
		}
	}
	return nil
}

func (b *Bundle) checkImages() error {
	if len(b.Images) > MaxImages {
		return malformed("bundle: %d images: want at most %d", len(b.Images), MaxImages)
	}
	for n, i := range b.Images {
		if n > 0 && b.Images[n-1].Reference >= i.Reference {
			return malformed("bundle: image %q is listed twice or out of order", i.Reference)
		}
		if err := checkImage(i); err != nil {
			return err
		}
	}
	return nil
}

func malformed(format string, args ...any) error {
	return reason.New(reason.Malformed, format, args...)
}
