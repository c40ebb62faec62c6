package margo_test

import (
	"strings"
	"testing"
	"time"

	"github.com/consign-dev/consign/internal/margo"
	"github.com/consign-dev/consign/internal/reason"
)

func TestDescriptionIsReadWhole(t *testing.T) {
	doc := own(t, descriptionExample)
	d := parseDescription(t, doc)
	if string(d.Raw) != doc {
		t.Error("Raw is not the document")
	}
	if d.ID != "com-example-line-monitor" || d.Metadata.Version != "1.4.0" || len(d.DeploymentProfiles) != 2 {
		t.Errorf("read %+v", d)
	}
	compose := d.DeploymentProfiles[1].Components[0]
	if compose.Properties.Revision != "1.4.0_build.7" || compose.TimeoutDuration() != 5*time.Minute || !compose.WaitEnabled() {
		t.Errorf("component %+v", compose)
	}
	if d.Parameters["pollSeconds"].Value != int64(30) || !d.Configuration.Sections[0].Settings[0].Immutable {
		t.Errorf("parameters %+v, configuration %+v", d.Parameters, d.Configuration)
	}
}

func TestExtensionsAreKept(t *testing.T) {
	doc := own(t, descriptionExample)
	doc = edit(t, doc, "apiVersion: v1\n", "apiVersion: v1\nx-acme-extensions: {anything: [1, 2.0, {a: b}]}\n")
	doc = edit(t, doc, "    id: line-monitor-helm\n", "    id: line-monitor-helm\n    x-acme-extensions: {}\n")
	doc = edit(t, doc, "      - name: counter-store\n", "      - name: counter-store\n        x-consign-extensions: {hint: 1}\n")
	d := parseDescription(t, doc)
	if d.Extensions["x-acme-extensions"]["anything"].([]any)[1] != int64(2) {
		t.Errorf("root extension %v", d.Extensions)
	}
	if _, ok := d.DeploymentProfiles[0].Extensions["x-acme-extensions"]; !ok {
		t.Error("profile extension lost")
	}
	if d.DeploymentProfiles[0].Components[0].Extensions["x-consign-extensions"]["hint"] != int64(1) {
		t.Error("component extension lost")
	}
}

func TestOlderDescriptionsAreRefusedWithWhatChanged(t *testing.T) {
	doc := own(t, descriptionExample)
	helm := "  - type: helm\n"
	for name, c := range map[string]struct{ old, new, want string }{
		"kind":              {"apiVersion: v1\n", "apiVersion: v1\nkind: ApplicationDescription\n", "kind: removed in Margo 1.0.0-rc.2"},
		"api version":       {"apiVersion: v1\n", "apiVersion: margo.org/v1-alpha1\n", `apiVersion is "margo.org/v1-alpha1"`},
		"metadata.id":       {"metadata:\n", "metadata:\n  id: com-example\n", "metadata.id: moved in Margo 1.0.0-rc.2: write it as the top-level id"},
		"helm.v3":           {helm, "  - type: helm.v3\n", "helm.v3 was renamed in Margo 1.0.0-rc.2: write helm"},
		"docker-compose":    {helm, "  - type: docker-compose\n", "write compose"},
		"requiredResources": {helm, "  - requiredResources: {memory: 1Gi}\n    type: helm\n", "replaced in Margo 1.0.0-rc.2 by deviceConstraints"},
		"packageLocation":   {"          wait: true\n", "          packageLocation: https://example.com/a.tar.gz\n", "write repository (oci://host/path) and revision"},
		"keyLocation":       {"          wait: true\n", "          keyLocation: https://example.com/key.asc\n", "keyLocation: removed"},
		"ENV pointer":       {"pointer: SITE_NAME", "pointer: ENV.SITE_NAME", `the ENV. prefix was removed in Margo 1.0.0-rc.2, write "SITE_NAME"`},
		"PORTS pointer":     {"pointer: SITE_NAME", "pointer: PORTS.80", "name of an environment variable"},
		"short timeout":     {"timeout: 8m30s", "timeout: 5m", "minutes and seconds such as 5m0s"},
		"placeholder":       {"oci://registry.example.com/charts/line-monitor", "{{REPOSITORY}}", "{{placeholder}} must be filled in"},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := margo.ParseDescription([]byte(edit(t, doc, c.old, c.new)))
			mustRefuse(t, err, reason.Malformed, c.want)
		})
	}
}

func TestDescriptionRules(t *testing.T) {
	doc := own(t, descriptionExample)
	for name, c := range map[string]struct{ old, new, want string }{
		"unknown field":       {"deploymentProfiles:", "deploymentProfile:", `did you mean "deploymentProfiles"?`},
		"bad extension":       {"apiVersion: v1\n", "apiVersion: v1\nx-Acme-extensions: {}\n", "or an extension, x-<name>-extensions"},
		"scalar extension":    {"apiVersion: v1\n", "apiVersion: v1\nx-acme-extensions: 1\n", "must be a mapping"},
		"reserved extension":  {"    id: line-monitor-helm\n", "    id: line-monitor-helm\n    x-consign-extensions: {bundle: {}}\n", "the rest is the deployment's"},
		"id":                  {"id: com-example-line-monitor\n", "id: Com.Example\n", "id: \"Com.Example\" must be"},
		"version not a tag":   {"version: 1.4.0\n", "version: 1.4.0+7\n", "cannot be an OCI tag"},
		"version a number":    {"version: 1.4.0\n", "version: 1.4\n", "metadata.version: must be text: write it in quotes"},
		"no organization":     {"    organization:\n      - name: Example Industrial\n        site: https://example.com\n", "", "organization is missing"},
		"email":               {"author@example.com", "nobody", "not an e-mail address"},
		"outside path":        {"./resources/icon.png", "../icon.png", "not a path inside the package"},
		"absolute path":       {"./resources/icon.png", "/etc/passwd", "not a path inside the package"},
		"profile type":        {"  - type: helm\n", "  - type: quadlet\n", "none of helm, compose, custom"},
		"profile id twice":    {"id: line-monitor-compose", "id: line-monitor-helm", "a second profile"},
		"custom no labels":    {"  - type: helm\n", "  - type: custom\n", "labelSelector"},
		"component name":      {"- name: counter-store", "- name: Counter_Store", "lower-case letters, digits and dashes"},
		"component twice":     {"- name: counter-store", "- name: line-monitor", "a second component"},
		"repository https":    {"oci://registry.example.com/charts/counter-store", "https://registry.example.com/x", "not oci://host/path"},
		"repository with tag": {"oci://registry.example.com/charts/counter-store", "oci://registry.example.com/x:1.0.0", "without a tag"},
		"repository dots":     {"oci://registry.example.com/charts/counter-store", "oci://registry.example.com/../x", "not oci://host/path"},
		"revision v":          {"revision: 2.3.7", "revision: v2.3.7", "no leading v"},
		"revision latest":     {"revision: 2.3.7", "revision: latest", "semantic version"},
		"revision plus":       {"revision: 2.3.7", "revision: 2.3.7+1", "_ for +"},
		"revision zero":       {"revision: 2.3.7", "revision: 2.03.7", "semantic version"},
		"timeout zero":        {"timeout: 8m30s", "timeout: 0m0s", "above 0"},
		"timeout endless":     {"timeout: 8m30s", "timeout: 99999999999m0s", "at most 24 hours"},
		"quoted wait":         {"wait: true", `wait: "true"`, "without quotes"},
		"target component":    {`components: ["line-monitor"]`, `components: ["line-monitr"]`, `did you mean "line-monitor"?`},
		"helm pointer":        {"pointer: settings.siteName", `pointer: "a=b,c"`, "a path of dots"},
		"one place twice":     {"pointer: POLL_SECONDS", "pointer: SITE_NAME", "already set by parameter \"pollSeconds\""},
		"no targets":          {"    value: plant-1\n    targets:\n", "    value: plant-1\n    target:\n", `did you mean "targets"?`},
		"mapping value":       {"value: plant-1", "value: {a: 1}", "value must be text"},
		"ambiguous value":     {"value: plant-1", "value: no", "different things to different readers"},
		"NUL value":           {"value: plant-1", `value: "a\0b"`, "NUL"},
		"list in environment": {"value: plant-1", "value: [a, b]", "a list cannot be the value of an environment variable"},
		"setting parameter":   {"parameter: siteName", "parameter: sitName", `did you mean "siteName"?`},
		"setting twice":       {"parameter: pollSeconds", "parameter: siteName", "has a setting already"},
		"setting schema":      {"schema: siteText", "schema: siteTex", `did you mean "siteText"?`},
		"default type":        {"value: 30", "value: soon", "the default \"soon\" is not a whole number"},
		"default range":       {"value: 30", "value: 29", "the default 29 is below 30"},
		"default empty":       {"value: plant-1", `value: ""`, "the default \"\" is empty"},
		"schema twice":        {"name: pollRange", "name: siteText", "a second schema"},
		"schema type":         {"dataType: integer", "dataType: number", "none of string, integer"},
		"schema rule":         {"      minValue: 30\n", "      minLength: 30\n", "minLength is no rule for dataType integer"},
		"schema bounds":       {"minLength: 1", "minLength: 46", "minLength is negative or above"},
		"schema regex":        {"minLength: 1", `regexMatch: "(?=x)"`, "RE2"},
		"cpu without cores":   {"          cores: 1.5\n", "", "cores is missing"},
		"architecture":        {"[amd64, arm64]", "[amd64, x86_64]", `"x86_64" is none of`},
		"memory unit":         {"memory: 1024Mi", "memory: 1024MB", "Ki, Mi or Gi"},
		"memory in Ti":        {"memory: 1024Mi", "memory: 1Ti", "Ki, Mi or Gi"},
		"selector key":        {"key: /interfaces", "key: interfaces", "JSON Pointer"},
		"operator":            {"operator: ContainsAll", "operator: ContainersAny", "write ContainsAny"},
		"item selector":       {"operator: ContainsAll", "operator: Exists", "itemSelector belongs to"},
		"mixed values":        {`values: ["helm"]`, `values: ["helm", 1]`, "all be text or all be numbers"},
		"two booleans":        {`values: ["helm"]`, "values: [true, false]", "one boolean"},
		"no values":           {"                values: [\"helm\"]\n", "", "operator In needs values"},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := margo.ParseDescription([]byte(edit(t, doc, c.old, c.new)))
			mustRefuse(t, err, reason.Malformed, c.want)
		})
	}
}

func TestSharedNamesMustFitEveryType(t *testing.T) {
	doc := edit(t, own(t, descriptionExample), "      - name: line-monitor-stack", "      - name: line-monitor")
	_, err := margo.ParseDescription([]byte(strings.ReplaceAll(doc, `"line-monitor-stack"`, `"line-monitor"`)))
	mustRefuse(t, err, reason.Malformed, `pointer "settings.siteName": a pointer to a compose component`)
}

func TestOversizeAndSeveralDocuments(t *testing.T) {
	doc := own(t, descriptionExample)
	_, err := margo.ParseDescription([]byte(doc + strings.Repeat("# padding\n", 1<<17)))
	mustRefuse(t, err, reason.TooLarge, "margo.yaml: document of")
	_, err = margo.ParseDescription([]byte(doc + "---\n" + doc))
	mustRefuse(t, err, reason.Malformed, "margo.yaml: line 106: a second document begins")
}

func TestProblemsAreListedTogether(t *testing.T) {
	doc := edit(t, own(t, descriptionExample), "revision: 2.3.7", "revision: latest")
	doc = edit(t, doc, "timeout: 8m30s", "timeout: 5m")
	_, err := margo.ParseDescription([]byte(doc))
	mustRefuse(t, err, reason.Malformed, "revision")
	mustRefuse(t, err, reason.Malformed, "timeout")
}
