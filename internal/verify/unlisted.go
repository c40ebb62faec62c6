package verify

import (
	"context"
	"fmt"

	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/consign-dev/consign/internal/bundle"
	"github.com/consign-dev/consign/internal/reason"
	"github.com/consign-dev/consign/policy"
)

// UnlistedInput is a bundle that no channel vouches for: one that was just
// packed, or one that is only looked back upon.
type UnlistedInput struct {
	Bundle ocispec.Descriptor
	// Deployment is a Margo document that names Bundle.
	Deployment []byte
	Device     Device
	// Policy, if not nil, is asked whether it allows the application. Its grants
	// count then, else Grants do.
	Policy *policy.TrustPolicy
	Grants policy.Grants
	// Tried says that [Draft.Try] was asked about the evidence: it is no longer unknown.
	Tried bool
}

// RehearseUnlisted is [Rehearse] for a bundle that is not released: neither a
// listing nor a signature is looked at, and what the policy demands of them is
// in [Rehearsal.Unknown].
func RehearseUnlisted(ctx context.Context, in UnlistedInput, docs Documents) (*Rehearsal, error) {
	t := &trail{}
	release := &Release{policy: &Policy{trust: in.Policy}, rules: &policy.Application{Grants: in.Grants}}
	if err := release.readUnlisted(ctx, t, in.Bundle, docs); err != nil {
		return nil, err
	}
	if in.Policy != nil {
		if err := release.admitUnlisted(t); err != nil {
			return nil, err
		}
	}
	if err := release.readPackage(ctx, t, docs); err != nil {
		return nil, err
	}
	r, err := rehearse(ctx, t, RehearseInput{Deployment: in.Deployment, Release: release, Device: in.Device}, docs)
	if err != nil {
		return nil, err
	}
	if !in.Tried {
		r.noteEvidence(release.rules)
	}
	if in.Policy != nil {
		r.note("the listing in release channel %s", release.rules.Channel)
	}
	return r, nil
}

func (r *Rehearsal) noteEvidence(rules *policy.Application) {
	for _, s := range rules.Signatures {
		r.note("the signatures of role %s, %d of %d: nothing is signed yet", s.Role, s.Threshold, len(s.Keys)+len(s.Identities))
	}
	for _, a := range rules.Attestations {
		r.note("the attestation %s, %d of %d: nothing is attested yet", a.Name, a.Threshold, len(a.Keys)+len(a.Identities))
	}
}

func (r *Release) readUnlisted(ctx context.Context, t *trail, desc ocispec.Descriptor, docs Documents) error {
	const rule = "the bundle is intact"
	data, err := readManifest(ctx, docs, desc.Digest, desc.Size)
	if err != nil {
		return t.refuse("bundle", rule, desc.Digest, reason.Malformed, err)
	}
	if r.bundle, err = bundle.Parse(data); err != nil {
		return t.refuse("bundle", rule, desc.Digest, reason.Malformed, fmt.Errorf("bundle: %w", err))
	}
	r.digest, r.size = desc.Digest, desc.Size
	t.pass("bundle", rule, desc.Digest, "%d component(s), %d image(s)", len(r.bundle.Components), len(r.bundle.Images))
	return nil
}

// admitUnlisted asks the policy as for a release of the channel that it names.
func (r *Release) admitUnlisted(t *trail) error {
	in := ReleaseInput{Policy: r.policy, Application: r.bundle.Application, Version: r.bundle.Version}
	if app, err := r.policy.trust.Application(in.Application); err == nil {
		in.ChannelName = app.Channel
	}
	return r.admit(t, in)
}
