package publish

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
	"golang.org/x/sync/errgroup"

	"github.com/consign-dev/consign/internal/bundle"
	"github.com/consign-dev/consign/internal/channel"
	"github.com/consign-dev/consign/internal/gather"
	"github.com/consign-dev/consign/internal/oci"
	"github.com/consign-dev/consign/internal/reason"
	"github.com/consign-dev/consign/internal/sign"
	"github.com/consign-dev/consign/internal/tufclient"
	"github.com/consign-dev/consign/internal/tufrepo"
	"github.com/consign-dev/consign/internal/verify"
)

// signs insists that a signature is one on a bundle, under its own name if any, as
// devices will.
func (a Attestation) signs(b *bundle.Bundle, whole digest.Digest) error {
	if a.said.Subjects[0] != whole.Encoded() {
		return reason.New(reason.Signature, "%s is on sha256:%s, not on the bundle %s", a.file, a.said.Subjects[0], whole)
	}
	if name := channel.ReleaseTarget(b.Application, b.Version); a.said.Names[0] != "" && a.said.Names[0] != name {
		return reason.New(reason.Signature, "%s is on %.250q, not on %q", a.file, a.said.Names[0], name)
	}
	return nil
}

// concerns insists that an attestation is about a bundle or one of its parts, and a
// signature on the bundle itself.
func (a Attestation) concerns(b *bundle.Bundle, whole digest.Digest) error {
	if a.said.PredicateType == sign.PredicateType {
		return a.signs(b, whole)
	}
	parts := []string{whole.Encoded(), b.Package.Digest.Encoded()}
	for _, c := range b.Components {
		parts = append(parts, c.Manifest.Digest.Encoded())
	}
	for _, i := range b.Images {
		parts = append(parts, i.Manifest.Digest.Encoded())
	}
	for _, s := range a.said.Subjects {
		if slices.Contains(parts, s) {
			return nil
		}
	}
	return reason.New(reason.Attestation, "%s is about sha256:%s (%d subject(s)): neither the bundle %s nor a component, an image or the package in it", a.file, a.said.Subjects[0], len(a.said.Subjects), whole)
}

// pushEvidence pushes what a device can read: what is listed and cannot be read is
// of no use to anybody, and cannot be taken off the list.
func pushEvidence(ctx context.Context, repo *oci.Repository, subject ocispec.Descriptor, signed []byte, predicateType string) (ocispec.Descriptor, error) {
	if _, err := verify.ParseEvidence(signed); err != nil {
		return ocispec.Descriptor{}, fmt.Errorf("no device would read it as it is signed: %w", err)
	}
	layer := newBlob(bundle.MediaTypeEvidence, signed)
	data, desc, err := bundle.BuildEvidence(bundle.Evidence{Subject: subject, Layer: layer.desc, PredicateType: predicateType})
	if err != nil {
		return desc, err
	}
	return desc, artifact{manifest: desc, data: data, blobs: []blob{layer}}.push(ctx, repo)
}

// AttestInput is what is added to a release.
type AttestInput struct {
	// Channel is the release channel's repository.
	Channel string
	// Application and Version name the release.
	Application, Version string
	Attestations         []Attestation
	// SigningKey and Keyless are as in [PublishInput].
	SigningKey string
	Keyless    *sign.Keyless
}

// Attest adds evidence to a release. The bundle stays what it is: its digest and
// what was ordered do not change.
func (p *Publisher) Attest(ctx context.Context, in AttestInput) (*Published, error) {
	out := &Published{Application: in.Application, Version: in.Version, Channel: in.Channel}
	var made []ocispec.Descriptor // once, however often the listing is tried
	err := p.change(ctx, in.Channel, channel.KindReleases, func(s *session) error {
		return s.attest(ctx, in, out, &made)
	})
	return out, err
}

func (s *session) attest(ctx context.Context, in AttestInput, out *Published, made *[]ocispec.Descriptor) error {
	name := channel.ReleaseTarget(in.Application, in.Version)
	listed, err := s.meta.Target(name)
	if err != nil {
		return reason.New(reason.NotReleased, "%s: %w", name, err)
	}
	place, err := channel.AppRepository(in.Channel, in.Application)
	if err != nil {
		return err
	}
	out.Bundle, out.Repository = listed.Digest, place
	repo, err := s.p.Client.Repository(place)
	if err != nil {
		return err
	}
	subject, attestations, err := readSubject(ctx, repo, name, listed, in.Attestations)
	if err != nil {
		return err
	}
	custom, err := channel.ParseReleaseCustom(listed.Custom)
	if err != nil {
		return fmt.Errorf("%s: %w", name, err)
	}
	if n := len(custom.Evidence) + len(in.Attestations); n > verify.MaxEvidence {
		return reason.New(reason.TooLarge, "%s would have %d pieces of evidence, at most %d are read", name, n, verify.MaxEvidence)
	}
	size, err := evidenceSize(ctx, repo, custom.Evidence)
	if err != nil {
		return err
	}
	if err := checkSize(size, attestations); err != nil {
		return err
	}
	if len(*made) == 0 {
		by := func() (sign.Signer, error) { return s.p.signer(ctx, in.SigningKey, in.Keyless) }
		if *made, err = attach(ctx, repo, subject, attestations, by); err != nil {
			return err
		}
	}
	custom.Evidence, out.Unchanged = addEvidence(custom.Evidence, *made)
	if out.Unchanged {
		return nil
	}
	return s.listEvidence(ctx, repo, name, subject, custom)
}

// readSubject reads a bundle, and makes sure that what is said is about it.
func readSubject(ctx context.Context, repo *oci.Repository, name string, listed tufclient.Target, list []Attestation) (ocispec.Descriptor, []Attestation, error) {
	desc := ocispec.Descriptor{MediaType: ocispec.MediaTypeImageIndex, Digest: listed.Digest, Size: listed.Length}
	data, err := gather.Remote{Repository: repo}.Manifest(ctx, desc.Digest, desc.Size)
	if err != nil {
		return desc, nil, err
	}
	b, err := bundle.Parse(data)
	if err != nil {
		return desc, nil, err
	}
	bound, err := bind(list, b, sign.Subject{Name: name, Digest: desc.Digest})
	return desc, bound, err
}

// evidenceSize is how many bytes the listed evidence has.
func evidenceSize(ctx context.Context, repo *oci.Repository, listed []channel.EvidenceRef) (int, error) {
	size := 0
	for _, ref := range listed {
		data, err := gather.Remote{Repository: repo}.Manifest(ctx, ref.Digest, ref.Size)
		if err != nil {
			return 0, fmt.Errorf("evidence: %w", err)
		}
		e, err := bundle.ParseEvidence(data)
		if err != nil {
			return 0, fmt.Errorf("evidence %s: %w", ref.Digest, err)
		}
		size += int(e.Layer.Size)
	}
	return size, nil
}

// attach signs what is not signed yet, and pushes all of it.
func attach(ctx context.Context, repo *oci.Repository, subject ocispec.Descriptor, list []Attestation, by func() (sign.Signer, error)) ([]ocispec.Descriptor, error) {
	signed, err := signAll(ctx, list, by)
	if err != nil {
		return nil, err
	}
	var out []ocispec.Descriptor
	for i, a := range list {
		desc, err := pushEvidence(ctx, repo, subject, signed[i], a.said.PredicateType)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", a.file, err)
		}
		out = append(out, desc)
	}
	return out, nil
}

// signAll makes the Sigstore bundles of a list, some at a time: a transparency log
// takes a second for each, and the same second for several.
func signAll(ctx context.Context, list []Attestation, by func() (sign.Signer, error)) ([][]byte, error) {
	var signer sign.Signer
	out := make([][]byte, len(list))
	group, ctx := errgroup.WithContext(ctx)
	group.SetLimit(8)
	for i, a := range list {
		if a.said.Signed {
			out[i] = a.data
			continue
		}
		if signer == nil {
			var err error
			if signer, err = by(); err != nil {
				return nil, err
			}
		}
		group.Go(func() error {
			var err error
			if out[i], err = signer.Sign(ctx, a.data); err != nil {
				return fmt.Errorf("sign %s: %w", a.file, err)
			}
			return nil
		})
	}
	return out, group.Wait()
}

// addEvidence adds what is not listed yet.
func addEvidence(listed []channel.EvidenceRef, made []ocispec.Descriptor) (all []channel.EvidenceRef, unchanged bool) {
	unchanged = true
	for _, desc := range made {
		if !slices.ContainsFunc(listed, func(e channel.EvidenceRef) bool { return e.Digest == desc.Digest }) {
			listed, unchanged = append(listed, channel.EvidenceRef{Digest: desc.Digest, Size: desc.Size}), false
		}
	}
	return listed, unchanged
}

// listEvidence makes a bundle with its evidence a target and commits it.
func (s *session) listEvidence(ctx context.Context, repo *oci.Repository, name string, subject ocispec.Descriptor, custom channel.ReleaseCustom) error {
	data, err := json.Marshal(custom)
	if err != nil {
		return err
	}
	target := tufrepo.Target{Digest: subject.Digest, Length: subject.Size, Custom: data}
	if err := s.tuf.SetTarget(tufrepo.Targets, name, target); err != nil {
		return err
	}
	keep := []digest.Digest{subject.Digest}
	for _, e := range custom.Evidence {
		keep = append(keep, e.Digest)
	}
	if err := channel.Retain(ctx, repo, keep...); err != nil {
		return err
	}
	return s.commit(ctx, nil)
}
