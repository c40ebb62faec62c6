package pack

import (
	"context"
	"fmt"
	"path"

	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/consign-dev/consign/internal/bundle"
	"github.com/consign-dev/consign/internal/margo"
	"github.com/consign-dev/consign/internal/reason"
)

// packDescription makes the Margo package manifest: margo.yaml as it was read,
// and the files that its catalogue entry names.
func (p *packer) packDescription(ctx context.Context) error {
	layer, err := p.Out.PutBytes(bundle.MediaTypeDescription, p.desc.Raw)
	if err != nil {
		return err
	}
	pkg := bundle.Package{Description: layer}
	for _, field := range bundle.ResourceFields() {
		file := resourceFile(p.desc, field)
		if file == "" {
			continue
		}
		r, err := p.packResource(ctx, field, file)
		if err != nil {
			return fmt.Errorf("%s: %s: %w", margo.DescriptionFile, r.Field, err)
		}
		pkg.Resources = append(pkg.Resources, r)
	}
	data, desc, err := bundle.BuildPackage(pkg)
	if err != nil {
		return err
	}
	p.bundle.Package = desc
	_, err = p.Out.PutBytes(desc.MediaType, data)
	return err
}

func resourceFile(d *margo.ApplicationDescription, field string) string {
	a := d.Metadata.Catalog.Application
	if a == nil {
		return ""
	}
	return map[string]string{
		"icon":            a.Icon,
		"descriptionFile": a.DescriptionFile,
		"licenseFile":     a.LicenseFile,
		"releaseNotes":    a.ReleaseNotes,
	}[field]
}

// packResource copies one file. The root keeps it inside the directory,
// whatever links lead to it.
func (p *packer) packResource(ctx context.Context, field, file string) (bundle.Resource, error) {
	r := bundle.Resource{Field: "metadata.catalog.application." + field, Path: path.Clean(file)}
	info, err := p.root.Stat(r.Path)
	if err != nil {
		return r, err
	}
	if !info.Mode().IsRegular() {
		return r, reason.New(reason.Path, "%q is not a regular file", file)
	}
	if info.Size() > bundle.MaxResourceBytes {
		return r, reason.New(reason.TooLarge, "%q has %d bytes, at most %d are packed", file, info.Size(), bundle.MaxResourceBytes)
	}
	f, err := p.root.Open(r.Path)
	if err != nil {
		return r, err
	}
	defer f.Close()
	d, size, err := p.Out.PutBlob(ctx, f)
	r.Layer = ocispec.Descriptor{MediaType: bundle.ResourceMediaType(field, r.Path), Digest: d, Size: size}
	return r, err
}
