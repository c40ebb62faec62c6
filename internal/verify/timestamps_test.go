package verify_test

import (
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"encoding/base64"
	"fmt"
	"math/big"
	"strings"
	"testing"
)

// asn1Node is a DER value and what it holds, if it is constructed.
type asn1Node struct {
	class, tag int
	compound   bool
	bytes      []byte
	in         []*asn1Node
}

func parseDER(t testing.TB, der []byte) *asn1Node {
	t.Helper()
	var raw asn1.RawValue
	rest, err := asn1.Unmarshal(der, &raw)
	if err != nil || len(rest) > 0 {
		t.Fatalf("%v, %d bytes left", err, len(rest))
	}
	n := &asn1Node{class: raw.Class, tag: raw.Tag, compound: raw.IsCompound, bytes: raw.Bytes}
	for inner := raw.Bytes; raw.IsCompound && len(inner) > 0; {
		var one asn1.RawValue
		next, err := asn1.Unmarshal(inner, &one)
		if err != nil {
			t.Fatal(err)
		}
		n.in, inner = append(n.in, parseDER(t, one.FullBytes)), next
	}
	return n
}

func (n *asn1Node) der() []byte {
	content := n.bytes
	if n.compound {
		content = nil
		for _, in := range n.in {
			content = append(content, in.der()...)
		}
	}
	return ok(asn1.Marshal(asn1.RawValue{Class: n.class, Tag: n.tag, IsCompound: n.compound, Bytes: content}))
}

// response is the golden timestamp of a bundle (RFC 3161, TimeStampResp), taken
// apart; signedData is that of its token.
func response(t testing.TB) (whole, signedData *asn1Node) {
	t.Helper()
	var der []byte
	edited(t, "tag", func(d map[string]any) {
		der = ok(base64.StdEncoding.DecodeString(stamps(d)["rfc3161Timestamps"].([]any)[0].(map[string]any)["signedTimestamp"].(string)))
	})
	whole = parseDER(t, der)
	return whole, whole.in[1].in[1].in[0]
}

// stamped is a golden bundle with another timestamp.
func stamped(t testing.TB, der []byte) []byte {
	return edited(t, "tag", func(d map[string]any) {
		stamps(d)["rfc3161Timestamps"] = []any{map[string]any{"signedTimestamp": base64.StdEncoding.EncodeToString(der)}}
	})
}

// longKey is a timestamp that says it was signed by an RSA key of so many bits,
// which it brings along.
func longKey(t testing.TB, bits int) []byte {
	t.Helper()
	whole, data := response(t)
	signer := data.in[len(data.in)-1].in[0]
	var issuerAndSerial struct {
		Issuer pkix.RDNSequence
		Serial *big.Int
	}
	if _, err := asn1.Unmarshal(signer.in[1].der(), &issuerAndSerial); err != nil {
		t.Fatal(err)
	}
	cert := parseDER(t, withModulus(t, ok(base64.StdEncoding.DecodeString(namesake(t, 1, 1))), bits))
	tbs := cert.in[0]
	tbs.in[1].bytes, tbs.in[3] = issuerAndSerial.Serial.Bytes(), signer.in[1].in[0]
	if _, err := x509.ParseCertificate(cert.der()); err != nil {
		t.Fatal(err)
	}
	certificates := &asn1Node{class: asn1.ClassContextSpecific, compound: true, in: []*asn1Node{cert}}
	data.in = append(data.in[:3:3], certificates, data.in[len(data.in)-1])
	signer.in[len(signer.in)-2] = parseDER(t, ok(asn1.Marshal(pkix.AlgorithmIdentifier{Algorithm: asn1.ObjectIdentifier{1, 2, 840, 113549, 1, 1, 1}, Parameters: asn1.NullRawValue})))
	signer.in[len(signer.in)-1].bytes = append(make([]byte, bits/8-1), 2)
	return whole.der()
}

// nested is a timestamp whose token is one value inside another, without lengths.
func nested(t testing.TB, depth int) []byte {
	t.Helper()
	whole, _ := response(t)
	token := whole.in[1]
	inner := make([]byte, 0, 4*depth)
	for range depth {
		inner = append(inner, 0x30, 0x80)
	}
	inner = append(inner, 0x05, 0x00)
	for range depth {
		inner = append(inner, 0, 0)
	}
	token.in = []*asn1Node{{class: asn1.ClassUniversal, tag: asn1.TagSequence, compound: false, bytes: inner}}
	head := ok(asn1.Marshal(asn1.RawValue{Class: asn1.ClassUniversal, Tag: asn1.TagSequence, IsCompound: true, Bytes: inner}))
	return ok(asn1.Marshal(asn1.RawValue{Class: asn1.ClassUniversal, Tag: asn1.TagSequence, IsCompound: true, Bytes: append(whole.in[0].der(), head...)}))
}

// oldEntry is a log entry of Rekor v1 that brings its own key, which would be used
// as the entry is read.
func oldEntry(t testing.TB, d map[string]any, bits int) map[string]any {
	t.Helper()
	cert := ok(x509.ParseCertificate(withModulus(t, ok(base64.StdEncoding.DecodeString(namesake(t, 1, 1))), bits)))
	key := "-----BEGIN PUBLIC KEY-----\n" + base64.StdEncoding.EncodeToString(cert.RawSubjectPublicKeyInfo) + "\n-----END PUBLIC KEY-----\n"
	sig := base64.StdEncoding.EncodeToString(append(make([]byte, bits/8-1), 2))
	e := entry(d)
	e["canonicalizedBody"] = body(fmt.Sprintf(`{"apiVersion":"0.0.1","kind":"hashedrekord","spec":{"data":{"hash":{"algorithm":"sha256","value":%q}},"signature":{"content":%q,"publicKey":{"content":%q}}}}`,
		strings.Repeat("a", 64), sig, body(key)))
	e["kindVersion"] = map[string]any{"kind": "hashedrekord", "version": "0.0.1"}
	return e
}
