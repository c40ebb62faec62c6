package publish

import (
	"strings"
	"testing"

	"github.com/consign-dev/consign/internal/reason"
)

const samplePolicyTest = `apiVersion: consign.dev/v1alpha1
kind: PolicyTest
policy: policy.yaml
cases:
  - name: good
    bundle: registry.example/acme/hello@sha256:0000000000000000000000000000000000000000000000000000000000000000
    deployment: order.yaml
    device: {id: press-07, platform: linux/amd64}
    expect: {outcome: identity, step: signature, says: main}
`

func TestParsePolicyTest(t *testing.T) {
	got, err := ParsePolicyTest([]byte(samplePolicyTest))
	if err != nil || len(got.Cases) != 1 || got.Cases[0].Expect.Step != "signature" {
		t.Fatalf("%+v, %v", got, err)
	}
	for name, c := range map[string]struct{ old, new, says string }{
		"another kind":       {"PolicyTest", "TrustPolicy", "kind"},
		"no policy":          {"policy: policy.yaml", "policy: ''", "policy: is missing"},
		"no cases":           {samplePolicyTest[strings.Index(samplePolicyTest, "cases:"):], "cases: []\n", "cases: 0"},
		"an unknown field":   {"deployment:", "deploiment:", "deploiment"},
		"an unknown outcome": {"outcome: identity", "outcome: refused", "refused"},
		"a tag":              {"@sha256:" + strings.Repeat("0", 64), ":1.0.0", "REPOSITORY@sha256"},
		"accepted and step":  {"outcome: identity", "outcome: accepted", "are of a refusal"},
		"no deployment":      {"    deployment: order.yaml\n", "", "device: "},
		"no device":          {"    device: {id: press-07, platform: linux/amd64}\n", "", "device: "},
		"no name":            {"name: good", "name: ''", "name: "},
	} {
		_, err := ParsePolicyTest([]byte(strings.Replace(samplePolicyTest, c.old, c.new, 1)))
		if !reason.Is(err, reason.Malformed) || !strings.Contains(err.Error(), c.says) {
			t.Errorf("%s: %v, want %q", name, err, c.says)
		}
	}
}

func FuzzParsePolicyTest(f *testing.F) {
	f.Add([]byte(samplePolicyTest))
	f.Fuzz(func(t *testing.T, data []byte) {
		got, err := ParsePolicyTest(data)
		switch {
		case err != nil && !reason.Is(err, reason.Malformed) && !reason.Is(err, reason.TooLarge):
			t.Error(err)
		case err == nil && (got.Policy == "" || len(got.Cases) == 0):
			t.Errorf("%+v", got)
		}
	})
}
