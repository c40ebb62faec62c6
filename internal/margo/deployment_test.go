package margo_test

import (
	"testing"
	"time"

	"github.com/consign-dev/consign/internal/margo"
	"github.com/consign-dev/consign/internal/reason"
)

func TestDeploymentExamplesAreReadWhole(t *testing.T) {
	for _, name := range []string{helmExample, composeExample} {
		doc := own(t, name)
		if d := parseDeployment(t, doc); string(d.Raw) != doc {
			t.Errorf("%s: Raw is not the document", name)
		}
	}
	d := parseDeployment(t, own(t, composeExample))
	if d.Metadata.DeviceID != "gateway-1/edge-07" || d.Spec.DeploymentProfile.Components[0].TimeoutDuration() != 5*time.Minute {
		t.Errorf("read %+v", d)
	}
	if _, ok := d.Spec.DeploymentProfile.Components[0].Extensions["x-example-extensions"]; !ok {
		t.Error("an unknown extension was lost")
	}
}

func TestDeploymentRules(t *testing.T) {
	doc := own(t, composeExample)
	for name, c := range map[string]struct{ old, new, want string }{
		"kind":             {"metadata:\n", "kind: ApplicationDeployment\nmetadata:\n", "kind: removed in Margo 1.0.0-rc.2"},
		"apiVersion":       {"metadata:\n", "apiVersion: v1\nmetadata:\n", "apiVersion: removed in Margo 1.0.0-rc.2"},
		"annotations":      {"metadata:\n", "metadata:\n  annotations: {id: x}\n", "annotations.id is now the top-level id"},
		"appPackageRef":    {"spec:\n", "spec:\n  appPackageRef: {id: x}\n", "replaced in Margo 1.0.0-rc.2 by spec.applicationId"},
		"packageLocation":  {"          wait: true\n", "          packageLocation: oci://x/y:1\n", "packageLocation: replaced"},
		"profile id":       {"    type: compose\n", "    type: compose\n    id: x\n", "belongs to the ApplicationDescription"},
		"type":             {"    type: compose\n", "    type: docker-compose\n", "write compose"},
		"id":               {"id: ad9b614e-8912", "id: AD9B614E-8912", "not a UUID in lower case"},
		"name":             {"name: com-example-line-monitor-deployment", "name: Line Monitor", "Kubernetes name"},
		"namespace":        {"namespace: margo", "namespace: a.b", "Kubernetes namespace"},
		"device":           {"deviceId: gateway-1/edge-07", "deviceId: gateway-1/../edge", "not a device id"},
		"device space":     {"deviceId: gateway-1/edge-07", "deviceId: gateway 1", "not a device id"},
		"application":      {"applicationId: com-example-line-monitor", "applicationId: A", "spec.applicationId"},
		"no value":         {"      value: plant-1\n", "", "parameters.siteName: value is missing"},
		"null value":       {"value: plant-1", "value: null", "parameters.siteName: value is missing"},
		"target component": {"[line-monitor-stack]", "[line-monitor-stak]", `did you mean "line-monitor-stack"?`},
		"ENV pointer":      {"pointer: SITE_NAME", "pointer: ENV.SITE_NAME", `write "SITE_NAME"`},
		"pointer":          {"pointer: SITE_NAME", `pointer: "SITE_NAME\nPATH=x"`, "environment variable"},
		"same pointer":     {"pointer: POLL_SECONDS", "pointer: SITE_NAME", "already set"},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := margo.ParseDeployment([]byte(edit(t, doc, c.old, c.new)))
			mustRefuse(t, err, reason.Malformed, c.want)
		})
	}
	parseDeployment(t, edit(t, doc, "deviceId: gateway-1/edge-07", "deviceId: gateway-1/*"))
}

func TestComponentValuesAreText(t *testing.T) {
	for written, want := range map[string]string{
		"true": "true", `"true"`: "true", "1.50": "1.5", `"1.50"`: "1.50", "1e3": "1000", "-0.5": "-0.5", "1e21": "1000000000000000000000",
		"9007199254740993": "9007199254740993", `"${HOME} $$ {{x}}"`: "${HOME} $$ {{x}}", `""`: "",
	} {
		d := parseDeployment(t, edit(t, own(t, composeExample), "value: plant-1", "value: "+written))
		if got := d.ComponentValues("line-monitor-stack")["SITE_NAME"]; got != want {
			t.Errorf("%s became %q, want %q", written, got, want)
		}
	}
}

func TestCompareVersions(t *testing.T) {
	for _, c := range []struct {
		a, b string
		want int
	}{
		{"1.4.0", "1.4.0", 0}, {"1.10.0", "1.9.0", 1}, {"1.4.0-rc.1", "1.4.0", -1}, {"1.4.0-rc.10", "1.4.0-rc.9", 1},
		{"1.4.0_build.7", "1.4.0+build.8", 0}, {"1.0", "1.0.0", 0}, {"2", "1.9.9", 1}, {"1.0.0-alpha.1", "1.0.0-alpha.beta", -1},
		{"99999999999999999999.0.0", "9.0.0", 1},
	} {
		if got, err := margo.CompareVersions(c.a, c.b); err != nil || got != c.want {
			t.Errorf("%s against %s: %d, %v", c.a, c.b, got, err)
		}
		if got, err := margo.CompareVersions(c.b, c.a); err != nil || got != -c.want {
			t.Errorf("%s against %s: %d, %v", c.b, c.a, got, err)
		}
	}
	for _, bad := range []string{"", "latest", "v1.0.0", "1.02.0", "1.0.0_a_b", "1.0.0-"} {
		if _, err := margo.CompareVersions(bad, "1.0.0"); err == nil {
			t.Errorf("%q was compared", bad)
		}
	}
}

func TestIdentifiers(t *testing.T) {
	for _, id := range []string{"press-07", "gateway-1/press.07/a~b_C", strings253} {
		if err := margo.CheckDeviceID(id); err != nil {
			t.Error(err)
		}
	}
	for _, id := range []string{"", "/a", "a/", "a//b", ".", "a/..", "a b", "a%2Fb", "*", "a/*", strings253 + "x", "é"} {
		mustRefuse(t, margo.CheckDeviceID(id), reason.Malformed, "device id")
	}
	if margo.CheckApplicationID("line-monitor") != nil {
		t.Error("line-monitor refused")
	}
	mustRefuse(t, margo.CheckApplicationID("Line/Monitor"), reason.Malformed, "application id")
}
