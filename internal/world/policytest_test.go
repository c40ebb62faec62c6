package world_test

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/consign-dev/consign/internal/publish"
	"github.com/consign-dev/consign/internal/reason"
	"github.com/consign-dev/consign/internal/world"
)

// policyFile is the world's policy, with an edit, as a file beside its roots.
func policyFile(w *world.World, edit ...string) string {
	text := strings.NewReplacer(edit...).Replace(readFile(w, "policy.yaml"))
	return writeFile(w, "tried.yaml", []byte(text))
}

// TestPublishAsksAPolicy: what a device would refuse is refused before anything
// is pushed or signed, with the reason that the device would give.
func TestPublishAsksAPolicy(t *testing.T) {
	w := world.New(t)
	_, other := party(w, "other")
	key := readFile(w, "acme/signing.pem.pub")
	indent := func(pem string) string { return strings.ReplaceAll(strings.TrimSpace(pem), "\n", "\n            ") }
	rule := func(expression string) []string {
		return []string{"    signatures:\n", "    rules:\n      - {name: it, expression: '" + expression + "'}\n    signatures:\n"}
	}
	for name, c := range map[string]struct {
		edit []string
		code reason.Code
	}{
		"another key":         {[]string{indent(key), indent(other)}, reason.UntrustedSigner},
		"another application": {[]string{"id: hello", "id: goodbye"}, reason.Rule},
		"another channel":     {[]string{"repository: " + w.Releases, "repository: " + w.Host + "/other/releases"}, reason.Rule},
		"a floor":             {[]string{"    channel: acme\n    ", "    channel: acme\n    minimumVersion: 1.5.0\n    "}, reason.Downgrade},
		"a rule":              {rule(`bundle.version.startsWith("2.")`), reason.Rule},
		"no provenance": {[]string{"    signatures:\n", "    attestations:\n      - name: provenance\n        predicateType: https://slsa.dev/provenance/v1\n        threshold: 1\n" +
			block("keys", key) + "    signatures:\n"}, reason.Attestation},
	} {
		w.Requests()
		w.Asked = policyFile(w, c.edit...)
		if _, err := w.TryPublish("acme", "1.0.0", nil); !reason.Is(err, c.code) || !strings.Contains(err.Error(), "tried.yaml") {
			t.Errorf("%s: %v, want %s", name, err, c.code)
		}
		for _, r := range w.Requests() {
			if !strings.HasPrefix(r, "GET ") && !strings.HasPrefix(r, "HEAD ") {
				t.Errorf("%s: %s", name, r)
			}
		}
	}
	// What only the order can bring is left to it.
	w.Asked = policyFile(w, rule(`device.id == "press-07" && evidence.signatures.supplier.size() == 1`)...)
	if _, err := w.TryPublish("acme", "1.0.0", nil); err != nil {
		t.Errorf("allowed: %v", err)
	}
}

// TestPolicyTest: an operator's expectations of a policy are held against stored
// bundles by the verifier of the devices.
func TestPolicyTest(t *testing.T) {
	w, integrator := twoParties(t)
	good := w.Publish("acme", "1.0.0", nil)
	endorsed := endorse(w, "1.0.0", integrator, "")
	d := w.Recorded("press-07")
	w.Must(order(w, d.ID, "1.0.0", endorsed))
	deployment := writeFile(w, "order.yaml", w.Ordered(d.ID))
	at := w.Host + "/acme/hello@" + string(good)
	rules := policyFile(w, "    signatures:\n", "    rules:\n      - {name: here, expression: 'device.platform.architecture == \"amd64\"'}\n    signatures:\n")
	test := fmt.Sprintf(`apiVersion: consign.dev/v1alpha1
kind: PolicyTest
policy: %s
cases:
  - {name: released, bundle: %q, expect: {outcome: accepted}}
  - {name: without its signature, bundle: %q, evidence: [], expect: {outcome: threshold, step: signature, says: supplier}}
  - name: ordered and endorsed
    bundle: %q
    deployment: %s
    device: {id: press-07, platform: linux/amd64}
    endorsements: [1.0.0.sigstore.json]
    expect: {outcome: accepted}
  - name: on another machine
    bundle: %q
    deployment: %s
    device: {id: press-07, platform: linux/arm64}
    endorsements: [1.0.0.sigstore.json]
    expect: {outcome: rule, step: rule, says: here}
  - name: expected wrongly
    bundle: %q
    expect: {outcome: identity}
`, filepath.Base(rules), at, at, at, filepath.Base(deployment), at, filepath.Base(deployment), at)
	file := writeFile(w, "policy-test.yaml", []byte(test))
	results, err := publish.TestPolicy(w.Context(), w.Client(), file)
	w.Must(err)
	for n, want := range []bool{true, true, true, true, false} {
		if r := results[n]; r.OK != want {
			t.Errorf("%s: %+v", r.Name, r)
		}
	}
}

func readFile(w *world.World, name string) string {
	data, err := os.ReadFile(filepath.Join(w.Dir, name))
	w.Must(err)
	return string(data)
}
