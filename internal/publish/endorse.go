package publish

import (
	"context"
	"slices"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/consign-dev/consign/internal/channel"
	"github.com/consign-dev/consign/internal/durable"
	"github.com/consign-dev/consign/internal/gather"
	"github.com/consign-dev/consign/internal/margo"
	"github.com/consign-dev/consign/internal/reason"
	"github.com/consign-dev/consign/internal/sign"
	"github.com/consign-dev/consign/internal/verify"
)

// EndorseInput names a release and who gives his word for it.
type EndorseInput struct {
	// Channel is the deployment channel's repository, by whose policy the release
	// is judged first.
	Channel string
	// Application and Version name the release.
	Application, Version string
	// Statement is what is signed; nil for a signature on the bundle.
	Statement *Attestation
	// SigningKey and Keyless are as in [PublishInput].
	SigningKey string
	Keyless    *sign.Keyless
}

// Endorsed is a release with somebody's word for it.
type Endorsed struct {
	Application string        `json:"application"`
	Version     string        `json:"version"`
	Bundle      digest.Digest `json:"bundle"`
	// PredicateType is that of the signed statement.
	PredicateType string `json:"predicateType"`
	// Evidence is the Sigstore bundle, for [DeployInput.Endorsements].
	Evidence []byte `json:"-"`
}

// Endorse signs a release for an order to list: for an integrator who has tested
// it, or the site that will run it. Whoever does needs the operator's root.json
// and no key of any channel. What the supplier does not sign is refused first, so
// that nobody gives his word for what no device would take.
func (p *Publisher) Endorse(ctx context.Context, in EndorseInput) (*Endorsed, error) {
	shadow, clean, err := p.shadow()
	if err != nil {
		return nil, err
	}
	defer clean()
	s, err := shadow.look(ctx, in.Channel, channel.KindDeployments)
	if err != nil {
		return nil, err
	}
	defer s.close()
	rel, _, err := s.checkRelease(ctx, in.Application, in.Version)
	if err != nil {
		return nil, err
	}
	if in.Statement != nil && in.Statement.said.Signed {
		return nil, reason.New(reason.Attestation, "%s is signed already: give it to 'publisher deploy --endorsement' as it is", in.Statement.file)
	}
	out := &Endorsed{Application: in.Application, Version: in.Version, Bundle: rel.Digest(), PredicateType: sign.PredicateType}
	by, err := p.signer(ctx, in.SigningKey, in.Keyless)
	if err != nil {
		return nil, err
	}
	if in.Statement == nil {
		subject := sign.Subject{Name: channel.ReleaseTarget(in.Application, in.Version), Digest: rel.Digest()}
		out.Evidence, err = sign.Bundle(ctx, subject, by)
		return out, err
	}
	if err := in.Statement.concerns(rel.Bundle(), rel.Digest()); err != nil {
		return nil, err
	}
	out.PredicateType = in.Statement.said.PredicateType
	out.Evidence, err = by.Sign(ctx, in.Statement.data)
	return out, err
}

// ReadEndorsement reads what somebody else has signed about a release: a Sigstore
// bundle with a signature or another statement in it.
func ReadEndorsement(file string) (Attestation, error) {
	data, err := durable.ReadFile(file, verify.MaxSignatureBytes)
	if err != nil {
		return Attestation{}, err
	}
	a, err := newAttestation(file, data)
	if err == nil && !a.said.Signed {
		err = reason.New(reason.Attestation, "%s is a statement that nobody has signed: 'publisher endorse' signs it", file)
	}
	return a, err
}

// endorse pushes evidence beside the orders, and adds it to what the order of the
// same bundle lists already.
func (s *session) endorse(ctx context.Context, in DeployInput, rel *verify.Release, listed []margo.EvidenceRef) ([]margo.EvidenceRef, error) {
	subject := ocispec.Descriptor{MediaType: ocispec.MediaTypeImageIndex, Digest: rel.Digest(), Size: rel.Size()}
	for _, a := range in.Endorsements {
		if err := a.concerns(rel.Bundle(), rel.Digest()); err != nil {
			return nil, err
		}
		desc, err := pushEvidence(ctx, s.repo, subject, a.data, a.said.PredicateType)
		if err != nil {
			return nil, err
		}
		if !slices.ContainsFunc(listed, func(e margo.EvidenceRef) bool { return e.Digest == string(desc.Digest) }) {
			listed = append(listed, margo.EvidenceRef{Digest: string(desc.Digest), Size: desc.Size})
		}
	}
	return listed, rel.CheckEndorsements(ctx, listed, gather.Remote{Repository: s.repo})
}

// endorsements are those that a device's orders list.
func endorsements(deployments []*margo.ApplicationDeployment) ([]ocispec.Descriptor, error) {
	var out []ocispec.Descriptor
	for _, d := range deployments {
		terms, err := d.Order()
		if err != nil {
			return nil, err
		}
		for _, e := range terms.Endorsements {
			out = append(out, ocispec.Descriptor{MediaType: ocispec.MediaTypeImageManifest, Digest: digest.Digest(e.Digest), Size: e.Size})
		}
	}
	return out, nil
}
