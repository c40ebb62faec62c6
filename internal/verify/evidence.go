package verify

import (
	"cmp"
	"crypto"
	"crypto/x509"
	"errors"
	"fmt"
	"maps"
	"slices"

	in_toto "github.com/in-toto/attestation/go/v1"
	"github.com/opencontainers/go-digest"
	protobundle "github.com/sigstore/protobuf-specs/gen/pb-go/bundle/v1"
	protocommon "github.com/sigstore/protobuf-specs/gen/pb-go/common/v1"
	protodsse "github.com/sigstore/protobuf-specs/gen/pb-go/dsse"
	"github.com/sigstore/sigstore-go/pkg/bundle"
	"github.com/sigstore/sigstore-go/pkg/fulcio/certificate"
	sigstore "github.com/sigstore/sigstore-go/pkg/verify"
	"google.golang.org/protobuf/encoding/protojson"

	"github.com/consign-dev/consign/internal/keys"
	"github.com/consign-dev/consign/internal/reason"
	"github.com/consign-dev/consign/internal/sign"
	"github.com/consign-dev/consign/internal/strictjson"
	"github.com/consign-dev/consign/policy"
)

// MaxSignatureBytes bounds one Sigstore bundle. A signature has some 20 KiB at
// most; the SBOM of an image some 100 KiB, a third of it more as base64.
const MaxSignatureBytes = 1 << 20

// maxSignatureDepth bounds nesting in the bundle and in what it signs; neither
// format nests deeper than 10.
const maxSignatureDepth = 32

// Accepted are the keys, and the Sigstore instances by their names in the
// policy, by which a signature may have been made.
type Accepted struct {
	Keys  []crypto.PublicKey
	Roots map[string]*TrustedRoot
}

// Evidence is a Sigstore bundle that was read and not yet verified.
type Evidence struct {
	bundle   *protobundle.Bundle
	envelope *protodsse.Envelope
	// hint names the key; "" for a bundle with a certificate.
	hint string
	// unreadable says why it is none of the accepted form; all else is empty then.
	unreadable error
	// digest is of the evidence manifest that named it, "" for none.
	digest digest.Digest
	// by and said keep what was found, since several rules ask the same.
	by   map[*TrustedRoot]certification
	said *saying
}

// certification is what one instance says of a bundle.
type certification struct {
	statement *in_toto.Statement
	signer    policy.Signer
	err       error
}

// CheckSignature verifies a signature on subject by one of the accepted and
// returns whose it is: one signer, or the same under several instances. The
// refusals are
//
//   - untrusted-signer: it names none of the accepted keys, or a certificate of
//     none of the instances;
//   - signature: it names an accepted key that did not make the signature, or
//     lacks what shows that its certificate was valid, or it is good and about
//     something else;
//   - identity: its certificate does not name one subject, wholly;
//   - malformed, too-large: it could not be read.
//
// The bundle's key hint chooses the key to try and decides nothing more: a
// wrong hint can only cost the signature. Log entries and time stamps beside a
// key are not looked at.
func (e *Evidence) CheckSignature(subject sign.Subject, accepted Accepted) ([]policy.Signer, error) {
	statement, signers, err := e.verify(accepted)
	if err != nil {
		return nil, fmt.Errorf("signature bundle: %w", err)
	}
	if err := checkStatement(statement, subject); err != nil {
		return nil, reason.New(reason.Signature, "signature of %s: %w", signers[0], err)
	}
	return signers, nil
}

func (e *Evidence) verify(accepted Accepted) (statement *in_toto.Statement, signers []policy.Signer, err error) {
	defer contain(&err)
	switch {
	case e.unreadable != nil:
		return nil, nil, e.unreadable
	case e.certified():
		return e.verifyCertified(accepted.Roots)
	}
	key, id, err := chooseKey(accepted.Keys, e.hint)
	if err != nil {
		return nil, nil, err
	}
	if statement, err = verifyEnvelope(e.envelope, e.hint, key); err != nil {
		return nil, nil, reason.New(reason.Signature, "signature of key %s: %w", id, err)
	}
	return statement, []policy.Signer{{KeyID: id}}, nil
}

func (e *Evidence) certified() bool {
	return e.bundle.GetVerificationMaterial().GetCertificate() != nil
}

// verifyCertified tries every instance: two of them may have an authority in
// common, and it is for the policy to say under which a signer counts. The error
// is that of the first that issued the certificate, if one did.
func (e *Evidence) verifyCertified(roots map[string]*TrustedRoot) (*in_toto.Statement, []policy.Signer, error) {
	var signers []policy.Signer
	var said *in_toto.Statement
	stranger := reason.New(reason.UntrustedSigner, "signed with a certificate, and the policy accepts signatures made with a key only")
	var broken error
	for _, name := range slices.Sorted(maps.Keys(roots)) {
		c := e.certifiedBy(roots[name])
		switch {
		case c.err == nil:
			c.signer.TrustedRoot = name
			said, signers = c.statement, append(signers, c.signer)
		case reason.Is(c.err, reason.UntrustedSigner):
			stranger = fmt.Errorf("trusted root %s: %w", name, c.err)
		case broken == nil:
			broken = fmt.Errorf("trusted root %s: %w", name, c.err)
		}
	}
	if len(signers) == 0 {
		return nil, nil, cmp.Or(broken, stranger)
	}
	return said, signers, nil
}

func (e *Evidence) certifiedBy(r *TrustedRoot) certification {
	c, known := e.by[r]
	if !known {
		// "Unsafe" leaves the subject to the caller, as for a key.
		c.statement, c.signer, c.err = r.Certified(e.bundle, sigstore.WithoutArtifactUnsafe())
		if e.by == nil {
			e.by = map[*TrustedRoot]certification{}
		}
		e.by[r] = c
	}
	return c
}

// ParseEvidence reads a Sigstore bundle of the one accepted form, else it is
// malformed or too-large.
func ParseEvidence(data []byte) (*Evidence, error) {
	e, err := parseEvidence(data)
	if err != nil {
		return nil, fmt.Errorf("signature bundle: %w", err)
	}
	return e, nil
}

func parseEvidence(data []byte) (e *Evidence, err error) {
	defer contain(&err)
	b, err := ParseBundle(data)
	if err != nil {
		return nil, err
	}
	if b.GetMediaType() != sign.MediaType {
		return nil, reason.New(reason.Malformed, "mediaType %.100q, only %q is read", b.GetMediaType(), sign.MediaType)
	}
	hint, err := keyHint(b.GetVerificationMaterial())
	if err != nil {
		return nil, err
	}
	envelope := b.GetDsseEnvelope()
	switch {
	case envelope == nil:
		return nil, reason.New(reason.Malformed, "no DSSE envelope; only signatures on in-toto statements are read")
	case envelope.GetPayloadType() != sign.PayloadType:
		return nil, reason.New(reason.Malformed, "payload type %.100q, only %q is read", envelope.GetPayloadType(), sign.PayloadType)
	case len(envelope.GetSignatures()) != 1:
		return nil, reason.New(reason.Malformed, "%d signatures in the envelope, exactly one is read", len(envelope.GetSignatures()))
	}
	e = &Evidence{bundle: b, envelope: envelope, hint: hint}
	return e, strictjson.Check(envelope.GetPayload(), strictjson.Limits{Bytes: MaxSignatureBytes, Depth: maxSignatureDepth})
}

// ParseBundle reads a Sigstore bundle of any version and with any content, of
// which the evidence of a release is one form: see [ParseEvidence]. The refusals
// are malformed and too-large.
func ParseBundle(data []byte) (*protobundle.Bundle, error) {
	if err := strictjson.Check(data, strictjson.Limits{Bytes: MaxSignatureBytes, Depth: maxSignatureDepth}); err != nil {
		return nil, err
	}
	b := new(protobundle.Bundle)
	if err := protojson.Unmarshal(data, b); err != nil {
		return nil, reason.Wrap(reason.Malformed, err)
	}
	return b, nil
}

// keyHint is that of a public key, "" for a certificate.
func keyHint(m *protobundle.VerificationMaterial) (string, error) {
	switch content := m.GetContent().(type) {
	case *protobundle.VerificationMaterial_PublicKey:
		return content.PublicKey.GetHint(), nil
	case *protobundle.VerificationMaterial_Certificate:
		return "", nil
	case *protobundle.VerificationMaterial_X509CertificateChain:
		return "", reason.New(reason.Malformed, "a chain of certificates; bundles of version 0.3 have one certificate")
	default:
		return "", reason.New(reason.Malformed, "no verification material; the hint of a public key or a certificate is needed")
	}
}

// chooseKey returns the accepted key that the hint names, and its id.
func chooseKey(accepted []crypto.PublicKey, hint string) (crypto.PublicKey, string, error) {
	if hint == "" {
		return nil, "", reason.New(reason.UntrustedSigner, "names no key, so no accepted key can be tried")
	}
	for _, pub := range accepted {
		h, err := keys.Hint(pub)
		if err != nil {
			return nil, "", err
		}
		if h == hint {
			id, err := keys.ID(pub)
			return pub, id, err
		}
	}
	return nil, "", reason.New(reason.UntrustedSigner, "signed by key %.100q (base64 of its SHA-256), which is none of the %d accepted keys", hint, len(accepted))
}

// verifyEnvelope returns the statement that key signed. The verifier is given
// the envelope and the hint and none of the bundle's other members, which
// would otherwise be parsed without being of any account.
func verifyEnvelope(envelope *protodsse.Envelope, hint string, key crypto.PublicKey) (*in_toto.Statement, error) {
	entity, err := bundle.NewBundle(minimal(envelope, hint))
	if err != nil {
		return nil, err
	}
	material, err := materialOf(key)
	if err != nil {
		return nil, err
	}
	v, err := sigstore.NewVerifier(material, sigstore.WithNoObserverTimestamps())
	if err != nil {
		return nil, err
	}
	// "Unsafe" leaves the subject to the caller: checkStatement asks for more
	// than the library would, and says what it found.
	result, err := v.Verify(entity, sigstore.NewPolicy(sigstore.WithoutArtifactUnsafe(), sigstore.WithKey()))
	if err != nil {
		return nil, err
	}
	return result.Statement, nil
}

func minimal(envelope *protodsse.Envelope, hint string) *protobundle.Bundle {
	return &protobundle.Bundle{
		MediaType: sign.MediaType,
		VerificationMaterial: &protobundle.VerificationMaterial{
			Content: &protobundle.VerificationMaterial_PublicKey{PublicKey: &protocommon.PublicKeyIdentifier{Hint: hint}},
		},
		Content: &protobundle.Bundle_DsseEnvelope{DsseEnvelope: envelope},
	}
}

// errNoSignature is the error of a good statement that attests something else.
var errNoSignature = errors.New("which is no signature")

// checkStatement insists that a verified statement is a plain signature on
// exactly this subject: one subject, its name, one sha256 digest.
func checkStatement(s *in_toto.Statement, want sign.Subject) error {
	if s.GetType() != sign.StatementType {
		return fmt.Errorf("is on a statement of type %.100q, %w (%q)", s.GetType(), errNoSignature, sign.StatementType)
	}
	if s.GetPredicateType() != sign.PredicateType {
		return fmt.Errorf("is on a statement with predicate type %.100q, %w (%q)", s.GetPredicateType(), errNoSignature, sign.PredicateType)
	}
	if n := len(s.GetSubject()); n != 1 {
		return fmt.Errorf("is on a statement with %d subjects, not one", n)
	}
	subject := s.GetSubject()[0]
	// Other tools leave the name out; the digest alone decides which bundle it is,
	// and that says what it is a version of.
	if subject.GetName() != want.Name && subject.GetName() != "" {
		return fmt.Errorf("is for %.250q, not for %q", subject.GetName(), want.Name)
	}
	digests := subject.GetDigest()
	if got, ok := digests["sha256"]; !ok || len(digests) != 1 {
		return fmt.Errorf("names %d digests of %q, exactly one sha256 is needed", len(digests), want.Name)
	} else if got != want.Digest.Encoded() || want.Digest.Algorithm() != "sha256" {
		return fmt.Errorf("is for %q with digest sha256:%.64s, not %s", want.Name, got, want.Digest)
	}
	return nil
}

// UnverifiedSigner says who claims to have signed: the hint of a key, or whom a
// certificate names. Anyone can write any hint, and make any certificate: it is
// for listings only. A bundle that cannot be read has neither.
func UnverifiedSigner(bundleJSON []byte) (hint string, certified policy.Signer) {
	e, err := parseEvidence(bundleJSON)
	if err != nil || e.hint != "" {
		return hintOf(e), policy.Signer{}
	}
	leaf, err := x509.ParseCertificate(e.bundle.GetVerificationMaterial().GetCertificate().GetRawBytes())
	if err != nil {
		return "", policy.Signer{}
	}
	summary, err := certificate.SummarizeCertificate(leaf)
	if err != nil {
		return "", policy.Signer{}
	}
	return "", signerOf(&summary)
}

func hintOf(e *Evidence) string {
	if e == nil {
		return ""
	}
	return e.hint
}
