package margo

import (
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"
)

// validate reports a schema that contradicts itself or has rules that its
// data type does not know (Margo 1.0.0-rc.3, Schema and its subclasses).
func (s *Schema) validate() error {
	_, list := elementType(s.DataType)
	if !scalarType(s.element()) {
		return fmt.Errorf("dataType %.40q is none of string, integer, double, boolean, array[...] of one of these", s.DataType)
	}
	if err := s.rulesFit(list); err != nil {
		return err
	}
	if s.RegexMatch != "" {
		if _, err := regexp.Compile(s.RegexMatch); err != nil {
			return fmt.Errorf("regexMatch is not an RE2 regular expression: %w", err)
		}
	}
	switch {
	case contradict(s.MinLength, s.MaxLength):
		return errors.New("minLength is negative or above maxLength")
	case contradict(s.MinPrecision, s.MaxPrecision):
		return errors.New("minPrecision is negative or above maxPrecision")
	case s.MinValue != nil && s.MaxValue != nil && *s.MinValue > *s.MaxValue:
		return errors.New("minValue is above maxValue")
	}
	return s.validateOptions()
}

func contradict(low, high *int) bool {
	return low != nil && *low < 0 || high != nil && *high < 0 || low != nil && high != nil && *low > *high
}

// rulesFit refuses a rule on a data type that has no such rule: the author
// believes that something is checked which is not.
func (s *Schema) rulesFit(list bool) error {
	text := s.DataType == typeString && s.Options == nil
	integer := s.DataType == typeInteger && s.Options == nil
	double := s.DataType == typeDouble && s.Options == nil
	for _, rule := range []struct {
		name     string
		set, fit bool
	}{
		{"minLength", s.MinLength != nil, text},
		{"maxLength", s.MaxLength != nil, text},
		{"regexMatch", s.RegexMatch != "", text},
		{"minValue", s.MinValue != nil, integer || double},
		{"maxValue", s.MaxValue != nil, integer || double},
		{"minPrecision", s.MinPrecision != nil, double},
		{"maxPrecision", s.MaxPrecision != nil, double},
		{"multiselect", s.Multiselect, s.Options != nil},
	} {
		if rule.set && !rule.fit {
			return fmt.Errorf("%s is no rule for dataType %s%s", rule.name, s.DataType, withOptions(s.Options != nil))
		}
	}
	if list && s.Options != nil && !s.Multiselect {
		return errors.New("options to choose one of cannot have an array type: set multiselect or the type of one option")
	}
	return nil
}

func withOptions(has bool) string {
	if has {
		return " with options"
	}
	return ""
}

func (s *Schema) validateOptions() error {
	if s.Options == nil {
		return nil
	}
	if len(s.Options) == 0 {
		return errors.New("options is empty")
	}
	for _, o := range s.Options {
		if _, err := coerce(o, s.element()); err != nil {
			return fmt.Errorf("options: %s %w", show(o), err)
		}
	}
	return nil
}

// element is the type of a scalar value, or of each element of a list.
func (s *Schema) element() string {
	if t, ok := elementType(s.DataType); ok {
		return t
	}
	return s.DataType
}

// list reports whether a value is a list.
func (s *Schema) list() bool {
	_, array := elementType(s.DataType)
	return array || s.Multiselect
}

// Accept returns v as the schema's type, or a phrase that says why v is not
// allowed, without repeating it. It is to be called on validated schemas only.
func (s *Schema) Accept(v any) (any, error) {
	if empty(v) {
		if s.AllowEmpty {
			return v, nil
		}
		return nil, errors.New("is empty, a value is needed")
	}
	if !s.list() {
		return s.acceptScalar(v)
	}
	elems, ok := v.([]any)
	if !ok {
		return nil, errors.New("is not a list")
	}
	out := make([]any, len(elems))
	for i, e := range elems {
		accepted, err := s.acceptScalar(e)
		if err != nil {
			return nil, err
		}
		out[i] = accepted
	}
	return out, nil
}

func empty(v any) bool {
	list, ok := v.([]any)
	return v == nil || v == "" || ok && len(list) == 0
}

func (s *Schema) acceptScalar(v any) (any, error) {
	typed, err := coerce(v, s.element())
	if err != nil {
		return nil, err
	}
	if s.Options != nil {
		return typed, s.checkOption(typed)
	}
	switch typed := typed.(type) {
	case string:
		return typed, s.checkText(typed)
	case int64:
		return typed, s.checkRange(float64(typed))
	case float64:
		if err := s.checkRange(typed); err != nil {
			return nil, err
		}
		return typed, s.checkPrecision(text(v))
	}
	return typed, nil
}

func (s *Schema) checkOption(v any) error {
	isOption := func(o any) bool {
		option, err := coerce(o, s.element())
		return err == nil && option == v
	}
	if slices.ContainsFunc(s.Options, isOption) {
		return nil
	}
	return errors.New("is none of the options")
}

func (s *Schema) checkText(v string) error {
	n := utf8.RuneCountInString(v)
	switch {
	case s.MinLength != nil && n < *s.MinLength:
		return fmt.Errorf("has %d characters, at least %d are needed", n, *s.MinLength)
	case s.MaxLength != nil && n > *s.MaxLength:
		return fmt.Errorf("has %d characters, at most %d are allowed", n, *s.MaxLength)
	case s.RegexMatch != "":
		re, err := regexp.Compile(s.RegexMatch)
		if err != nil {
			return err
		}
		if !re.MatchString(v) {
			return fmt.Errorf("does not match %.80q", s.RegexMatch)
		}
	}
	return nil
}

func (s *Schema) checkRange(v float64) error {
	switch {
	case s.MinValue != nil && v < *s.MinValue:
		return fmt.Errorf("is below %s", strconv.FormatFloat(*s.MinValue, 'f', -1, 64))
	case s.MaxValue != nil && v > *s.MaxValue:
		return fmt.Errorf("is above %s", strconv.FormatFloat(*s.MaxValue, 'f', -1, 64))
	}
	return nil
}

// checkPrecision counts the digits after the point as the value is written: as
// text that is "1.50", as a number YAML keeps 1.5 of it.
func (s *Schema) checkPrecision(written string) error {
	_, fraction, _ := strings.Cut(written, ".")
	switch n := len(fraction); {
	case s.MinPrecision != nil && n < *s.MinPrecision:
		return fmt.Errorf("has %d decimals, at least %d are needed", n, *s.MinPrecision)
	case s.MaxPrecision != nil && n > *s.MaxPrecision:
		return fmt.Errorf("has %d decimals, at most %d are allowed", n, *s.MaxPrecision)
	}
	return nil
}
