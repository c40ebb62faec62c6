package oci

import (
	"context"

	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/consign-dev/consign/internal/fault"
	"github.com/consign-dev/consign/internal/reason"
)

// Limits of a referrers list (attack O2: a registry that invents ten thousand).
const (
	maxReferrers     = 1000
	maxReferrerPages = 20
)

// Referrers lists the manifests whose subject is subject, of one artifact type
// or, with "", of all; through the referrers API or, where there is none, the
// fallback tag. It is for people and other tools: nothing that is verified
// depends on what a registry lists here.
func (r *Repository) Referrers(ctx context.Context, subject ocispec.Descriptor, artifactType string) ([]ocispec.Descriptor, error) {
	op := "list referrers of " + string(subject.Digest)
	if err := fault.Point("oci.referrers"); err != nil {
		return nil, err
	}
	ctx, cancel := r.client.deadline(ctx, 0)
	defer cancel()
	var found []ocispec.Descriptor
	err := r.remote.Referrers(ctx, subject, artifactType, func(page []ocispec.Descriptor) error {
		if len(found)+len(page) > maxReferrers {
			return reason.New(reason.TooLarge, "more than %d entries", maxReferrers)
		}
		for _, d := range page {
			if _, err := ParseDigest(string(d.Digest)); err != nil {
				return err
			}
		}
		found = append(found, page...)
		return nil
	})
	if err != nil {
		return nil, r.fail(ctx, op, err)
	}
	return found, nil
}
