package policy_test

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/consign-dev/consign/internal/keys"
	"github.com/consign-dev/consign/policy"
)

// starting reads a shipped policy and returns the rules of its application.
func starting(t *testing.T, name string) policy.Application {
	t.Helper()
	p, err := policy.Parse(shipped(t, name))
	if err != nil {
		t.Fatalf("%s: %v", name, err)
	}
	return p.Applications[0]
}

func shipped(t testing.TB, name string) []byte {
	t.Helper()
	data, err := os.ReadFile(filepath.Join("starting", name))
	if err != nil {
		t.Fatal(err)
	}
	return data
}

// TestStartingPolicies: each shipped policy accepts whom it is made for, and not
// the nearest other.
func TestStartingPolicies(t *testing.T) {
	files, err := filepath.Glob("starting/*.yaml")
	if err != nil || len(files) != 5 {
		t.Fatalf("%d files, %v", len(files), err)
	}
	for _, f := range files {
		starting(t, filepath.Base(f))
	}
	job := policy.Signer{
		TrustedRoot: "public", Issuer: "https://token.actions.githubusercontent.com",
		Subject: "https://github.com/acme/line-monitor/.github/workflows/release.yml@refs/tags/v1.4.0",
		Claims: policy.Claims{
			SourceRepositoryURI: "https://github.com/acme/line-monitor", SourceRepositoryRef: "refs/tags/v1.4.0", SourceRepositoryIdentifier: "123456789",
			BuildTrigger: "push", RunnerEnvironment: "github-hosted",
		},
	}
	branch, fork := job, job
	branch.Subject = "https://github.com/acme/line-monitor/.github/workflows/release.yml@refs/heads/main"
	fork.Claims.SourceRepositoryIdentifier = "987654321"
	pipeline := policy.Signer{
		TrustedRoot: "public", Issuer: "https://gitlab.com", Subject: "https://gitlab.com/acme/line-monitor//.gitlab-ci.yml@refs/heads/main",
		Claims: policy.Claims{
			SourceRepositoryURI: "https://gitlab.com/acme/line-monitor", SourceRepositoryRef: "refs/heads/main", RunnerEnvironment: "gitlab-hosted",
		},
	}
	own := pipeline
	own.Claims.RunnerEnvironment = "self-hosted"
	person := func(name string) policy.Signer {
		return policy.Signer{TrustedRoot: "acme", Issuer: "https://login.acme.example", Subject: name + "@acme.example"}
	}
	two := starting(t, "two-party.yaml")
	supplier, integrator := two.Signatures[0], two.Signatures[1]
	if by, err := supplier.Check(keysOf(t, supplier)); err != nil || len(by) != 1 || integrator.ListedIn != policy.InDeployment {
		t.Errorf("two-party.yaml: %v, %v", by, err)
	}
	if _, err := integrator.Check(keysOf(t, supplier)); err == nil {
		t.Error("two-party.yaml: the supplier is the integrator")
	}
	for _, c := range []struct {
		file   string
		signed []policy.Signer
		ok     bool
	}{
		{"github-actions.yaml", []policy.Signer{job}, true},
		{"github-actions.yaml", []policy.Signer{branch, fork}, false},
		{"gitlab-ci.yaml", []policy.Signer{pipeline}, true},
		{"gitlab-ci.yaml", []policy.Signer{own}, false},
		{"private-sigstore.yaml", []policy.Signer{person("ada"), person("karl")}, true},
		{"private-sigstore.yaml", []policy.Signer{person("ada"), person("ada"), person("eve")}, false},
	} {
		if _, err := starting(t, c.file).Signatures[0].Check(c.signed); (err == nil) != c.ok {
			t.Errorf("%s: %v, want accepted %t", c.file, err, c.ok)
		}
	}
}

// keysOf are the holders of the keys of a rule.
func keysOf(t *testing.T, r policy.SignatureRule) []policy.Signer {
	t.Helper()
	pubs, err := r.PublicKeys()
	if err != nil {
		t.Fatal(err)
	}
	var out []policy.Signer
	for _, pub := range pubs {
		id, err := keys.ID(pub)
		if err != nil {
			t.Fatal(err)
		}
		out = append(out, policy.Signer{KeyID: id})
	}
	return out
}
