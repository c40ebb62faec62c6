package pack

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"
	"strings"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/consign-dev/consign/internal/bundle"
	"github.com/consign-dev/consign/internal/composefile"
	"github.com/consign-dev/consign/internal/margo"
	"github.com/consign-dev/consign/internal/oci"
	"github.com/consign-dev/consign/internal/reason"
)

// componentsDir holds a directory for each component that is packed from source.
const componentsDir = "components"

// repositoryScheme starts properties.repository of a component (Margo
// 1.0.0-rc.3, Component).
const repositoryScheme = "oci://"

// packComponents packs each component once, however many profiles name it.
func (p *packer) packComponents(ctx context.Context) error {
	seen := map[string]margo.ComponentProperties{}
	for _, profile := range p.desc.DeploymentProfiles {
		for _, c := range profile.Components {
			first, again := seen[c.Name]
			if again && (first.Repository != c.Properties.Repository || first.Revision != c.Properties.Revision) {
				return reason.New(reason.Malformed,
					"%s: profile %q: component %q has another repository or revision than in an earlier profile; give one of them another name",
					margo.DescriptionFile, profile.ID, c.Name)
			}
			seen[c.Name] = c.Properties
			if again {
				continue
			}
			if err := p.packComponent(ctx, c); err != nil {
				return fmt.Errorf("component %s: %w", c.Name, err)
			}
		}
	}
	return nil
}

func (p *packer) packComponent(ctx context.Context, c margo.Component) error {
	source := filepath.Join(componentsDir, c.Name)
	info, err := p.root.Stat(source)
	var manifest ocispec.Descriptor
	var archive []byte
	switch {
	case err == nil && !info.IsDir():
		return reason.New(reason.Path, "%s is not a directory", source)
	case err == nil:
		manifest, archive, err = p.componentFromSource(c, filepath.Join(p.Dir, source))
	case errors.Is(err, fs.ErrNotExist):
		manifest, archive, err = p.componentFromRegistry(ctx, c)
	}
	if err != nil {
		return err
	}
	p.bundle.Components = append(p.bundle.Components, bundle.Component{Name: c.Name, Manifest: manifest})
	files, err := composefile.Unpack(archive)
	if err != nil {
		return err
	}
	return p.collectImages(ctx, c.Name, files)
}

func (p *packer) componentFromSource(c margo.Component, dir string) (ocispec.Descriptor, []byte, error) {
	archive, err := composefile.Pack(dir)
	if err != nil {
		return ocispec.Descriptor{}, nil, err
	}
	layer, err := p.Out.PutBytes(bundle.MediaTypeComposeArchive, archive)
	if err != nil {
		return ocispec.Descriptor{}, nil, err
	}
	data, desc, err := bundle.BuildComposeComponent(bundle.ComposeComponent{
		Name: c.Name, Version: c.Properties.Revision, Archive: layer,
	})
	if err != nil {
		return ocispec.Descriptor{}, nil, err
	}
	_, err = p.Out.PutBytes(desc.MediaType, data)
	return desc, archive, err
}

// componentFromRegistry copies a component as it is, so that its digest, and
// whatever its maker signed, stay.
func (p *packer) componentFromRegistry(ctx context.Context, c margo.Component) (ocispec.Descriptor, []byte, error) {
	none := ocispec.Descriptor{}
	key := componentKey(c)
	repo, err := p.Client.Repository(strings.TrimPrefix(c.Properties.Repository, repositoryScheme))
	if err != nil {
		return none, nil, err
	}
	d, err := p.lock.component(key, func() (digest.Digest, error) {
		found, err := repo.ResolveTag(ctx, c.Properties.Revision)
		return found.Digest, err
	})
	if err != nil {
		return none, nil, fmt.Errorf("no directory %s/%s, and %w", componentsDir, c.Name, err)
	}
	p.Log.Info("component from registry", "component", c.Name, "reference", key, "digest", d)
	desc, data, err := repo.Manifest(ctx, d, bundle.MaxManifestBytes)
	if err != nil {
		return none, nil, withPinHint(err, key)
	}
	if desc.MediaType != ocispec.MediaTypeImageManifest {
		return none, nil, reason.New(reason.Malformed, "%s is of type %q, not a Compose component", key, desc.MediaType)
	}
	m, err := bundle.ParseComposeComponent(data)
	if err != nil {
		return none, nil, fmt.Errorf("%s: %w", key, err)
	}
	if m.Version != c.Properties.Revision {
		return none, nil, reason.New(reason.Malformed, "%s calls itself version %q", key, m.Version)
	}
	archive, err := p.copyComponent(ctx, repo, desc, data, m)
	desc.ArtifactType = bundle.MediaTypeCompose
	return desc, archive, err
}

func (p *packer) copyComponent(ctx context.Context, repo *oci.Repository, desc ocispec.Descriptor, data []byte, m *bundle.ComposeComponent) ([]byte, error) {
	archive, err := repo.BlobBytes(ctx, m.Archive, bundle.MaxArchiveBytes)
	if err != nil {
		return nil, err
	}
	if _, err := p.Out.PutBytes(m.Archive.MediaType, archive); err != nil {
		return nil, err
	}
	_, err = p.Out.PutBytes(desc.MediaType, data)
	return archive, err
}

// componentKey is what consign.lock calls a component.
func componentKey(c margo.Component) string {
	return c.Properties.Repository + ":" + c.Properties.Revision
}
