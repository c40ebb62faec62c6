package policy

import (
	"fmt"
	"maps"
	"slices"

	"github.com/consign-dev/consign/internal/lazyregexp"
)

// An owner is whoever is given grants, by where they stand in a document: the
// section and a name in it, such as compose and web.
type owner struct{ section, name string }

// A need is one grant that is missing: one of an owner, or with grant
// "limits.…" a higher ceiling of the application.
type need struct {
	owner        owner
	grant, value string
}

// grantKind is one field of a struct of grants: a flag or a list.
type grantKind[T any] struct {
	flag func(*T) *bool
	list func(*T) *[]string
	// fault says why a value cannot be granted, without quoting it; "" if it can.
	fault func(value string) string
	// covers decides for lists whether an entry covers a value; nil is equality.
	covers func(granted, value string) bool
	// joined is for lists whose entries can hold several values: the list with one
	// more.
	joined func(list []string, value string) []string
}

// grantTable is every field of a struct of grants by its name in the document.
type grantTable[T any] map[string]grantKind[T]

func flagKind[T any](f func(*T) *bool) grantKind[T] { return grantKind[T]{flag: f} }

func listKind[T any](f func(*T) *[]string, pattern, want string) grantKind[T] {
	return grantKind[T]{list: f, fault: unless(pattern, want)}
}

// unless is the fault of a value that does not match.
func unless(pattern, want string) func(string) string {
	re := lazyregexp.New(pattern)
	return func(v string) string {
		if len(v) > maxGrantBytes || !re.MatchString(v) {
			return want
		}
		return ""
	}
}

// Bounds of one list, and of one entry of it.
const (
	maxGrants     = 256
	maxGrantBytes = 1024
)

func (k grantKind[T]) covered(s *T, value string) bool {
	if k.flag != nil {
		return *k.flag(s)
	}
	covers := k.covers
	if covers == nil {
		covers = func(granted, value string) bool { return granted == value }
	}
	return slices.ContainsFunc(*k.list(s), func(granted string) bool { return covers(granted, value) })
}

// add makes a proposal hold a value and nothing that the value makes needless.
func (k grantKind[T]) add(s *T, value string) {
	if k.covered(s, value) {
		return
	}
	if k.flag != nil {
		*k.flag(s) = true
		return
	}
	list := k.list(s)
	if k.joined != nil {
		*list = k.joined(*list, value)
	} else {
		*list = slices.DeleteFunc(*list, func(old string) bool { return k.covers != nil && k.covers(value, old) })
		*list = append(*list, value)
	}
	slices.Sort(*list)
}

func (t grantTable[T]) validate(s *T) error {
	for _, name := range slices.Sorted(maps.Keys(t)) {
		kind := t[name]
		if kind.list == nil {
			continue
		}
		list := *kind.list(s)
		if len(list) > maxGrants {
			return fmt.Errorf("%s: %d entries, at most %d", name, len(list), maxGrants)
		}
		for i, v := range list {
			if fault := kind.fault(v); fault != "" {
				return fmt.Errorf("%s[%d]: %.200q: %s", name, i, v, fault)
			}
		}
	}
	return nil
}

// clone shares no list with s.
func (t grantTable[T]) clone(s T) T {
	for _, kind := range t {
		if kind.list != nil {
			list := kind.list(&s)
			*list = append([]string(nil), *list...)
		}
	}
	return s
}

func (t grantTable[T]) cloneAll(of map[string]T) map[string]T {
	out := make(map[string]T, len(of))
	for name, s := range of {
		out[name] = t.clone(s)
	}
	return out
}

// A holder is the grants of one owner.
type holder interface {
	// fault says why a value of a list cannot be granted; "" if it can, and for
	// flags.
	fault(grant, value string) string
	listed(grant string) bool
	covered(grant, value string) bool
	add(grant, value string)
}

type held[T any] struct {
	table  grantTable[T]
	grants *T
}

func (h held[T]) listed(grant string) bool         { return h.table[grant].list != nil }
func (h held[T]) covered(grant, value string) bool { return h.table[grant].covered(h.grants, value) }
func (h held[T]) add(grant, value string)          { h.table[grant].add(h.grants, value) }

func (h held[T]) fault(grant, value string) string {
	if kind := h.table[grant]; kind.list != nil {
		return kind.fault(value)
	}
	return ""
}

// heldBy is a copy of what one name has; store puts it back.
func heldBy[T any](all *map[string]T, name string, table grantTable[T]) (holder, func()) {
	s := (*all)[name]
	return held[T]{table, &s}, func() {
		if *all == nil {
			*all = map[string]T{}
		}
		(*all)[name] = s
	}
}

// sectionCompose is the owner's section of a Compose service.
const sectionCompose = "compose"

// holder is the grants of an owner. store makes what was added to them part of g.
func (g *Grants) holder(o owner) (h holder, store func()) {
	if o.section == sectionCompose {
		return heldBy(&g.Compose, o.name, grantKinds)
	}
	return g.Kubernetes.holder(o)
}
