package verify

import (
	"fmt"

	"github.com/consign-dev/consign/internal/channel"
	"github.com/consign-dev/consign/internal/reason"
	"github.com/consign-dev/consign/internal/sign"
	"github.com/consign-dev/consign/policy"
)

// meet counts who of those that one rule accepts signed, among the evidence. A
// signature by somebody whom this rule does not name is not an error: evidence
// for other roles and other operators may lie beside it. A signature that claims
// an accepted key, or has a certificate of an accepted instance, and does not
// verify is: somebody changed it. Those who were counted are returned.
func (r *Release) meet(rule policy.SignatureRule, evidence []*Evidence) ([]policy.Signer, error) {
	accepted, err := r.policy.accepted(rule)
	if err != nil {
		return nil, err
	}
	subject := sign.Subject{Name: channel.ReleaseTarget(r.bundle.Application, r.bundle.Version), Digest: r.digest}
	var found []policy.Signer
	var stranger error
	for _, e := range evidence {
		signer, err := e.CheckSignature(subject, accepted)
		if reason.Is(err, reason.UntrustedSigner) {
			stranger = err
			continue
		}
		if err != nil {
			return nil, err
		}
		found = append(found, signer)
	}
	if len(found) == 0 && stranger != nil {
		return nil, stranger
	}
	return rule.Check(found)
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
