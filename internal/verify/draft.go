package verify

import (
	"context"
	"crypto/x509"
	"maps"
	"slices"

	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
	"github.com/sigstore/sigstore-go/pkg/fulcio/certificate"

	"github.com/consign-dev/consign/internal/channel"
	"github.com/consign-dev/consign/internal/margo"
	"github.com/consign-dev/consign/internal/reason"
	"github.com/consign-dev/consign/policy"
)

// Draft is a policy that no operator has signed, or not yet. It tells what a
// device under it would say; no [Release] and no [Verdict] comes of it.
type Draft struct{ policy *Policy }

// ReadDraft reads a policy artifact.
func ReadDraft(ctx context.Context, artifact ocispec.Descriptor, docs Documents) (*Draft, error) {
	p, err := readPolicyArtifact(ctx, artifact.Digest, artifact.Size, docs)
	if err != nil {
		return nil, err
	}
	return &Draft{p}, nil
}

// TrialInput is a bundle with the evidence that there is, or would be.
type TrialInput struct {
	Bundle ocispec.Descriptor
	// Repository is the release channel that lists the bundle; "" is not asked.
	Repository string
	// Evidence is what that channel lists or would list.
	Evidence []channel.EvidenceRef
	// Signers will sign the bundle, and Statements will be made: what is promised
	// here counts as if it were there.
	Signers    []policy.Signer
	Statements []Promised
	// Deployment is a Margo document that orders the bundle; nil for none, and then
	// what depends on an order is left. Device, Endorsed and Endorsements are as in
	// [RehearseInput].
	Deployment   []byte
	Device       Device
	Endorsed     []margo.EvidenceRef
	Endorsements Documents
}

// Promised is a statement that is not signed yet.
type Promised struct {
	Statement []byte
	By        []policy.Signer
}

// Trial is what a draft says of a bundle that it would not refuse.
type Trial struct {
	Steps []Step
	// Open names what was not judged, since it depends on what is not there.
	Open []string
}

// Try judges a bundle as a device would, but for the metadata of channels. The
// refusals are those of [CheckRelease] and [Decide].
func (d *Draft) Try(ctx context.Context, in TrialInput, docs Documents) (*Trial, error) {
	t := &trail{}
	r := &Release{policy: d.policy}
	if err := r.readUnlisted(ctx, t, in.Bundle, docs); err != nil {
		return nil, err
	}
	if err := r.admitTrial(t, in); err != nil {
		return nil, err
	}
	if err := r.trySupplied(ctx, t, in, docs); err != nil {
		return nil, err
	}
	if err := r.readPackage(ctx, t, docs); err != nil {
		return nil, err
	}
	if in.Deployment == nil {
		return r.tryWithoutOrder(t)
	}
	out, err := rehearse(ctx, t, RehearseInput{Deployment: in.Deployment, Release: r, Device: in.Device, Endorsed: in.Endorsed, Endorsements: in.Endorsements}, docs)
	if err != nil {
		return nil, err
	}
	return &Trial{Steps: out.steps, Open: append(out.unknown, "the grants: 'publisher plan --policy' renders the package and asks for them")}, nil
}

// admitTrial is admitUnlisted for a channel that is known.
func (r *Release) admitTrial(t *trail, in TrialInput) error {
	if err := r.admitUnlisted(t); err != nil || in.Repository == "" {
		return err
	}
	if want := r.policy.trust.Channels[r.rules.Channel].Repository; want != in.Repository {
		return t.refuse("admit", "the channel is the one that the policy names for the application", r.policy.digest, reason.Rule,
			reason.New(reason.Rule, "application %s: it is to be listed in %s, the policy takes it from channel %q, %s", r.bundle.Application, in.Repository, r.rules.Channel, want))
	}
	return nil
}

func (r *Release) trySupplied(ctx context.Context, t *trail, in TrialInput, docs Documents) error {
	if n := len(in.Evidence) + len(in.Statements); n > MaxEvidence {
		return t.refuse("signature", "the evidence can be read", r.digest, reason.Signature, reason.New(reason.Signature, "%d pieces of evidence: 1 to %d are allowed", n, MaxEvidence))
	}
	h, err := r.hear(ctx, policy.InRelease, in.Evidence, docs)
	if err != nil {
		return t.refuse("signature", "the evidence can be read", r.digest, reason.Malformed, err)
	}
	h.signers = in.Signers
	for _, p := range in.Statements {
		a, err := promised(p)
		if err != nil {
			return t.refuse("attestation", "the statement can be read", r.digest, reason.Malformed, err)
		}
		h.statements = append(h.statements, a)
	}
	r.found, err = h.judge(t)
	return err
}

func promised(p Promised) (policy.Attestation, error) {
	s := readStatement(p.Statement)
	if s.err != nil {
		return policy.Attestation{}, s.err
	}
	return policy.Attestation{Signers: p.By, PredicateType: s.PredicateType, Subjects: s.subjects, Predicate: s.Predicate}, nil
}

// tryWithoutOrder leaves what the operator adds to a release.
func (r *Release) tryWithoutOrder(t *trail) (*Trial, error) {
	out := &Trial{}
	open := []policy.Open{{"deployment"}, {"device"}}
	signatures, attestations := r.rules.ListedIn(policy.InDeployment)
	for _, s := range signatures {
		open = append(open, policy.Open{"evidence", "signatures", s.Role})
		out.Open = append(out.Open, "the order's evidence: "+s.Demand())
	}
	for _, a := range attestations {
		open = append(open, policy.Open{"evidence", "attestations", a.Name})
		out.Open = append(out.Open, "the order's evidence: "+a.Demand())
	}
	left, err := r.checkRules(t, r.view(r.found), open...)
	for _, rule := range left {
		out.Open = append(out.Open, "rule "+ruleText(rule))
	}
	out.Steps = t.steps
	return out, err
}

// SignersOf are those that a certificate of a keyless signature names, under the
// trusted roots of the draft whose authorities issued it: whose signatures a device
// will find if they are made with it.
func (d *Draft) SignersOf(leaf []byte) ([]policy.Signer, error) {
	c, err := x509.ParseCertificate(leaf)
	if err != nil {
		return nil, reason.New(reason.Malformed, "certificate: %w", err)
	}
	summary, err := certificate.SummarizeCertificate(c)
	if err != nil {
		return nil, reason.New(reason.Malformed, "certificate: %w", err)
	}
	var out []policy.Signer
	for _, name := range slices.Sorted(maps.Keys(d.policy.trustedRoots)) {
		if !d.policy.trustedRoots[name].issued(c) {
			continue
		}
		s := signerOf(&summary)
		s.TrustedRoot = name
		if err := wholeSubject(c, s); err != nil {
			return nil, err
		}
		out = append(out, s)
	}
	if len(out) == 0 {
		return nil, reason.New(reason.UntrustedSigner, "the certificate is from %.200q, an authority of none of the policy's trusted roots", c.Issuer)
	}
	return out, nil
}
