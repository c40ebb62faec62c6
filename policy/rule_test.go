package policy_test

import (
	"errors"
	"fmt"
	"strings"
	"testing"

	"google.golang.org/protobuf/types/known/structpb"

	"github.com/consign-dev/consign/internal/reason"
	"github.com/consign-dev/consign/policy"
)

// withRule is an application with one rule.
func withRule(t testing.TB, expression string) (*policy.Application, error) {
	t.Helper()
	text := strings.Replace(string(ruled(t)), "    signatures:\n", fmt.Sprintf("    rules:\n      - name: it\n        expression: %q\n        message: ask the plant\n    signatures:\n", expression), 1)
	p, err := policy.Parse([]byte(text))
	if err != nil {
		return nil, err
	}
	return &p.Applications[0], nil
}

func ruled(t testing.TB) []byte {
	t.Helper()
	return shipped(t, "one-key.yaml")
}

// seen is a view of an installation of a bundle with two images.
func seen(t testing.TB) policy.View {
	t.Helper()
	parameters, err := structpb.NewStruct(map[string]any{"siteName": "plant-1", "debug": false, "port": "not a number", "rate": 2.5})
	if err != nil {
		t.Fatal(err)
	}
	a := built()
	return policy.View{
		Bundle: policy.BundleView{
			Application: "com-example-line-monitor", Version: "1.4.0", Digest: "sha256:" + wholeID, Components: []string{"stack"},
			Images: []policy.ImageView{{Reference: "docker.io/library/nginx:1.27", Digest: "sha256:" + imageA}, {Reference: "ghcr.io/acme/app:1", Digest: "sha256:" + imageB}},
		},
		Evidence:   policy.Seen(map[string][]policy.Signer{"supplier": a.Signers}, map[string][]policy.Attestation{"provenance": {a}}),
		Deployment: policy.DeploymentView{ID: "d", Channel: "acme", Profile: "compose", Parameters: parameters, Secrets: []string{"line-7.db"}},
		Device:     policy.DeviceView{ID: "press-07", Platform: policy.PlatformView{OS: "linux", Architecture: "arm64", Variant: "v8"}},
	}
}

// TestRules: every part of the view can be asked about, and what does not hold is
// refused with the rule's name and message.
func TestRules(t *testing.T) {
	for expression, holds := range map[string]bool{
		`bundle.application == "com-example-line-monitor" && bundle.version.startsWith("1.")`:                              true,
		`bundle.images.all(i, i.reference.matches("^(docker\\.io|ghcr\\.io)/") && i.digest.startsWith("sha256:"))`:         true,
		`bundle.images.exists(i, i.reference.startsWith("quay.io/"))`:                                                      false,
		`bundle.components == ["stack"] && bundle.digest.size() == 71`:                                                     true,
		`evidence.signatures.supplier.exists(s, s.claims.buildTrigger == "push")`:                                          true,
		`evidence.signatures["supplier"][0].issuer == "https://evil.example"`:                                              false,
		`evidence.attestations.provenance.all(a, a.predicate.buildDefinition.buildType.startsWith("https://"))`:            true,
		`evidence.attestations.provenance[0].predicate.runDetails.builder.id == "me"`:                                      false,
		`evidence.attestations.provenance[0].predicateType == "https://slsa.dev/provenance/v1"`:                            true,
		`deployment.parameters.siteName == "plant-1" && !deployment.parameters.debug && deployment.parameters.rate == 2.5`: true,
		`deployment.channel == "acme" && deployment.profile == "compose" && !deployment.allowDowngrade`:                    true,
		`"other.db" in deployment.secrets`:                                                                                 false,
		`device.id in ["press-07", "press-08"]`:                                                                            true,
		`device.platform.architecture == "amd64"`:                                                                          false,
		`!has(deployment.parameters.token)`:                                                                                true,
		`"integrator" in evidence.signatures`:                                                                              false,
	} {
		app, err := withRule(t, expression)
		if err != nil {
			t.Errorf("%s: %v", expression, err)
			continue
		}
		out, err := app.JudgeRules(seen(t))
		if holds && (err != nil || len(out) != 1 || out[0].Open) {
			t.Errorf("%s: %v, %v", expression, out, err)
		}
		if !holds && (!reason.Is(err, reason.Rule) || !strings.HasSuffix(err.Error(), "rule it does not hold: ask the plant")) {
			t.Errorf("%s: %v", expression, err)
		}
	}
}

// TestRulesThatCannotBeEvaluated are refused; the log is not told what the
// evaluation says, since it may quote a parameter.
func TestRulesThatCannotBeEvaluated(t *testing.T) {
	for expression, says := range map[string]string{
		`evidence.signatures.integrator.size() == 1`:                 "no such key",
		`int(deployment.parameters.port) > 1024`:                     "type conversion",
		`evidence.attestations.provenance[0].predicate.nothing == 1`: "no such key",
		`[1,2,3,4,5,6,7,8,9,10].all(a, [1,2,3,4,5,6,7,8,9,10].all(b, [1,2,3,4,5,6,7,8,9,10].all(c, [1,2,3,4,5,6,7,8,9,10].all(d, [1,2,3,4,5,6,7,8,9,10].all(e, a+b+c+d+e > 0)))))`: "cost",
	} {
		app, err := withRule(t, expression)
		if err != nil {
			t.Errorf("%s: %v", expression, err)
			continue
		}
		_, err = app.JudgeRules(seen(t))
		var rule *policy.RuleError
		if !reason.Is(err, reason.Rule) || !strings.Contains(err.Error(), says) || !errors.As(err, &rule) {
			t.Errorf("%s: %v", expression, err)
		} else if got := rule.LogText(); strings.Contains(got, "conversion") || !strings.Contains(got, "rule it") {
			t.Errorf("%s: the log is told %q", expression, got)
		}
	}
}

// TestOpenRules: what depends on something that is not known yet is left, and what
// is decided without it is not.
func TestOpenRules(t *testing.T) {
	later := []policy.Open{{"deployment"}, {"device"}, {"evidence", "signatures", "integrator"}}
	for expression, open := range map[string]bool{
		`device.id == "press-07"`:                                 true,
		`deployment.parameters.siteName == "plant-1"`:             true,
		`evidence.signatures.integrator.size() == 1`:              true,
		`evidence.signatures.supplier.size() == 1`:                false,
		`bundle.version == "1.4.0" || device.id == "press-07"`:    false,
		`bundle.images.all(i, i.digest.startsWith("sha256:"))`:    false,
		`evidence.signatures["integrator"].all(s, s.keyId != "")`: true,
	} {
		app, err := withRule(t, expression)
		if err != nil {
			t.Fatal(err)
		}
		v := seen(t)
		v.Deployment, v.Device = policy.DeploymentView{}, policy.DeviceView{}
		out, err := app.JudgeRules(v, later...)
		if err != nil || len(out) != 1 || out[0].Open != open {
			t.Errorf("%s: %+v, %v; want open %t", expression, out, err, open)
		}
	}
	app, err := withRule(t, `bundle.version == "2.0.0" && device.id == "press-07"`)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := app.JudgeRules(seen(t), later...); !reason.Is(err, reason.Rule) {
		t.Errorf("false, whatever the device is: %v", err)
	}
}

// TestAttackS17RulesThatAreNone: what does not compile against the view, or yields
// no truth, makes the policy malformed.
func TestAttackS17RulesThatAreNone(t *testing.T) {
	for expression, says := range map[string]string{
		``:                            "is missing",
		`  `:                          "is missing",
		`bundle.versoin == "1"`:       "undefined field",
		`bundle.version`:              "true or false",
		`1`:                           "true or false",
		`deployment.parameters.debug`: "true or false",
		`bundle.version == 1`:         "no matching overload",
		`now() > timestamp("2026-01-01T00:00:00Z")`:                  "undeclared",
		`env("HOME") == ""`:                                          "undeclared",
		`bundle.version ==`:                                          "Syntax error",
		`true || ` + strings.Repeat(`true || `, 600) + `true`:        "at most",
		strings.Repeat("(", 200) + "true" + strings.Repeat(")", 200): "recursion",
	} {
		if _, err := withRule(t, expression); !reason.Is(err, reason.Malformed) || !strings.Contains(err.Error(), says) {
			t.Errorf("%.60s: %v, want %q", expression, err, says)
		}
	}
}

// FuzzRule: an expression of anybody's is refused or evaluated within its cost.
func FuzzRule(f *testing.F) {
	for _, s := range []string{`true`, `bundle.images.all(i, i.reference != "")`, `evidence.attestations.provenance[0].predicate.a.b == 1.5`, `deployment.parameters.x.matches("(a*)*b")`} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, expression string) {
		app, err := withRule(t, expression)
		if err != nil {
			if !reason.Is(err, reason.Malformed) && !reason.Is(err, reason.TooLarge) {
				t.Error(err)
			}
			return
		}
		if _, err := app.JudgeRules(seen(t)); err != nil && !reason.Is(err, reason.Rule) {
			t.Error(err)
		}
	})
}

// TestListsAndBoundsOfRules: whose list a rule counts is one of two, the supplier
// must have signed something, and conditions are few and named once.
func TestListsAndBoundsOfRules(t *testing.T) {
	one := "      - {name: %s, expression: 'true', message: '%s'}\n"
	rules := func(list string) string { return "    rules:\n" + list + "    signatures:\n" }
	var many strings.Builder
	for n := range 33 {
		fmt.Fprintf(&many, one, fmt.Sprint("r", n), "m")
	}
	for name, c := range map[string]struct{ old, new, says string }{
		"another list":        {"        threshold: 1\n", "        threshold: 1\n        listedIn: referrers\n", `listedIn: "referrers"`},
		"none of the release": {"        threshold: 1\n", "        threshold: 1\n        listedIn: deployment\n", "one at least must be of the release"},
		"too many":            {"    signatures:\n", rules(many.String()), "rules: 33, at most 32"},
		"twice":               {"    signatures:\n", rules(fmt.Sprintf(one, "a", "m") + fmt.Sprintf(one, "a", "m")), "used twice"},
		"no name":             {"    signatures:\n", rules(fmt.Sprintf(one, "A", "m")), "rules[0].name"},
		"a long message":      {"    signatures:\n", rules(fmt.Sprintf(one, "a", strings.Repeat("m", 301))), "rules[0].message"},
	} {
		_, err := policy.Parse([]byte(strings.Replace(string(ruled(t)), c.old, c.new, 1)))
		if !reason.Is(err, reason.Malformed) || !strings.Contains(err.Error(), c.says) {
			t.Errorf("%s: %v, want %q", name, err, c.says)
		}
	}
	two, err := policy.Parse(shipped(t, "two-party.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	for list, role := range map[string]string{policy.InRelease: "supplier", policy.InDeployment: "integrator"} {
		if got, more := two.Applications[0].ListedIn(list); len(got) != 1 || got[0].Role != role || len(more) != 0 {
			t.Errorf("%s: %+v, %+v", list, got, more)
		}
	}
}
