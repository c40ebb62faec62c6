package pack

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/distribution/reference"
	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/consign-dev/consign/internal/bundle"
	"github.com/consign-dev/consign/internal/oci"
	"github.com/consign-dev/consign/internal/reason"
)

// located is an image that was found: what it is and who lends its content.
type located struct {
	desc ocispec.Descriptor
	from oci.Source
	// where is the place, for people.
	where string
}

// packImages finds, checks and copies every image that components name.
func (p *packer) packImages(ctx context.Context) error {
	if err := p.checkGivenUsed(); err != nil {
		return err
	}
	for _, ref := range slices.Sorted(maps.Keys(p.wanted)) {
		if err := p.packImage(ctx, ref); err != nil {
			return fmt.Errorf("image %s of component %s: %w", ref, p.wanted[ref], err)
		}
	}
	return nil
}

func (p *packer) packImage(ctx context.Context, ref string) error {
	found, err := p.locate(ctx, ref)
	if err != nil {
		return err
	}
	p.Log.Info("image", "reference", ref, "from", found.where, "digest", found.desc.Digest)
	if want := bundle.ReferenceDigest(ref); want != "" && want != found.desc.Digest {
		return reason.New(reason.DigestMismatch, "%s holds %s", found.where, found.desc.Digest)
	}
	c := copier{from: found.from, out: p.Out, copied: map[digest.Digest]bool{}, warn: func(format string, args ...any) {
		p.warn("image "+ref+": "+format, args...)
	}}
	entry, err := p.copy(ctx, c, ref, found.desc)
	if err != nil {
		return fmt.Errorf("from %s: %w", found.where, err)
	}
	p.bundle.Images = append(p.bundle.Images, bundle.Image{Reference: ref, Manifest: entry})
	return nil
}

// copy copies an image whole or, where platforms were chosen, what they run. A
// reference by digest names the whole image, and what it names stays.
func (p *packer) copy(ctx context.Context, c copier, ref string, desc ocispec.Descriptor) (ocispec.Descriptor, error) {
	switch {
	case len(p.Platforms) == 0:
		return c.copyImage(ctx, desc)
	case bundle.ReferenceDigest(ref) != "":
		c.warn("it is named by digest, so all its platforms go in")
		return c.copyImage(ctx, desc)
	default:
		return c.copyChosen(ctx, desc, p.Platforms)
	}
}

// locate asks the sources in their order. What the person who packs has put in
// front wins over a pin, but not silently.
func (p *packer) locate(ctx context.Context, ref string) (located, error) {
	found, ok, err := p.fromGiven(ctx, ref)
	if err == nil && !ok {
		found, ok, err = p.fromLocal(ref)
	}
	if err != nil {
		return located{}, err
	}
	if !ok {
		return p.fromRegistry(ctx, ref)
	}
	pin, pinned := p.lock.keepImage(ref)
	if pinned && pin != found.desc.Digest {
		if p.Locked {
			return located{}, fmt.Errorf("%s holds %s, %s pins %s, and --locked allows no difference", found.where, found.desc.Digest, LockFile, pin)
		}
		p.warn("image %s: %s holds %s, which is used although %s pins %s", ref, found.where, found.desc.Digest, LockFile, pin)
	}
	return found, nil
}

func (p *packer) fromRegistry(ctx context.Context, ref string) (located, error) {
	named, err := reference.ParseNormalizedNamed(ref)
	if err != nil {
		return located{}, reason.New(reason.Malformed, "%w", err)
	}
	repo, err := p.Client.Repository(named.Name())
	if err != nil {
		return located{}, err
	}
	d := bundle.ReferenceDigest(ref)
	if tagged, ok := named.(reference.Tagged); ok && d == "" {
		d, err = p.lock.image(ref, func() (digest.Digest, error) {
			found, err := repo.ResolveTag(ctx, tagged.Tag())
			return found.Digest, err
		})
		if err != nil {
			return located{}, fmt.Errorf("neither given with --image nor in %s/, and %w", imagesDir, err)
		}
	}
	desc, _, err := repo.Manifest(ctx, d, bundle.MaxManifestBytes)
	if err != nil {
		return located{}, withPinHint(err, ref)
	}
	return located{desc: desc, from: repo, where: "registry " + strings.SplitN(named.Name(), "/", 2)[0]}, nil
}
