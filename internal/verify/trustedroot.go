package verify

import (
	"crypto"
	"errors"
	"fmt"
	"time"

	in_toto "github.com/in-toto/attestation/go/v1"
	protobundle "github.com/sigstore/protobuf-specs/gen/pb-go/bundle/v1"
	"github.com/sigstore/sigstore-go/pkg/root"
	sigstore "github.com/sigstore/sigstore-go/pkg/verify"
	"github.com/sigstore/sigstore/pkg/signature"
	"golang.org/x/mod/sumdb/note"

	"github.com/consign-dev/consign/internal/reason"
	"github.com/consign-dev/consign/internal/strictjson"
)

// MaxTrustedRootBytes bounds a Sigstore trusted root. The public one has 7 KiB;
// every CA, log and timestamp authority that was ever in use adds some.
const MaxTrustedRootBytes = 512 << 10

// TrustedRoot is a Sigstore instance: its CAs, certificate transparency logs,
// transparency logs and timestamp authorities, each with the time at which it
// was in use. It is the client's half of Sigstore's root of trust (Sigstore
// protobuf-specs, trustroot.proto).
type TrustedRoot struct {
	material *root.TrustedRoot
	// cosigned is how many of the witnesses must have seen a log's tree; 0 for none.
	cosigned  int
	witnesses []note.Verifier
}

// ParseTrustedRoot reads a trusted_root.json. One by which no signature could be
// verified, since it lacks a CA, a log, a certificate log or any source of time,
// is malformed.
func ParseTrustedRoot(data []byte) (*TrustedRoot, error) {
	if err := strictjson.Check(data, strictjson.Limits{Bytes: MaxTrustedRootBytes, Depth: maxSignatureDepth}); err != nil {
		return nil, err
	}
	material, err := root.NewTrustedRootFromJSON(data)
	if err != nil {
		return nil, reason.New(reason.Malformed, "trusted root: %w", err)
	}
	switch {
	case len(material.FulcioCertificateAuthorities()) == 0:
		err = errors.New("no certificateAuthorities: no certificate would count")
	case len(material.RekorLogs()) == 0:
		err = errors.New("no tlogs: every signature must be in a transparency log")
	case len(material.CTLogs()) == 0:
		err = errors.New("no ctlogs: every certificate must be in a certificate transparency log")
	}
	if err != nil {
		return nil, reason.New(reason.Malformed, "trusted root: %w", err)
	}
	return &TrustedRoot{material: material}, nil
}

// verifierFor is a verifier that demands, of a signature made with a
// certificate, a signed certificate timestamp, an entry in a transparency log and
// a time from every source that the bundle has one of. At that time the
// certificate, and every authority above it, must have been valid (attacks S11
// and S12): neither this machine's clock nor the present have a say. By a key, it
// demands the entry, and of the times those that there are.
func verifierFor(b *protobundle.Bundle, by root.TrustedMaterial) (*sigstore.Verifier, error) {
	options := []sigstore.VerifierOption{sigstore.WithTransparencyLog(1), sigstore.WithoutStatementPredicate()}
	byKey := b.GetVerificationMaterial().GetPublicKey() != nil
	if !byKey {
		options = append(options, sigstore.WithSignedCertificateTimestamps(1))
	}
	stamps := len(b.GetVerificationMaterial().GetTimestampVerificationData().GetRfc3161Timestamps())
	integrated := false
	for _, e := range b.GetVerificationMaterial().GetTlogEntries() {
		integrated = integrated || e.GetIntegratedTime() != 0
	}
	if stamps > 0 {
		options = append(options, sigstore.WithSignedTimestamps(stamps))
	}
	if integrated {
		options = append(options, sigstore.WithIntegratedTimestamps(1))
	}
	switch timeless := !integrated && stamps == 0; {
	case timeless && byKey:
		options = append(options, sigstore.WithNoObserverTimestamps())
	case timeless:
		return nil, errors.New("no timestamp: nothing says when it was made, so nobody knows whether the certificate was valid then")
	}
	v, err := sigstore.NewVerifier(by, options...)
	if err != nil {
		return nil, fmt.Errorf("trusted root: %w", err)
	}
	return v, nil
}

// Keyed returns the statement of a bundle that key signed and a log of this
// instance has an entry of; nil for a signature on the bytes themselves. about is
// what either must be about. It demands more than the signature of a release by a
// key needs, and is not asked for those: see [Evidence.CheckSignature].
func (r *TrustedRoot) Keyed(b *protobundle.Bundle, about sigstore.ArtifactPolicyOption, key crypto.PublicKey) (*in_toto.Statement, error) {
	if b.GetVerificationMaterial().GetPublicKey() == nil {
		return nil, reason.New(reason.UntrustedSigner, "signed with a certificate, not by a key")
	}
	material, err := materialOf(key)
	if err != nil {
		return nil, err
	}
	result, err := r.verify(b, keyed{r.material, material}, sigstore.NewPolicy(about, sigstore.WithKey()))
	if err != nil {
		return nil, reason.New(reason.Signature, "made by a key: %w", err)
	}
	return result.Statement, nil
}

// keyed is an instance with one key beside it.
type keyed struct {
	root.TrustedMaterial
	key root.TrustedMaterial
}

func (k keyed) PublicKeyVerifier(hint string) (root.TimeConstrainedVerifier, error) {
	return k.key.PublicKeyVerifier(hint)
}

// materialOf is a key that is good at any time and under any hint.
func materialOf(key crypto.PublicKey) (root.TrustedMaterial, error) {
	verifier, err := signature.LoadDefaultVerifier(key)
	if err != nil {
		return nil, err
	}
	return root.NewTrustedPublicKeyMaterial(func(string) (root.TimeConstrainedVerifier, error) {
		return root.NewExpiringKey(verifier, time.Time{}, time.Time{}), nil
	}), nil
}
