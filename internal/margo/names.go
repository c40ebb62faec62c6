package margo

import (
	"fmt"
	"maps"
	"slices"

	"github.com/consign-dev/consign/internal/fields"
)

// unknown is a refusal of a name that is not among the keys of known.
func unknown[V any](what, name string, known map[string]V) string {
	return fields.Unknown(what, name, slices.Sorted(maps.Keys(known)))
}

// shortName is a name from a document as part of a path in a message.
func shortName(name string) string {
	if environmentName.MatchString(name) && len(name) <= 60 {
		return name
	}
	return fmt.Sprintf("%.60q", name)
}

func sortedKeys[V any](m map[string]V) []string { return slices.Sorted(maps.Keys(m)) }
