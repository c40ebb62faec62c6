package verify

import (
	"errors"
	"fmt"
	"slices"

	"github.com/consign-dev/consign/internal/reason"
	"github.com/consign-dev/consign/policy"
)

// meet counts who of those that one rule accepts signed, and returns them, with
// the first piece of evidence that counted. Evidence that does not count is no
// error as long as enough does: signatures for other roles and other operators,
// and statements that are no signatures, may lie beside it, and an authority that
// the policy has dropped must not take with it what was signed anew. But a
// signature that claims an accepted key and does not verify is one: somebody
// changed it. With an error, the evidence is what the error is about, if any.
func (h *hearing) meet(rule policy.SignatureRule) ([]policy.Signer, *Evidence, error) {
	accepted, err := h.release.policy.accepted(rule)
	if err != nil {
		return nil, nil, err
	}
	subject := h.release.subject()
	found := slices.Clone(h.signers)
	by := make([]*Evidence, len(found)) // of found
	var doubt doubts
	for _, e := range h.evidence {
		signers, err := e.CheckSignature(subject, accepted)
		switch {
		case err == nil:
			found = append(found, signers...)
			by = append(by, slices.Repeat([]*Evidence{e}, len(signers))...)
		case reason.Is(err, reason.UntrustedSigner), e.unreadable != nil, e.certified(), errors.Is(err, errNoSignature):
			doubt.note(e, err)
		default:
			return nil, e, err
		}
	}
	signers, err := rule.Check(found)
	switch at, why := doubt.worst(); {
	case err != nil && why != nil && len(found) == 0:
		return nil, at, why
	case err != nil && len(by) > 0:
		return nil, by[0], err
	case err != nil:
		return nil, nil, err
	}
	return signers, by[slices.IndexFunc(found, func(s policy.Signer) bool { return s == signers[0] })], nil
}

// attested judges one rule about statements, as meet does about signatures.
func (h *hearing) attested(rule policy.AttestationRule) ([]policy.Attestation, *Evidence, error) {
	accepted, err := h.release.policy.accepted(rule.Signers())
	if err != nil {
		return nil, nil, err
	}
	found := slices.Clone(h.statements)
	var by *Evidence // the first of the type
	var doubt doubts
	for _, e := range h.evidence {
		a, err := e.attestation(accepted)
		if err != nil {
			doubt.note(e, err)
			continue
		}
		found = append(found, a)
		if by == nil && a.PredicateType == rule.PredicateType {
			by = e
		}
	}
	good, err := rule.Check(found, h.release.subjects())
	if at, why := doubt.worst(); err != nil && why != nil && len(found) == 0 {
		return nil, at, fmt.Errorf("attestation %s: %w", rule.Name, why)
	}
	return good, by, err
}

// doubts are why evidence did not count: told if nothing did. That of a stranger
// is told only if there is no other.
type doubts struct {
	stranger, broken     error
	strangerAt, brokenAt *Evidence
}

func (d *doubts) note(e *Evidence, err error) {
	if reason.Is(err, reason.UntrustedSigner) {
		d.stranger, d.strangerAt = err, e
	} else {
		d.broken, d.brokenAt = err, e
	}
}

func (d *doubts) worst() (at *Evidence, why error) {
	if d.broken != nil {
		return d.brokenAt, d.broken
	}
	return d.strangerAt, d.stranger
}
