package publish

import (
	"context"
	"strings"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/consign-dev/consign/internal/bundle"
	"github.com/consign-dev/consign/internal/gather"
	"github.com/consign-dev/consign/internal/oci"
	"github.com/consign-dev/consign/internal/reason"
	"github.com/consign-dev/consign/internal/verify"
	"github.com/consign-dev/consign/policy"
)

// Inspection is what a bundle says about itself and what a registry says lies
// beside it. None of it has been judged.
type Inspection struct {
	Application string         `json:"application"`
	Version     string         `json:"version"`
	Bundle      digest.Digest  `json:"bundle"`
	Package     digest.Digest  `json:"package"`
	Components  []Part         `json:"components"`
	Images      []Part         `json:"images"`
	Evidence    []EvidenceInfo `json:"evidence"`
}

// Part is a component or an image.
type Part struct {
	Name   string        `json:"name"`
	Digest digest.Digest `json:"digest"`
}

// EvidenceInfo is a signature or attestation as the registry lists it.
type EvidenceInfo struct {
	Digest        digest.Digest `json:"digest"`
	PredicateType string        `json:"predicateType"`
	// Key is the hint of the key that is said to have signed.
	Key string `json:"key,omitempty"`
	// Signer is whom the certificate names with which it is said to be signed.
	Signer policy.Signer `json:"signer,omitzero"`
	// Unreadable says why nothing is known of it: anybody who may push may attach
	// anything.
	Unreadable string `json:"unreadable,omitempty"`
}

// Inspect reads a bundle given as REPOSITORY@DIGEST.
func Inspect(ctx context.Context, client *oci.Client, ref string) (*Inspection, error) {
	name, d, ok := strings.Cut(ref, "@")
	if !ok {
		return nil, reason.New(reason.Malformed, "%q: want REPOSITORY@sha256:...; tags are not trusted, 'publisher channel show' lists digests", ref)
	}
	at, err := oci.ParseDigest(d)
	if err != nil {
		return nil, err
	}
	repo, err := client.Repository(name)
	if err != nil {
		return nil, err
	}
	desc, data, err := repo.Manifest(ctx, at, bundle.MaxManifestBytes)
	if err != nil {
		return nil, err
	}
	b, err := bundle.Parse(data)
	if err != nil {
		return nil, err
	}
	res := &Inspection{
		Application: b.Application, Version: b.Version, Bundle: at, Package: b.Package.Digest,
		Components: []Part{}, Images: []Part{}, Evidence: []EvidenceInfo{},
	}
	for _, c := range b.Components {
		res.Components = append(res.Components, Part{c.Name, c.Manifest.Digest})
	}
	for _, i := range b.Images {
		res.Images = append(res.Images, Part{i.Reference, i.Manifest.Digest})
	}
	return res, res.listEvidence(ctx, repo, desc)
}

func (i *Inspection) listEvidence(ctx context.Context, repo *oci.Repository, desc ocispec.Descriptor) error {
	list, err := repo.Referrers(ctx, desc, bundle.MediaTypeEvidence)
	if err != nil {
		return err
	}
	for _, found := range list {
		info, err := inspectEvidence(ctx, repo, found.Digest)
		switch {
		case reason.Is(err, reason.Malformed) || reason.Is(err, reason.TooLarge):
			info = EvidenceInfo{Unreadable: err.Error()}
		case err != nil:
			return err
		}
		info.Digest = found.Digest
		i.Evidence = append(i.Evidence, info)
	}
	return nil
}

// inspectEvidence reads evidence as ours and other tools store it.
func inspectEvidence(ctx context.Context, repo *oci.Repository, d digest.Digest) (EvidenceInfo, error) {
	_, data, err := repo.Manifest(ctx, d, bundle.MaxManifestBytes)
	if err != nil {
		return EvidenceInfo{}, err
	}
	e, err := bundle.ParseReferrer(data)
	if err != nil {
		return EvidenceInfo{}, err
	}
	signed, err := gather.Remote{Repository: repo}.Blob(ctx, e.Layer)
	if err != nil {
		return EvidenceInfo{}, err
	}
	key, signer := verify.UnverifiedSigner(signed)
	return EvidenceInfo{PredicateType: e.PredicateType, Key: key, Signer: signer}, nil
}
