package policy

import (
	"crypto"
	"fmt"
	"strings"

	"github.com/consign-dev/consign/internal/keys"
	"github.com/consign-dev/consign/internal/reason"
)

// maxKeys bounds the keys of one rule; each costs a comparison for every
// signature that is looked at.
const maxKeys = 64

// SignatureRule asks for signatures on a bundle by at least Threshold of Keys.
type SignatureRule struct {
	// Role is the name of the rule in messages and logs, such as "supplier".
	Role string `yaml:"role"`
	// Threshold is how many different keys must have signed: at least 1, and it
	// has no default.
	Threshold int `yaml:"threshold"`
	// Keys are public keys as PEM "PUBLIC KEY".
	Keys []string `yaml:"keys"`
}

// Signer is who made a signature that was verified.
type Signer struct {
	// KeyID is the id of the key, as keys.ID gives it.
	KeyID string `json:"keyId"`
}

// PublicKeys returns the keys of the rule in the order of the document.
func (r SignatureRule) PublicKeys() ([]crypto.PublicKey, error) {
	out := make([]crypto.PublicKey, 0, len(r.Keys))
	for i, text := range r.Keys {
		pub, err := keys.ParsePublic([]byte(text))
		if err != nil {
			return nil, fmt.Errorf("keys[%d]: %w", i, err)
		}
		out = append(out, pub)
	}
	return out, nil
}

// Check decides whether the signers found satisfy the rule. It counts keys,
// not signatures: a key counts once however often it signed, and only if the
// rule names it (attack T12). The refusal is threshold when too few accepted
// keys signed, untrusted-signer when somebody signed but no accepted key did.
func (r SignatureRule) Check(found []Signer) error {
	accepted, err := r.keyIDs()
	if err != nil {
		return err
	}
	if r.Threshold < 1 {
		return reason.New(reason.Malformed, "role %q: threshold %d would accept anything", r.Role, r.Threshold)
	}
	signed := map[string]bool{}
	for _, s := range found {
		if _, ok := accepted[s.KeyID]; ok {
			signed[s.KeyID] = true
		}
	}
	switch {
	case len(signed) >= r.Threshold:
		return nil
	case len(signed) == 0 && len(found) > 0:
		return reason.New(reason.UntrustedSigner, "role %q: signed by %s, which the policy does not accept", r.Role, describe(found))
	default:
		return reason.New(reason.Threshold, "role %q: %d of the %d accepted keys signed, %d are required", r.Role, len(signed), len(accepted), r.Threshold)
	}
}

// keyIDs returns the position of each key by its id. The same key under two
// texts is refused: whoever wrote that believes there are two holders.
func (r SignatureRule) keyIDs() (map[string]int, error) {
	pubs, err := r.PublicKeys()
	if err != nil {
		return nil, err
	}
	ids := make(map[string]int, len(pubs))
	for i, pub := range pubs {
		id, err := keys.ID(pub)
		if err != nil {
			return nil, fmt.Errorf("keys[%d]: %w", i, err)
		}
		if j, dup := ids[id]; dup {
			return nil, reason.New(reason.Malformed, "keys[%d]: the same key as keys[%d] (%s)", i, j, id)
		}
		ids[id] = i
	}
	return ids, nil
}

func (r SignatureRule) validate() error {
	if !shortName.MatchString(r.Role) {
		return fmt.Errorf("role: %.100q is not 1 to 64 of a-z, 0-9 and -", r.Role)
	}
	if len(r.Keys) == 0 || len(r.Keys) > maxKeys {
		return fmt.Errorf("keys: %d keys, 1 to %d are needed", len(r.Keys), maxKeys)
	}
	if _, err := r.keyIDs(); err != nil {
		return err
	}
	if r.Threshold < 1 || r.Threshold > len(r.Keys) {
		return fmt.Errorf("threshold: %d is not between 1 and the number of keys, %d", r.Threshold, len(r.Keys))
	}
	return nil
}

func describe(found []Signer) string {
	const most = 4
	var ids []string
	for _, s := range found[:min(len(found), most)] {
		ids = append(ids, fmt.Sprintf("%.100q", s.KeyID))
	}
	if len(found) > most {
		ids = append(ids, fmt.Sprintf("%d more", len(found)-most))
	}
	return strings.Join(ids, ", ")
}
