package publish

import (
	"context"
	"crypto"
	"fmt"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/consign-dev/consign/internal/bundle"
	"github.com/consign-dev/consign/internal/channel"
	"github.com/consign-dev/consign/internal/keys"
	"github.com/consign-dev/consign/internal/oci"
	"github.com/consign-dev/consign/internal/pack"
	"github.com/consign-dev/consign/internal/plan"
	"github.com/consign-dev/consign/internal/reason"
	"github.com/consign-dev/consign/internal/sign"
	"github.com/consign-dev/consign/internal/verify"
	"github.com/consign-dev/consign/policy"
)

// ForetellInput is a release before anything of it is pushed or signed.
type ForetellInput struct {
	// Policy is the file of an operator's TrustPolicy.
	Policy string
	// Channel is the release channel's repository; "" where it is not known yet, and
	// then the policy is not asked about it.
	Channel string
	Layout  *oci.Layout
	Packed  pack.Result
	// Signer will sign, unless Keyless does: of that a certificate is asked for, and
	// nothing is signed with it.
	Signer  crypto.PublicKey
	Keyless *sign.Keyless
	// Attestations are those of [PublishInput].
	Attestations []Attestation
}

// Foretell says what devices under a policy would make of a release, and fails as
// they would. What a release cannot say, such as the word of an integrator, is
// left to the order and is in [verify.Trial.Open].
func Foretell(ctx context.Context, in ForetellInput) (*verify.Trial, error) {
	said, err := PublishInput{Packed: in.Packed, Attestations: in.Attestations}.statements()
	if err != nil {
		return nil, err
	}
	return in.foretell(ctx, said)
}

func (in ForetellInput) foretell(ctx context.Context, said []Attestation) (*verify.Trial, error) {
	draft, err := readDraft(ctx, in.Policy)
	if err != nil {
		return nil, err
	}
	signers, err := in.signersOf(ctx, draft)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", in.Policy, err)
	}
	docs := memoryDocuments{fallback: plan.Layout{Layout: in.Layout}, held: map[digest.Digest][]byte{}}
	trial := verify.TrialInput{Bundle: in.Packed.Descriptor, Repository: in.Channel, Signers: signers}
	for _, a := range said {
		if !a.said.Signed {
			trial.Statements = append(trial.Statements, verify.Promised{Statement: a.data, By: signers})
			continue
		}
		ref, err := docs.hold(a, in.Packed.Descriptor)
		if err != nil {
			return nil, err
		}
		trial.Evidence = append(trial.Evidence, ref)
	}
	return draft.Try(ctx, trial, docs)
}

// signersOf says who will sign: the holder of the key, or whom a certificate names
// that the services give for the identity token.
func (in ForetellInput) signersOf(ctx context.Context, draft *verify.Draft) ([]policy.Signer, error) {
	if in.Keyless != nil {
		leaf, err := in.Keyless.Certify(ctx)
		if err != nil {
			return nil, err
		}
		return draft.SignersOf(leaf)
	}
	id, err := keys.ID(in.Signer)
	return []policy.Signer{{KeyID: id}}, err
}

// forecast is [Foretell] before a release, with the key that will sign it.
func (p *Publisher) forecast(ctx context.Context, in PublishInput, said []Attestation) error {
	ask := ForetellInput{Policy: in.Policy, Channel: in.Channel, Layout: in.Layout, Packed: in.Packed, Keyless: in.Keyless}
	if in.Keyless == nil {
		key, err := p.Keys.signing(ctx, in.SigningKey)
		if err != nil {
			return err
		}
		ask.Signer = key.Public()
	}
	if _, err := ask.foretell(ctx, said); err != nil {
		return fmt.Errorf("%s: a device under this policy would refuse it: %w", in.Policy, err)
	}
	return nil
}

func readDraft(ctx context.Context, file string) (*verify.Draft, error) {
	a, err := packPolicy(file)
	if err != nil {
		return nil, err
	}
	docs := memoryDocuments{held: map[digest.Digest][]byte{a.manifest.Digest: a.data}}
	for _, b := range a.blobs {
		docs.held[b.desc.Digest] = b.data
	}
	return verify.ReadDraft(ctx, a.manifest, docs)
}

// memoryDocuments lends what it holds, and the rest from elsewhere. It implements
// verify.Documents.
type memoryDocuments struct {
	held     map[digest.Digest][]byte
	fallback verify.Documents // nil for none
}

// hold makes the evidence manifest that would be pushed.
func (m memoryDocuments) hold(a Attestation, subject ocispec.Descriptor) (channel.EvidenceRef, error) {
	layer := newBlob(bundle.MediaTypeEvidence, a.data)
	data, desc, err := bundle.BuildEvidence(bundle.Evidence{
		Subject:       ocispec.Descriptor{MediaType: ocispec.MediaTypeImageIndex, Digest: subject.Digest, Size: subject.Size},
		Layer:         layer.desc,
		PredicateType: a.said.PredicateType,
	})
	if err != nil {
		return channel.EvidenceRef{}, err
	}
	m.held[desc.Digest], m.held[layer.desc.Digest] = data, a.data
	return channel.EvidenceRef{Digest: desc.Digest, Size: desc.Size}, nil
}

// Manifest implements verify.Documents.
func (m memoryDocuments) Manifest(ctx context.Context, d digest.Digest, size int64) ([]byte, error) {
	if data, ok := m.held[d]; ok || m.fallback == nil {
		return data, m.found(ok, d)
	}
	return m.fallback.Manifest(ctx, d, size)
}

// Blob implements verify.Documents.
func (m memoryDocuments) Blob(ctx context.Context, desc ocispec.Descriptor) ([]byte, error) {
	if data, ok := m.held[desc.Digest]; ok || m.fallback == nil {
		return data, m.found(ok, desc.Digest)
	}
	return m.fallback.Blob(ctx, desc)
}

func (memoryDocuments) found(ok bool, d digest.Digest) error {
	if ok {
		return nil
	}
	return reason.New(reason.Internal, "document %s is not at hand", d)
}
