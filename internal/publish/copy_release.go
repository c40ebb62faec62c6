package publish

import (
	"context"
	"fmt"
	"strings"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/consign-dev/consign/internal/bundle"
	"github.com/consign-dev/consign/internal/channel"
	"github.com/consign-dev/consign/internal/gather"
	"github.com/consign-dev/consign/internal/margo"
	"github.com/consign-dev/consign/internal/oci"
	"github.com/consign-dev/consign/internal/reason"
	"github.com/consign-dev/consign/internal/tufclient"
)

// release copies a bundle with all its parts and its evidence, and names the
// parts as publishing does.
func (c *copier) release(ctx context.Context, t tufclient.Target) error {
	desc := ocispec.Descriptor{MediaType: ocispec.MediaTypeImageIndex, Digest: t.Digest, Size: t.Length}
	b, from, to, err := c.openRelease(ctx, t)
	if err != nil {
		return err
	}
	if err := c.send(ctx, from, to, desc); err != nil {
		return err
	}
	keep, err := c.evidence(ctx, t, from, to)
	if err != nil {
		return err
	}
	if err := c.nameParts(ctx, b, from, to); err != nil {
		return err
	}
	return channel.Retain(ctx, to, append(keep, t.Digest)...)
}

// openRelease finds the repositories of the application that a target names,
// and reads the bundle.
func (c *copier) openRelease(ctx context.Context, t tufclient.Target) (b *bundle.Bundle, from, to *oci.Repository, err error) {
	application, _, _ := strings.Cut(t.Name, "/")
	if from, err = c.in.From.application(application); err != nil {
		return nil, nil, nil, err
	}
	if to, err = c.in.To.application(application); err != nil {
		return nil, nil, nil, err
	}
	data, err := gather.Remote{Repository: from}.Manifest(ctx, t.Digest, t.Length)
	if err != nil {
		return nil, nil, nil, err
	}
	if b, err = bundle.Parse(data); err != nil {
		return nil, nil, nil, err
	}
	if channel.ReleaseTarget(b.Application, b.Version) != t.Name {
		return nil, nil, nil, reason.New(reason.NotReleased, "the channel lists a bundle that calls itself %s %s", b.Application, b.Version)
	}
	return b, from, to, nil
}

// application is the repository of an application beside the channel.
func (p Place) application(id string) (*oci.Repository, error) {
	name, err := channel.AppRepository(p.Repository, id)
	if err != nil {
		return nil, err
	}
	return p.Client.Repository(name)
}

// evidence copies what the channel lists as evidence about a bundle.
func (c *copier) evidence(ctx context.Context, t tufclient.Target, from, to *oci.Repository) ([]digest.Digest, error) {
	custom, err := channel.ParseReleaseCustom(t.Custom)
	if err != nil {
		return nil, err
	}
	var out []digest.Digest
	for _, e := range custom.Evidence {
		desc := ocispec.Descriptor{MediaType: ocispec.MediaTypeImageManifest, Digest: e.Digest, Size: e.Size}
		if err := c.send(ctx, from, to, desc); err != nil {
			return nil, fmt.Errorf("evidence: %w", err)
		}
		out = append(out, e.Digest)
	}
	return out, nil
}

// nameParts gives the package its tag, and each component its own repository,
// for plain OCI, Helm and Margo clients.
func (c *copier) nameParts(ctx context.Context, b *bundle.Bundle, from, to *oci.Repository) error {
	description, err := readDescription(ctx, to, b)
	if err != nil {
		return err
	}
	if err := tagThere(ctx, to, b.Package.Digest, b.Version); err != nil {
		return err
	}
	for _, part := range b.Components {
		place, err := channel.ComponentRepository(to.Name(), part.Name)
		if err != nil {
			return err
		}
		component, err := c.in.To.Client.Repository(place)
		if err != nil {
			return err
		}
		if err := c.send(ctx, from, component, part.Manifest); err != nil {
			return fmt.Errorf("component %s: %w", part.Name, err)
		}
		if err := tagThere(ctx, component, part.Manifest.Digest, revisionOf(description, part.Name)); err != nil {
			return fmt.Errorf("component %s: %w", part.Name, err)
		}
	}
	return nil
}

func readDescription(ctx context.Context, repo *oci.Repository, b *bundle.Bundle) (*margo.ApplicationDescription, error) {
	docs := gather.Remote{Repository: repo}
	data, err := docs.Manifest(ctx, b.Package.Digest, b.Package.Size)
	if err != nil {
		return nil, err
	}
	p, err := bundle.ParsePackage(data)
	if err != nil {
		return nil, err
	}
	text, err := docs.Blob(ctx, p.Description)
	if err != nil {
		return nil, err
	}
	return margo.ParseDescription(text)
}

// tagThere gives a manifest that lies in repo a tag, unless it has it.
func tagThere(ctx context.Context, repo *oci.Repository, d digest.Digest, tag string) error {
	if at, err := repo.ResolveTag(ctx, tag); err == nil && at.Digest == d {
		return nil
	}
	desc, data, err := repo.Manifest(ctx, d, oci.MaxManifestBytes)
	if err != nil {
		return err
	}
	return repo.Tag(ctx, desc, data, tag, "")
}
