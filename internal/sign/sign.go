// Package sign makes the signature of a bundle: a Sigstore bundle that other
// people's tools verify too.
//
// What is signed is an in-toto Statement v1 whose one subject is the bundle,
//
//	{"_type": "https://in-toto.io/Statement/v1",
//	 "subject": [{"name": "line-monitor/1.4.0", "digest": {"sha256": "<64 hex>"}}],
//	 "predicateType": "https://sigstore.dev/cosign/sign/v1", "predicate": {}}
//
// inside a DSSE envelope with one signature, inside a Sigstore bundle v0.3
// whose verification material is the hint of a public key. The form is the one
// that 'cosign sign --key' makes and that 'cosign verify --key' accepts. The
// name is ours: it ties the signature to the application and version, so that
// a supplier's signature on one application cannot be shown for another.
//
// The hint names the key but proves nothing. A verifier uses it to choose among
// the keys it already accepts (see internal/verify).
//
// [Key] signs with a key that the signer keeps; [Keyless] with a certificate that
// a Sigstore instance issues for an identity token, and then a transparency log
// and a timestamp authority take part.
package sign

import (
	"bytes"
	"context"
	"crypto"
	"encoding/json"
	"errors"
	"fmt"

	"github.com/opencontainers/go-digest"
	"github.com/sigstore/sigstore-go/pkg/sign"
	"google.golang.org/protobuf/encoding/protojson"
)

const (
	// MediaType is the only version of the Sigstore bundle written and read.
	MediaType = "application/vnd.dev.sigstore.bundle.v0.3+json"
	// PayloadType is what the DSSE envelope says it carries (in-toto
	// Attestation Framework v1.1, Envelope).
	PayloadType = "application/vnd.in-toto+json"
	// StatementType is the "_type" of the payload.
	StatementType = "https://in-toto.io/Statement/v1"
	// PredicateType says that the statement is a signature on its subject and
	// claims nothing else about it.
	PredicateType = "https://sigstore.dev/cosign/sign/v1"
)

// Subject is what a signature is about.
type Subject struct {
	// Name is "<application id>/<version>".
	Name string
	// Digest is the sha256 digest of the bundle index.
	Digest digest.Digest
}

func (s Subject) check() error {
	if s.Name == "" {
		return errors.New("the subject has no name")
	}
	if err := s.Digest.Validate(); err != nil {
		return fmt.Errorf("subject digest %q: %w", s.Digest, err)
	}
	if s.Digest.Algorithm() != digest.SHA256 {
		return fmt.Errorf("subject digest %q is not sha256", s.Digest)
	}
	return nil
}

// Signer makes Sigstore bundles of statements.
type Signer interface {
	// Sign returns the JSON of a bundle whose DSSE envelope holds the in-toto
	// statement.
	Sign(ctx context.Context, statement []byte) ([]byte, error)
}

// Key signs with a key that is kept, which may be any that package keys accepts.
// Ed25519 and RSA signatures are deterministic, ECDSA ones are not, so two calls
// give two bundles. No transparency log and no time stamp take part.
type Key struct{ Private crypto.Signer }

// Sign implements [Signer].
func (k Key) Sign(ctx context.Context, statement []byte) ([]byte, error) {
	pair, err := newKeypair(k.Private)
	if err != nil {
		return nil, err
	}
	return bundleOf(statement, pair, sign.BundleOptions{Context: ctx})
}

// Bundle signs s, and nothing but s, and returns the JSON of a Sigstore bundle.
func Bundle(ctx context.Context, s Subject, by Signer) ([]byte, error) {
	payload, err := Signature(s)
	if err != nil {
		return nil, fmt.Errorf("sign %s: %w", s.Name, err)
	}
	data, err := by.Sign(ctx, payload)
	if err != nil {
		return nil, fmt.Errorf("sign %s: %w", s.Name, err)
	}
	return data, nil
}

func bundleOf(payload []byte, pair *keypair, opts sign.BundleOptions) ([]byte, error) {
	bundle, err := sign.Bundle(&sign.DSSEData{Data: payload, PayloadType: PayloadType}, pair, opts)
	if err != nil {
		return nil, err
	}
	data, err := protojson.Marshal(bundle)
	if err != nil {
		return nil, err
	}
	return compact(data)
}

type resource struct {
	Name   string            `json:"name"`
	Digest map[string]string `json:"digest"`
}

// Signature is the statement of a signature on s, which says nothing else of it.
func Signature(s Subject) ([]byte, error) {
	return Statement(s, PredicateType, json.RawMessage("{}"))
}

// Statement is the in-toto statement that says something of s.
func Statement(s Subject, predicateType string, predicate json.RawMessage) ([]byte, error) {
	if err := s.check(); err != nil {
		return nil, err
	}
	return json.Marshal(struct {
		Type          string          `json:"_type"`
		Subject       []resource      `json:"subject"`
		PredicateType string          `json:"predicateType"`
		Predicate     json.RawMessage `json:"predicate"`
	}{
		Type:          StatementType,
		Subject:       []resource{{Name: s.Name, Digest: map[string]string{"sha256": s.Digest.Encoded()}}},
		PredicateType: predicateType,
		Predicate:     predicate,
	})
}

// compact takes out the white space that protojson varies from build to build
// to keep callers from relying on its bytes.
func compact(data []byte) ([]byte, error) {
	var out bytes.Buffer
	if err := json.Compact(&out, data); err != nil {
		return nil, err
	}
	return out.Bytes(), nil
}
