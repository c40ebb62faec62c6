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
// it, and returns what it read. Where there is no rule, nothing is read.
func checkEndorsements(ctx context.Context, t *trail, in DecideInput) (findings, []digest.Digest, error) {
	h, err := in.Release.hearEndorsements(ctx, t, in.Order.terms.Endorsements, in.Endorsements)
	if err != nil {
		return findings{}, nil, err
	}
	found, err := h.judge(t)
	return found, h.documents, err
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

// LeftToOrders names what the policy demands beside the release itself: the
// evidence that an order lists, and conditions, which are judged with an order.
func (r *Release) LeftToOrders() []string {
	out := []string{}
	signatures, attestations := r.rules.ListedIn(policy.InDeployment)
	for _, s := range signatures {
		out = append(out, s.Demand())
	}
	for _, a := range attestations {
		out = append(out, a.Demand())
	}
	for _, rule := range r.rules.Rules {
		out = append(out, "rule "+ruleText(rule))
	}
	return out
}

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
