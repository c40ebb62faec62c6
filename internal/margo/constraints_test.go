package margo_test

import (
	"strings"
	"testing"

	"github.com/consign-dev/consign/internal/margo"
	"github.com/consign-dev/consign/internal/reason"
)

// constraints parses deviceConstraints in the place where packages have them.
func constraints(t *testing.T, text string) *margo.DeviceConstraints {
	t.Helper()
	doc := own(t, descriptionExample)
	begin := strings.Index(doc, "    deviceConstraints:\n")
	end := strings.Index(doc, "  - type: compose\n")
	return parseDescription(t, doc[:begin]+"    deviceConstraints: "+text+"\n"+doc[end:]).DeploymentProfiles[0].DeviceConstraints
}

func TestTheExampleDeviceMeetsTheExamplePackage(t *testing.T) {
	desc := parseDescription(t, own(t, descriptionExample))
	caps := parseCapabilities(t, own(t, capabilityExample))
	c := desc.DeploymentProfiles[0].DeviceConstraints
	if err := c.Eligible(caps); err != nil {
		t.Error(err)
	}
	mustRefuse(t, c.Eligible(nil), reason.Ineligible, "cpu")
	if err := (*margo.DeviceConstraints)(nil).Eligible(nil); err != nil {
		t.Error(err)
	}
}

func TestOperators(t *testing.T) {
	caps := parseCapabilities(t, own(t, capabilityExample))
	property := func(expr string) string {
		return "{eligibilityRules: [{propertySelector: {matchExpressions: [" + expr + "]}}]}"
	}
	label := func(expr string) string {
		return "{eligibilityRules: [{labelSelector: {matchExpressions: [" + expr + "]}}]}"
	}
	item := func(op, exprs string) string {
		return property("{key: /peripherals, operator: " + op + ", itemSelector: {matchExpressions: [" + exprs + "]}}")
	}
	gpu, display := "{key: /type, operator: In, values: [gpu]}", "{key: /type, operator: In, values: [display]}"
	for _, c := range []struct {
		constraints string
		met         bool
	}{
		{property("{key: /vendor, operator: In, values: [Example Devices, Other]}"), true},
		{property("{key: /vendor, operator: In, values: [example devices]}"), false},
		{property("{key: /supportedDeploymentTypes, operator: In, values: [compose]}"), true},
		{property("{key: /supportedDeploymentTypes, operator: NotIn, values: [custom]}"), true},
		{property("{key: /supportedDeploymentTypes, operator: NotIn, values: [compose]}"), false},
		{property("{key: /absent, operator: NotIn, values: [x]}"), false},
		{property("{key: /interfaces, operator: NotIn, values: [x]}"), false},
		{property("{key: /interfaces, operator: In, values: [x]}"), false},
		{property("{key: /otelCollector, operator: In, values: [true]}"), true},
		{property("{key: /otelCollector, operator: In, values: ['true']}"), false},
		{property("{key: /cpus/0/cores, operator: Gt, values: [3]}"), true},
		{property("{key: /cpus/0/cores, operator: Gt, values: ['3']}"), true},
		{property("{key: /cpus/0/cores, operator: Gt, values: [4]}"), false},
		{property("{key: /cpus/0/cores, operator: Lt, values: [4.5]}"), true},
		{property("{key: /cpus/00/cores, operator: Lt, values: [4.5]}"), false},
		{property("{key: /cpus/1/cores, operator: Lt, values: [4.5]}"), false},
		{property("{key: /memory, operator: Gt, values: [1]}"), false},
		{property("{key: /cpus, operator: Exists}"), true},
		{property("{key: /cpu, operator: Exists}"), false},
		{property("{key: /cpu, operator: DoesNotExist}"), true},
		{property("{key: /cpus, operator: DoesNotExist}"), false},
		{item("ContainsAll", gpu), true},
		{item("ContainsAll", gpu+", "+display), false},
		{item("ContainsAny", gpu+", "+display), true},
		{item("ContainsAny", display), false},
		{item("ContainsAll", gpu+", {key: /model, operator: DoesNotExist}"), true},
		{property("{key: /vendor, operator: ContainsAny, itemSelector: {matchExpressions: [" + gpu + "]}}"), false},
		{property("{key: /supportedRuntimes, operator: ContainsAny, itemSelector: {matchExpressions: [" + gpu + "]}}"), false},
		{label("{key: example.com/zone, operator: In, values: [line-7]}"), true},
		{label("{key: Example.com/zone, operator: Exists}"), false},
		{label("{key: example.com/slots, operator: In, values: [2.0]}"), true},
		{label("{key: example.com/slots, operator: In, values: ['2']}"), false},
		{label("{key: example.com/slots, operator: Gt, values: [0]}"), false},
		// Rules are alternatives; within a rule everything must hold.
		{"{eligibilityRules: [{labelSelector: {matchExpressions: [{key: no, operator: Exists}]}}, {propertySelector: {matchExpressions: [{key: /id, operator: Exists}]}}]}", true},
		{"{eligibilityRules: [{labelSelector: {matchExpressions: [{key: no, operator: Exists}]}, propertySelector: {matchExpressions: [{key: /id, operator: Exists}]}}]}", false},
		{property("{key: /id, operator: Exists}, {key: /no, operator: Exists}"), false},
		{"{eligibilityRules: []}", true},
	} {
		err := constraints(t, strings.ReplaceAll(c.constraints, "key: no,", "key: nothing,")).Eligible(caps)
		if (err == nil) != c.met || err != nil && !reason.Is(err, reason.Ineligible) {
			t.Errorf("%s\ngot %v, want met %v", c.constraints, err, c.met)
		}
	}
}

func TestCapacity(t *testing.T) {
	caps := parseCapabilities(t, edit(t, own(t, capabilityExample),
		`[{ "cores": 4, "architecture": "amd64" }]`, `[{"cores": 4, "architecture": "amd64"}, {"cores": 2, "architecture": "arm64"}]`))
	for need, want := range map[string]string{
		"{cpu: {cores: 4}, memory: 16Gi, storage: 256Gi}":  "",
		"{cpu: {cores: 0.5, architectures: [arm, arm64]}}": "",
		"{memory: 16384Mi}":                                 "",
		"{cpu: {cores: 5}}":                                 "no CPU of the device has 5 cores",
		"{cpu: {cores: 3, architectures: [arm64]}}":         "3 cores of architecture arm64",
		"{cpu: {cores: 6, architectures: [amd64, arm64]}}":  "no CPU",
		"{memory: 16385Mi}":                                 "16385Mi needed, the device has 16Gi",
		"{storage: 1Ti}":                                    "storage: 1Ti needed",
		"{storage: 999999999999999999Ei}":                   "storage",
		"{cpu: {cores: 1, architectures: [riscv64]}}":       "riscv64",
		"{memory: 1Gi, storage: 257Gi, cpu: {cores: 0.25}}": "storage",
	} {
		err := constraints(t, "{capacityRequirements: "+need+"}").Eligible(caps)
		if want == "" && err != nil {
			t.Errorf("%s: %v", need, err)
		}
		if want != "" {
			mustRefuse(t, err, reason.Ineligible, want)
		}
	}
	gateway := parseCapabilities(t, `{"properties": {"id": "g", "vendor": "v", "modelNumber": "m", "serialNumber": "s"}}`)
	mustRefuse(t, constraints(t, "{capacityRequirements: {memory: 1Ki}}").Eligible(gateway), reason.Ineligible, "does not say")
}

func TestCapabilities(t *testing.T) {
	doc := own(t, capabilityExample)
	c := parseCapabilities(t, edit(t, doc, `"16Gi"`, `"59 Gi"`))
	if c.Properties.Memory != "59Gi" || c.Properties.CPUs[0].Cores != 4 {
		t.Errorf("properties %+v", c.Properties)
	}
	c = parseCapabilities(t, edit(t, doc, "{\n", `{"x-acme-extensions": {"a": 1},`))
	if c.Extensions["x-acme-extensions"]["a"] != float64(1) {
		t.Errorf("extensions %v", c.Extensions)
	}
	for name, e := range map[string]struct{ old, new, want string }{
		"envelope":         {"{\n", `{"kind": "DeviceCapabilitiesManifest",`, "kind: removed in Margo 1.0.0-rc.2"},
		"unknown":          {`"labels"`, `"label"`, `did you mean "labels"?`},
		"unknown property": {`"serialNumber"`, `"serialnumber"`, `did you mean "serialNumber"?`},
		"duplicate":        {`"vendor"`, `"id"`, "duplicate key"},
		"no id":            {`"id": "edge-01",`, "", "properties.id"},
		"no vendor":        {`"vendor": "Example Devices",`, "", "properties.vendor is missing"},
		"quantity":         {`"16Gi"`, `"16GB"`, "properties.memory"},
		"mixed label":      {`[1, 2]`, `[1, "2"]`, "labels"},
		"object label":     {`[1, 2]`, `{"a": 1}`, "labels"},
		"no cores":         {`"cores": 4, `, "", "cores"},
		"extension":        {"{\n", `{"x-acme-extensions": [],`, "must be an object"},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := margo.ParseCapabilities([]byte(edit(t, doc, e.old, e.new)))
			mustRefuse(t, err, reason.Malformed, e.want)
		})
	}
}
