package policy_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/consign-dev/consign/internal/reason"
	"github.com/consign-dev/consign/policy"
)

const (
	issuer   = "https://token.actions.githubusercontent.com"
	workflow = "https://github.com/acme/app/.github/workflows/release.yml@refs/tags/v1.2.3"
)

// released is a signer as a policy would want it.
func released() policy.Signer {
	return policy.Signer{TrustedRoot: "public", Issuer: issuer, Subject: workflow, Claims: policy.Claims{
		SourceRepositoryURI: "https://github.com/acme/app", SourceRepositoryRef: "refs/tags/v1.2.3",
		BuildTrigger: "push", RunnerEnvironment: "github-hosted", BuildSignerURI: workflow,
	}}
}

// wanted is the identity that names it.
func wanted() policy.Identity {
	return policy.Identity{TrustedRoot: "public", Issuer: issuer,
		Subject: `^https://github\.com/acme/app/\.github/workflows/release\.yml@refs/tags/v[0-9]+\.[0-9]+\.[0-9]+$`,
		Claims: policy.Claims{
			SourceRepositoryURI: "https://github.com/acme/app", SourceRepositoryRef: `^refs/tags/v[0-9.]+$`,
			BuildTrigger: "push", RunnerEnvironment: "github-hosted",
		}}
}

func TestIdentityIsWhoItNames(t *testing.T) {
	if err := wanted().Check(released()); err != nil {
		t.Error(err)
	}
}

// TestAttackS5WrongClaims: the right repository with another workflow, branch,
// trigger or runner, a fork, and each claim left out.
func TestAttackS5WrongClaims(t *testing.T) {
	for name, change := range map[string]func(s *policy.Signer){
		"another root":     func(s *policy.Signer) { s.TrustedRoot = "private" },
		"another issuer":   func(s *policy.Signer) { s.Issuer = "https://token.actions.example.com" },
		"longer issuer":    func(s *policy.Signer) { s.Issuer += "/acme" },
		"no issuer":        func(s *policy.Signer) { s.Issuer = "" },
		"another workflow": func(s *policy.Signer) { s.Subject = strings.Replace(workflow, "release.yml", "test.yml", 1) },
		"a branch": func(s *policy.Signer) {
			s.Subject = strings.Replace(workflow, "refs/tags/v1.2.3", "refs/heads/main", 1)
		},
		"a fork":            func(s *policy.Signer) { s.Claims.SourceRepositoryURI = "https://github.com/evil/app" },
		"a branch's source": func(s *policy.Signer) { s.Claims.SourceRepositoryRef = "refs/heads/main" },
		"a pull request":    func(s *policy.Signer) { s.Claims.BuildTrigger = "pull_request" },
		"own runner":        func(s *policy.Signer) { s.Claims.RunnerEnvironment = "self-hosted" },
		"no claims":         func(s *policy.Signer) { s.Claims = policy.Claims{} },
		"no subject":        func(s *policy.Signer) { s.Subject = "" },
		"a key":             func(s *policy.Signer) { *s = policy.Signer{KeyID: workflow} },
	} {
		s := released()
		change(&s)
		if err := wanted().Check(s); !reason.Is(err, reason.Identity) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// TestAttackS4PatternsMatchWholeValues: prefixes, suffixes, lines and look-alikes
// of the dots in a name.
func TestAttackS4PatternsMatchWholeValues(t *testing.T) {
	for _, subject := range []string{
		"https://evil.example/" + workflow,
		workflow + "/x", workflow + "\n", "x\n" + workflow, workflow + "\nhttps://evil.example",
		strings.Replace(workflow, "github.com", "githubXcom", 1),
		strings.Replace(workflow, "github.com/acme", "github.com/acme.evil", 1),
		strings.Replace(workflow, "https://", "HTTPS://", 1),
		workflow + "\x00", workflow + "\u2028",
	} {
		s := released()
		s.Subject = subject
		if err := wanted().Check(s); !reason.Is(err, reason.Identity) {
			t.Errorf("%q: %v", subject, err)
		}
	}
	exact := wanted()
	exact.Subject = workflow
	if err := exact.Check(released()); err != nil {
		t.Error(err)
	}
	exact.Subject = strings.Replace(workflow, ".yml", "_yml", 1)
	if err := exact.Check(released()); !reason.Is(err, reason.Identity) {
		t.Errorf("an exact subject is taken for a pattern: %v", err)
	}
	// Two alternatives without a group are both whole.
	either := wanted()
	either.Subject = `^https://a\.example|https://b\.example$`
	for _, subject := range []string{"https://a.example/evil", "evil/https://b.example"} {
		s := released()
		s.Subject = subject
		if err := either.Check(s); !reason.Is(err, reason.Identity) {
			t.Errorf("%q: %v", subject, err)
		}
	}
}

// keyless is a policy with one rule, as YAML after "identities:".
func keyless(identities string, threshold int) string {
	return fmt.Sprintf(`apiVersion: consign.dev/v1alpha1
kind: TrustPolicy
channels:
  acme: {repository: registry.example.com/acme/releases, root: acme-root.json}
trustedRoots:
  public: {file: trusted_root.json}
applications:
  - id: app
    channel: acme
    signatures:
      - role: supplier
        threshold: %d
        identities:
%s`, threshold, identities)
}

func TestIdentitiesOfAPolicy(t *testing.T) {
	good := `          - trustedRoot: public
            issuer: https://token.actions.githubusercontent.com
            subject: ^https://github\.com/acme/app/.*@refs/tags/v[^/]+$
            claims: {sourceRepositoryURI: https://github.com/acme/app}
`
	p, err := policy.Parse([]byte(keyless(good, 1)))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := p.Applications[0].Signatures[0].Check([]policy.Signer{released()}); err != nil {
		t.Error(err)
	}
	for change, want := range map[[2]string]string{
		{"trustedRoot: public", "trustedRoot: other"}:                                  "trustedRoot",
		{"issuer: https://", "issuer: ^https://"}:                                      "issuer",
		{"issuer: https://token.actions.githubusercontent.com", "issuer: ''"}:          "issuer",
		{`subject: ^https://github\.com/acme/app/.*@refs/tags/v[^/]+$`, `subject: ''`}: "subject: is missing",
		{`v[^/]+$`, `v[^/]+`}:         "does not end",
		{`v[^/]+$`, `v[^/]+\$`}:       "does not end",
		{`github\.com`, `github.com`}: `write "\."`,
		{`v[^/]+$`, `v[^/+$`}:         "RE2",
		{`^https`, `^(?i)https`}:      "(?i)",
		{`^https`, `^(?m)^https`}:     "without flags",
		{"sourceRepositoryURI: https", "sourceRepositoryUri: https"}:                             "sourceRepositoryUri",
		{"sourceRepositoryURI: https://github.com/acme/app", `sourceRepositoryURI: "^https://"`}: "claims.sourceRepositoryURI",
	} {
		text := strings.Replace(keyless(good, 1), change[0], change[1], 1)
		if _, err := policy.Parse([]byte(text)); !reason.Is(err, reason.Malformed) || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: %v, want one that says %s", change[1], err, want)
		}
	}
	if _, err := policy.Parse([]byte(keyless(good+good, 2))); err == nil || !strings.Contains(err.Error(), "the same as") {
		t.Errorf("one identity twice: %v", err)
	}
	if _, err := policy.Parse([]byte(keyless(good, 2))); err == nil || !strings.Contains(err.Error(), "threshold") {
		t.Errorf("a threshold of two of one: %v", err)
	}
}

// TestAttackT12IdentitiesCountOnce: two signatures by one identity, and one
// signature that two patterns fit, are one.
func TestAttackT12IdentitiesCountOnce(t *testing.T) {
	wide, wider := wanted(), wanted()
	wide.Subject, wider.Subject = `^https://github\.com/acme/.*$`, `^https://github\.com/.*$`
	rule := policy.SignatureRule{Role: "supplier", Threshold: 2, Identities: []policy.Identity{wide, wider}}
	other := released()
	other.Subject = strings.Replace(workflow, "v1.2.3", "v1.2.4", 1)
	for name, c := range map[string]struct {
		found []policy.Signer
		ok    bool
	}{
		"one":                {[]policy.Signer{released()}, false},
		"one, twice":         {[]policy.Signer{released(), released()}, false},
		"two":                {[]policy.Signer{released(), other}, true},
		"one and a stranger": {[]policy.Signer{released(), {TrustedRoot: "public", Issuer: issuer, Subject: "https://evil.example"}}, false},
	} {
		_, err := rule.Check(c.found)
		if c.ok && err != nil || !c.ok && !reason.Is(err, reason.Threshold) {
			t.Errorf("%s: %v", name, err)
		}
	}
	// Whoever fits both must not take the only place of the other.
	narrow := wanted()
	narrow.Subject = workflow
	rule.Identities = []policy.Identity{wide, narrow}
	if _, err := rule.Check([]policy.Signer{released(), other}); err != nil {
		t.Errorf("in one order: %v", err)
	}
	if _, err := rule.Check([]policy.Signer{other, released()}); err != nil {
		t.Errorf("in the other order: %v", err)
	}
}

// TestWhatIsWrittenSaysSomething: a template with a variable that was not set
// leaves a demand empty, which must not be no demand.
func TestWhatIsWrittenSaysSomething(t *testing.T) {
	good := `          - {trustedRoot: public, issuer: https://token.example.com, subject: https://github.com/acme/app, claims: {buildTrigger: push}}
`
	for _, change := range [][2]string{
		{"buildTrigger: push", "buildTrigger: ''"}, {"buildTrigger: push", "buildTrigger: ' '"}, {"buildTrigger: push", "buildTrigger: null"},
		{"buildTrigger: push", "buildTrigger: "}, {"claims: {buildTrigger: push}", "claims: {}"}, {"claims: {buildTrigger: push}", "claims: null"},
	} {
		text := keyless(strings.Replace(good, change[0], change[1], 1), 1)
		if _, err := policy.Parse([]byte(text)); !reason.Is(err, reason.Malformed) || !strings.Contains(err.Error(), "signatures[0].identities[0]") {
			t.Errorf("%q: %v", change[1], err)
		}
	}
	for _, more := range []string{"attestations:", "attestations: []", "attestations: null"} {
		if _, err := policy.Parse([]byte(keyless(good, 1) + "    " + more + "\n")); !reason.Is(err, reason.Malformed) || !strings.Contains(err.Error(), "attestations") {
			t.Errorf("%q: %v", more, err)
		}
	}
}

// TestProposedIdentityIsNoPattern: a certificate that anybody made must not turn
// into a pattern by way of what "publisher inspect" prints.
func TestProposedIdentityIsNoPattern(t *testing.T) {
	s := released()
	s.Subject, s.Claims.BuildTrigger = "^.*$", "^pu.h$"
	i := policy.ProposeIdentity(s)
	if err := i.Check(s); err != nil {
		t.Errorf("it does not accept whom it is made from: %v", err)
	}
	if err := i.Check(released()); err == nil {
		t.Error("it accepts somebody else")
	}
	text, err := i.Text()
	if err != nil || !strings.Contains(text, `\.\*`) {
		t.Errorf("%q, %v", text, err)
	}
}

// TestOneSignerUnderTwoRoots: whoever is certified twice, or under two instances,
// is one, and satisfies what any of the certificates does.
func TestOneSignerUnderTwoRoots(t *testing.T) {
	old, poor, other := released(), released(), released()
	old.TrustedRoot = "old"
	poor.Claims = policy.Claims{}
	other.Subject = strings.Replace(workflow, "v1.2.3", "v1.2.4", 1)
	loose := wanted()
	loose.Claims = policy.Claims{}
	rule := policy.SignatureRule{Role: "supplier", Threshold: 1, Identities: []policy.Identity{wanted()}}
	if _, err := rule.Check([]policy.Signer{old, released()}); err != nil {
		t.Errorf("under the second root: %v", err)
	}
	rule = policy.SignatureRule{Role: "supplier", Threshold: 2, Identities: []policy.Identity{wanted(), loose}}
	other.Claims = policy.Claims{}
	for _, found := range [][]policy.Signer{{poor, released(), other}, {other, poor, released()}, {released(), poor, other}} {
		if _, err := rule.Check(found); err != nil {
			t.Errorf("%v", err)
		}
	}
	if _, err := rule.Check([]policy.Signer{poor, released()}); !reason.Is(err, reason.Threshold) {
		t.Errorf("one counts twice: %v", err)
	}
}
