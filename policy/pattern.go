package policy

import (
	"errors"
	"fmt"
	"regexp"
	"regexp/syntax"
	"slices"
	"strings"
	"sync"
	"unicode"
)

// isPattern tells a pattern from a text that is compared exactly. No issuer,
// subject or claim begins with "^".
func isPattern(text string) bool { return strings.HasPrefix(text, "^") }

// matches reports whether a value is the text, or matches the pattern from its
// first to its last letter. What does not compile matches nothing; checkText has
// refused it long before. Control characters are in no identity, and would let
// one line pass for another.
func matches(text, value string) bool {
	switch {
	case value == "" || !plainText(value):
		return false
	case !isPattern(text):
		return text == value
	}
	re, err := compiled.get(text)
	return err == nil && re.MatchString(value)
}

// compiled keeps the patterns of policies: each is held against every signer.
var compiled = patterns{kept: map[string]*regexp.Regexp{}}

type patterns struct {
	mu   sync.Mutex
	kept map[string]*regexp.Regexp
}

// maxPatterns is more than one policy has; one with more is compiled again.
const maxPatterns = 1024

func (p *patterns) get(text string) (*regexp.Regexp, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if re := p.kept[text]; re != nil {
		return re, nil
	}
	re, err := regexp.Compile(`\A(?:` + text + `)\z`)
	if err != nil {
		return nil, err
	}
	if len(p.kept) >= maxPatterns {
		clear(p.kept)
	}
	p.kept[text] = re
	return re, nil
}

// fitsAnything reports a pattern that asks for nothing (attack S17): it fits texts
// that have nothing in common with any issuer's subjects.
func fitsAnything(text string) bool {
	return slices.ContainsFunc([]int{1, 2, 8, 64, 512}, func(n int) bool { return matches(text, strings.Repeat("\u2603", n)) })
}

func plainText(s string) bool {
	return len(s) <= maxText && strings.IndexFunc(s, unicode.IsControl) < 0
}

// checkText refuses what cannot be meant: a pattern that is not anchored on both
// sides, and one in which a dot that was not escaped stands for any letter, as
// in "github.com" (attack S4).
func checkText(text string) error {
	switch {
	case !plainText(text):
		return fmt.Errorf("%d bytes or control characters: at most %d bytes, without control characters", len(text), maxText)
	case !isPattern(text):
		return nil
	case !strings.HasSuffix(text, "$") || strings.HasSuffix(text, `\$`):
		return fmt.Errorf("%.200q begins a pattern that does not end with \"$\": it must match the whole value", text)
	}
	tree, err := syntax.Parse(text, syntax.Perl)
	if err != nil {
		return fmt.Errorf("%.200q is no regular expression (RE2): %w", text, err)
	}
	return checkTree(tree, false)
}

func checkTree(re *syntax.Regexp, repeated bool) error {
	switch re.Op {
	case syntax.OpAnyChar, syntax.OpAnyCharNotNL:
		if !repeated {
			return errors.New(`a single "." stands for any letter: write "\." for a dot, "[^/]" or the like for one letter`)
		}
	case syntax.OpBeginLine, syntax.OpEndLine, syntax.OpWordBoundary, syntax.OpNoWordBoundary:
		return errors.New("only ^ and $ at the two ends are used, without flags")
	}
	if re.Flags&syntax.FoldCase != 0 {
		return errors.New("identities are compared letter by letter: no (?i)")
	}
	inRepeat := re.Op == syntax.OpStar || re.Op == syntax.OpPlus || re.Op == syntax.OpRepeat || re.Op == syntax.OpQuest
	for _, sub := range re.Sub {
		if err := checkTree(sub, inRepeat); err != nil {
			return err
		}
	}
	return nil
}
