package margo

import (
	"fmt"
	"math/big"
	"slices"
	"strings"

	"github.com/consign-dev/consign/internal/reason"
)

// Eligible reports whether a device meets the constraints. Margo obliges a
// device to evaluate eligibilityRules and lets it evaluate capacity; both are
// evaluated here, and what a device does not state it does not have. The error
// has reason ineligible and names what is not met. A nil c is met by every
// device.
func (c *DeviceConstraints) Eligible(caps *DeviceCapabilities) error {
	if c == nil {
		return nil
	}
	if caps == nil {
		caps = &DeviceCapabilities{}
	}
	if c.CapacityRequirements != nil {
		if err := c.CapacityRequirements.met(caps.Properties); err != nil {
			return reason.New(reason.Ineligible, "deviceConstraints.capacityRequirements: %w", err)
		}
	}
	if len(c.EligibilityRules) == 0 {
		return nil
	}
	var failed []string
	for i, r := range c.EligibilityRules {
		why := r.unmet(caps)
		if why == "" {
			return nil
		}
		if len(failed) < maxProblems {
			failed = append(failed, fmt.Sprintf("rule %d: %s", i+1, why))
		}
	}
	return reason.New(reason.Ineligible, "deviceConstraints.eligibilityRules: no rule is met: %s", strings.Join(failed, "; "))
}

func (c *CapacityRequirements) met(have Properties) error {
	if c.CPU != nil && !slices.ContainsFunc(have.CPUs, c.CPU.metBy) {
		return fmt.Errorf("cpu: no CPU of the device has %s", c.CPU)
	}
	if err := enough("memory", c.Memory, have.Memory); err != nil {
		return err
	}
	return enough("storage", c.Storage, have.Storage)
}

func (c *CPURequirement) metBy(cpu CPU) bool {
	if c.Cores != nil && cpu.Cores < *c.Cores {
		return false
	}
	return len(c.Architectures) == 0 || slices.Contains(c.Architectures, cpu.Architecture)
}

// String is the requirement in words.
func (c *CPURequirement) String() string {
	s := "any number of cores"
	if c.Cores != nil {
		s = text(*c.Cores) + " cores"
	}
	if len(c.Architectures) > 0 {
		s += " of architecture " + strings.Join(c.Architectures, " or ")
	}
	return s
}

func enough(what, need, have string) error {
	if need == "" {
		return nil
	}
	if have == "" {
		return fmt.Errorf("%s: %s needed, the device does not say what it has", what, need)
	}
	var n, h *big.Int
	n, err := parseQuantity(need)
	if err != nil {
		return fmt.Errorf("%s: %w", what, err)
	}
	if h, err = parseQuantity(have); err != nil {
		return fmt.Errorf("%s: %w", what, err)
	}
	if h.Cmp(n) < 0 {
		return fmt.Errorf("%s: %s needed, the device has %s", what, need, have)
	}
	return nil
}

// unmet says what keeps a rule from holding, "" when it holds.
func (r EligibilityRule) unmet(caps *DeviceCapabilities) string {
	property := func(key string) (any, bool) { return lookup(caps.properties, key) }
	label := func(key string) (any, bool) { v, ok := caps.Labels[key]; return v, ok }
	if e := r.PropertySelector.failing(property); e != nil {
		return fmt.Sprintf("property %s", e)
	}
	if e := r.LabelSelector.failing(label); e != nil {
		return fmt.Sprintf("label %s", e)
	}
	return ""
}

// String is the expression in words, bounded.
func (e *MatchExpression) String() string {
	s := fmt.Sprintf("%.80q %s", e.Key, e.Operator)
	for i, v := range e.Values {
		if i == maxProblems {
			return s + " ..."
		}
		s += " " + show(v)
	}
	return s
}
