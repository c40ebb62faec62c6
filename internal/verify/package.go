package verify

import (
	"context"

	"github.com/consign-dev/consign/internal/bundle"
	"github.com/consign-dev/consign/internal/margo"
	"github.com/consign-dev/consign/internal/reason"
)

// readPackage reads margo.yaml from the bundle and checks that the bundle holds
// what it describes, no more and no less.
func (r *Release) readPackage(ctx context.Context, t *trail, docs Documents) error {
	const rule = "the package describes this application and the bundle holds all its components"
	desc := r.bundle.Package
	p, err := r.loadPackage(ctx, docs)
	if err == nil {
		err = r.checkPackage()
	}
	if err != nil {
		return t.refuse("package", rule, desc.Digest, reason.Malformed, err)
	}
	t.pass("package", rule, p.Description.Digest, "%s %s", r.description.ID, r.description.Metadata.Version)
	return nil
}

func (r *Release) loadPackage(ctx context.Context, docs Documents) (*bundle.Package, error) {
	desc := r.bundle.Package
	data, err := readManifest(ctx, docs, desc.Digest, desc.Size)
	if err != nil {
		return nil, err
	}
	p, err := bundle.ParsePackage(data)
	if err != nil {
		return nil, err
	}
	text, err := readBlob(ctx, docs, p.Description)
	if err != nil {
		return nil, err
	}
	if r.description, err = margo.ParseDescription(text); err != nil {
		return nil, err
	}
	r.descDigest = p.Description.Digest
	r.documents = append(r.documents, desc.Digest, p.Description.Digest)
	return p, nil
}

func (r *Release) checkPackage() error {
	d, b := r.description, r.bundle
	if d.ID != b.Application || d.Metadata.Version != b.Version {
		return reason.New(reason.Malformed, "margo.yaml is of %s %s, the bundle of %s %s", d.ID, d.Metadata.Version, b.Application, b.Version)
	}
	named := map[string]bool{}
	for _, profile := range d.DeploymentProfiles {
		for _, c := range profile.Components {
			named[c.Name] = true
			if _, ok := b.Component(c.Name); !ok {
				return reason.New(reason.Malformed, "margo.yaml: component %q is not in the bundle", c.Name)
			}
		}
	}
	for _, c := range b.Components {
		if !named[c.Name] {
			return reason.New(reason.Malformed, "the bundle holds component %q, which margo.yaml does not name", c.Name)
		}
	}
	return nil
}
