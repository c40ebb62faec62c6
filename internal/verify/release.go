package verify

import (
	"context"
	"errors"
	"fmt"

	"github.com/opencontainers/go-digest"

	"github.com/consign-dev/consign/internal/bundle"
	"github.com/consign-dev/consign/internal/channel"
	"github.com/consign-dev/consign/internal/margo"
	"github.com/consign-dev/consign/internal/reason"
	"github.com/consign-dev/consign/internal/tufclient"
	"github.com/consign-dev/consign/policy"
)

// MaxEvidence bounds the pieces of evidence for one release. Each costs a
// public-key operation; a release with more than a few is a flood.
const MaxEvidence = 32

// MaxEvidenceBytes bounds the Sigstore bundles of one list together: all of them
// are in memory at once, and each is read for every rule.
const MaxEvidenceBytes = 8 << 20

// ReleaseInput names a release and the policy to judge it by.
type ReleaseInput struct {
	Policy *Policy
	// Channel is the trusted metadata of the release channel that the policy
	// names for the application.
	Channel *tufclient.Metadata
	// ChannelName is the policy's name for Channel.
	ChannelName string
	Application string
	Version     string
	// Bundle, when not empty, is the digest that the operator ordered.
	Bundle digest.Digest
}

// Release is a bundle that its supplier lists, with the evidence that the policy
// demands of the supplier. Only [CheckRelease] makes one.
type Release struct {
	digest      digest.Digest
	size        int64
	bundle      *bundle.Bundle
	description *margo.ApplicationDescription
	descDigest  digest.Digest
	rules       *policy.Application
	policy      *Policy
	evidence    []digest.Digest
	documents   []digest.Digest
	found       findings
	steps       []Step
}

// Digest returns the bundle's digest.
func (r *Release) Digest() digest.Digest { return r.digest }

// Size returns the length of the bundle index in bytes.
func (r *Release) Size() int64 { return r.size }

// Bundle returns the parsed bundle index. The caller must not change it.
func (r *Release) Bundle() *bundle.Bundle { return r.bundle }

// Description returns the package's margo.yaml.
func (r *Release) Description() *margo.ApplicationDescription { return r.description }

// Policy returns the policy by which it was judged.
func (r *Release) Policy() *Policy { return r.policy }

// Evidence returns the digests of the evidence manifests that were read.
func (r *Release) Evidence() []digest.Digest { return r.evidence }

// Steps returns the checks that were made.
func (r *Release) Steps() []Step { return r.steps }

// CheckRelease decides whether a version is released: allowed by the policy,
// listed by the supplier's channel, signed and attested by enough of those whom
// the policy accepts, and whole. What the policy demands of the evidence that an
// order lists is for [Decide].
func CheckRelease(ctx context.Context, in ReleaseInput, docs Documents) (release *Release, err error) {
	t := &trail{}
	defer t.contain(&err)
	r := &Release{policy: in.Policy}
	if err := r.admit(t, in); err != nil {
		return nil, err
	}
	target, err := listed(t, in)
	if err != nil {
		return nil, err
	}
	if err := r.readBundle(ctx, t, in, target, docs); err != nil {
		return nil, err
	}
	if err := r.checkSupplied(ctx, t, target, docs); err != nil {
		return nil, err
	}
	if err := r.readPackage(ctx, t, docs); err != nil {
		return nil, err
	}
	r.steps = t.steps
	return r, nil
}

// admit applies what the policy says before anything of the supplier is read.
func (r *Release) admit(t *trail, in ReleaseInput) error {
	const rule = "the policy allows this application from this channel, at or above its minimum version"
	app, err := in.Policy.trust.Application(in.Application)
	if err != nil {
		return t.refuse("admit", rule, in.Policy.digest, reason.Rule, err)
	}
	if app.Channel != in.ChannelName {
		return t.refuse("admit", rule, in.Policy.digest, reason.Rule,
			reason.New(reason.Rule, "application %s: the order names channel %q, the policy names %q", in.Application, in.ChannelName, app.Channel))
	}
	if err := atLeast(in.Version, app.MinimumVersion); err != nil {
		return t.refuse("admit", rule, in.Policy.digest, reason.Downgrade, fmt.Errorf("policy minimumVersion: %w", err))
	}
	r.rules = app
	t.pass("admit", rule, in.Policy.digest, "%s %s from channel %s", in.Application, in.Version, in.ChannelName)
	return nil
}

func atLeast(version, floor string) error {
	if floor == "" {
		return nil
	}
	c, err := margo.CompareVersions(version, floor)
	if err != nil {
		return err
	}
	if c < 0 {
		return reason.New(reason.Downgrade, "version %s is lower than %s", version, floor)
	}
	return nil
}

func listed(t *trail, in ReleaseInput) (tufclient.Target, error) {
	const rule = "the supplier's release channel lists exactly the ordered bundle"
	name := channel.ReleaseTarget(in.Application, in.Version)
	target, err := in.Channel.Target(name)
	if errors.Is(err, tufclient.ErrNoTarget) {
		return target, t.refuse("release", rule, "", reason.NotReleased, reason.New(reason.NotReleased, "release channel %q lists no %s", in.ChannelName, name))
	}
	if err != nil {
		return target, t.refuse("release", rule, "", reason.Malformed, err)
	}
	if in.Bundle != "" && in.Bundle != target.Digest {
		return target, t.refuse("release", rule, target.Digest, reason.NotReleased,
			reason.New(reason.NotReleased, "%s: the order names bundle %s, the release channel lists %s", name, in.Bundle, target.Digest))
	}
	t.pass("release", rule, target.Digest, "%s in channel %s, valid until %s", name, in.Channel.ID(), in.Channel.Expires().Format("2006-01-02"))
	return target, nil
}

func (r *Release) readBundle(ctx context.Context, t *trail, in ReleaseInput, target tufclient.Target, docs Documents) error {
	const rule = "the bundle is intact and is the application and version it is listed as"
	data, err := readManifest(ctx, docs, target.Digest, target.Length)
	if err != nil {
		return t.refuse("bundle", rule, target.Digest, reason.Malformed, err)
	}
	b, err := bundle.Parse(data)
	if err != nil {
		return t.refuse("bundle", rule, target.Digest, reason.Malformed, err)
	}
	if b.Application != in.Application || b.Version != in.Version {
		return t.refuse("bundle", rule, target.Digest, reason.NotReleased,
			reason.New(reason.NotReleased, "%s lists a bundle that calls itself %s %s", target.Name, b.Application, b.Version))
	}
	r.bundle, r.digest, r.size = b, target.Digest, target.Length
	r.documents = append(r.documents, target.Digest)
	t.pass("bundle", rule, target.Digest, "%d component(s), %d image(s)", len(b.Components), len(b.Images))
	return nil
}

// evidenceOf lists the evidence that the release channel's signed target names.
// Nothing else counts: not what a registry says about referrers, and not order.
func evidenceOf(target tufclient.Target) ([]channel.EvidenceRef, error) {
	if len(target.Custom) == 0 {
		return nil, reason.New(reason.Signature, "%s names no evidence: it was listed without a signature", target.Name)
	}
	custom, err := channel.ParseReleaseCustom(target.Custom)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", target.Name, err)
	}
	if n := len(custom.Evidence); n == 0 || n > MaxEvidence {
		return nil, reason.New(reason.Signature, "%s names %d pieces of evidence: 1 to %d are allowed", target.Name, n, MaxEvidence)
	}
	return custom.Evidence, nil
}

// checkSupplied holds the supplier's evidence against the rules for it.
func (r *Release) checkSupplied(ctx context.Context, t *trail, target tufclient.Target, docs Documents) error {
	const rule = "the release channel lists evidence about the bundle"
	refs, err := evidenceOf(target)
	if err != nil {
		return t.refuse("signature", rule, target.Digest, reason.Signature, err)
	}
	h, err := r.hear(ctx, policy.InRelease, refs, docs)
	if err != nil {
		return t.refuse("signature", rule, target.Digest, reason.Malformed, err)
	}
	for _, ref := range refs {
		r.evidence = append(r.evidence, ref.Digest)
	}
	r.documents = append(r.documents, h.documents...)
	r.found, err = h.judge(t)
	return err
}
