package policy_test

import (
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/pem"
	"fmt"
	"strings"
	"testing"

	"github.com/consign-dev/consign/internal/keys"
	"github.com/consign-dev/consign/internal/reason"
	"github.com/consign-dev/consign/policy"
)

func must[T any](v T, err error) T {
	if err != nil {
		panic(err)
	}
	return v
}

// newKey returns the PEM of a new public key and its id.
func newKey() (text, id string) {
	s := must(keys.Generate())
	return string(must(keys.MarshalPublic(s.Public()))), must(keys.ID(s.Public()))
}

const document = `apiVersion: consign.dev/v1alpha1
kind: TrustPolicy
channels:
  acme:
    repository: registry.example.com:5000/acme/releases
    root: acme-root.json
applications:
  - id: com-example-line-monitor
    channel: acme
    signatures:
      - role: supplier
        threshold: 1
        keys:
          - |
%s
          - |
%s
    minimumVersion: 1.2.0
    mayRemove: true
    mayDeleteVolumes: false
    grants: {}
`

func indent(text string) string {
	return "            " + strings.ReplaceAll(strings.TrimSpace(text), "\n", "\n            ")
}

func goodDocument() string {
	a, _ := newKey()
	b, _ := newKey()
	return fmt.Sprintf(document, indent(a), indent(b))
}

func TestParseReadsTheDocumentedFields(t *testing.T) {
	p, err := policy.Parse([]byte(goodDocument()))
	if err != nil {
		t.Fatal(err)
	}
	a, err := p.Application("com-example-line-monitor")
	if err != nil {
		t.Fatal(err)
	}
	if c := p.Channels[a.Channel]; c.Repository != "registry.example.com:5000/acme/releases" || c.Root != "acme-root.json" {
		t.Errorf("channel %+v", c)
	}
	r := a.Signatures[0]
	if r.Role != "supplier" || r.Threshold != 1 || len(must(r.PublicKeys())) != 2 {
		t.Errorf("rule %+v", r)
	}
	if a.MinimumVersion != "1.2.0" || !a.MayRemove || a.MayDeleteVolumes || a.OnNoGood != policy.Keep || a.DataPolicy != policy.Keep {
		t.Errorf("application %+v", a)
	}
}

func TestWhatIsNotNamedIsDenied(t *testing.T) {
	p := must(policy.Parse([]byte(goodDocument())))
	for _, id := range []string{"", "com-example", "com-example-line-monitor-2", "COM-EXAMPLE-LINE-MONITOR", "com-example-line-monitor "} {
		if _, err := p.Application(id); !reason.Is(err, reason.Rule) {
			t.Errorf("%q: %v, want rule", id, err)
		}
	}
	empty := must(policy.Parse([]byte("apiVersion: consign.dev/v1alpha1\nkind: TrustPolicy\n")))
	if _, err := empty.Application("com-example-line-monitor"); !reason.Is(err, reason.Rule) {
		t.Errorf("empty policy: %v, want rule", err)
	}
}

func TestParseRefuses(t *testing.T) {
	good := goodDocument()
	one, _ := newKey()
	weak := must(x509.MarshalPKIXPublicKey(must(rsa.GenerateKey(rand.Reader, 2048)).Public()))
	weakPEM := string(pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: weak}))
	entry := good[strings.Index(good, "  - id:"):]
	swap := func(old, new string) string {
		if !strings.Contains(good, old) {
			t.Fatalf("no %q in the document", old)
		}
		return strings.Replace(good, old, new, 1)
	}
	for name, c := range map[string]struct{ doc, want string }{
		"other version":           {swap("v1alpha1", "v1"), `"consign.dev/v1alpha1"`},
		"other kind":              {swap("kind: TrustPolicy", "kind: Policy"), `"TrustPolicy"`},
		"unknown field":           {swap("mayRemove", "mayRemoved"), `did you mean "mayRemove"?`},
		"unknown top field":       {good + "defaults: {}\n", "defaults"},
		"optional check":          {swap("threshold: 1", "threshold: 1\n        optional: true"), "optional"},
		"duplicate field":         {swap("    channel: acme", "    channel: acme\n    channel: acme"), "duplicate"},
		"application twice":       {good + entry, "already has an entry"},
		"pattern as id":           {swap("id: com-example-line-monitor", `id: "com-*"`), "Margo application id"},
		"upper case id":           {swap("id: com-example", "id: Com-example"), "Margo application id"},
		"long id":                 {swap("id: com-example-line-monitor", "id: "+strings.Repeat("a", 201)), "Margo application id"},
		"undeclared channel":      {swap("channel: acme", "channel: acmee"), "not declared"},
		"channel name":            {strings.ReplaceAll(good, "acme:", "Acme:"), "channels: name"},
		"repository with scheme":  {swap("repository: ", "repository: https://"), "no scheme"},
		"repository with tag":     {swap("/acme/releases", "/acme/releases:tuf"), "no scheme, tag"},
		"repository without host": {swap("registry.example.com:5000/", ""), "host/path"},
		"repository climbing":     {swap("/acme/releases", "/acme/../releases"), "host/path"},
		"repository with user":    {swap("registry.example.com", "user@registry.example.com"), "host/path"},
		"root with directory":     {swap("acme-root.json", "../acme-root.json"), "root"},
		"root missing":            {swap("    root: acme-root.json\n", ""), "root"},
		"version":                 {swap("1.2.0", "latest"), "minimumVersion"},
		"version as number":       {swap("1.2.0", "1.2"), "minimumVersion"},
		"delete without remove":   {strings.ReplaceAll(strings.ReplaceAll(good, "mayRemove: true", "mayRemove: false"), "mayDeleteVolumes: false", "mayDeleteVolumes: true"), "mayRemove is false"},
		"onNoGood":                {swap("    mayRemove", "    onNoGood: ignore\n    mayRemove"), "onNoGood"},
		"dataPolicy":              {swap("    mayRemove", "    dataPolicy: snapshots\n    mayRemove"), "dataPolicy"},
		"a grant":                 {swap("grants: {}", "grants: {privileged: true}"), "unknown field \"privileged\""},
		"grants as list":          {swap("grants: {}", "grants: [privileged]"), "grants"},
		"unsigned":                {good[:strings.Index(good, "    signatures:")] + "    signatures: []\n", "no unsigned applications"},
		"T12: zero":               {swap("threshold: 1", "threshold: 0"), "threshold: 0"},
		"T12: no threshold":       {swap("        threshold: 1\n", ""), "threshold: 0"},
		"T12: negative":           {swap("threshold: 1", "threshold: -1"), "threshold: -1"},
		"T12: more than keys":     {swap("threshold: 1", "threshold: 3"), "threshold: 3"},
		"T12: fraction":           {swap("threshold: 1", "threshold: 1.5"), "threshold"},
		"T12: one key, two texts": {fmt.Sprintf(document, indent(one), indent(strings.TrimSpace(one)+"\n\n")+"\n"), "the same key as keys[0]"},
		"T12: one key, folded":    {fmt.Sprintf(document, indent(one), indent(refold(one))), "the same key as keys[0]"},
		"no keys":                 {good[:strings.Index(good, "        keys:")] + "        keys: []\n", "0 keys"},
		"a private key":           {fmt.Sprintf(document, indent(one), indent("-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----")), "PRIVATE KEY"},
		"two keys in one":         {fmt.Sprintf(document, indent(one+one), indent(one)), "more than one"},
		"weak key":                {fmt.Sprintf(document, indent(one), indent(weakPEM)), "2048"},
		"role twice":              {good[:strings.Index(good, "    minimumVersion")] + fmt.Sprintf("      - role: supplier\n        threshold: 1\n        keys:\n          - |\n%s\n", indent(one)), "used twice"},
		"role name":               {swap("role: supplier", "role: \"\""), "role"},
		"two documents":           {good + "---\n" + good, "second document"},
		"empty":                   {"", "empty"},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := policy.Parse([]byte(c.doc))
			if !reason.Is(err, reason.Malformed) || !strings.Contains(err.Error(), c.want) {
				t.Errorf("got %v, want malformed with %q", err, c.want)
			}
		})
	}
	if _, err := policy.Parse([]byte(strings.Repeat("#", 2<<20))); !reason.Is(err, reason.TooLarge) {
		t.Errorf("2 MiB: %v, want too-large", err)
	}
}

// refold writes the same PEM with lines of another length.
func refold(text string) string {
	block, _ := pem.Decode([]byte(text))
	lines := strings.Split(strings.TrimSpace(string(pem.EncodeToMemory(block))), "\n")
	body := strings.Join(lines[1:len(lines)-1], "")
	return lines[0] + "\n" + body[:20] + "\n" + body[20:] + "\n" + lines[len(lines)-1]
}

func TestSignatureRuleCountsDistinctAcceptedKeys(t *testing.T) {
	textA, a := newKey()
	textB, b := newKey()
	_, stranger := newKey()
	rule := func(threshold int, texts ...string) policy.SignatureRule {
		return policy.SignatureRule{Role: "supplier", Threshold: threshold, Keys: texts}
	}
	for name, c := range map[string]struct {
		rule  policy.SignatureRule
		found []string
		want  reason.Code
	}{
		"one of two":                       {rule(1, textA, textB), []string{b}, ""},
		"two of two":                       {rule(2, textA, textB), []string{b, a}, ""},
		"with a stranger's beside":         {rule(1, textA, textB), []string{stranger, a}, ""},
		"T17: one of two where two needed": {rule(2, textA, textB), []string{a}, reason.Threshold},
		"T12: one key signed twice":        {rule(2, textA, textB), []string{a, a}, reason.Threshold},
		"a stranger fills up":              {rule(2, textA, textB), []string{a, stranger}, reason.Threshold},
		"T1: only strangers":               {rule(1, textA, textB), []string{stranger}, reason.UntrustedSigner},
		"nobody":                           {rule(1, textA), nil, reason.Threshold},
		"empty id":                         {rule(1, textA), []string{""}, reason.UntrustedSigner},
		"T12: zero, not from Parse":        {rule(0, textA), nil, reason.Malformed},
		"T12: key twice, not from Parse":   {rule(2, textA, textA), []string{a, a}, reason.Malformed},
	} {
		t.Run(name, func(t *testing.T) {
			var found []policy.Signer
			for _, id := range c.found {
				found = append(found, policy.Signer{KeyID: id})
			}
			if _, err := c.rule.Check(found); reason.Of(err) != c.want {
				t.Errorf("got %v, want %q", err, c.want)
			}
		})
	}
}

func FuzzParse(f *testing.F) {
	f.Add([]byte(goodDocument()))
	f.Add([]byte("apiVersion: consign.dev/v1alpha1\nkind: TrustPolicy\n"))
	f.Add([]byte("applications: [{signatures: [{keys: [\"\"], threshold: 1}]}]"))
	f.Add([]byte("grants: &a [*a]"))
	f.Fuzz(func(t *testing.T, data []byte) {
		p, err := policy.Parse(data)
		if err != nil {
			if c := reason.Of(err); c != reason.Malformed && c != reason.TooLarge {
				t.Errorf("refused as %q: %v", c, err)
			}
			return
		}
		for _, a := range p.Applications {
			for _, r := range a.Signatures {
				if _, err := r.Check(nil); err == nil {
					t.Errorf("rule %+v is satisfied by nobody", r)
				}
			}
		}
	})
}
