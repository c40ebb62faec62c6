package verify

import (
	"cmp"
	"errors"
	"fmt"

	"github.com/consign-dev/consign/internal/channel"
	"github.com/consign-dev/consign/internal/reason"
	"github.com/consign-dev/consign/internal/sign"
	"github.com/consign-dev/consign/policy"
)

// meet counts who of those that one rule accepts signed, among the evidence, and
// returns them. Evidence that does not count is no error as long as enough does:
// signatures for other roles and other operators, and statements that are no
// signatures, may lie beside it, and an authority that the policy has dropped
// must not take with it what was signed anew. But a signature that claims an
// accepted key and does not verify is one: somebody changed it.
func (r *Release) meet(rule policy.SignatureRule, evidence []*Evidence) ([]policy.Signer, error) {
	accepted, err := r.policy.accepted(rule)
	if err != nil {
		return nil, err
	}
	subject := sign.Subject{Name: channel.ReleaseTarget(r.bundle.Application, r.bundle.Version), Digest: r.digest}
	var found []policy.Signer
	var stranger, broken error
	for _, e := range evidence {
		signers, err := e.CheckSignature(subject, accepted)
		switch {
		case err == nil:
			found = append(found, signers...)
		case reason.Is(err, reason.UntrustedSigner):
			stranger = err
		case e.unreadable != nil || e.certified() || errors.Is(err, errNoSignature):
			broken = err
		default:
			return nil, err
		}
	}
	signers, err := rule.Check(found)
	if why := cmp.Or(broken, stranger); err != nil && why != nil && len(found) == 0 {
		return nil, why
	}
	return signers, err
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
