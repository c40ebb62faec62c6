package publish

import (
	"context"
	"fmt"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/consign-dev/consign/internal/bundle"
	"github.com/consign-dev/consign/internal/channel"
	"github.com/consign-dev/consign/internal/keys"
	"github.com/consign-dev/consign/internal/plan"
	"github.com/consign-dev/consign/internal/reason"
	"github.com/consign-dev/consign/internal/verify"
	"github.com/consign-dev/consign/policy"
)

// forecast asks an operator's policy about a release before anything of it is
// pushed or signed, and fails as a device would. What a release cannot say, such
// as the word of an integrator, is left to the order.
func (p *Publisher) forecast(ctx context.Context, in PublishInput, said []Attestation) error {
	draft, err := readDraft(ctx, in.Policy)
	if err != nil {
		return err
	}
	signers, err := p.signersOf(ctx, in, draft)
	if err != nil {
		return fmt.Errorf("%s: %w", in.Policy, err)
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
			return err
		}
		trial.Evidence = append(trial.Evidence, ref)
	}
	if _, err := draft.Try(ctx, trial, docs); err != nil {
		return fmt.Errorf("%s: a device under this policy would refuse it: %w", in.Policy, err)
	}
	return nil
}

// signersOf says who will sign: the holder of the key, or whom a certificate names
// that the services give for the identity token. Nothing is signed with it.
func (p *Publisher) signersOf(ctx context.Context, in PublishInput, draft *verify.Draft) ([]policy.Signer, error) {
	if in.Keyless != nil {
		leaf, err := in.Keyless.Certify(ctx)
		if err != nil {
			return nil, err
		}
		return draft.SignersOf(leaf)
	}
	key, err := p.Keys.load(in.SigningKey)
	if err != nil {
		return nil, err
	}
	id, err := keys.ID(key.Public())
	return []policy.Signer{{KeyID: id}}, err
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
