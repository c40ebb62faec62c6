package verify_test

import (
	"context"
	"crypto"
	"crypto/ecdsa"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"strings"
	"testing"

	"github.com/opencontainers/go-digest"

	"github.com/consign-dev/consign/internal/keys"
	"github.com/consign-dev/consign/internal/reason"
	"github.com/consign-dev/consign/internal/sign"
	"github.com/consign-dev/consign/internal/verify"
	"github.com/consign-dev/consign/policy"
)

var signed = sign.Subject{Name: "line-monitor/1.4.0", Digest: digest.FromString("a bundle")}

func ok[T any](v T, err error) T {
	if err != nil {
		panic(err)
	}
	return v
}

// statement is a template for in-toto statements: type, subjects, predicate type.
const statement = `{"_type":%q,"subject":[%s],"predicateType":%q,"predicate":{}}`

func subject(name, digests string) string {
	return fmt.Sprintf(`{"name":%q,"digest":{%s}}`, name, digests)
}

func sha256Of(d digest.Digest) string { return `"sha256":"` + d.Encoded() + `"` }

// forge makes a bundle by hand: a good signature of key over any payload.
func forge(key crypto.Signer, payloadType, payload string) map[string]any {
	pae := fmt.Sprintf("DSSEv1 %d %s %d %s", len(payloadType), payloadType, len(payload), payload)
	sum := sha256.Sum256([]byte(pae))
	sig := ok(ecdsa.SignASN1(rand.Reader, key.(*ecdsa.PrivateKey), sum[:]))
	return map[string]any{
		"mediaType":            sign.MediaType,
		"verificationMaterial": map[string]any{"publicKey": map[string]any{"hint": ok(keys.Hint(key.Public()))}},
		"dsseEnvelope": map[string]any{
			"payload":     base64.StdEncoding.EncodeToString([]byte(payload)),
			"payloadType": payloadType,
			"signatures":  []any{map[string]any{"sig": base64.StdEncoding.EncodeToString(sig)}},
		},
	}
}

func encode(bundle map[string]any) []byte { return ok(json.Marshal(bundle)) }

func goodStatement() string {
	return fmt.Sprintf(statement, sign.StatementType, subject(signed.Name, sha256Of(signed.Digest)), sign.PredicateType)
}

// check reads evidence and verifies it by keys alone.
func check(data []byte, subject sign.Subject, accepted []crypto.PublicKey) (policy.Signer, error) {
	e, err := verify.ParseEvidence(data)
	if err != nil {
		return policy.Signer{}, err
	}
	return only(e.CheckSignature(subject, verify.Accepted{Keys: accepted}))
}

// only is the one signer.
func only(signers []policy.Signer, err error) (policy.Signer, error) {
	if err != nil {
		return policy.Signer{}, err
	}
	if len(signers) != 1 {
		return policy.Signer{}, fmt.Errorf("%d signers", len(signers))
	}
	return signers[0], nil
}

func TestCheckSignatureNamesTheSigner(t *testing.T) {
	other, mine := ok(keys.Generate()), ok(keys.Generate())
	accepted := []crypto.PublicKey{other.Public(), mine.Public()}
	for name, data := range map[string][]byte{
		"ours":    ok(sign.Bundle(context.Background(), signed, sign.Key{Private: mine})),
		"by hand": encode(forge(mine, sign.PayloadType, goodStatement())),
	} {
		got, err := check(data, signed, accepted)
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		if got.KeyID != ok(keys.ID(mine.Public())) {
			t.Errorf("%s: signer %v", name, got)
		}
	}
}

func TestCheckSignatureRefuses(t *testing.T) {
	key, stranger := ok(keys.Generate()), ok(keys.Generate())
	accepted := []crypto.PublicKey{key.Public()}
	is := func(payload string) []byte { return encode(forge(key, sign.PayloadType, payload)) }
	about := func(subjects string) []byte {
		return is(fmt.Sprintf(statement, sign.StatementType, subjects, sign.PredicateType))
	}
	// edit changes one thing in a good bundle.
	edit := func(change func(bundle, material, envelope map[string]any)) []byte {
		b := forge(key, sign.PayloadType, goodStatement())
		change(b, b["verificationMaterial"].(map[string]any), b["dsseEnvelope"].(map[string]any))
		return encode(b)
	}
	good := string(encode(forge(key, sign.PayloadType, goodStatement())))
	hash := sha256Of(signed.Digest)
	wrong := digest.FromString("another bundle")

	for name, c := range map[string]struct {
		data []byte
		code reason.Code
		want string
	}{
		"T1: a key nobody accepts": {encode(forge(stranger, sign.PayloadType, goodStatement())), reason.UntrustedSigner, "none of the 1 accepted"},
		"lying hint": {func() []byte {
			b := forge(stranger, sign.PayloadType, goodStatement())
			b["verificationMaterial"] = map[string]any{"publicKey": map[string]any{"hint": ok(keys.Hint(key.Public()))}}
			return encode(b)
		}(), reason.Signature, ok(keys.ID(key.Public()))},
		"no hint":     {edit(func(_, m, _ map[string]any) { m["publicKey"] = map[string]any{} }), reason.UntrustedSigner, "names no key"},
		"no material": {edit(func(b, _, _ map[string]any) { delete(b, "verificationMaterial") }), reason.Malformed, "verification material"},
		"certificate": {edit(func(b, _, _ map[string]any) {
			b["verificationMaterial"] = map[string]any{"certificate": map[string]any{"rawBytes": "AAAA"}}
		}), reason.UntrustedSigner, "certificate"},
		"S15: chain": {edit(func(b, _, _ map[string]any) {
			b["verificationMaterial"] = map[string]any{"x509CertificateChain": map[string]any{"certificates": make([]struct{}, 5000)}}
		}), reason.Malformed, "certificate"},
		"other format": {edit(func(b, _, _ map[string]any) { b["mediaType"] = "application/vnd.dev.sigstore.bundle+json;version=0.1" }), reason.Malformed, "mediaType"},
		"message signature": {edit(func(b, _, _ map[string]any) {
			delete(b, "dsseEnvelope")
			b["messageSignature"] = map[string]any{"messageDigest": map[string]any{"algorithm": "SHA2_256", "digest": "AAAA"}, "signature": "AAAA"}
		}), reason.Malformed, "no DSSE envelope"},

		"S1: another payload": {edit(func(_, _, e map[string]any) {
			e["payload"] = base64.StdEncoding.EncodeToString([]byte(strings.Replace(goodStatement(), "1.4.0", "6.6.6", 1)))
		}), reason.Signature, ok(keys.ID(key.Public()))},
		"S1: payload in base64 twice": {is(base64.StdEncoding.EncodeToString([]byte(goodStatement()))), reason.Malformed, "byte"},
		"S1: two payloads":            {[]byte(strings.Replace(good, `"payload":`, `"payload":"AAAA","payload":`, 1)), reason.Malformed, "duplicate"},
		"S1: two spellings":           {[]byte(strings.Replace(good, `"dsseEnvelope":`, `"dsse_envelope":{},"dsseEnvelope":`, 1)), reason.Malformed, "dsse"},
		"S1: trailing data":           {[]byte(good + good), reason.Malformed, "byte"},
		"S1: two signatures": {edit(func(_, _, e map[string]any) {
			s := e["signatures"].([]any)
			e["signatures"] = []any{s[0], s[0]}
		}), reason.Malformed, "2 signatures"},
		"S1: no signature":     {edit(func(_, _, e map[string]any) { e["signatures"] = []any{} }), reason.Malformed, "0 signatures"},
		"S1: two statements":   {is(goodStatement() + goodStatement()), reason.Malformed, "byte"},
		"S1: duplicate member": {is(strings.Replace(goodStatement(), `"_type"`, `"predicateType":"x","_type"`, 1)), reason.Malformed, "duplicate"},

		"S2: payload type":    {encode(forge(key, "application/json", goodStatement())), reason.Malformed, "payload type"},
		"S2: provenance":      {is(fmt.Sprintf(statement, sign.StatementType, subject(signed.Name, hash), "https://slsa.dev/provenance/v1")), reason.Signature, "which is no signature"},
		"S2: statement type":  {is(fmt.Sprintf(statement, "https://in-toto.io/Statement/v0.1", subject(signed.Name, hash), sign.PredicateType)), reason.Signature, "Statement/v0.1"},
		"S2: not a statement": {is(`{"key":"value"}`), reason.Signature, ok(keys.ID(key.Public()))},

		"S7: no subject":       {about(""), reason.Signature, "0 subjects"},
		"S7: two subjects":     {about(subject(signed.Name, hash) + "," + subject("other/1.0.0", hash)), reason.Signature, "2 subjects"},
		"S7: too many":         {about(strings.Repeat(subject(signed.Name, hash)+",", 16000) + subject("x", hash)), reason.TooLarge, "at most"},
		"S7: wrong digest":     {about(subject(signed.Name, sha256Of(wrong))), reason.Signature, wrong.String() + ", not " + signed.Digest.String()},
		"S7: sha1 only":        {about(subject(signed.Name, `"sha1":"da39a3ee5e6b4b0d3255bfef95601890afd80709"`)), reason.Signature, "exactly one sha256"},
		"S8: digests disagree": {about(subject(signed.Name, hash+`,"sha512":"00"`)), reason.Signature, "exactly one sha256"},
		"S8: upper case":       {about(subject(signed.Name, `"sha256":"`+strings.ToUpper(signed.Digest.Encoded())+`"`)), reason.Signature, "not " + signed.Digest.String()},
		"T10: another name":    {about(subject("other/1.4.0", hash)), reason.Signature, `is for "other/1.4.0", not for "line-monitor/1.4.0"`},
		"T10: another version": {about(subject("line-monitor/1.3.9", hash)), reason.Signature, "1.3.9"},

		"S15: huge":   {[]byte(good + strings.Repeat(" ", verify.MaxSignatureBytes)), reason.TooLarge, "at most"},
		"S15: deep":   {[]byte(`{"a":` + strings.Repeat("[", 100) + strings.Repeat("]", 100) + "}"), reason.TooLarge, "deeper"},
		"S16: empty":  {nil, reason.Malformed, ""},
		"S16: null":   {[]byte("null"), reason.Malformed, ""},
		"S16: nulls":  {[]byte(`{"mediaType":null,"verificationMaterial":null,"dsseEnvelope":null}`), reason.Malformed, ""},
		"S16: number": {[]byte(`{"dsseEnvelope":5}`), reason.Malformed, ""},
	} {
		t.Run(name, func(t *testing.T) {
			got, err := check(c.data, signed, accepted)
			if !reason.Is(err, c.code) || !strings.Contains(err.Error(), c.want) || got.KeyID != "" {
				t.Errorf("got %v, %v; want %s with %q", got, err, c.code, c.want)
			}
		})
	}
}

func TestCheckSignatureWithoutAcceptedKeysAcceptsNothing(t *testing.T) {
	data := ok(sign.Bundle(context.Background(), signed, sign.Key{Private: ok(keys.Generate())}))
	if _, err := check(data, signed, nil); !reason.Is(err, reason.UntrustedSigner) {
		t.Errorf("got %v, want untrusted-signer", err)
	}
}

// Bundles of other tools carry log entries. They are of no account here, so
// they must neither break a good signature nor help a bad one (attack S3).
func TestLogEntriesAreOfNoAccount(t *testing.T) {
	key := ok(keys.Generate())
	entries := []any{map[string]any{"logIndex": "1", "canonicalizedBody": "e30="}}
	b := forge(key, sign.PayloadType, goodStatement())
	b["verificationMaterial"].(map[string]any)["tlogEntries"] = entries
	if _, err := check(encode(b), signed, []crypto.PublicKey{key.Public()}); err != nil {
		t.Errorf("a good signature with a log entry: %v", err)
	}
	b = forge(ok(keys.Generate()), sign.PayloadType, goodStatement())
	b["verificationMaterial"] = map[string]any{"publicKey": map[string]any{"hint": ok(keys.Hint(key.Public()))}, "tlogEntries": entries}
	if _, err := check(encode(b), signed, []crypto.PublicKey{key.Public()}); !reason.Is(err, reason.Signature) {
		t.Errorf("a bad signature with a log entry: %v", err)
	}
}

func FuzzCheckSignature(f *testing.F) {
	key := ok(keys.Generate())
	accepted := []crypto.PublicKey{key.Public()}
	other := sign.Subject{Name: "other/1.0.0", Digest: digest.FromString("never signed")}
	f.Add(ok(sign.Bundle(context.Background(), signed, sign.Key{Private: key})))
	b := forge(key, sign.PayloadType, goodStatement())
	b["verificationMaterial"].(map[string]any)["tlogEntries"] = []any{map[string]any{"logIndex": "1"}}
	b["verificationMaterial"].(map[string]any)["timestampVerificationData"] = map[string]any{"rfc3161Timestamps": []any{map[string]any{"signedTimestamp": "AAAA"}}}
	f.Add(encode(b))
	for _, s := range []string{`{}`, `null`, `{"dsseEnvelope":{"signatures":[null]}}`, `{"verificationMaterial":{"publicKey":null}}`} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		if _, err := check(data, other, accepted); err == nil {
			t.Error("accepted for a subject that was never signed")
		} else if !reason.Of(err).Valid() || reason.Is(err, reason.Internal) || stumbled(err) {
			t.Errorf("refused without a reason: %v", err)
		}
	})
}
