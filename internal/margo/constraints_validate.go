package margo

import (
	"fmt"
	"slices"
	"strings"
)

func (c *DeviceConstraints) normalise() {
	if c == nil {
		return
	}
	if len(c.EligibilityRules) == 0 {
		c.EligibilityRules = nil
	}
	for _, r := range c.EligibilityRules {
		r.PropertySelector.normalise()
		r.LabelSelector.normalise()
	}
}

func (s *Selector) normalise() {
	if s == nil {
		return
	}
	for _, e := range s.MatchExpressions {
		normalise(e.Values)
		e.ItemSelector.normalise()
	}
}

func (c *DeviceConstraints) validate(p *problems, at string) {
	if c == nil {
		return
	}
	if c.CapacityRequirements != nil {
		c.CapacityRequirements.validate(p, at+".capacityRequirements")
	}
	for i, r := range c.EligibilityRules {
		rule := fmtIndex(at+".eligibilityRules", i)
		if r.PropertySelector == nil && r.LabelSelector == nil {
			p.add("%s has neither propertySelector nor labelSelector", rule)
		}
		r.PropertySelector.validate(p, rule+".propertySelector", true)
		r.LabelSelector.validate(p, rule+".labelSelector", false)
	}
}

func (c *CapacityRequirements) validate(p *problems, at string) {
	if c.Memory != "" && !memoryQuantity.MatchString(c.Memory) {
		p.add("%s.memory: %.40q is not a whole number with Ki, Mi or Gi, such as 512Mi", at, c.Memory)
	}
	if c.Storage != "" && !storageQuantity.MatchString(c.Storage) {
		p.add("%s.storage: %.40q is not a whole number with Ki, Mi, Gi, Ti, Pi or Ei, such as 10Gi", at, c.Storage)
	}
	if c.CPU == nil {
		return
	}
	if c.CPU.Cores == nil || *c.CPU.Cores < 0 {
		p.add("%s.cpu.cores is missing or negative", at)
	}
	if c.CPU.Architectures != nil && len(c.CPU.Architectures) == 0 {
		p.add("%s.cpu.architectures is empty", at)
	}
	for _, a := range c.CPU.Architectures {
		if !slices.Contains(strings.Fields(architectures), a) {
			p.add("%s.cpu.architectures: %.40q is none of %s", at, a, architectures)
		}
	}
}

func (s *Selector) validate(p *problems, at string, pointers bool) {
	if s == nil {
		return
	}
	if len(s.MatchExpressions) == 0 {
		p.add("%s.matchExpressions is missing or empty", at)
	}
	for i, e := range s.MatchExpressions {
		e.validate(p, fmtIndex(at+".matchExpressions", i), pointers)
	}
}

func (e MatchExpression) validate(p *problems, at string, pointer bool) {
	switch {
	case e.Key == "":
		p.add("%s.key is missing", at)
	case pointer && !validPointer(e.Key):
		p.add("%s.key: %.80q is not a JSON Pointer such as /supportedRuntimes", at, e.Key)
	}
	if err := e.checkOperands(); err != nil {
		p.add("%s: %v", at, err)
	}
	e.ItemSelector.validate(p, at+".itemSelector", true)
}

func (e MatchExpression) checkOperands() error {
	if e.Operator == "ContainersAny" {
		return fmt.Errorf("operator %s: the specification's table misspells it, write ContainsAny", e.Operator)
	}
	contains := e.Operator == opContainsAll || e.Operator == opContainsAny
	if contains != (e.ItemSelector != nil) {
		return fmt.Errorf("operator %.40q: itemSelector belongs to ContainsAll and ContainsAny, and must be there", e.Operator)
	}
	switch e.Operator {
	case opIn, opNotIn:
		return checkSet(e.Operator, e.Values)
	case opGt, opLt:
		if len(e.Values) != 1 {
			return fmt.Errorf("operator %s needs exactly one number in values", e.Operator)
		}
		if _, ok := number(e.Values[0]); !ok {
			return fmt.Errorf("operator %s: %s is not a number", e.Operator, show(e.Values[0]))
		}
	case opExists, opDoesNotExist, opContainsAll, opContainsAny:
		if e.Values != nil {
			return fmt.Errorf("operator %s takes no values", e.Operator)
		}
	default:
		return fmt.Errorf("operator %.40q is none of In, NotIn, Exists, DoesNotExist, Gt, Lt, ContainsAll, ContainsAny", e.Operator)
	}
	return nil
}

// checkSet holds the rule for the values of In and NotIn: text or numbers, of
// one type, or one boolean.
func checkSet(operator string, values []any) error {
	if len(values) == 0 {
		return fmt.Errorf("operator %s needs values", operator)
	}
	kind := func(v any) string {
		switch v.(type) {
		case string:
			return "text"
		case int64, uint64, float64:
			return "number"
		case bool:
			return "boolean"
		}
		return ""
	}
	first := kind(values[0])
	for _, v := range values {
		if k := kind(v); k == "" || k != first {
			return fmt.Errorf("operator %s: values must all be text or all be numbers", operator)
		}
	}
	if first == "boolean" && len(values) > 1 {
		return fmt.Errorf("operator %s takes one boolean, not several", operator)
	}
	return nil
}

func fmtIndex(path string, i int) string { return fmt.Sprintf("%s[%d]", path, i) }
