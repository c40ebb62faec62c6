package policy_test

import (
	"strings"
	"testing"

	"github.com/consign-dev/consign/internal/reason"
	"github.com/consign-dev/consign/policy"
)

// strict is a policy that asks for one pipeline.
const strict = `apiVersion: consign.dev/v1alpha1
kind: TrustPolicy
channels:
  acme: {repository: registry.example.com/acme/releases, root: acme-root.json}
trustedRoots:
  public: {file: trusted_root.json}
applications:
  - id: com-example-line-monitor
    channel: acme
    signatures:
      - role: supplier
        threshold: 1
        identities:
          - trustedRoot: public
            issuer: https://issuer.example
            subject: https://git.example/acme/hello/release.yml@refs/heads/main
`

// TestAttackS17NothingMeansAnybody: no policy can be written by which whoever comes
// is accepted, and nothing that is left out, empty or zero asks for less than one
// signer who is named.
func TestAttackS17NothingMeansAnybody(t *testing.T) {
	if _, err := policy.Parse([]byte(strict)); err != nil {
		t.Fatal(err)
	}
	identities := strict[strings.Index(strict, "        identities:"):]
	signatures := strict[strings.Index(strict, "    signatures:"):]
	subject := "subject: https://git.example/acme/hello/release.yml@refs/heads/main"
	for name, c := range map[string]struct{ old, new string }{
		"no signatures":         {signatures, ""},
		"empty signatures":      {signatures, "    signatures: []\n"},
		"null signatures":       {signatures, "    signatures:\n"},
		"no signers":            {identities, ""},
		"empty identities":      {identities, "        identities: []\n"},
		"empty keys":            {identities, "        keys: []\n"},
		"an empty key":          {identities, "        keys: ['']\n"},
		"any key":               {identities, "        keys: ['*']\n"},
		"an empty identity":     {identities, "        identities: [{}]\n"},
		"threshold zero":        {"threshold: 1", "threshold: 0"},
		"threshold negative":    {"threshold: 1", "threshold: -1"},
		"threshold empty":       {"threshold: 1", "threshold:"},
		"no threshold":          {"        threshold: 1\n", ""},
		"threshold any":         {"threshold: 1", "threshold: any"},
		"threshold huge":        {"threshold: 1", "threshold: 18446744073709551616"},
		"no trusted root":       {"          - trustedRoot: public\n            issuer", "          - issuer"},
		"unknown trusted root":  {"trustedRoot: public", "trustedRoot: any"},
		"no issuer":             {"            issuer: https://issuer.example\n", ""},
		"any issuer":            {"issuer: https://issuer.example", `issuer: "*"`},
		"pattern of issuers":    {"issuer: https://issuer.example", `issuer: "^https://.*$"`},
		"no subject":            {"            " + subject + "\n", ""},
		"empty subject":         {subject, `subject: ""`},
		"any subject":           {subject, `subject: "^.*$"`},
		"some subject":          {subject, `subject: "^.+$"`},
		"any subject, spelt":    {subject, `subject: '^[^\n]*$'`},
		"any subject, counted":  {subject, `subject: '^.{1,512}$'`},
		"any subject or one":    {subject, `subject: '^(https://git\.example/acme/.*|.*)$'`},
		"any subject, by class": {subject, `subject: '^[\s\S]*$'`},
		"not anchored":          {subject, `subject: "^https://git"`},
		"without case":          {subject, `subject: "^(?i)https://git/.*$"`},
		"a dot for any":         {subject, `subject: "^https://git.example/acme/.*$"`},
		"empty claim":           {subject, subject + "\n            claims: {buildTrigger: \"\"}"},
		"no application id":     {"id: com-example-line-monitor", `id: ""`},
		"any application":       {"id: com-example-line-monitor", `id: "*"`},
		"any channel":           {"    channel: acme", `    channel: "*"`},
		"enforce":               {"applications:", "enforce: false\napplications:"},
		"insecure":              {"    channel: acme", "    channel: acme\n    insecureSkipVerify: true"},
		"another version":       {"consign.dev/v1alpha1", "consign.dev/v0"},
		"a second document":     {"apiVersion:", "---\napiVersion: x\n---\napiVersion:"},
		"twice":                 {"threshold: 1", "threshold: 1\n        threshold: 0"},
		"merged":                {"      - role: supplier", "      - <<: {threshold: 0}\n        role: supplier"},
	} {
		text := strings.Replace(strict, c.old, c.new, 1)
		if text == strict {
			t.Fatalf("%s changes nothing", name)
		}
		if p, err := policy.Parse([]byte(text)); !reason.Is(err, reason.Malformed) {
			t.Errorf("%s: %v, %+v", name, err, p)
		}
	}
}

// FuzzPattern: what may be written as a pattern fits no text that begins or ends
// with something else, and nothing may be written that fits everything.
func FuzzPattern(f *testing.F) {
	for _, p := range []string{`^a$`, `^.*$`, `^https://git\.example/(a|b)/v[0-9]+$`, `^(a|)$`, `^\n$`, `^(?i)a$`, `^a{2,3}?$`, "^\u2603*$", `^$`, `^a$|^b$`} {
		f.Add(p, "a")
	}
	f.Fuzz(func(t *testing.T, pattern, value string) {
		i := policy.Identity{TrustedRoot: "public", Issuer: "https://issuer.example", Subject: pattern}
		rule := policy.SignatureRule{Role: "supplier", Threshold: 1, Identities: []policy.Identity{i}}
		text, err := i.Text()
		if err != nil {
			return
		}
		at := strings.Index(strict, "        identities:")
		if _, err := policy.Parse([]byte(strict[:at] + "        identities:\n" + indented(text))); err != nil {
			return
		}
		s := policy.Signer{TrustedRoot: "public", Issuer: "https://issuer.example", Subject: value}
		_, err = rule.Check([]policy.Signer{s})
		if err != nil && !reason.Is(err, reason.Identity) {
			t.Errorf("%q on %q: %v", pattern, value, err)
		}
		if s.Subject = "\u2603" + value + "\u2603"; err == nil && !strings.Contains(pattern, "^") {
			if _, err := rule.Check([]policy.Signer{s}); err == nil {
				t.Errorf("%q fits %q and %q", pattern, value, s.Subject)
			}
		}
	})
}

func indented(text string) string {
	return "          " + strings.ReplaceAll(strings.TrimSpace(text), "\n", "\n          ") + "\n"
}
