package verify

import (
	"crypto/rsa"
	"crypto/x509"
	"encoding/asn1"
	"fmt"
)

// Bounds of one timestamp. The library verifies it with the key that it brings
// along before it asks whose that is, and reads its token by a parser whose work
// grows with the square of its length: a bundle of 240 KiB with one long RSA key
// took twenty seconds, and there are up to [MaxEvidence] of them (attack S15).
const (
	// maxTimestamp is three times what authorities with long chains send.
	maxTimestamp = 16 << 10
	// maxStampCertificates are a signer and those above it.
	maxStampCertificates = 4
	// maxStampRSA is what keys of a policy are bounded by, too, in bits.
	maxStampRSA = 4096
)

// The parts of a timestamp that are looked at here (RFC 3161, 2.4.2; RFC 5652,
// 3 and 5.1).
type (
	stampResponse struct {
		Status asn1.RawValue
		Token  stampToken
	}
	stampToken struct {
		Type   asn1.ObjectIdentifier
		Signed signedData `asn1:"explicit,tag:0"`
	}
	signedData struct {
		Version      int
		Digests      asn1.RawValue
		Content      asn1.RawValue
		Certificates asn1.RawValue   `asn1:"optional,tag:0"`
		CRLs         asn1.RawValue   `asn1:"optional,tag:1"`
		Signers      []asn1.RawValue `asn1:"set"`
	}
)

// checkTimestamp refuses a timestamp that would cost more than one signature. What
// it says is for the library to verify.
func checkTimestamp(der []byte) error {
	if len(der) > maxTimestamp {
		return fmt.Errorf("a timestamp of %d bytes, at most %d are read", len(der), maxTimestamp)
	}
	var r stampResponse
	if rest, err := asn1.Unmarshal(der, &r); err != nil || len(rest) > 0 {
		return fmt.Errorf("a timestamp that is not one response in DER: %v, %d bytes too many", err, len(rest))
	}
	if n := len(r.Token.Signed.Signers); n != 1 {
		return fmt.Errorf("a timestamp with %d signers, exactly one is read", n)
	}
	certs, err := x509.ParseCertificates(r.Token.Signed.Certificates.Bytes)
	if err != nil {
		return fmt.Errorf("a timestamp: certificates: %w", err)
	}
	if len(certs) > maxStampCertificates {
		return fmt.Errorf("a timestamp with %d certificates, at most %d are read", len(certs), maxStampCertificates)
	}
	for _, c := range certs {
		if key, ok := c.PublicKey.(*rsa.PublicKey); ok && key.N.BitLen() > maxStampRSA {
			return fmt.Errorf("a timestamp with an RSA key of %d bits, at most %d are read", key.N.BitLen(), maxStampRSA)
		}
	}
	return nil
}
