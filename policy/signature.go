package policy

import (
	"cmp"
	"crypto"
	"fmt"
	"slices"
	"strings"

	"github.com/consign-dev/consign/internal/keys"
	"github.com/consign-dev/consign/internal/reason"
)

// maxKeys bounds the keys of one rule; each costs a comparison for every
// signature that is looked at.
const maxKeys = 64

// Where the evidence that a rule counts is listed.
const (
	// InRelease: by the supplier, in the release channel.
	InRelease = "release"
	// InDeployment: by the operator, in the order, as an integrator's or a site's is.
	InDeployment = "deployment"
)

// SignatureRule asks for signatures on a bundle by at least Threshold of Keys
// and Identities.
type SignatureRule struct {
	// Role is the name of the rule in messages and logs, such as "supplier".
	Role string `yaml:"role"`
	// ListedIn says whose list of evidence counts: [InRelease] or [InDeployment].
	// Parse turns an absent value into [InRelease].
	ListedIn string `yaml:"listedIn"`
	// Threshold is how many of Keys and Identities must have signed: at least 1,
	// and it has no default.
	Threshold int `yaml:"threshold"`
	// Keys are public keys as PEM "PUBLIC KEY".
	Keys []string `yaml:"keys"`
	// Identities are those that a certificate must name. One counts once, whoever
	// of those that its patterns fit has signed.
	Identities []Identity `yaml:"identities"`
}

// Signer is who made a signature that was verified: a key, or an identity that
// was certified.
type Signer struct {
	// KeyID is the id of the key, as keys.ID gives it; "" for a certificate.
	KeyID string `json:"keyId,omitempty"`
	// TrustedRoot is the policy's name of the Sigstore instance under which the
	// certificate was verified.
	TrustedRoot string `json:"trustedRoot,omitempty"`
	// Issuer and Subject are as in [Identity], Claims what the certificate says.
	Issuer  string `json:"issuer,omitempty"`
	Subject string `json:"subject,omitempty"`
	Claims  Claims `json:"claims,omitzero"`
}

// String names the signer in messages.
func (s Signer) String() string {
	if s.KeyID != "" {
		return fmt.Sprintf("key %.100q", s.KeyID)
	}
	return fmt.Sprintf("%.250q (issuer %.250q)", s.Subject, s.Issuer)
}

// who is what two signers must differ in to be two.
func (s Signer) who() string { return s.KeyID + "\n" + s.Issuer + "\n" + s.Subject }

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

// Check decides whether the signers found satisfy the rule. It counts who
// signed, not signatures: a key or identity counts once however often it signed,
// and only if the rule names it (attack T12). The refusal is threshold when too
// few of the accepted signed, untrusted-signer or identity when somebody signed
// but nobody who is accepted did. It returns those that the rule accepts.
func (r SignatureRule) Check(found []Signer) ([]Signer, error) {
	accepted, err := r.keyIDs()
	if err != nil {
		return nil, err
	}
	if r.Threshold < 1 {
		return nil, reason.New(reason.Malformed, "threshold %d would accept anything", r.Threshold)
	}
	var fits [][]int
	var signed []Signer
	var closest error
	place := map[string]int{} // in fits, of who signed
	for _, s := range found {
		entries, err := r.entries(accepted, s)
		at, seen := place[s.who()]
		switch {
		case len(entries) == 0:
			closest = cmp.Or(closest, err)
		case seen: // with another certificate, or under another trusted root
			fits[at] = append(fits[at], entries...)
		default:
			place[s.who()] = len(fits)
			fits, signed = append(fits, entries), append(signed, s)
		}
	}
	n := counted(fits)
	switch {
	case n >= r.Threshold:
		return signed, nil
	case n == 0 && closest != nil:
		return nil, closest
	case n == 0 && len(found) > 0:
		return nil, reason.New(reason.UntrustedSigner, "signed by %s, which the policy does not accept", Names(found))
	default:
		return nil, reason.New(reason.Threshold, "%d of the %d accepted signers signed, %d are required", n, len(r.Keys)+len(r.Identities), r.Threshold)
	}
}

// entries are the positions of what a signer satisfies: the keys first, then the
// identities. Of a certified signer who satisfies none, the error says why.
func (r SignatureRule) entries(accepted map[string]int, s Signer) ([]int, error) {
	if s.KeyID != "" {
		if n, ok := accepted[s.KeyID]; ok {
			return []int{n}, nil
		}
		return nil, nil
	}
	var out []int
	var closest error
	for n, i := range r.Identities {
		err := i.Check(s)
		if err == nil {
			out = append(out, len(r.Keys)+n)
		}
		closest = cmp.Or(closest, err)
	}
	return out, closest
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

func (r SignatureRule) validate(roots map[string]TrustedRoot) error {
	if !shortName.MatchString(r.Role) {
		return fmt.Errorf("role: %.100q is not 1 to 64 of a-z, 0-9 and -", r.Role)
	}
	if !slices.Contains([]string{"", InRelease, InDeployment}, r.ListedIn) {
		return fmt.Errorf("listedIn: %.100q is neither %q nor %q", r.ListedIn, InRelease, InDeployment)
	}
	total := len(r.Keys) + len(r.Identities)
	if total == 0 || len(r.Keys) > maxKeys || len(r.Identities) > maxIdentities {
		return fmt.Errorf("keys, identities: %d keys and %d identities, at least one is needed and at most %d of each", len(r.Keys), len(r.Identities), maxKeys)
	}
	if _, err := r.keyIDs(); err != nil {
		return err
	}
	first := map[Identity]int{}
	for n, i := range r.Identities {
		if err := i.validate(roots); err != nil {
			return fmt.Errorf("identities[%d].%w", n, err)
		}
		if m, dup := first[i]; dup {
			return fmt.Errorf("identities[%d]: the same as identities[%d]", n, m)
		}
		first[i] = n
	}
	if r.Threshold < 1 || r.Threshold > total {
		return fmt.Errorf("threshold: %d is not between 1 and the number of keys and identities, %d", r.Threshold, total)
	}
	return nil
}

// Names lists signers for a message, the first few.
func Names(found []Signer) string {
	const most = 4
	var names []string
	for _, s := range found[:min(len(found), most)] {
		names = append(names, s.String())
	}
	if len(found) > most {
		names = append(names, fmt.Sprintf("%d more", len(found)-most))
	}
	return strings.Join(names, ", ")
}
