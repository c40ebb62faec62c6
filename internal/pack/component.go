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
	seen := map[string]component{}
	for _, profile := range p.desc.DeploymentProfiles {
		for _, c := range profile.Components {
			this := component{Component: c, kind: profile.Type}
			first, again := seen[c.Name]
			if again && !first.same(this) {
				return reason.New(reason.Malformed,
					"%s: profile %q: component %q has another type, repository or revision than in an earlier profile; give one of them another name",
					margo.DescriptionFile, profile.ID, c.Name)
			}
			if seen[c.Name] = this; again {
				continue
			}
			if err := p.packComponent(ctx, this); err != nil {
				return fmt.Errorf("component %s: %w", c.Name, err)
			}
		}
	}
	return nil
}

// component is a component with the type of its profile.
type component struct {
	margo.Component
	kind string
}

func (c component) same(o component) bool {
	return c.kind == o.kind && c.Properties.Repository == o.Properties.Repository && c.Properties.Revision == o.Properties.Revision
}

func (p *packer) packComponent(ctx context.Context, c component) error {
	manifest, archive, err := p.componentContent(ctx, c)
	if err != nil {
		return err
	}
	p.bundle.Components = append(p.bundle.Components, bundle.Component{Name: c.Name, Manifest: manifest})
	if c.kind == margo.TypeHelm {
		return p.collectChartImages(ctx, c.Name, archive)
	}
	files, err := composefile.Unpack(archive)
	if err != nil {
		return err
	}
	return p.collectImages(ctx, c.Name, files)
}

// componentContent takes a component from beside margo.yaml, where its source or,
// of a chart, its archive may lie, or else from its registry.
func (p *packer) componentContent(ctx context.Context, c component) (ocispec.Descriptor, []byte, error) {
	source := filepath.Join(componentsDir, c.Name)
	info, err := p.root.Stat(source)
	switch {
	case err == nil && !info.IsDir():
		return ocispec.Descriptor{}, nil, reason.New(reason.Path, "%s is not a directory", source)
	case err == nil && c.kind == margo.TypeHelm:
		return p.chartFromSource(c, filepath.Join(p.Dir, source))
	case err == nil:
		return p.componentFromSource(c, filepath.Join(p.Dir, source))
	case !errors.Is(err, fs.ErrNotExist):
		return ocispec.Descriptor{}, nil, err
	}
	if c.kind == margo.TypeHelm {
		manifest, archive, err := p.chartFromFile(c, source+chartSuffix)
		if !errors.Is(err, fs.ErrNotExist) {
			return manifest, archive, err
		}
	}
	return p.componentFromRegistry(ctx, c)
}

func (p *packer) componentFromSource(c component, dir string) (ocispec.Descriptor, []byte, error) {
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
func (p *packer) componentFromRegistry(ctx context.Context, c component) (ocispec.Descriptor, []byte, error) {
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
		return none, nil, reason.New(reason.Malformed, "%s is of type %q, not a component", key, desc.MediaType)
	}
	take := p.takeCompose
	if c.kind == margo.TypeHelm {
		take = p.takeChart
	}
	archive, err := take(ctx, repo, c, data)
	if err != nil {
		return none, nil, fmt.Errorf("%s: %w", key, err)
	}
	if _, err := p.Out.PutBytes(desc.MediaType, data); err != nil {
		return none, nil, err
	}
	desc.ArtifactType = artifactTypes[c.kind]
	return desc, archive, nil
}

// artifactTypes are those of the entries of a bundle, by type of profile.
var artifactTypes = map[string]string{margo.TypeCompose: bundle.MediaTypeCompose, margo.TypeHelm: bundle.MediaTypeHelm}

func (p *packer) takeCompose(ctx context.Context, repo *oci.Repository, c component, manifest []byte) ([]byte, error) {
	m, err := bundle.ParseComposeComponent(manifest)
	if err != nil {
		return nil, err
	}
	if m.Version != c.Properties.Revision {
		return nil, reason.New(reason.Malformed, "calls itself version %q", m.Version)
	}
	return p.copyBlob(ctx, repo, m.Archive)
}

// copyBlob copies a bounded blob and returns it.
func (p *packer) copyBlob(ctx context.Context, repo *oci.Repository, desc ocispec.Descriptor) ([]byte, error) {
	data, err := repo.BlobBytes(ctx, desc, bundle.MaxArchiveBytes)
	if err != nil {
		return nil, err
	}
	_, err = p.Out.PutBytes(desc.MediaType, data)
	return data, err
}

// componentKey is what consign.lock calls a component.
func componentKey(c component) string {
	return c.Properties.Repository + ":" + c.Properties.Revision
}
