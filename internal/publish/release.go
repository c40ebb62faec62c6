package publish

import (
	"context"
	"errors"
	"fmt"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/consign-dev/consign/internal/bundle"
	"github.com/consign-dev/consign/internal/channel"
	"github.com/consign-dev/consign/internal/margo"
	"github.com/consign-dev/consign/internal/oci"
	"github.com/consign-dev/consign/internal/pack"
	"github.com/consign-dev/consign/internal/reason"
	"github.com/consign-dev/consign/internal/sign"
	"github.com/consign-dev/consign/internal/tufclient"
	"github.com/consign-dev/consign/internal/verify"
)

// PublishInput is one release.
type PublishInput struct {
	// Channel is the release channel's repository.
	Channel string
	// Layout holds the packed bundle.
	Layout *oci.Layout
	// Packed is the result of packing into Layout.
	Packed pack.Result
	// SigningKey is the file of the key that signs the bundle, or the URI of one in a
	// token or a KMS, unless Keyless does.
	SigningKey string
	// Keyless, if not nil, signs the bundle in the place of a key.
	Keyless *sign.Keyless
	// Attestations are attached beside the signature, and with them an SBOM of the
	// bundle's parts, unless there is one among them.
	Attestations []Attestation
	// Policy is the file of a TrustPolicy that is asked before anything is pushed or
	// signed; "" for none.
	Policy string
}

// Published says what a release is.
type Published struct {
	Application string        `json:"application"`
	Version     string        `json:"version"`
	Bundle      digest.Digest `json:"bundle"`
	Repository  string        `json:"repository"`
	Channel     string        `json:"channel"`
	// Unchanged says that the release was there already, whole and signed.
	Unchanged bool     `json:"unchanged,omitempty"`
	Warnings  []string `json:"warnings,omitempty"`
}

// Publish pushes a packed bundle, signs it, and lists it in the release
// channel. A version that is listed with other content is refused: what was
// released under a version never changes.
func (p *Publisher) Publish(ctx context.Context, in PublishInput) (*Published, error) {
	var out *Published
	said, err := in.statements()
	if err != nil {
		return nil, err
	}
	if in.Policy != "" {
		if err := p.forecast(ctx, in, said); err != nil {
			return nil, err
		}
	}
	var evidence []ocispec.Descriptor // made once, however often the listing is tried
	err = p.change(ctx, in.Channel, channel.KindReleases, func(s *session) error {
		var err error
		out, err = s.publish(ctx, in, said, &evidence)
		return err
	})
	if err != nil {
		return nil, err
	}
	return out, nil
}

// statements are what will be said of the bundle beside its signature.
func (in PublishInput) statements() ([]Attestation, error) {
	b := in.Packed.Bundle
	said, err := bind(withSBOM(in.Attestations), b, sign.Subject{Name: channel.ReleaseTarget(b.Application, b.Version), Digest: in.Packed.Descriptor.Digest})
	if err != nil {
		return nil, err
	}
	if n := len(said); n >= verify.MaxEvidence {
		return nil, reason.New(reason.TooLarge, "%d attestations, at most %d are read", n, verify.MaxEvidence-1)
	}
	return said, checkSize(signatureRoom, said)
}

func (s *session) publish(ctx context.Context, in PublishInput, said []Attestation, evidence *[]ocispec.Descriptor) (*Published, error) {
	b, desc := in.Packed.Bundle, in.Packed.Descriptor
	place, err := channel.AppRepository(in.Channel, b.Application)
	if err != nil {
		return nil, err
	}
	out := &Published{
		Application: b.Application, Version: b.Version, Bundle: desc.Digest,
		Repository: place, Channel: in.Channel, Warnings: in.Packed.Warnings,
	}
	name := channel.ReleaseTarget(b.Application, b.Version)
	listed, err := s.meta.Target(name)
	if err != nil && !errors.Is(err, tufclient.ErrNoTarget) {
		return nil, err
	}
	if err == nil && listed.Digest != desc.Digest {
		return nil, reason.New(reason.Exists, "%s is released already with other content (%s, this is %s): publish it under a new version", name, listed.Digest, desc.Digest)
	}
	repo, err := s.p.Client.Repository(place)
	if err != nil {
		return nil, err
	}
	if err := s.p.pushBundle(ctx, in, repo); err != nil {
		return nil, err
	}
	if listed.Digest == desc.Digest && len(in.Attestations) > 0 {
		return nil, reason.New(reason.Exists, "%s is published already: 'publisher attest' adds evidence to it", name)
	}
	if listed.Digest == desc.Digest {
		out.Unchanged = true
		return out, nil
	}
	return out, s.list(ctx, in, said, repo, name, evidence)
}

// list signs the bundle and makes it a target.
func (s *session) list(ctx context.Context, in PublishInput, said []Attestation, repo *oci.Repository, name string, evidence *[]ocispec.Descriptor) error {
	if len(*evidence) == 0 {
		made, err := s.p.signBundle(ctx, in, said, repo, name)
		if err != nil {
			return err
		}
		*evidence = made
	}
	var custom channel.ReleaseCustom
	custom.Evidence, _ = addEvidence(nil, *evidence)
	return s.listEvidence(ctx, repo, name, in.Packed.Descriptor, custom)
}

// pushBundle sends the bundle with all its parts, looks for each of them in the
// registry afterwards, and names the parts for plain OCI, Helm and Margo clients.
func (p *Publisher) pushBundle(ctx context.Context, in PublishInput, repo *oci.Repository) error {
	if err := oci.CopyGraph(ctx, in.Layout, repo, in.Packed.Descriptor, p.Progress); err != nil {
		return err
	}
	if err := oci.Confirm(ctx, repo, in.Packed.Descriptor, false); err != nil {
		return err
	}
	b := in.Packed.Bundle
	if err := tagPart(ctx, in.Layout, repo, b.Package, b.Version); err != nil {
		return err
	}
	for _, c := range b.Components {
		place, err := channel.ComponentRepository(repo.Name(), c.Name)
		if err != nil {
			return err
		}
		if err := p.mountComponent(ctx, in, place, c); err != nil {
			return fmt.Errorf("component %s: %w", c.Name, err)
		}
	}
	return nil
}

func (p *Publisher) mountComponent(ctx context.Context, in PublishInput, place string, c bundle.Component) error {
	to, err := p.Client.Repository(place)
	if err != nil {
		return err
	}
	if err := oci.CopyGraph(ctx, in.Layout, to, c.Manifest, nil); err != nil {
		return err
	}
	return tagPart(ctx, in.Layout, to, c.Manifest, revisionOf(in.Packed.Description, c.Name))
}

// revisionOf is the tag under which plain Helm and Margo clients ask for a
// component: the revision that margo.yaml names, or the application's version.
func revisionOf(d *margo.ApplicationDescription, component string) string {
	for _, profile := range d.DeploymentProfiles {
		for _, c := range profile.Components {
			if c.Name == component {
				return c.Properties.Revision
			}
		}
	}
	return d.Metadata.Version
}

func tagPart(ctx context.Context, from *oci.Layout, to *oci.Repository, desc ocispec.Descriptor, tag string) error {
	data, err := from.Bytes(desc, oci.MaxManifestBytes)
	if err != nil {
		return err
	}
	return to.Tag(ctx, desc, data, tag, "")
}

// signBundle makes the evidence and attaches it to the bundle.
func (p *Publisher) signBundle(ctx context.Context, in PublishInput, said []Attestation, repo *oci.Repository, name string) ([]ocispec.Descriptor, error) {
	statement, err := sign.Signature(sign.Subject{Name: name, Digest: in.Packed.Descriptor.Digest})
	if err != nil {
		return nil, err
	}
	signature := Attestation{file: name, data: statement, said: verify.Unverified{PredicateType: sign.PredicateType}}
	by := func() (sign.Signer, error) { return p.signer(ctx, in.SigningKey, in.Keyless) }
	return attach(ctx, repo, in.Packed.Descriptor, append([]Attestation{signature}, said...), by)
}

func (p *Publisher) signer(ctx context.Context, name string, keyless *sign.Keyless) (sign.Signer, error) {
	if keyless != nil {
		return keyless, nil
	}
	key, err := p.Keys.signing(ctx, name)
	return sign.Key{Private: key}, err
}
