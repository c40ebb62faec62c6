package margo_test

import (
	"testing"

	"github.com/consign-dev/consign/internal/margo"
	"github.com/consign-dev/consign/internal/reason"
)

func TestTheHelmExampleFitsItsPackage(t *testing.T) {
	desc := parseDescription(t, own(t, descriptionExample))
	d := parseDeployment(t, own(t, helmExample))
	if err := d.CheckFits(desc); err != nil {
		t.Error(err)
	}
	if _, err := d.Order(); !reason.Is(err, reason.Malformed) {
		t.Errorf("a deployment without our extension: %v", err)
	}
}

// The Compose example has an extension that its package has not: legal in
// Margo, but not a copy of this package's profile.
func TestTheComposeExampleHasAForeignExtension(t *testing.T) {
	desc := parseDescription(t, own(t, descriptionExample))
	doc := own(t, composeExample)
	mustRefuse(t, parseDeployment(t, doc).CheckFits(desc), reason.DeploymentMismatch, `"x-example-extensions" is not in the package`)
	doc = edit(t, doc, "        x-example-extensions:\n          note: any mapping is legal here and must be ignored when unknown\n", "")
	d := parseDeployment(t, doc)
	if err := d.CheckFits(desc); err != nil {
		t.Error(err)
	}
	got := d.ComponentValues("line-monitor-stack")
	if len(got) != 2 || got["SITE_NAME"] != "plant-1" || got["POLL_SECONDS"] != "60" {
		t.Errorf("values %v", got)
	}
}

// Attack T29: whoever holds the deploy key edits a well-formed deployment.
func TestADeployKeyChangesNothingButDeclaredValues(t *testing.T) {
	desc := parseDescription(t, withProfileExtension(t, own(t, descriptionExample)))
	doc := withProfileExtension(t, own(t, helmExample))
	doc = edit(t, doc, "  deploymentProfile:\n", "  deploymentProfile:\n    x-consign-extensions:\n      bundle: {channel: acme, version: 1.4.0, digest: \""+someDigest+"\"}\n")
	if err := parseDeployment(t, doc).CheckFits(desc); err != nil {
		t.Fatal(err)
	}
	first := "      - name: counter-store\n        properties:\n          repository: oci://registry.example.com/charts/counter-store\n          revision: 2.3.7\n          wait: true\n          timeout: 8m30s\n"
	second := "      - name: line-monitor\n        properties:\n          repository: oci://registry.example.com/charts/line-monitor\n          revision: 1.4.0\n          wait: true\n          timeout: 5m0s\n"
	pollTarget := "        - pointer: settings.pollSeconds\n          components: [line-monitor, counter-store]\n"
	for name, c := range map[string]struct{ old, new, want string }{
		"other application":    {"applicationId: com-example-line-monitor", "applicationId: com-example-other", "applicationId"},
		"other version":        {"version: 1.4.0, digest", "version: 1.3.0, digest", `version "1.3.0"`},
		"undeclared parameter": {"  parameters:\n", "  parameters:\n    image:\n      value: evil\n      targets: [{pointer: image.name, components: [line-monitor]}]\n", `unknown parameter "image"`},
		"pointer":              {"pointer: settings.siteName", "pointer: image.repository", "parameters.siteName: targets"},
		"more components":      {"components: [line-monitor]", "components: [line-monitor, counter-store]", "parameters.siteName: targets"},
		"fewer components":     {"components: [line-monitor, counter-store]", "components: [line-monitor]", "parameters.pollSeconds: targets"},
		"second target":        {pollTarget, pollTarget + "        - pointer: image.tag\n          components: [line-monitor]\n", "parameters.pollSeconds: targets"},
		"parameter dropped":    {"    pollSeconds:\n      value: \"60\"\n      targets:\n" + pollTarget, "", "parameters.pollSeconds is missing"},
		"reordered":            {first + second, second + first, "components[0]: name"},
		"repository":           {"charts/counter-store", "charts/other", "repository"},
		"revision":             {"revision: 2.3.7", "revision: 2.3.6", "revision"},
		"wait":                 {"wait: true", "wait: false", "wait differs"},
		"wait left out":        {"          wait: true\n", "", "wait differs"},
		"timeout":              {"timeout: 8m30s", "timeout: 0m1s", "timeout"},
		"timeout left out":     {"          timeout: 8m30s\n", "", "timeout"},
		"cores":                {"cores: 1.5", "cores: 0.5", "deviceConstraints"},
		"architectures":        {"[amd64, arm64]", "[amd64, arm64, arm]", "deviceConstraints"},
		"rule value":           {`values: ["ethernet"]`, `values: ["wifi"]`, "deviceConstraints"},
		"rule operator":        {"operator: ContainsAll", "operator: ContainsAny", "deviceConstraints"},
		"profile extension":    {"    x-acme-extensions: {a: 1}\n", "    x-acme-extensions: {a: 1}\n    x-evil-extensions: {}\n", `"x-evil-extensions" is not in the package`},
		"extension changed":    {"x-acme-extensions: {a: 1}", "x-acme-extensions: {a: 2}", `"x-acme-extensions" is missing or differs`},
		"extension dropped":    {"    x-acme-extensions: {a: 1}\n", "", `"x-acme-extensions" is missing or differs`},
		"component extension":  {"      - name: line-monitor\n", "      - name: line-monitor\n        x-consign-extensions: {a: b}\n", `"x-consign-extensions" is not in the package`},
		"value type":           {`value: "60"`, "value: often", "not a whole number"},
		"value not canonical":  {`value: "60"`, `value: "060"`, "not a whole number"},
		"value range":          {`value: "60"`, `value: "361"`, "above 360"},
		"value length":         {"value: plant-1", "value: plant-1-plant-1-plant-1-plant-1-plant-1-plant-1", "at most 45"},
		"value empty":          {"value: plant-1", `value: ""`, "is empty"},
		"value list":           {"value: plant-1", "value: [a]", "not text"},
	} {
		t.Run(name, func(t *testing.T) {
			d := parseDeployment(t, edit(t, doc, c.old, c.new))
			mustRefuse(t, d.CheckFits(desc), reason.DeploymentMismatch, c.want)
		})
	}
	t.Run("component dropped", func(t *testing.T) {
		d := parseDeployment(t, edit(t, edit(t, doc, first, ""), "[line-monitor, counter-store]", "[line-monitor]"))
		mustRefuse(t, d.CheckFits(desc), reason.DeploymentMismatch, "1 components, the package has 2")
	})
	t.Run("other type", func(t *testing.T) {
		d := parseDeployment(t, doc)
		d.Spec.DeploymentProfile.Type = margo.TypeCustom
		mustRefuse(t, d.CheckFits(desc), reason.DeploymentMismatch, "no profile of type custom")
	})
	t.Run("constraints dropped", func(t *testing.T) {
		d := parseDeployment(t, doc)
		d.Spec.DeploymentProfile.DeviceConstraints = nil
		mustRefuse(t, d.CheckFits(desc), reason.DeploymentMismatch, "deviceConstraints differ")
	})
}

// withProfileExtension gives the helm profile of either document an extension.
func withProfileExtension(t *testing.T, doc string) string {
	return edit(t, doc, "    deviceConstraints:\n", "    x-acme-extensions: {a: 1}\n    deviceConstraints:\n")
}

// Values are compared, not text: another spelling of the same order fits.
func TestSpellingDoesNotMatter(t *testing.T) {
	desc := parseDescription(t, own(t, descriptionExample))
	doc := edit(t, own(t, helmExample), "cores: 1.5", "cores: 15e-1")
	doc = edit(t, doc, `values: ["helm"]`, "values:\n                - &h helm")
	doc = edit(t, doc, "components: [line-monitor]", "components:\n          - 'line-monitor'")
	if err := parseDeployment(t, doc).CheckFits(desc); err != nil {
		t.Error(err)
	}
}

func TestImmutableSettingsHold(t *testing.T) {
	desc := parseDescription(t, own(t, descriptionExample))
	doc := own(t, helmExample)
	old := parseDeployment(t, doc)
	if err := parseDeployment(t, edit(t, doc, `value: "60"`, "value: 61")).CheckImmutable(old, desc); err != nil {
		t.Errorf("a setting that may change: %v", err)
	}
	moved := parseDeployment(t, edit(t, doc, "value: plant-1", "value: plant-2"))
	mustRefuse(t, moved.CheckImmutable(old, desc), reason.DeploymentMismatch, "siteName is immutable")
	if err := moved.CheckImmutable(nil, desc); err != nil {
		t.Errorf("first installation: %v", err)
	}
	delete(moved.Spec.Parameters, "siteName")
	mustRefuse(t, moved.CheckImmutable(old, desc), reason.DeploymentMismatch, "siteName is immutable")

	fixed := parseDescription(t, edit(t, own(t, descriptionExample), "          name: Poll period\n", "          name: Poll period\n          immutable: true\n"))
	if err := parseDeployment(t, edit(t, doc, `value: "60"`, "value: 60")).CheckImmutable(old, fixed); err != nil {
		t.Errorf("the same value written another way: %v", err)
	}
}

func TestTheRightOneOfSeveralProfilesIsFound(t *testing.T) {
	small := "  - type: compose\n    id: small\n    components:\n      - name: line-monitor-stack\n        properties:\n" +
		"          repository: oci://registry.example.com/compose/line-monitor\n          revision: 1.4.0\n"
	desc := parseDescription(t, edit(t, own(t, descriptionExample), "parameters:\n", small+"parameters:\n"))
	in := deploymentInput(margo.TypeCompose)
	in.ProfileID = "small"
	data, err := margo.NewDeployment(desc, in)
	if err != nil {
		t.Fatal(err)
	}
	mixed := edit(t, string(data), "revision: 1.4.0", "revision: 1.5.0")
	err = parseDeployment(t, mixed).CheckFits(desc)
	mustRefuse(t, err, reason.DeploymentMismatch, `profile "line-monitor-compose"`)
	mustRefuse(t, err, reason.DeploymentMismatch, `profile "small"`)
}
