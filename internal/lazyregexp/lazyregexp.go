// Package lazyregexp holds regular expressions of package scope. They are compiled
// when they are first asked: all of them together take a program that needs few
// of them longer to start than anything else it does before its main.
package lazyregexp

import (
	"regexp"
	"sync"
)

// Regexp is a regular expression, compiled at its first use. It may be used by
// several goroutines at once.
type Regexp struct {
	get func() *regexp.Regexp
}

// New returns the expression of a pattern (RE2, see package regexp). A pattern
// that is none panics at its first use: internal/architecture tries those that are
// written out.
func New(pattern string) *Regexp {
	return &Regexp{sync.OnceValue(func() *regexp.Regexp { return regexp.MustCompile(pattern) })}
}

// MatchString is that of [regexp.Regexp], as are the methods below.
func (r *Regexp) MatchString(s string) bool { return r.get().MatchString(s) }

func (r *Regexp) Match(b []byte) bool { return r.get().Match(b) }

func (r *Regexp) FindStringSubmatch(s string) []string { return r.get().FindStringSubmatch(s) }

func (r *Regexp) ReplaceAllString(src, repl string) string {
	return r.get().ReplaceAllString(src, repl)
}

func (r *Regexp) FindAllString(s string, n int) []string { return r.get().FindAllString(s, n) }

func (r *Regexp) FindAllStringSubmatch(s string, n int) [][]string {
	return r.get().FindAllStringSubmatch(s, n)
}

func (r *Regexp) Split(s string, n int) []string { return r.get().Split(s, n) }
