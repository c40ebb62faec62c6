package verify

import (
	"encoding/json"
	"fmt"

	"github.com/consign-dev/consign/internal/lazyregexp"
	"github.com/consign-dev/consign/internal/reason"
	"github.com/consign-dev/consign/internal/sign"
	"github.com/consign-dev/consign/internal/strictjson"
	"github.com/consign-dev/consign/policy"
)

// maxSubjects bounds what one statement is about (attack S7). A bundle has at
// most some hundred parts.
const maxSubjects = 1024

var sha256Hex = lazyregexp.New(`^[0-9a-f]{64}$`)

// oldStatement is the type of statements before version 1 (in-toto Attestation
// Framework v0.1), which "cosign attest" still writes. Their members are the same
// and mean the same.
const oldStatement = "https://in-toto.io/Statement/v0.1"

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
	said := e.saying()
	if said.err != nil {
		return policy.Attestation{}, fmt.Errorf("statement of %s: %w", signers[0], said.err)
	}
	return policy.Attestation{Signers: signers, PredicateType: said.PredicateType, Subjects: said.subjects, Predicate: said.Predicate}, nil
}

// saying is the statement in an envelope.
type saying struct {
	inTotoStatement
	subjects []string
	err      error
}

// saying reads the envelope's payload. Where the library has verified a
// signature, it has verified it over exactly these bytes (attack S1).
func (e *Evidence) saying() *saying {
	if e.said != nil {
		return e.said
	}
	e.said = readStatement(e.envelope.GetPayload())
	return e.said
}

func readStatement(data []byte) *saying {
	out := &saying{}
	if out.err = strictjson.UnmarshalOpen(data, &out.inTotoStatement, strictjson.Limits{Bytes: MaxSignatureBytes, Depth: maxSignatureDepth}); out.err != nil {
		return out
	}
	if out.Type != sign.StatementType && out.Type != oldStatement {
		out.err = reason.New(reason.Signature, "type %.100q, not %q", out.Type, sign.StatementType)
		return out
	}
	out.subjects, out.err = out.inTotoStatement.subjects()
	return out
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

// Unverified is what a file claims to attest. Nothing of it has been judged.
type Unverified struct {
	PredicateType string
	// Subjects are the SHA-256 digests of what it is about, in hex; there is one at
	// least. Names are how it calls them, "" where it does not.
	Subjects, Names []string
	// Signed tells a Sigstore bundle from a bare statement.
	Signed bool
	// Predicate is its JSON.
	Predicate []byte
}

// ReadUnverified reads an in-toto statement, or a Sigstore bundle that holds one,
// as strictly as it will be read when it is verified. A bare one must be of version
// 1, since it is yet to be signed.
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
	if s.Type != sign.StatementType && !(out.Signed && s.Type == oldStatement) {
		return Unverified{}, reason.New(reason.Malformed, "_type %.100q, only %q is read", s.Type, sign.StatementType)
	}
	var err error
	out.PredicateType, out.Predicate = s.PredicateType, s.Predicate
	for _, subject := range s.Subject {
		out.Names = append(out.Names, subject.Name)
	}
	out.Subjects, err = s.subjects()
	return out, err
}
