package pack

import (
	"context"
	"errors"
	"fmt"
	"io"

	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/consign-dev/consign/internal/apply/task"
	"github.com/consign-dev/consign/internal/bundle"
	"github.com/consign-dev/consign/internal/chartfile"
	"github.com/consign-dev/consign/internal/margo"
	"github.com/consign-dev/consign/internal/oci"
	"github.com/consign-dev/consign/internal/reason"
)

// chartSuffix ends the name of a packed chart beside margo.yaml.
const chartSuffix = ".tgz"

// chartFromSource packs the source of a chart.
func (p *packer) chartFromSource(c component, dir string) (ocispec.Descriptor, []byte, error) {
	archive, chart, err := chartfile.Pack(dir)
	if err != nil {
		return ocispec.Descriptor{}, nil, err
	}
	return p.putChart(c, archive, chart)
}

// chartFromFile takes an archive that "helm package" made, as it is.
func (p *packer) chartFromFile(c component, name string) (ocispec.Descriptor, []byte, error) {
	f, err := p.root.Open(name)
	if err != nil {
		return ocispec.Descriptor{}, nil, err
	}
	defer f.Close()
	archive, err := io.ReadAll(io.LimitReader(f, task.MaxChart+1))
	if err != nil {
		return ocispec.Descriptor{}, nil, err
	}
	chart, err := chartfile.Read(archive)
	if err != nil {
		return ocispec.Descriptor{}, nil, fmt.Errorf("%s: %w", name, err)
	}
	return p.putChart(c, archive, chart)
}

func (p *packer) putChart(c component, archive []byte, chart chartfile.Chart) (ocispec.Descriptor, []byte, error) {
	if err := checkChart(c, chart); err != nil {
		return ocispec.Descriptor{}, nil, err
	}
	layer, err := p.Out.PutBytes(bundle.MediaTypeChart, archive)
	if err != nil {
		return ocispec.Descriptor{}, nil, err
	}
	config, err := p.Out.PutBytes(bundle.MediaTypeHelm, chart.Config)
	if err != nil {
		return ocispec.Descriptor{}, nil, err
	}
	data, desc, err := bundle.BuildChartComponent(bundle.ChartComponent{Name: chart.Name, Version: chart.Version, Config: config, Archive: layer})
	if err != nil {
		return ocispec.Descriptor{}, nil, err
	}
	_, err = p.Out.PutBytes(desc.MediaType, data)
	return desc, archive, err
}

// checkChart holds what a chart says of itself against margo.yaml. A Helm
// component is named as its chart is (Margo 1.0.0-rc.3, Component), and helm pull
// finds it under that name alone.
func checkChart(c component, chart chartfile.Chart) error {
	if chart.Name != c.Name {
		return reason.New(reason.Malformed, "%s calls the chart %q: a Helm component has the name of its chart", chartfile.ChartFile, chart.Name)
	}
	if chart.Tag() != c.Properties.Revision {
		return reason.New(reason.Malformed, "%s says version %s, %s revision %s", chartfile.ChartFile, chart.Version, margo.DescriptionFile, c.Properties.Revision)
	}
	return nil
}

// takeChart copies what somebody has pushed with "helm push".
func (p *packer) takeChart(ctx context.Context, repo *oci.Repository, c component, manifest []byte) ([]byte, error) {
	m, err := bundle.ParseChartComponent(manifest)
	if err != nil {
		return nil, err
	}
	if _, err := p.copyBlob(ctx, repo, m.Config); err != nil {
		return nil, err
	}
	if m.Provenance != nil {
		if _, err := p.copyBlob(ctx, repo, *m.Provenance); err != nil {
			return nil, err
		}
	}
	archive, err := p.copyBlob(ctx, repo, m.Archive)
	if err != nil {
		return nil, err
	}
	chart, err := chartfile.Read(archive)
	if err != nil {
		return nil, err
	}
	return archive, checkChart(c, chart)
}

// collectChartImages adds the images that a chart names with the values that its
// package's parameters have before anybody orders it. One that other values bring
// in is not in the bundle, and devices refuse it.
func (p *packer) collectChartImages(ctx context.Context, name string, archive []byte) error {
	if p.ChartImages == nil {
		return errors.New("a chart has to be rendered to learn its images, and there is no applier-helm")
	}
	values, err := p.desc.ChartDefaults(name)
	if err != nil {
		return err
	}
	references, err := p.ChartImages(ctx, archive, values)
	if err != nil {
		return err
	}
	return p.want(name, references)
}
