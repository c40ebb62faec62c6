package verify_test

import (
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/opencontainers/go-digest"

	"github.com/consign-dev/consign/internal/keys"
	"github.com/consign-dev/consign/internal/reason"
	"github.com/consign-dev/consign/internal/sign"
	"github.com/consign-dev/consign/internal/verify"
	"github.com/consign-dev/consign/policy"
)

// golden reads a file that tools/goldens made with a real Sigstore.
func golden(t testing.TB, name string) []byte {
	t.Helper()
	data, err := os.ReadFile(filepath.Join("testdata", "certified", name+".json"))
	if err != nil {
		t.Fatal(err)
	}
	return data
}

// edited reads a golden file and lets edit change it.
func edited(t testing.TB, name string, edit func(doc map[string]any)) []byte {
	t.Helper()
	var doc map[string]any
	if err := json.Unmarshal(golden(t, name), &doc); err != nil {
		t.Fatal(err)
	}
	edit(doc)
	return encode(doc)
}

func checkCertified(data, trustedRoot []byte, subject sign.Subject) (policy.Signer, error) {
	root, err := verify.ParseTrustedRoot(trustedRoot)
	if err != nil {
		return policy.Signer{}, err
	}
	e, err := verify.ParseEvidence(data)
	if err != nil {
		return policy.Signer{}, err
	}
	return only(e.CheckSignature(subject, verify.Accepted{Roots: map[string]*verify.TrustedRoot{"private": root}}))
}

// release is the rule that the pipeline of acme/hello satisfies.
func release() policy.SignatureRule {
	return policy.SignatureRule{Role: "supplier", Threshold: 1, Identities: []policy.Identity{{
		TrustedRoot: "private", Issuer: issuerOf("github"),
		Subject: `^https://git\.example\.test/acme/hello/\.github/workflows/release\.yml@refs/tags/v[0-9.]+$`,
		Claims: policy.Claims{
			SourceRepositoryURI: "https://git.example.test/acme/hello", SourceRepositoryRef: `^refs/tags/v[0-9.]+$`,
			BuildTrigger: "push", RunnerEnvironment: "github-hosted",
		},
	}}}
}

// issuerOf is the issuer of the golden files, whose port is another each time
// that they are made.
func issuerOf(kind string) string {
	data, err := os.ReadFile(filepath.Join("testdata", "certified", "tag.json"))
	if err != nil {
		panic(err)
	}
	_, signer := verify.UnverifiedSigner(data)
	return strings.TrimSuffix(signer.Issuer, "github") + kind
}

func TestCertifiedSignatureNamesItsSigner(t *testing.T) {
	got, err := checkCertified(golden(t, "tag"), golden(t, "trusted_root"), signed)
	if err != nil {
		t.Fatal(err)
	}
	if got.TrustedRoot != "private" || got.Claims.SourceRepositoryURI != "https://git.example.test/acme/hello" || got.KeyID != "" {
		t.Errorf("the signer is %+v", got)
	}
	if _, err := release().Check([]policy.Signer{got}); err != nil {
		t.Error(err)
	}
	for name, subject := range map[string]string{
		"person": "release@acme.example", "gitlab": "https://git.example.test/acme/hello//.gitlab-ci.yml@refs/heads/main",
		"unnamed": "https://git.example.test/acme/hello/.github/workflows/release.yml@refs/tags/v1.0.0",
	} {
		got, err := checkCertified(golden(t, name), golden(t, "trusted_root"), signed)
		if err != nil || got.Subject != subject {
			t.Errorf("%s: %+v, %v", name, got, err)
		}
	}
}

// TestAttackS5CertificatesOfOthers: each has a good signature by a certificate of
// the same instance, and one wrong claim.
func TestAttackS5CertificatesOfOthers(t *testing.T) {
	for name, says := range map[string]string{
		"branch": "refs/heads/main", "fork": "evil", "workflow": "test.yml", "caller": "evil", "ref": "refs/heads/main",
		"trigger": "pull_request", "runner": "self-hosted", "gitlab": "issuer", "person": "issuer",
	} {
		got, err := checkCertified(golden(t, name), golden(t, "trusted_root"), signed)
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		if _, err := release().Check([]policy.Signer{got}); !reason.Is(err, reason.Identity) || !strings.Contains(err.Error(), says) {
			t.Errorf("%s: %v, want an identity refused that says %s", name, err, says)
		}
	}
}

// material is the part of a bundle beside the envelope.
func material(doc map[string]any) map[string]any {
	return doc["verificationMaterial"].(map[string]any)
}

func entry(doc map[string]any) map[string]any {
	return material(doc)["tlogEntries"].([]any)[0].(map[string]any)
}

func stamps(doc map[string]any) map[string]any {
	return material(doc)["timestampVerificationData"].(map[string]any)
}

// other is a second genuine bundle, for parts to be taken from.
func other(t *testing.T) map[string]any {
	t.Helper()
	var doc map[string]any
	if err := json.Unmarshal(golden(t, "branch"), &doc); err != nil {
		t.Fatal(err)
	}
	return doc
}

// flipped changes a bit in the middle of base64.
func flipped(text any) string {
	data := ok(base64.StdEncoding.DecodeString(text.(string)))
	data[len(data)/2] ^= 1
	return base64.StdEncoding.EncodeToString(data)
}

func body(text string) string { return base64.StdEncoding.EncodeToString([]byte(text)) }

// TestAttackS15RequestsToALog: an entry whose text is what somebody would ask a
// log to verify, with as many keys and signatures as they like, is not looked at.
func TestAttackS15RequestsToALog(t *testing.T) {
	for name, c := range map[string]struct{ text, want string }{
		"dsse":    {`{"apiVersion":"0.0.1","kind":"dsse","spec":{"proposedContent":{"envelope":"{}","verifiers":[]}}}`, "request to a log"},
		"intoto":  {`{"apiVersion":"0.0.2","kind":"intoto","spec":{"content":{"envelope":{"payload":"","signatures":[]}}}}`, "request to a log"},
		"long":    {`{"kind":"` + strings.Repeat("x", 40<<10) + `"}`, "log entry"},
		"no JSON": {"x", "log entry"},
		"two":     {`{"spec":{}}{"spec":{}}`, "log entry"},
		"case":    {`{"spec":{"ProposedContent":{}}}`, "log entry"},
	} {
		data := edited(t, "tag", func(d map[string]any) { entry(d)["canonicalizedBody"] = body(c.text) })
		if got, err := checkCertified(data, golden(t, "trusted_root"), signed); !reason.Is(err, reason.Signature) || got.Subject != "" || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %+v, %v", name, got, err)
		}
	}
}

// TestEntryIsRebuilt: what a log entry says is made from the signature, not read,
// so another text there changes nothing.
func TestEntryIsRebuilt(t *testing.T) {
	data := edited(t, "tag", func(d map[string]any) {
		entry(d)["canonicalizedBody"] = entry(other(t))["canonicalizedBody"]
	})
	if _, err := checkCertified(data, golden(t, "trusted_root"), signed); err != nil {
		t.Error(err)
	}
}

// TestAttackS2SignaturesOnSomethingElse: the right signer, about another bundle,
// another version, or in another kind of statement.
func TestAttackS2SignaturesOnSomethingElse(t *testing.T) {
	version := signed
	version.Name = "line-monitor/1.5.0"
	for name, subject := range map[string]sign.Subject{"another-subject": signed, "another-kind": signed, "tag": version} {
		if _, err := checkCertified(golden(t, name), golden(t, "trusted_root"), subject); !reason.Is(err, reason.Signature) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// TestAttackS11PartsOfABundle takes away, exchanges and changes what shows that a
// certificate was valid when its signature was made.
func TestAttackS11PartsOfABundle(t *testing.T) {
	repeated := func(list any, n int) []any {
		var out []any
		for range n {
			out = append(out, list.([]any)...)
		}
		return out
	}
	for name, c := range map[string]struct {
		edit func(doc map[string]any)
		want string
	}{
		"no timestamp":       {func(d map[string]any) { delete(material(d), "timestampVerificationData") }, "no timestamp"},
		"no log entry":       {func(d map[string]any) { delete(material(d), "tlogEntries") }, "log"},
		"no inclusion proof": {func(d map[string]any) { delete(entry(d), "inclusionProof") }, ""},
		"a second entry without a proof": {func(d map[string]any) {
			e := other(t)
			delete(entry(e), "inclusionProof")
			material(d)["tlogEntries"] = append(material(d)["tlogEntries"].([]any), entry(e))
		}, "inclusion proof"},
		"a second timestamp of another's": {func(d map[string]any) {
			stamps(d)["rfc3161Timestamps"] = append(stamps(d)["rfc3161Timestamps"].([]any), stamps(other(t))["rfc3161Timestamps"].([]any)...)
		}, "timestamp"},
		"another's timestamp": {func(d map[string]any) {
			material(d)["timestampVerificationData"] = material(other(t))["timestampVerificationData"]
		}, "timestamp"},
		"S3: another's entry":     {func(d map[string]any) { material(d)["tlogEntries"] = material(other(t))["tlogEntries"] }, ""},
		"another's certificate":   {func(d map[string]any) { material(d)["certificate"] = material(other(t))["certificate"] }, ""},
		"another's envelope":      {func(d map[string]any) { d["dsseEnvelope"] = other(t)["dsseEnvelope"] }, ""},
		"S15: timestamps":         {func(d map[string]any) { stamps(d)["rfc3161Timestamps"] = repeated(stamps(d)["rfc3161Timestamps"], 9) }, "at most"},
		"S15: entries":            {func(d map[string]any) { material(d)["tlogEntries"] = repeated(material(d)["tlogEntries"], 9) }, "at most"},
		"S16: no certificate":     {func(d map[string]any) { material(d)["certificate"] = map[string]any{"rawBytes": ""} }, "certificate"},
		"S16: half a certificate": {func(d map[string]any) { material(d)["certificate"] = map[string]any{"rawBytes": "MIIGjDCCBjI="} }, "certificate"},
		"an integrated time":      {func(d map[string]any) { entry(d)["integratedTime"] = "1700000000" }, ""},
	} {
		got, err := checkCertified(edited(t, "tag", c.edit), golden(t, "trusted_root"), signed)
		if err == nil || got.Subject != "" || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %+v, %v; want a refusal with %q", name, got, err, c.want)
		}
		if err != nil && !reason.Is(err, reason.Signature) && !reason.Is(err, reason.Malformed) {
			t.Errorf("%s: reason %s", name, reason.Of(err))
		}
	}
}

// authority is the first of one kind in a trusted root.
func authority(doc map[string]any, kind string) map[string]any {
	a := doc[kind].([]any)[0].(map[string]any)
	if key, ok := a["publicKey"].(map[string]any); ok {
		return key
	}
	return a
}

// TestAttackS12WindowsOfTrust: an authority or a log that was not in use when the
// signature was made counts for nothing; one that is not in use any more counts
// for what it vouched for then.
func TestAttackS12WindowsOfTrust(t *testing.T) {
	long, soon := "2020-01-01T00:00:00Z", "2020-01-02T00:00:00Z"
	future := "2999-01-01T00:00:00Z"
	for _, kind := range []string{"tlogs", "certificateAuthorities", "ctlogs", "timestampAuthorities"} {
		for name, c := range map[string]struct {
			window map[string]any
			good   bool
		}{
			"over before": {map[string]any{"start": long, "end": soon}, false},
			"not begun":   {map[string]any{"start": future}, false},
			"over since":  {map[string]any{"start": long, "end": future}, true},
		} {
			root := edited(t, "trusted_root", func(doc map[string]any) { authority(doc, kind)["validFor"] = c.window })
			got, err := checkCertified(golden(t, "tag"), root, signed)
			if c.good && err != nil || !c.good && (err == nil || got.Subject != "") {
				t.Errorf("%s, %s: %+v, %v", kind, name, got, err)
			}
		}
	}
}

// TestAttackS13AnotherRoot: keys of others under the same names.
func TestAttackS13AnotherRoot(t *testing.T) {
	for name, edit := range map[string]func(doc map[string]any){
		"log key": func(doc map[string]any) {
			authority(doc, "tlogs")["rawBytes"] = "MCowBQYDK2VwAyEA11qYAYKxCrfVS/7TyWQHOg7hcvPapiMlrwIaaPcHURo="
		},
		"CT log key": func(doc map[string]any) { authority(doc, "ctlogs")["rawBytes"] = otherKey(t) },
		"authorities": func(doc map[string]any) {
			doc["certificateAuthorities"].([]any)[0].(map[string]any)["certChain"] = doc["timestampAuthorities"].([]any)[0].(map[string]any)["certChain"]
		},
	} {
		if got, err := checkCertified(golden(t, "tag"), edited(t, "trusted_root", edit), signed); err == nil || got.Subject != "" {
			t.Errorf("%s: %+v, %v", name, got, err)
		}
	}
	// Under two roots that share an authority the signer is named for the one whose
	// log it is, whatever the order of their names.
	changed := ok(verify.ParseTrustedRoot(edited(t, "trusted_root", func(doc map[string]any) { authority(doc, "ctlogs")["rawBytes"] = otherKey(t) })))
	genuine := ok(verify.ParseTrustedRoot(golden(t, "trusted_root")))
	for _, name := range []string{"a", "z"} {
		got, err := only(ok(verify.ParseEvidence(golden(t, "tag"))).CheckSignature(signed, verify.Accepted{Roots: map[string]*verify.TrustedRoot{"m": changed, name: genuine}}))
		if err != nil || got.TrustedRoot != name {
			t.Errorf("beside another root: %+v, %v", got, err)
		}
	}
	// No root at all, and one that the rule does not name.
	e := ok(verify.ParseEvidence(golden(t, "tag")))
	if _, err := e.CheckSignature(signed, verify.Accepted{}); !reason.Is(err, reason.UntrustedSigner) {
		t.Errorf("without a trusted root: %v", err)
	}
}

func otherKey(t *testing.T) string {
	t.Helper()
	return base64.StdEncoding.EncodeToString(ok(x509.MarshalPKIXPublicKey(ok(keys.Generate()).Public())))
}

func TestTrustedRootIsRefused(t *testing.T) {
	without := func(kind string) []byte {
		return edited(t, "trusted_root", func(doc map[string]any) { delete(doc, kind) })
	}
	for name, c := range map[string]struct {
		data []byte
		code reason.Code
		want string
	}{
		"no CA":         {without("certificateAuthorities"), reason.Malformed, "certificateAuthorities"},
		"no log":        {without("tlogs"), reason.Malformed, "tlogs"},
		"no CT log":     {without("ctlogs"), reason.Malformed, "ctlogs"},
		"no media type": {without("mediaType"), reason.Malformed, "trusted root"},
		"bad key":       {edited(t, "trusted_root", func(doc map[string]any) { authority(doc, "tlogs")["rawBytes"] = "AAAA" }), reason.Malformed, "trusted root"},
		"twice":         {[]byte(`{"mediaType":"a","mediaType":"b"}`), reason.Malformed, "mediaType"},
		"huge":          {make([]byte, verify.MaxTrustedRootBytes+1), reason.TooLarge, ""},
		"empty":         {nil, reason.Malformed, ""},
		"null":          {[]byte("null"), reason.Malformed, ""},
	} {
		if _, err := verify.ParseTrustedRoot(c.data); !reason.Is(err, c.code) || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v, want %s with %q", name, err, c.code, c.want)
		}
	}
}

// FuzzTrustedRoot: whatever is read as a trusted root, a signature is judged by it.
func FuzzTrustedRoot(f *testing.F) {
	f.Add(golden(f, "trusted_root"))
	bundle := golden(f, "tag")
	f.Fuzz(func(t *testing.T, data []byte) {
		root, err := verify.ParseTrustedRoot(data)
		if err != nil && !reason.Is(err, reason.Malformed) && !reason.Is(err, reason.TooLarge) {
			t.Errorf("reason %s: %v", reason.Of(err), err)
		}
		if err != nil {
			return
		}
		accepted := verify.Accepted{Roots: map[string]*verify.TrustedRoot{"private": root}}
		if _, err := ok(verify.ParseEvidence(bundle)).CheckSignature(signed, accepted); stumbled(err) {
			t.Error(err)
		}
	})
}

// FuzzCertified: a bundle of the golden kind, however it is changed, names no
// signer but the one who signed it.
func FuzzCertified(f *testing.F) {
	root := ok(verify.ParseTrustedRoot(golden(f, "trusted_root")))
	for _, name := range []string{"tag", "person", "unnamed"} {
		f.Add(golden(f, name))
	}
	f.Add(stamped(f, nested(f, 20)))
	f.Add(stamped(f, longKey(f, 4096)))
	f.Add(edited(f, "tag", func(d map[string]any) { entry(d)["canonicalizedBody"] = body(ofV1(f, "tag")) }))
	f.Add(witnessed(f, newWitness("a.example")))
	other := sign.Subject{Name: signed.Name, Digest: digest.FromString("never signed")}
	f.Fuzz(func(t *testing.T, data []byte) {
		e, err := verify.ParseEvidence(data)
		if stumbled(err) {
			t.Error(err)
		}
		if err != nil {
			return
		}
		s, err := e.CheckSignature(other, verify.Accepted{Roots: map[string]*verify.TrustedRoot{"private": root}})
		if err == nil || stumbled(err) {
			t.Errorf("%+v signed what nobody signed: %v", s, err)
		}
	})
}
