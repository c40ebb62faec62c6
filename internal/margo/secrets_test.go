package margo_test

import (
	"maps"
	"strings"
	"testing"

	"github.com/consign-dev/consign/internal/margo"
	"github.com/consign-dev/consign/internal/reason"
)

const (
	stackProfile = "    id: line-monitor-compose\n"
	secretMark   = "    x-consign-extensions: {secretParameters: [dbPassword]}\n"
)

// withSecret adds a secret parameter to the Compose profile of the example.
func withSecret(t *testing.T) string {
	t.Helper()
	doc := edit(t, own(t, descriptionExample), stackProfile, stackProfile+secretMark)
	return edit(t, doc, "\nparameters:\n", "\nparameters:\n  dbPassword:\n    targets:\n      - pointer: DB_PASSWORD\n        components: [\"line-monitor-stack\"]\n")
}

func TestWhatCanBeMarkedAsSecret(t *testing.T) {
	parseDescription(t, withSecret(t))
	for name, c := range map[string]struct{ old, new, want string }{
		"unknown parameter": {"[dbPassword]", "[dbPasswort]", `unknown parameter "dbPasswort"`},
		"twice":             {"[dbPassword]", "[dbPassword, dbPassword]", "named twice"},
		"too many":          {"[dbPassword]", "[" + strings.Repeat("dbPassword, ", margo.MaxSecrets) + "dbPassword]", "at most 64"},
		"not a list":        {"[dbPassword]", "dbPassword", "x-consign-extensions"},
		"not a name":        {"[dbPassword]", "[{a: b}]", "x-consign-extensions"},
		"other member":      {"{secretParameters: [dbPassword]}", "{bundle: {}}", "the rest is the deployment's"},
		"default value":     {"  dbPassword:\n", "  dbPassword:\n    value: planted-default\n", "has a value in the package"},
		"a setting":         {"        - parameter: siteName\n", "        - parameter: dbPassword\n          name: Password\n          schema: siteName\n        - parameter: siteName\n", "has a setting"},
		"a value, for a chart": {
			"    id: line-monitor-helm\n", "    id: line-monitor-helm\n    x-consign-extensions: {secretParameters: [siteName]}\n", "has a value in the package",
		},
		"secret in one of two profiles": {
			`components: ["line-monitor-stack"]` + "\n  ", `components: ["line-monitor-stack", "line-monitor"]` + "\n  ", "not in profile \"line-monitor-helm\": mark it there, too",
		},
		"without effect": {`components: ["line-monitor-stack"]` + "\n  ", `components: ["line-monitor"]` + "\n  ", "has no effect in profile"},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := margo.ParseDescription([]byte(edit(t, withSecret(t), c.old, c.new)))
			mustRefuse(t, err, reason.Malformed, c.want)
			if strings.Contains(err.Error(), "planted") {
				t.Errorf("quotes the value: %v", err)
			}
		})
	}
}

func secretInput() margo.NewDeploymentInput {
	in := deploymentInput(margo.TypeCompose)
	in.Secrets = map[string]string{"dbPassword": "line-7.db"}
	return in
}

func TestAnOrderNamesSecretsAndCarriesNone(t *testing.T) {
	desc := parseDescription(t, withSecret(t))
	doc, err := margo.NewDeployment(desc, secretInput())
	if err != nil {
		t.Fatal(err)
	}
	d := parseDeployment(t, string(doc))
	order, err := d.Order()
	if err != nil || !maps.Equal(order.Secrets, map[string]string{"dbPassword": "line-7.db"}) {
		t.Errorf("order %+v, %v", order, err)
	}
	if _, literal := d.Spec.Parameters["dbPassword"]; literal {
		t.Error("the parameter is among those with values")
	}
	if got := desc.ComponentSecrets(order.Secrets, "line-monitor-stack"); !maps.Equal(got, map[string]string{"DB_PASSWORD": "line-7.db"}) {
		t.Errorf("the component gets %v", got)
	}
	if got := desc.ComponentSecrets(order.Secrets, "line-monitor"); len(got) > 0 {
		t.Errorf("another component gets %v", got)
	}
	// What is not named again is kept, and the same input gives the same bytes.
	kept := deploymentInput(margo.TypeCompose)
	kept.PreviousSecrets = map[string]string{"dbPassword": "line-7.db", "gone": "x"}
	if again, err := margo.NewDeployment(desc, kept); err != nil || string(again) != string(doc) {
		t.Errorf("kept: %v\n%s", err, again)
	}
}

func TestNewDeploymentRefusesSecretsInTheOpen(t *testing.T) {
	for name, c := range map[string]struct {
		edit func(*margo.NewDeploymentInput)
		code reason.Code
		want string
	}{
		"a literal": {
			func(in *margo.NewDeploymentInput) { in.Values = map[string]string{"dbPassword": "planted"} },
			reason.DeploymentMismatch, `parameter "dbPassword" is secret, and its value must not travel in a deployment: write it into a file on the device and say --secret dbPassword=NAME`,
		},
		"nothing": {func(in *margo.NewDeploymentInput) { in.Secrets = nil }, reason.DeploymentMismatch, "say --secret dbPassword=NAME"},
		"former literal": {func(in *margo.NewDeploymentInput) {
			in.Secrets, in.Previous = nil, map[string]any{"dbPassword": "planted"}
		}, reason.DeploymentMismatch, "has no file yet"},
		"not marked":   {func(in *margo.NewDeploymentInput) { in.Secrets["siteName"] = "x" }, reason.DeploymentMismatch, "is not secret in this package"},
		"not declared": {func(in *margo.NewDeploymentInput) { in.Secrets["dbPasswort"] = "x" }, reason.DeploymentMismatch, `unknown parameter "dbPasswort"`},
		"path":         {func(in *margo.NewDeploymentInput) { in.Secrets["dbPassword"] = "../agent.yaml" }, reason.Malformed, "is not the name of a secret"},
		"hidden":       {func(in *margo.NewDeploymentInput) { in.Secrets["dbPassword"] = ".x" }, reason.Malformed, "is not the name of a secret"},
		"empty":        {func(in *margo.NewDeploymentInput) { in.Secrets["dbPassword"] = "" }, reason.Malformed, "is not the name of a secret"},
		"long":         {func(in *margo.NewDeploymentInput) { in.Secrets["dbPassword"] = strings.Repeat("a", 65) }, reason.Malformed, "is not the name of a secret"},
	} {
		t.Run(name, func(t *testing.T) {
			in := secretInput()
			c.edit(&in)
			_, err := margo.NewDeployment(parseDescription(t, withSecret(t)), in)
			mustRefuse(t, err, c.code, c.want)
			if strings.Contains(err.Error(), "planted") {
				t.Errorf("quotes the value: %v", err)
			}
		})
	}
}

// Whoever holds the deploy key can neither turn a secret into a literal nor
// have a secret of the device delivered where the package wants none.
func TestADeployKeyCannotBendSecrets(t *testing.T) {
	desc := parseDescription(t, withSecret(t))
	written, err := margo.NewDeployment(desc, secretInput())
	if err != nil {
		t.Fatal(err)
	}
	const named = "        dbPassword: line-7.db\n"
	const literal = "    dbPassword:\n      value: planted\n      targets: [{pointer: DB_PASSWORD, components: [line-monitor-stack]}]\n"
	for name, c := range map[string]struct{ old, new, want string }{
		"a literal beside it":    {"  parameters:\n", "  parameters:\n" + literal, "the package marks it as secret"},
		"no secret":              {"      secrets:\n" + named, "", "secrets.dbPassword is missing"},
		"secret for another":     {named, named + "        siteName: line-7.db\n", "secrets.siteName: the package does not mark"},
		"secret for an unknown":  {named, named + "        image: line-7.db\n", `unknown parameter "image"`},
		"the mark dropped":       {"      secretParameters:\n        - dbPassword\n", "", "x-consign-extensions.secretParameters is missing or differs"},
		"another parameter mark": {"        - dbPassword\n", "        - dbPassword\n        - siteName\n", "x-consign-extensions.secretParameters is missing or differs"},
	} {
		t.Run(name, func(t *testing.T) {
			err := parseDeployment(t, edit(t, string(written), c.old, c.new)).CheckFits(desc)
			mustRefuse(t, err, reason.DeploymentMismatch, c.want)
			if strings.Contains(err.Error(), "planted") {
				t.Errorf("quotes the value: %v", err)
			}
		})
	}
	// A package that marks nothing takes no secrets.
	plain := parseDescription(t, own(t, descriptionExample))
	mustRefuse(t, parseDeployment(t, string(written)).CheckFits(plain), reason.DeploymentMismatch, "secretParameters is missing or differs")
}
