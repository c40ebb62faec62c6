package margo

import (
	"errors"

	"github.com/consign-dev/consign/internal/lazyregexp"
)

var extensionKey = lazyregexp.New(`^x-[a-z][a-z0-9-]*-extensions$`)

// Extensions are the x-<name>-extensions of one mapping, by their whole key
// (Margo 1.0.0-rc.3, Specification Extensions). Each is a mapping of any
// content; a reader ignores those that it does not know.
type Extensions map[string]map[string]any

// CheckKey accepts the keys of extensions.
func (Extensions) CheckKey(key string) error {
	if !extensionKey.MatchString(key) {
		return errors.New("or an extension, x-<name>-extensions")
	}
	return nil
}

func (e Extensions) normalise() {
	for _, content := range e {
		for k, v := range content {
			content[k] = normalise(v)
		}
	}
}

// without returns the extensions but for one key, nil when none is left.
func (e Extensions) without(key string) Extensions {
	var out Extensions
	for k, v := range e {
		if k == key {
			continue
		}
		if out == nil {
			out = Extensions{}
		}
		out[k] = v
	}
	return out
}
