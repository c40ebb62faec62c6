package verify

import (
	"cmp"
	"encoding/json"
	"fmt"
	"regexp"
	"strings"

	"github.com/consign-dev/consign/internal/reason"
	"github.com/consign-dev/consign/internal/sign"
	"github.com/consign-dev/consign/internal/strictjson"
	"github.com/consign-dev/consign/policy"
)

// maxSubjects bounds what one statement is about (attack S7). A bundle has at
// most some hundred parts.
const maxSubjects = 1024

var sha256Hex = regexp.MustCompile(`^[0-9a-f]{64}$`)

// inTotoStatement is a Statement of the in-toto Attestation Framework v1.
type inTotoStatement struct {
	Type    string `json:"_type"`
	Subject []struct {
		Name   string            `json:"name"`
		Digest map[string]string `json:"digest"`
	} `json:"subject"`
	PredicateType string          `json:"predicateType"`
	Predicate     json.RawMessage `json:"predicate"`
}

// attestation verifies the statement of evidence, whatever it says.
func (e *Evidence) attestation(accepted Accepted) (policy.Attestation, error) {
	_, signers, err := e.verify(accepted)
	if err != nil {
		return policy.Attestation{}, err
	}
	signer := signers[0]
	// The library has verified exactly these bytes (attack S1).
	var s inTotoStatement
	limits := strictjson.Limits{Bytes: MaxSignatureBytes, Depth: maxSignatureDepth}
	if err := strictjson.UnmarshalOpen(e.envelope.GetPayload(), &s, limits); err != nil {
		return policy.Attestation{}, fmt.Errorf("statement of %s: %w", signer, err)
	}
	if s.Type != sign.StatementType {
		return policy.Attestation{}, reason.New(reason.Signature, "statement of %s has type %.100q, not %q", signer, s.Type, sign.StatementType)
	}
	a := policy.Attestation{Signers: signers, PredicateType: s.PredicateType, Predicate: s.Predicate}
	a.Subjects, err = s.subjects()
	if err != nil {
		return policy.Attestation{}, fmt.Errorf("statement of %s: %w", signer, err)
	}
	return a, nil
}

// subjects are the digests of what a statement is about. One that is given under
// another algorithm, alone or beside SHA-256, could be about something else to
// another reader (attack S8).
func (s *inTotoStatement) subjects() ([]string, error) {
	if n := len(s.Subject); n == 0 || n > maxSubjects {
		return nil, reason.New(reason.Signature, "is about %d subjects: 1 to %d are read", n, maxSubjects)
	}
	var out []string
	for i, subject := range s.Subject {
		d := subject.Digest["sha256"]
		if len(subject.Digest) != 1 || !sha256Hex.MatchString(d) {
			return nil, reason.New(reason.Signature, "subject[%d] has %d digests: exactly one sha256 is read", i, len(subject.Digest))
		}
		out = append(out, d)
	}
	return out, nil
}

// checkAttestations asks for every attestation that the policy demands. What is
// there and not asked for is of no account.
func (r *Release) checkAttestations(t *trail, evidence []*Evidence) error {
	const rule = "every attestation rule of the policy is met"
	if len(r.rules.Attestations) == 0 {
		return nil
	}
	about := policy.Subjects{Bundle: r.digest.Encoded()}
	for _, i := range r.bundle.Images {
		about.Images = append(about.Images, i.Manifest.Digest.Encoded())
	}
	var met []string
	for _, a := range r.rules.Attestations {
		if err := r.attested(a, evidence, about); err != nil {
			return t.refuse("attestation", rule, r.digest, reason.Attestation, err)
		}
		met = append(met, fmt.Sprintf("%s %d of %d", a.Name, a.Threshold, len(a.Keys)+len(a.Identities)))
	}
	t.pass("attestation", rule, r.digest, "%s", strings.Join(met, ", "))
	return nil
}

// attested judges one rule. Evidence that cannot be verified by whom it accepts
// does not count; if nothing counts, that is what is told.
func (r *Release) attested(rule policy.AttestationRule, evidence []*Evidence, about policy.Subjects) error {
	accepted, err := r.policy.accepted(rule.Signers())
	if err != nil {
		return err
	}
	var found []policy.Attestation
	var stranger, broken error
	for _, e := range evidence {
		a, err := e.attestation(accepted)
		switch {
		case err == nil:
			found = append(found, a)
		case reason.Is(err, reason.UntrustedSigner):
			stranger = err
		default:
			broken = err
		}
	}
	err = rule.Check(found, about)
	if why := cmp.Or(broken, stranger); err != nil && why != nil && len(found) == 0 {
		return fmt.Errorf("attestation %s: %w", rule.Name, why)
	}
	return err
}

// Unverified is what a file claims to attest. Nothing of it has been judged.
type Unverified struct {
	PredicateType string
	// Subjects are the SHA-256 digests of what it is about, in hex; there is one at
	// least.
	Subjects []string
	// Signed tells a Sigstore bundle from a bare statement.
	Signed bool
}

// ReadUnverified reads an in-toto statement, or a Sigstore bundle that holds one,
// as strictly as it will be read when it is verified.
func ReadUnverified(data []byte) (Unverified, error) {
	var head struct {
		Type string `json:"_type"`
	}
	limits := strictjson.Limits{Bytes: MaxSignatureBytes, Depth: maxSignatureDepth}
	if err := strictjson.UnmarshalOpen(data, &head, limits); err != nil {
		return Unverified{}, err
	}
	out := Unverified{Signed: head.Type == ""}
	if out.Signed {
		e, err := parseEvidence(data)
		if err != nil {
			return Unverified{}, err
		}
		data = e.envelope.GetPayload()
	}
	var s inTotoStatement
	if err := strictjson.UnmarshalOpen(data, &s, limits); err != nil {
		return Unverified{}, err
	}
	if s.Type != sign.StatementType {
		return Unverified{}, reason.New(reason.Malformed, "_type %.100q, only %q is read", s.Type, sign.StatementType)
	}
	var err error
	out.PredicateType = s.PredicateType
	out.Subjects, err = s.subjects()
	return out, err
}
