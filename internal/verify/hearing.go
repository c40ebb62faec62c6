package verify

import (
	"context"
	"fmt"
	"maps"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/consign-dev/consign/internal/bundle"
	"github.com/consign-dev/consign/internal/channel"
	"github.com/consign-dev/consign/internal/reason"
	"github.com/consign-dev/consign/internal/sign"
	"github.com/consign-dev/consign/policy"
)

// hearing holds evidence against the rules of the list that it is of: the
// supplier's, in the release channel, or the operator's, in the order.
type hearing struct {
	release  *Release
	listedIn string
	evidence []*Evidence
	// signers and statements are promised and not there yet: only of a [Draft].
	signers    []policy.Signer
	statements []policy.Attestation
	// documents are what was read, manifests and layers.
	documents []digest.Digest
}

// hear reads the evidence that a signed list names. Nothing else counts: not what
// a registry says about referrers, and not order.
func (r *Release) hear(ctx context.Context, listedIn string, refs []channel.EvidenceRef, docs Documents) (*hearing, error) {
	h := &hearing{release: r, listedIn: listedIn}
	room := int64(MaxEvidenceBytes)
	for _, ref := range refs {
		e, layer, err := r.readEvidence(ctx, ref, room, docs)
		if err != nil {
			return nil, err
		}
		room -= layer.Size
		h.evidence = append(h.evidence, e)
		h.documents = append(h.documents, ref.Digest, layer.Digest)
	}
	return h, nil
}

func (r *Release) readEvidence(ctx context.Context, ref channel.EvidenceRef, room int64, docs Documents) (*Evidence, ocispec.Descriptor, error) {
	var none ocispec.Descriptor
	data, err := readManifest(ctx, docs, ref.Digest, ref.Size)
	if err != nil {
		return nil, none, fmt.Errorf("evidence: %w", err)
	}
	m, err := bundle.ParseEvidence(data)
	if err != nil {
		return nil, none, fmt.Errorf("evidence %s: %w", ref.Digest, err)
	}
	if m.Subject.Digest != r.digest {
		return nil, none, reason.New(reason.Signature, "evidence %s is about %s, not about this bundle", ref.Digest, m.Subject.Digest)
	}
	if m.Layer.Size > room {
		return nil, none, reason.New(reason.TooLarge, "evidence %s: all of the list has more than the %d bytes that are read", ref.Digest, int64(MaxEvidenceBytes))
	}
	blob, err := readBlob(ctx, docs, m.Layer)
	if err != nil {
		return nil, none, fmt.Errorf("evidence %s: %w", ref.Digest, err)
	}
	e, err := ParseEvidence(blob)
	if err != nil {
		e = &Evidence{unreadable: fmt.Errorf("evidence %s: %w", ref.Digest, err)}
	}
	e.digest = ref.Digest
	return e, m.Layer, nil
}

// findings are who and what met the rules, by role and by name of attestation.
type findings struct {
	signatures   map[string][]policy.Signer
	attestations map[string][]policy.Attestation
}

// with joins what was found in two lists; the rules of the two differ.
func (f findings) with(g findings) findings {
	out := findings{signatures: map[string][]policy.Signer{}, attestations: map[string][]policy.Attestation{}}
	for _, each := range []findings{f, g} {
		maps.Copy(out.signatures, each.signatures)
		maps.Copy(out.attestations, each.attestations)
	}
	return out
}

// judge asks for everything that the rules of the list demand. What is there and
// not asked for is of no account.
func (h *hearing) judge(t *trail) (findings, error) {
	found := findings{signatures: map[string][]policy.Signer{}, attestations: map[string][]policy.Attestation{}}
	signatures, attestations := h.release.rules.ListedIn(h.listedIn)
	for _, rule := range signatures {
		signers, at, err := h.meet(rule)
		if err != nil {
			return found, t.refuse("signature", rule.Demand(), h.shown(at), reason.Signature, fmt.Errorf("role %s: %w", rule.Role, err))
		}
		found.signatures[rule.Role] = signers
		t.pass("signature", rule.Demand(), h.shown(at), "%s", policy.Names(signers))
	}
	for _, rule := range attestations {
		list, at, err := h.attested(rule)
		if err != nil {
			return found, t.refuse("attestation", rule.Demand(), h.shown(at), reason.Attestation, err)
		}
		found.attestations[rule.Name] = list
		t.pass("attestation", rule.Demand(), h.shown(at), "by %s", policy.Names(policy.SignersOf(list)))
	}
	return found, nil
}

// shown is the document that shows a finding: a piece of evidence, or what names
// none that would.
func (h *hearing) shown(e *Evidence) digest.Digest {
	if e == nil {
		return h.release.digest
	}
	return e.digest
}

// subject is what a signature on the bundle must be about.
func (r *Release) subject() sign.Subject {
	return sign.Subject{Name: channel.ReleaseTarget(r.bundle.Application, r.bundle.Version), Digest: r.digest}
}

func (r *Release) subjects() policy.Subjects {
	about := policy.Subjects{Bundle: r.digest.Encoded()}
	for _, i := range r.bundle.Images {
		about.Images = append(about.Images, i.Manifest.Digest.Encoded())
	}
	return about
}

// accepted are the keys and the Sigstore instances of a rule.
func (p *Policy) accepted(rule policy.SignatureRule) (Accepted, error) {
	keys, err := rule.PublicKeys()
	if err != nil {
		return Accepted{}, reason.New(reason.Malformed, "policy: %w", err)
	}
	out := Accepted{Keys: keys, Roots: map[string]*TrustedRoot{}}
	for _, i := range rule.Identities {
		if out.Roots[i.TrustedRoot] = p.trustedRoots[i.TrustedRoot]; out.Roots[i.TrustedRoot] == nil {
			return Accepted{}, reason.New(reason.Malformed, "policy: there is no trusted root %q", i.TrustedRoot)
		}
	}
	if len(keys)+len(out.Roots) == 0 {
		return Accepted{}, fmt.Errorf("policy: role %s names neither key nor identity", rule.Role)
	}
	return out, nil
}
