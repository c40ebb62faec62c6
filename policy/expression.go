package policy

import (
	"errors"
	"fmt"
	"strings"

	"github.com/consign-dev/consign/internal/lazyregexp"
)

// Bounds of a licence expression. That of an operating system's largest package
// has some 2 KiB, and three levels.
const (
	maxLicenseExpression = 16 << 10
	maxParens            = 32
)

// A token is a parenthesis, an operator, or an id with perhaps a "+" (SPDX 2.3,
// annex D.2). Operators are upper case there; SPDX 3 takes lower case, too.
var (
	expressionToken = lazyregexp.New(`[()]|[^()\s]+`)
	licenseID       = lazyregexp.New(`^[A-Za-z0-9.:-]+\+?$`)
)

// evaluate decides about a licence expression by its licences: AND is denied if a
// side is, OR if both are, and an exception (WITH) takes no licence away. denied
// names why an id is, "" if it is not.
func evaluate(text string, denied func(id string, orLater bool) string) (string, error) {
	if len(text) > maxLicenseExpression {
		return "", fmt.Errorf("an expression of %d bytes, at most %d are read", len(text), maxLicenseExpression)
	}
	e := expression{tokens: expressionToken.FindAllString(text, -1), denied: denied}
	why, err := e.or()
	if err == nil && len(e.tokens) > 0 {
		err = fmt.Errorf("%.100q where the expression should end", e.tokens[0])
	}
	return why, err
}

type expression struct {
	tokens []string
	parens int
	denied func(string, bool) string
}

// next takes the token if it is this operator.
func (e *expression) next(operator string) bool {
	if len(e.tokens) == 0 || e.tokens[0] != operator && e.tokens[0] != strings.ToLower(operator) {
		return false
	}
	e.tokens = e.tokens[1:]
	return true
}

func (e *expression) or() (string, error) {
	why, err := e.and()
	for err == nil && e.next("OR") {
		var other string
		if other, err = e.and(); other == "" {
			why = ""
		}
	}
	return why, err
}

func (e *expression) and() (string, error) {
	why, err := e.term()
	for err == nil && e.next("AND") {
		var other string
		if other, err = e.term(); why == "" {
			why = other
		}
	}
	return why, err
}

func (e *expression) term() (string, error) {
	if e.next("(") {
		if e.parens++; e.parens > maxParens {
			return "", fmt.Errorf("more than %d parentheses in each other", maxParens)
		}
		why, err := e.or()
		e.parens--
		if err == nil && !e.next(")") {
			err = errors.New("a parenthesis that is not closed")
		}
		return why, err
	}
	id, err := e.id()
	if err == nil && e.next("WITH") {
		_, err = e.id()
	}
	if err != nil {
		return "", err
	}
	id, later := strings.CutSuffix(id, "+")
	return e.denied(id, later), nil
}

func (e *expression) id() (string, error) {
	if len(e.tokens) == 0 {
		return "", errors.New("ends where a licence should stand")
	}
	id := e.tokens[0]
	e.tokens = e.tokens[1:]
	switch strings.ToUpper(id) {
	case "AND", "OR", "WITH":
		return "", fmt.Errorf("%q where a licence should stand", id)
	}
	if !licenseID.MatchString(id) {
		return "", fmt.Errorf("%.100q where a licence should stand", id)
	}
	return id, nil
}
