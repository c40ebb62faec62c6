package verify

import (
	"encoding/json"
	"os"
	"path/filepath"
	"testing"

	"github.com/opencontainers/go-digest"
	sigstore "github.com/sigstore/sigstore-go/pkg/verify"

	"github.com/consign-dev/consign/internal/bundle"
	"github.com/consign-dev/consign/internal/reason"
	"github.com/consign-dev/consign/policy"
)

// evidenceOfGolden reads evidence of testdata/certified; without a log entry if
// it shall not verify.
func evidenceOfGolden(t *testing.T, name string, broken bool) *Evidence {
	t.Helper()
	data, err := os.ReadFile(filepath.Join("testdata", "certified", name+".json"))
	if err != nil {
		t.Fatal(err)
	}
	if broken {
		var doc map[string]any
		if err := json.Unmarshal(data, &doc); err != nil {
			t.Fatal(err)
		}
		delete(doc["verificationMaterial"].(map[string]any), "tlogEntries")
		data, _ = json.Marshal(doc)
	}
	e, err := ParseEvidence(data)
	if err != nil {
		t.Fatal(err)
	}
	return e
}

// TestWhatDoesNotCountIsNoObstacle: statements of another kind and signatures
// that do not verify any more lie beside one that does; alone they are refused.
func TestWhatDoesNotCountIsNoObstacle(t *testing.T) {
	data, err := os.ReadFile(filepath.Join("testdata", "certified", "trusted_root.json"))
	if err != nil {
		t.Fatal(err)
	}
	root, err := ParseTrustedRoot(data)
	if err != nil {
		t.Fatal(err)
	}
	good := evidenceOfGolden(t, "tag", false)
	signer, err := root.signer(good)
	if err != nil {
		t.Fatal(err)
	}
	r := &Release{
		policy: &Policy{trustedRoots: map[string]*TrustedRoot{"private": root}},
		bundle: &bundle.Bundle{Application: "line-monitor", Version: "1.4.0"}, digest: digest.FromString("a bundle"),
	}
	rule := policy.SignatureRule{Role: "supplier", Threshold: 1, Identities: []policy.Identity{{TrustedRoot: "private", Issuer: signer.Issuer, Subject: signer.Subject}}}
	for name, c := range map[string]struct {
		evidence []*Evidence
		code     reason.Code
	}{
		"good":                   {[]*Evidence{good}, ""},
		"good beside broken":     {[]*Evidence{evidenceOfGolden(t, "tag", true), good}, ""},
		"good beside another":    {[]*Evidence{good, evidenceOfGolden(t, "another-kind", false)}, ""},
		"good beside a branch's": {[]*Evidence{evidenceOfGolden(t, "branch", false), good}, ""},
		"good beside unreadable": {[]*Evidence{{unreadable: reason.New(reason.TooLarge, "long")}, good}, ""},
		"unreadable":             {[]*Evidence{{unreadable: reason.New(reason.TooLarge, "long")}}, reason.TooLarge},
		"broken":                 {[]*Evidence{evidenceOfGolden(t, "tag", true)}, reason.Signature},
		"another kind":           {[]*Evidence{evidenceOfGolden(t, "another-kind", false)}, reason.Signature},
		"another subject":        {[]*Evidence{evidenceOfGolden(t, "another-subject", false)}, reason.Signature},
		"a branch's":             {[]*Evidence{evidenceOfGolden(t, "branch", false)}, reason.Identity},
		"nothing":                {nil, reason.Threshold},
	} {
		signers, at, err := (&hearing{release: r, evidence: c.evidence}).meet(rule)
		if c.code == "" && (err != nil || len(signers) != 1 || at != good) || c.code != "" && !reason.Is(err, c.code) {
			t.Errorf("%s: %v, %v; want %q", name, signers, err, c.code)
		}
	}
}

func (r *TrustedRoot) signer(e *Evidence) (policy.Signer, error) {
	_, s, err := r.Certified(e.bundle, sigstore.WithoutArtifactUnsafe())
	return s, err
}
