package verify

import (
	"errors"
	"fmt"

	protobundle "github.com/sigstore/protobuf-specs/gen/pb-go/bundle/v1"
	"github.com/sigstore/sigstore-go/pkg/root"
	sigstore "github.com/sigstore/sigstore-go/pkg/verify"

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
type TrustedRoot struct{ material *root.TrustedRoot }

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
	return &TrustedRoot{material}, nil
}

// verifierFor is a verifier that demands, of a signature made with a
// certificate, a signed certificate timestamp, an entry in a transparency log and
// a time from every source that the bundle has one of. At that time the
// certificate, and every authority above it, must have been valid (attacks S11
// and S12): neither this machine's clock nor the present have a say.
func (r *TrustedRoot) verifierFor(b *protobundle.Bundle) (*sigstore.Verifier, error) {
	options := []sigstore.VerifierOption{
		sigstore.WithSignedCertificateTimestamps(1), sigstore.WithTransparencyLog(1), sigstore.WithoutStatementPredicate(),
	}
	stamps := len(b.GetVerificationMaterial().GetTimestampVerificationData().GetRfc3161Timestamps())
	integrated := false
	for _, e := range b.GetVerificationMaterial().GetTlogEntries() {
		integrated = integrated || e.GetIntegratedTime() != 0
	}
	if !integrated && stamps == 0 {
		return nil, errors.New("no timestamp: nothing says when it was made, so nobody knows whether the certificate was valid then")
	}
	if stamps > 0 {
		options = append(options, sigstore.WithSignedTimestamps(stamps))
	}
	if integrated {
		options = append(options, sigstore.WithIntegratedTimestamps(1))
	}
	v, err := sigstore.NewVerifier(r.material, options...)
	if err != nil {
		return nil, fmt.Errorf("trusted root: %w", err)
	}
	return v, nil
}
