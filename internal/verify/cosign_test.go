package verify

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/opencontainers/go-digest"

	"github.com/consign-dev/consign/internal/bundle"
	"github.com/consign-dev/consign/internal/keys"
	"github.com/consign-dev/consign/internal/reason"
	"github.com/consign-dev/consign/policy"
)

// cosigned reads a file that the cosign command line made (tools/goldens).
func cosigned(t *testing.T, file string) []byte {
	t.Helper()
	data, err := os.ReadFile(filepath.Join("testdata", "cosign", file))
	if err != nil {
		t.Fatal(err)
	}
	return data
}

func evidenceByCosign(t *testing.T, data []byte) []*Evidence {
	t.Helper()
	e, err := ParseEvidence(data)
	if err != nil {
		t.Fatal(err)
	}
	return []*Evidence{e}
}

// releaseByCosign is a release whose bundle is what cosign signed.
func releaseByCosign(t *testing.T) *Release {
	t.Helper()
	root, err := ParseTrustedRoot(cosigned(t, "trusted_root.json"))
	if err != nil {
		t.Fatal(err)
	}
	return &Release{
		policy: &Policy{trustedRoots: map[string]*TrustedRoot{"private": root}},
		bundle: &bundle.Bundle{Application: "hello", Version: "1.0.0"}, digest: digest.FromBytes(cosigned(t, "index.json")),
	}
}

// job accepts the workflow that signed, as it was called by a repository on a ref.
func job(t *testing.T, repository, ref string) policy.SignatureRule {
	t.Helper()
	_, signer := UnverifiedSigner(cosigned(t, "signature.json"))
	if !strings.HasPrefix(signer.Issuer, "http://127.0.0.1:") {
		t.Fatalf("the issuer is %q", signer.Issuer) // its port is another each time that the files are made
	}
	return policy.SignatureRule{Role: "supplier", Threshold: 1, Identities: []policy.Identity{{
		TrustedRoot: "private", Issuer: signer.Issuer,
		Subject: "https://git.example.test/acme/hello/.github/workflows/release.yml@" + ref,
		Claims:  policy.Claims{SourceRepositoryURI: "https://git.example.test/" + repository, BuildTrigger: "push"},
	}}}
}

func byKey(t *testing.T, pem []byte) policy.SignatureRule {
	t.Helper()
	return policy.SignatureRule{Role: "supplier", Threshold: 1, Keys: []string{string(pem)}}
}

func otherPublicKey(t *testing.T) []byte {
	t.Helper()
	key, err := keys.Generate()
	if err != nil {
		t.Fatal(err)
	}
	pem, err := keys.MarshalPublic(key.Public())
	if err != nil {
		t.Fatal(err)
	}
	return pem
}

// TestCosignSignatures: what "cosign sign" makes, with a certificate and with a
// key, is a signature for those whom the rule names.
func TestCosignSignatures(t *testing.T) {
	const tag = "refs/tags/v1.0.0"
	for name, c := range map[string]struct {
		file string
		rule policy.SignatureRule
		code reason.Code
	}{
		"job":                 {"signature.json", job(t, "acme/hello", tag), ""},
		"key":                 {"signature-keyed.json", byKey(t, cosigned(t, "cosign.pub")), ""},
		"another ref":         {"signature.json", job(t, "acme/hello", "refs/heads/main"), reason.Identity},
		"another repository":  {"signature.json", job(t, "evil/hello", tag), reason.Identity},
		"another key":         {"signature-keyed.json", byKey(t, otherPublicKey(t)), reason.UntrustedSigner},
		"key for a job":       {"signature-keyed.json", job(t, "acme/hello", tag), reason.UntrustedSigner},
		"job for a key":       {"signature.json", byKey(t, cosigned(t, "cosign.pub")), reason.UntrustedSigner},
		"no signature":        {"attestation.json", job(t, "acme/hello", tag), reason.Signature},
		"no signature by key": {"attestation-keyed.json", byKey(t, cosigned(t, "cosign.pub")), reason.Signature},
		"of a file, by a job": {"blob.json", job(t, "acme/hello", tag), reason.Malformed},
		"of a file, by a key": {"blob-keyed.json", byKey(t, cosigned(t, "cosign.pub")), reason.Malformed},
	} {
		e, err := ParseEvidence(cosigned(t, c.file))
		var signers []policy.Signer
		if err == nil {
			signers, _, err = (&hearing{release: releaseByCosign(t), evidence: []*Evidence{e}}).meet(c.rule)
		}
		if c.code == "" && (err != nil || len(signers) != 1) || c.code != "" && !reason.Is(err, c.code) {
			t.Errorf("%s: %v, %v; want %q", name, signers, err, c.code)
		}
	}
	another := releaseByCosign(t)
	another.digest = digest.FromString("another bundle")
	for file, rule := range map[string]policy.SignatureRule{"signature.json": job(t, "acme/hello", tag), "signature-keyed.json": byKey(t, cosigned(t, "cosign.pub"))} {
		if _, _, err := (&hearing{release: another, evidence: evidenceByCosign(t, cosigned(t, file))}).meet(rule); !reason.Is(err, reason.Signature) {
			t.Errorf("%s for another bundle: %v", file, err)
		}
	}
}

// TestCosignAttestations: what "cosign attest" makes is an attestation, of a
// statement of version 0.1, and only by those whom the rule names.
func TestCosignAttestations(t *testing.T) {
	const tag = "refs/tags/v1.0.0"
	rule := func(by policy.SignatureRule, ref string) policy.AttestationRule {
		return policy.AttestationRule{
			Name: "provenance", PredicateType: policy.SLSAProvenance, About: policy.AboutBundle,
			Threshold: 1, Keys: by.Keys, Identities: by.Identities,
			Provenance: &policy.ProvenanceRule{Source: policy.SourceRule{URI: "https://git.example.test/acme/hello", Ref: ref}},
		}
	}
	for name, c := range map[string]struct {
		file string
		rule policy.AttestationRule
		code reason.Code
	}{
		"job":                {"attestation.json", rule(job(t, "acme/hello", tag), tag), ""},
		"key":                {"attestation-keyed.json", rule(byKey(t, cosigned(t, "cosign.pub")), tag), ""},
		"another repository": {"attestation.json", rule(job(t, "evil/hello", tag), tag), reason.Identity},
		"another source":     {"attestation.json", rule(job(t, "acme/hello", tag), "refs/heads/main"), reason.Provenance},
		"another key":        {"attestation-keyed.json", rule(byKey(t, otherPublicKey(t)), tag), reason.UntrustedSigner},
		"a signature":        {"signature.json", rule(job(t, "acme/hello", tag), tag), reason.Attestation},
	} {
		h := &hearing{release: releaseByCosign(t), evidence: evidenceByCosign(t, cosigned(t, c.file))}
		list, _, err := h.attested(c.rule)
		if c.code == "" && (err != nil || len(list) != 1) || c.code != "" && !reason.Is(err, c.code) {
			t.Errorf("%s: %v; want %q", name, err, c.code)
		}
	}
}

// TestCosignBundlesAreUnchanged: one that says something else than was signed
// counts for nobody.
func TestCosignBundlesAreUnchanged(t *testing.T) {
	payload := func(file string) any {
		var doc struct {
			Envelope map[string]any `json:"dsseEnvelope"`
		}
		if err := json.Unmarshal(cosigned(t, file), &doc); err != nil {
			t.Fatal(err)
		}
		return doc.Envelope["payload"]
	}
	for file, from := range map[string]string{
		"attestation.json": "signature.json", "signature.json": "attestation.json",
		"attestation-keyed.json": "signature-keyed.json", "signature-keyed.json": "attestation-keyed.json",
	} {
		var doc map[string]any
		if err := json.Unmarshal(cosigned(t, file), &doc); err != nil {
			t.Fatal(err)
		}
		doc["dsseEnvelope"].(map[string]any)["payload"] = payload(from)
		data, err := json.Marshal(doc)
		if err != nil {
			t.Fatal(err)
		}
		rule := job(t, "acme/hello", "refs/tags/v1.0.0")
		rule.Keys = []string{string(cosigned(t, "cosign.pub"))}
		if signers, _, err := (&hearing{release: releaseByCosign(t), evidence: evidenceByCosign(t, data)}).meet(rule); !reason.Is(err, reason.Signature) {
			t.Errorf("%s with the statement of %s: %v, %v", file, from, signers, err)
		}
	}
}

// TestCosignBundlesAreRead: by a publisher, who attaches them.
func TestCosignBundlesAreRead(t *testing.T) {
	subject := digest.FromBytes(cosigned(t, "index.json")).Encoded()
	for file, want := range map[string]string{
		"signature.json": "https://sigstore.dev/cosign/sign/v1", "signature-keyed.json": "https://sigstore.dev/cosign/sign/v1",
		"attestation.json": policy.SLSAProvenance, "attestation-keyed.json": policy.SLSAProvenance,
	} {
		got, err := ReadUnverified(cosigned(t, file))
		if err != nil || !got.Signed || got.PredicateType != want || len(got.Subjects) != 1 || got.Subjects[0] != subject || len(got.Names) != 1 {
			t.Errorf("%s: %+v, %v", file, got, err)
		}
	}
}
