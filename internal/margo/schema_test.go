package margo_test

import (
	"strings"
	"testing"

	"github.com/consign-dev/consign/internal/margo"
	"github.com/consign-dev/consign/internal/reason"
)

var strings253 = strings.Repeat("d", 253)

// withSchema is the example with the rules for the poll period replaced; its
// parameter goes to the helm components only, so that lists are possible.
func withSchema(t *testing.T, rules string) *margo.ApplicationDescription {
	t.Helper()
	doc := own(t, descriptionExample)
	doc = edit(t, doc, "      - pointer: POLL_SECONDS\n        components: [\"line-monitor-stack\"]\n", "")
	doc = edit(t, doc, "    value: 30\n", "")
	i := strings.Index(doc, "    - name: pollRange")
	return parseDescription(t, doc[:i]+"    - {name: pollRange, "+rules+"}\n")
}

func TestSchemaRules(t *testing.T) {
	for _, c := range []struct {
		rules, value string // value as an operator writes it
		want         string // part of the refusal, "" when allowed
	}{
		{"dataType: string", "x", ""},
		{"dataType: string", "", "is empty"},
		{"dataType: string, allowEmpty: true, minLength: 5", "", ""},
		{"dataType: string, minLength: 2", "é", "has 1 characters"},
		{"dataType: string, maxLength: 2", "éé", ""},
		{"dataType: string, regexMatch: '^[a-z]+$'", "abc", ""},
		{"dataType: string, regexMatch: '^[a-z]+$'", "abc1", "does not match"},
		{"dataType: string, regexMatch: '.*@[a-z0-9.-]*'", "a@b.c", ""},
		{"dataType: string, options: [warn, info]", "info", ""},
		{"dataType: string, options: [warn, info]", "debug", "none of the options"},
		{"dataType: string, options: [warn, info], multiselect: true", "info,warn", ""},
		{"dataType: string, options: [warn, info], multiselect: true", "info,debug", "none of the options"},
		{"dataType: integer, options: [10, 20]", "20", ""},
		{"dataType: integer, options: ['10', 20]", "10", ""},
		{"dataType: 'array[integer]'", "1,2", ""},
		{"dataType: 'array[integer]'", "1,x", "not a whole number"},
		{"dataType: 'array[string]'", "", "is empty"},
		{"dataType: 'array[string]', allowEmpty: true", "", ""},
		{"dataType: 'array[boolean]', options: [true], multiselect: true", "true", ""},
		{"dataType: boolean", "true", ""},
		{"dataType: boolean", "yes", "not true or false"},
		{"dataType: integer, minValue: -5, maxValue: 5", "-5", ""},
		{"dataType: integer, minValue: -5, maxValue: 5", "-6", "below -5"},
		{"dataType: integer", "1.0", "not a whole number"},
		{"dataType: integer", "0x10", "not a whole number"},
		{"dataType: integer", "9223372036854775808", "not a whole number"},
		{"dataType: double, minValue: 0.5", "0.4", "below 0.5"},
		{"dataType: double, maxPrecision: 1", "0.25", "2 decimals, at most 1"},
		{"dataType: double, minPrecision: 2", "1.50", ""},
		{"dataType: double", "1e3", "not a decimal number"},
		{"dataType: double", "NaN", "not a decimal number"},
	} {
		in := deploymentInput(margo.TypeHelm)
		in.Values = map[string]string{"pollSeconds": c.value}
		data, err := margo.NewDeployment(withSchema(t, c.rules), in)
		switch {
		case c.want != "":
			mustRefuse(t, err, reason.DeploymentMismatch, c.want)
		case err != nil:
			t.Errorf("%s: %q: %v", c.rules, c.value, err)
		default:
			parseDeployment(t, string(data))
		}
	}
}

func TestUnsoundSchemas(t *testing.T) {
	doc := own(t, descriptionExample)
	for rules, want := range map[string]string{
		"dataType: 'array[string]', options: [a]":              "set multiselect",
		"dataType: string, multiselect: true":                  "multiselect is no rule",
		"dataType: string, options: []":                        "options is empty",
		"dataType: integer, options: [a]":                      "options: \"a\" is not a whole number",
		"dataType: 'array[string]', minLength: 1":              "minLength is no rule",
		"dataType: boolean, minValue: 1":                       "minValue is no rule",
		"dataType: double, minPrecision: 3, maxPrecision: 1":   "minPrecision",
		"dataType: integer, minValue: 3, maxValue: 1":          "minValue is above",
		"dataType: 'array[array[string]]'":                     "none of string",
		"dataType: string, options: [a, b], regexMatch: a":     "regexMatch is no rule",
		"dataType: string, options: [a, b], multiselect: true": "cannot be the value of an environment variable",
		"minLength: 1":                       "dataType",
		"dataType: integer, sensitive: true": `unknown field "sensitive"`,
	} {
		i := strings.Index(doc, "    - name: pollRange")
		_, err := margo.ParseDescription([]byte(doc[:i] + "    - {name: pollRange, " + rules + "}\n"))
		mustRefuse(t, err, reason.Malformed, want)
	}
}
