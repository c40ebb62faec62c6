package policy

import (
	"fmt"
	"slices"

	"github.com/consign-dev/consign/internal/reason"
)

// maxRules bounds the rules of one application.
const maxRules = 32

// Rule is a condition that must hold, in the Common Expression Language over a
// [View]. It adds to what the other fields demand and can take nothing away.
type Rule struct {
	// Name of the rule in messages and logs.
	Name string `yaml:"name"`
	// Expression yields true or false (Common Expression Language).
	Expression string `yaml:"expression"`
	// Message says, for people, what to do when the rule does not hold; "" for none.
	Message string `yaml:"message,omitempty"`

	condition *condition
}

// Open is a part of a [View] that is not known yet, such as
// {"evidence", "signatures", "integrator"}.
type Open []string

// Judgement is what a rule came to.
type Judgement struct {
	Rule Rule
	// Open says that it depends on what is not known yet.
	Open bool
}

// RuleError is a rule that does not hold. It unwraps to a *reason.Error with
// reason rule.
type RuleError struct {
	// Rule is the rule, and err what is told about it.
	Rule Rule
	err  error
}

func (e *RuleError) Error() string { return e.err.Error() }
func (e *RuleError) Unwrap() error { return e.err }

// LogText is the error without what the evaluation says, which may quote the
// values of parameters.
func (e *RuleError) LogText() string { return e.Rule.refusal("") }

func (r Rule) refusal(why string) string {
	text := fmt.Sprintf("rule %s does not hold", r.Name)
	if why != "" {
		text = fmt.Sprintf("rule %s cannot be evaluated: %.300s", r.Name, why)
	}
	if r.Message != "" {
		text += ": " + r.Message
	}
	return text
}

// JudgeRules evaluates every rule of the application, in order, and ends with the
// first that does not hold or cannot be evaluated: a *[RuleError]. A rule that
// depends on what is open is left for those who know.
func (a *Application) JudgeRules(v View, open ...Open) ([]Judgement, error) {
	var out []Judgement
	if len(a.Rules) == 0 {
		return nil, nil
	}
	vars, err := v.variables(slices.ContainsFunc(a.Rules, func(r Rule) bool { return r.condition.predicates }))
	if err != nil {
		return nil, err
	}
	for _, r := range a.Rules {
		value, err := r.condition.evaluate(vars, open)
		switch {
		case err != nil:
			return out, &RuleError{r, reason.New(reason.Rule, "%s", r.refusal(err.Error()))}
		case value == no:
			return out, &RuleError{r, reason.New(reason.Rule, "%s", r.refusal(""))}
		}
		out = append(out, Judgement{Rule: r, Open: value == unknown})
	}
	return out, nil
}

func (a *Application) compileRules() error {
	if len(a.Rules) > maxRules {
		return fmt.Errorf("rules: %d, at most %d", len(a.Rules), maxRules)
	}
	names := map[string]bool{}
	for i := range a.Rules {
		r := &a.Rules[i]
		if !shortName.MatchString(r.Name) {
			return fmt.Errorf("rules[%d].name: %.100q is not 1 to 64 of a-z, 0-9 and -", i, r.Name)
		}
		if names[r.Name] {
			return fmt.Errorf("rules[%d].name: %q is used twice", i, r.Name)
		}
		names[r.Name] = true
		if len(r.Message) > maxMessage || !plainText(r.Message) {
			return fmt.Errorf("rules[%d].message: %d bytes or control characters: at most %d bytes, without control characters", i, len(r.Message), maxMessage)
		}
		var err error
		if r.condition, err = keptConditions.compile(r.Expression); err != nil {
			return fmt.Errorf("rules[%d].expression: %w", i, err)
		}
	}
	return nil
}
