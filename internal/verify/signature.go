package verify

import (
	"crypto"
	"fmt"

	"github.com/consign-dev/consign/internal/channel"
	"github.com/consign-dev/consign/internal/keys"
	"github.com/consign-dev/consign/internal/reason"
	"github.com/consign-dev/consign/internal/sign"
	"github.com/consign-dev/consign/policy"
)

// meet counts the distinct accepted keys of one rule among the evidence. A
// signature by a key that this rule does not name is not an error: evidence for
// other roles and other operators may lie beside it. A signature that claims an
// accepted key and does not verify is: somebody changed it.
func (r *Release) meet(rule policy.SignatureRule, bundles [][]byte) error {
	accepted, err := publicKeys(rule)
	if err != nil {
		return err
	}
	subject := sign.Subject{Name: channel.ReleaseTarget(r.bundle.Application, r.bundle.Version), Digest: r.digest}
	var found []policy.Signer
	var stranger error
	for _, b := range bundles {
		signer, err := CheckSignature(b, subject, accepted)
		if reason.Is(err, reason.UntrustedSigner) {
			stranger = err
			continue
		}
		if err != nil {
			return err
		}
		found = append(found, signer)
	}
	if len(found) == 0 && stranger != nil {
		return stranger
	}
	return rule.Check(found)
}

func publicKeys(rule policy.SignatureRule) ([]crypto.PublicKey, error) {
	var out []crypto.PublicKey
	for n, text := range rule.Keys {
		pub, err := keys.ParsePublic([]byte(text))
		if err != nil {
			return nil, reason.New(reason.Malformed, "policy: keys[%d]: %w", n, err)
		}
		out = append(out, pub)
	}
	if len(out) == 0 {
		return nil, fmt.Errorf("policy: role %s names no key", rule.Role)
	}
	return out, nil
}
