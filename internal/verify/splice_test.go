package verify_test

import (
	"bytes"
	"crypto/ed25519"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/opencontainers/go-digest"
	"github.com/sigstore/sigstore-go/pkg/bundle"
	"github.com/sigstore/sigstore-go/pkg/root"
	sigstore "github.com/sigstore/sigstore-go/pkg/verify"

	"github.com/consign-dev/consign/internal/reason"
	"github.com/consign-dev/consign/internal/sign"
	"github.com/consign-dev/consign/internal/verify"
	"github.com/consign-dev/consign/policy"
)

// another is a genuine bundle, for parts to be taken from.
func another(t testing.TB, name string) map[string]any {
	var out map[string]any
	edited(t, name, func(d map[string]any) { out = d })
	return out
}

// TestAttackS3SplicedLogEntry: the log has an entry of another signature, by the
// same signer and by another, and what belongs to that entry is spliced in with it,
// piece by piece, until the envelope alone is the attacker's. Each piece is genuine
// where it comes from.
//
// That the entry is this bundle's is for sigstore-go to see: it makes the leaf
// from envelope, signature and certificate, and looks for that in the tree. The
// attacks reach it, and no switch of ours turns it off.
func TestAttackS3SplicedLogEntry(t *testing.T) {
	for _, from := range []string{"another-subject", "branch", "person"} {
		for name, parts := range map[string][]string{
			"entry":                    {"tlogEntries"},
			"entry and time":           {"tlogEntries", "timestampVerificationData"},
			"entry and certificate":    {"tlogEntries", "certificate"},
			"everything":               {"tlogEntries", "certificate", "timestampVerificationData"},
			"everything but the entry": {"certificate", "timestampVerificationData"},
		} {
			data := edited(t, "tag", func(d map[string]any) {
				for _, p := range parts {
					material(d)[p] = material(another(t, from))[p]
				}
			})
			refusesSplice(t, from+": "+name, data, golden(t, "trusted_root"))
		}
		refusesSplice(t, from+": signature", edited(t, "tag", func(d map[string]any) {
			d["dsseEnvelope"].(map[string]any)["signatures"] = another(t, from)["dsseEnvelope"].(map[string]any)["signatures"]
		}), golden(t, "trusted_root"))
		refusesSplice(t, from+": proof", edited(t, "tag", func(d map[string]any) {
			entry(d)["inclusionProof"] = entry(another(t, from))["inclusionProof"]
		}), golden(t, "trusted_root"))
		refusesSplice(t, from+": beside its own", edited(t, "tag", func(d map[string]any) {
			material(d)["tlogEntries"] = []any{entry(d), entry(another(t, from))}
		}), golden(t, "trusted_root"))
	}
}

func refusesSplice(t *testing.T, name string, data, trusted []byte) {
	t.Helper()
	if got, err := checkCertified(data, trusted, signed); !reason.Is(err, reason.Signature) || got.Subject != "" {
		t.Errorf("%s: %+v, %v", name, got, err)
	}
}

// TestAttackS3EntryUnderAnotherForm: a checkpoint of the form of Rekor v1 above an
// entry of v2, and the other way round. Under the first, sigstore-go compares the
// entry with nothing of the bundle, as this test shows: an entry of anybody's would
// do for everybody's signature.
func TestAttackS3EntryUnderAnotherForm(t *testing.T) {
	l := newLog("127.0.0.1")
	tr := l.shows(leafOf(t, "branch"))
	tr.checkpoint = l.ofV1(tr)
	data := logged(t, "tag", l.entry(tr, 0))
	if err := bare(data, l.trusted(t)); err != nil {
		t.Errorf("the library alone: %v", err)
	}
	refusesSplice(t, "v2 under v1", data, l.trusted(t))

	own := l.shows(leafOf(t, "tag"))
	e := l.entry(own, 0)
	e["kindVersion"] = map[string]any{"kind": "dsse", "version": "0.0.1"}
	e["canonicalizedBody"] = body(ofV1(t, "tag"))
	data = logged(t, "tag", e)
	if err := bare(data, l.trusted(t)); err != nil {
		t.Errorf("the library alone: %v", err)
	}
	refusesSplice(t, "v1 under v2", data, l.trusted(t))
}

// ofV1 is a checkpoint of a tree as Rekor v1 signs it.
func (l *ownLog) ofV1(tr *tree) string {
	text := fmt.Sprintf("log - 1\n%d\n%s\n", len(tr.leaves), base64.StdEncoding.EncodeToString(rootOf(tr.leaves)))
	id := sha256.Sum256(l.pkix())
	sig := append(slices.Clone(id[:4]), ed25519.Sign(l.key, []byte(text))...)
	return text + "\n\u2014 log " + base64.StdEncoding.EncodeToString(sig) + "\n"
}

// ofV1 is what Rekor v1 would keep of a golden bundle.
func ofV1(t testing.TB, name string) string {
	d := another(t, name)
	env := d["dsseEnvelope"].(map[string]any)
	sum := sha256.Sum256(ok(base64.StdEncoding.DecodeString(env["payload"].(string))))
	der := material(d)["certificate"].(map[string]any)["rawBytes"].(string)
	pem := "-----BEGIN CERTIFICATE-----\n" + der + "\n-----END CERTIFICATE-----\n"
	hash := fmt.Sprintf(`{"algorithm":"sha256","value":%q}`, hex.EncodeToString(sum[:]))
	return fmt.Sprintf(`{"apiVersion":"0.0.1","kind":"dsse","spec":{"envelopeHash":%s,"payloadHash":%s,"signatures":[{"signature":%q,"verifier":%q}]}}`,
		hash, hash, env["signatures"].([]any)[0].(map[string]any)["sig"], body(pem))
}

// bare is what the library alone says of a bundle.
func bare(data, trusted []byte) error {
	material, err := root.NewTrustedRootFromJSON(trusted)
	if err != nil {
		return err
	}
	v, err := sigstore.NewVerifier(material, sigstore.WithSignedCertificateTimestamps(1), sigstore.WithTransparencyLog(1), sigstore.WithSignedTimestamps(1))
	if err != nil {
		return err
	}
	var b bundle.Bundle
	if err := b.UnmarshalJSON(data); err != nil {
		return err
	}
	_, err = v.Verify(&b, sigstore.NewPolicy(sigstore.WithoutArtifactUnsafe(), sigstore.WithoutIdentitiesUnsafe()))
	return err
}

// TestAttackS10OneLogTwice: several entries of one log, or of one signature, are
// worth no more than one. There is nothing that they could add up to: a policy asks
// for signers and witnesses, never for a number of entries or logs, and every entry
// must be good. sigstore-go refuses the same entry twice, and counts logs.
func TestAttackS10OneLogTwice(t *testing.T) {
	l := newLog("127.0.0.1")
	leaf := leafOf(t, "tag")
	tr := l.shows(leaf, leaf)
	one, two := l.entry(tr, 0), l.entry(tr, 1)
	refusesSplice(t, "one entry twice", logged(t, "tag", one, one), l.trusted(t))
	if err := bare(logged(t, "tag", one, one), l.trusted(t)); err == nil || !strings.Contains(err.Error(), "duplicate") {
		t.Errorf("the library says %v", err)
	}
	refusesSplice(t, "a good and a bad one", logged(t, "tag", one, l.entry(l.shows(leafOf(t, "branch"), leaf), 0)), l.trusted(t))

	rule := release()
	rule.Identities = append(rule.Identities, rule.Identities[0])
	rule.Identities[1].Claims.BuildTrigger, rule.Threshold = "", 2 // two identities that one signer fits
	signers := []policy.Signer{signerOfLogged(t, l, one, two), signerOfLogged(t, l, one), signerOfLogged(t, l, two)}
	if _, err := rule.Check(signers); !reason.Is(err, reason.Threshold) {
		t.Errorf("two entries, and three bundles of one signature, count for %v", err)
	}
}

func signerOfLogged(t *testing.T, l *ownLog, entries ...any) policy.Signer {
	t.Helper()
	got, err := checkCertified(logged(t, "tag", entries...), l.trusted(t), signed)
	if err != nil {
		t.Fatal(err)
	}
	return got
}

// TestAttackS1OnePayload: who says anything beside what was signed is not heard.
func TestAttackS1OnePayload(t *testing.T) {
	envelope := func(d map[string]any) map[string]any { return d["dsseEnvelope"].(map[string]any) }
	text := string(golden(t, "tag"))
	evil := another(t, "another-subject")
	payload := envelope(another(t, "tag"))["payload"].(string)
	forged := strings.ReplaceAll(goodStatement(), signed.Digest.Encoded(), strings.Repeat("6", 64))
	for name, data := range map[string][]byte{
		"another payload":           edited(t, "tag", func(d map[string]any) { envelope(d)["payload"] = body(forged) }),
		"another's envelope":        edited(t, "tag", func(d map[string]any) { d["dsseEnvelope"] = evil["dsseEnvelope"] }),
		"base64 twice":              edited(t, "tag", func(d map[string]any) { envelope(d)["payload"] = body(payload) }),
		"payload in URL base64":     edited(t, "tag", func(d map[string]any) { envelope(d)["payload"] = body(forged + "??>>") }),
		"longer payload":            edited(t, "tag", func(d map[string]any) { envelope(d)["payload"] = body(goodStatement() + " ") }),
		"two payloads":              []byte(strings.Replace(text, `"payload":`, `"payload":"`+body(forged)+`","payload":`, 1)),
		"two payloads, the other":   []byte(strings.Replace(text, `"payloadType":`, `"payload":"`+body(forged)+`","payloadType":`, 1)),
		"two envelopes":             []byte(strings.Replace(text, `"dsseEnvelope":`, `"dsseEnvelope":`+string(encode(envelope(evil)))+`,"dsseEnvelope":`, 1)),
		"second spelling":           edited(t, "tag", func(d map[string]any) { d["dsse_envelope"] = evil["dsseEnvelope"] }),
		"a message beside it":       edited(t, "tag", func(d map[string]any) { d["messageSignature"] = map[string]any{"signature": "AAAA"} }),
		"unknown second envelope":   edited(t, "tag", func(d map[string]any) { d["envelope"] = evil["dsseEnvelope"] }),
		"statement in the clear":    edited(t, "tag", func(d map[string]any) { d["statement"] = map[string]any{"subject": []any{}} }),
		"payload inside a payload":  edited(t, "tag", func(d map[string]any) { envelope(d)["payload"] = body(string(encode(evil))) }),
		"no signature":              edited(t, "tag", func(d map[string]any) { envelope(d)["signatures"] = []any{} }),
		"another's signature first": edited(t, "tag", func(d map[string]any) { envelope(d)["signatures"] = append(signatures(evil), signatures(d)...) }),
		"another's signature last":  edited(t, "tag", func(d map[string]any) { envelope(d)["signatures"] = append(signatures(d), signatures(evil)...) }),
		"trailing document":         append([]byte(text), encode(evil)...),
	} {
		got, err := checkCertified(data, golden(t, "trusted_root"), signed)
		if bytes.Equal(data, golden(t, "tag")) || got.Subject != "" || !reason.Is(err, reason.Signature) && !reason.Is(err, reason.Malformed) {
			t.Errorf("%s: %+v, %v", name, got, err)
		}
	}
}

func signatures(d map[string]any) []any {
	return slices.Clone(d["dsseEnvelope"].(map[string]any)["signatures"].([]any))
}

// TestAttackS1SwappedAfterReading: whoever lent the bytes changes them when they
// have been read, before and after they are verified.
func TestAttackS1SwappedAfterReading(t *testing.T) {
	const room = 16 << 10
	padded := func(data []byte) []byte { return append(data, bytes.Repeat([]byte(" "), room-len(data))...) }
	data, swapped := padded(golden(t, "tag")), padded(golden(t, "another-subject"))
	e := ok(verify.ParseEvidence(data))
	accepted := verify.Accepted{Roots: map[string]*verify.TrustedRoot{"private": ok(verify.ParseTrustedRoot(golden(t, "trusted_root")))}}
	for range 2 {
		copy(data, swapped)
		if got, err := only(e.CheckSignature(signed, accepted)); err != nil || got.Subject == "" {
			t.Errorf("what was read: %+v, %v", got, err)
		}
		if _, err := e.CheckSignature(elsewhere(t), accepted); !reason.Is(err, reason.Signature) {
			t.Errorf("what lies there now: %v", err)
		}
	}
}

// elsewhere is what the golden bundle another-subject is about.
func elsewhere(t testing.TB) sign.Subject {
	other := sign.Subject{Name: signed.Name, Digest: digest.FromString("another bundle")}
	if _, err := checkCertified(golden(t, "another-subject"), golden(t, "trusted_root"), other); err != nil {
		t.Fatal(err)
	}
	return other
}
