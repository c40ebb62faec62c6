package verify

import (
	"context"
	"slices"

	"github.com/opencontainers/go-digest"

	"github.com/consign-dev/consign/internal/channel"
	"github.com/consign-dev/consign/internal/margo"
	"github.com/consign-dev/consign/internal/reason"
	"github.com/consign-dev/consign/policy"
)

// checkEndorsements holds the evidence that an order lists against the rules for
// it. Where there is none, nothing of it is read.
func checkEndorsements(ctx context.Context, t *trail, in DecideInput) (*hearing, error) {
	h, err := in.Release.hearEndorsements(ctx, t, in.Order.terms.Endorsements, in.Endorsements)
	if err != nil {
		return nil, err
	}
	_, err = h.judge(t)
	return h, err
}

func (r *Release) hearEndorsements(ctx context.Context, t *trail, list []margo.EvidenceRef, docs Documents) (*hearing, error) {
	h := &hearing{release: r, listedIn: policy.InDeployment}
	if !r.rules.NeedsEndorsements() {
		return h, nil
	}
	var refs []channel.EvidenceRef
	for _, e := range list {
		refs = append(refs, channel.EvidenceRef{Digest: digest.Digest(e.Digest), Size: e.Size})
	}
	h, err := r.hear(ctx, policy.InDeployment, refs, docs)
	if err != nil {
		return nil, t.refuse("signature", "the order lists evidence about the bundle", r.digest, reason.Malformed, err)
	}
	return h, nil
}

// NeedsEndorsements reports whether the policy asks for evidence that an order
// lists.
func (r *Release) NeedsEndorsements() bool { return r.rules.NeedsEndorsements() }

// CheckEndorsements makes the checks of [Decide] on the evidence that an order
// would list, before it is signed.
func (r *Release) CheckEndorsements(ctx context.Context, list []margo.EvidenceRef, docs Documents) error {
	t := &trail{steps: slices.Clone(r.steps)}
	h, err := r.hearEndorsements(ctx, t, list, docs)
	if err != nil {
		return err
	}
	_, err = h.judge(t)
	return err
}
