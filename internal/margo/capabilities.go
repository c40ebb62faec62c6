package margo

import (
	"bytes"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/consign-dev/consign/internal/fields"
	"github.com/consign-dev/consign/internal/lazyregexp"
	"github.com/consign-dev/consign/internal/reason"
	"github.com/consign-dev/consign/internal/strictjson"
)

// capabilitiesLimits: a device describes itself in a page or two.
var capabilitiesLimits = strictjson.Limits{Bytes: 1 << 20, Depth: 32}

// DeviceCapabilities is what a device says about itself, as JSON (Margo
// 1.0.0-rc.3, Device Capabilities).
type DeviceCapabilities struct {
	Properties Properties
	Labels     map[string]any // text, number (float64), bool, or a list of text or of numbers
	Extensions Extensions

	// Raw is the document as read.
	Raw []byte

	// properties is the tree that JSON Pointers of selectors are evaluated on.
	properties map[string]any
}

// Properties of a device. A device that runs no workloads, such as a gateway,
// leaves out all but the first four.
type Properties struct {
	ID                       string       `json:"id"`
	Vendor                   string       `json:"vendor"`
	ModelNumber              string       `json:"modelNumber"`
	SerialNumber             string       `json:"serialNumber"`
	CPUs                     []CPU        `json:"cpus"`
	Memory                   string       `json:"memory"`  // such as "16Gi"
	Storage                  string       `json:"storage"` // such as "256Gi"
	Peripherals              []Peripheral `json:"peripherals"`
	Interfaces               []Interface  `json:"interfaces"`
	OtelCollector            *bool        `json:"otelCollector"`
	SupportedRuntimes        []string     `json:"supportedRuntimes"`
	SupportedDeploymentTypes []string     `json:"supportedDeploymentTypes"`
}

// CPU is one processor.
type CPU struct {
	Cores        float64 `json:"cores"`
	Architecture string  `json:"architecture"`
}

// Peripheral is a device attached to the device.
type Peripheral struct {
	Type         string `json:"type"`
	Manufacturer string `json:"manufacturer"`
	Model        string `json:"model"`
}

// Interface is a way to communicate.
type Interface struct {
	Type string `json:"type"`
}

// ParseCapabilities reads a DeviceCapabilities document. "59 Gi" is read as
// "59Gi", since the specification's own example writes the space that its
// text forbids. The error has reason malformed or too-large.
func ParseCapabilities(data []byte) (*DeviceCapabilities, error) {
	c, err := parseCapabilities(data)
	if err != nil {
		return nil, named("device capabilities", reason.Wrap(reason.Malformed, err))
	}
	return c, nil
}

func parseCapabilities(data []byte) (*DeviceCapabilities, error) {
	var root map[string]json.RawMessage
	if err := strictjson.Unmarshal(data, &root, capabilitiesLimits); err != nil {
		return nil, err
	}
	c := &DeviceCapabilities{Raw: bytes.Clone(data), Extensions: Extensions{}}
	for _, key := range slices.Sorted(maps.Keys(root)) {
		if err := c.member(key, root[key]); err != nil {
			return nil, err
		}
	}
	var p problems
	c.validate(&p)
	if len(p.list) > 0 {
		return nil, fmt.Errorf("%s", strings.Join(p.list, "; "))
	}
	return c, nil
}

func (c *DeviceCapabilities) member(key string, value json.RawMessage) error {
	switch key {
	case "properties":
		if err := strictjson.Unmarshal(value, &c.Properties, capabilitiesLimits); err != nil {
			return fmt.Errorf("properties: %w", err)
		}
		if err := json.Unmarshal(value, &c.properties); err != nil {
			return fmt.Errorf("properties: %w", err)
		}
		c.trimQuantities()
		return nil
	case "labels":
		return json.Unmarshal(value, &c.Labels)
	case "apiVersion", "kind":
		return fmt.Errorf("%s: removed in Margo 1.0.0-rc.2: delete it", key)
	}
	if c.Extensions.CheckKey(key) != nil {
		return fmt.Errorf("%s", fields.Unknown("field", key, []string{"labels", "properties"}))
	}
	var content map[string]any
	if err := json.Unmarshal(value, &content); err != nil || content == nil {
		return fmt.Errorf("%.80q must be an object", key)
	}
	c.Extensions[key] = content
	return nil
}

var spacedQuantity = lazyregexp.New(`^([0-9]+) +([KMGTPE]i)$`)

func (c *DeviceCapabilities) trimQuantities() {
	for name, field := range map[string]*string{"memory": &c.Properties.Memory, "storage": &c.Properties.Storage} {
		if spacedQuantity.MatchString(*field) {
			*field = spacedQuantity.ReplaceAllString(*field, "$1$2")
			c.properties[name] = *field
		}
	}
}

func (c *DeviceCapabilities) validate(p *problems) {
	if c.properties == nil {
		p.add("properties is missing")
		return
	}
	if err := CheckDeviceID(c.Properties.ID); err != nil {
		p.add("properties.id: %v", err)
	}
	for _, f := range []struct{ name, value string }{
		{"vendor", c.Properties.Vendor}, {"modelNumber", c.Properties.ModelNumber}, {"serialNumber", c.Properties.SerialNumber},
	} {
		if f.value == "" {
			p.add("properties.%s is missing", f.name)
		}
	}
	for _, f := range []struct{ name, value string }{{"memory", c.Properties.Memory}, {"storage", c.Properties.Storage}} {
		if _, err := parseQuantity(f.value); f.value != "" && err != nil {
			p.add("properties.%s: %v", f.name, err)
		}
	}
	for i, cpu := range c.Properties.CPUs {
		if cpu.Cores <= 0 {
			p.add("%s.cores is missing or not above 0", fmtIndex("properties.cpus", i))
		}
	}
	for _, key := range slices.Sorted(maps.Keys(c.Labels)) {
		if !validLabel(c.Labels[key]) {
			p.add("labels: %.80q must be text, a number, a boolean, or a list of text or of numbers", key)
		}
	}
}

func validLabel(v any) bool {
	list, ok := v.([]any)
	if !ok {
		list = []any{v}
	}
	texts, numbers, booleans := 0, 0, 0
	for _, e := range list {
		switch e.(type) {
		case string:
			texts++
		case float64:
			numbers++
		case bool:
			booleans++
		}
	}
	return texts == len(list) || numbers == len(list) || !ok && booleans == 1
}
