package policy

import (
	"fmt"
	"strconv"
	"strings"
)

// maxAsks bounds the message of a refusal. Whoever asks for more than that has
// enough to begin with.
const maxAsks = 20

// maxKept bounds what is remembered of one project, so that a project of
// millions of wrong keys costs no more memory than it already does.
const maxKept = 4096

// Excess is what an application asks for beyond its grants: the cause of a
// refusal with reason grant. It has two texts, because a value in a project may
// be one that an operator entered as a parameter, and a log is read by people
// who may not know it.
type Excess struct {
	subject string
	asks    []ask
	more    int
}

// An ask is one element that is not granted.
type ask struct {
	at   place
	rule string // what would be accepted; never made from the project's values
	got  string // what the project says instead, for the terminal
	need need   // the grant that would cover it, zero if none can
}

// Error names every element (up to 20, then how many more), what would be
// accepted in its place, and what was found. For the terminal.
func (e *Excess) Error() string { return e.text(ask.full) }

// LogText is Error without anything that could be a parameter's value: places
// and rules only.
func (e *Excess) LogText() string { return e.text(ask.quiet) }

func (e *Excess) text(of func(ask) string) string {
	shown := e.asks[:min(len(e.asks), maxAsks)]
	parts := make([]string, 0, len(shown))
	for _, a := range shown {
		parts = append(parts, of(a))
	}
	list := strings.Join(parts, ", ")
	if more := len(e.asks) - len(shown) + e.more; more > 0 {
		list += fmt.Sprintf(", and %d more", more)
	}
	return e.subject + list
}

func (a ask) full() string {
	text := a.rule
	switch {
	case a.got == "":
	case a.need.owner != owner{}:
		text += " for " + a.got
	default:
		text += ", not " + a.got
	}
	return a.at.full + " (" + text + ")"
}

func (a ask) quiet() string { return a.at.log + " (" + a.rule + ")" }

// A place is where in a project something stands, spelt twice: in full, and
// without the keys that interpolation can fill (a list of "NAME=value", as
// environment and labels may be written, makes keys of parameters).
type place struct {
	full, log string
	last      string // the last name as it is
}

// key is a member whose name is part of the format or chosen by the author.
func (p place) key(name string) place {
	full := join(p.full, name)
	if p.log == p.full { // as in most places: one text for both
		return place{full, full, name}
	}
	return place{full, join(p.log, name), name}
}

// entry is a member whose name may come from a parameter.
func (p place) entry(name string) place { return place{join(p.full, name), p.log + ".*", name} }

func (p place) index(i int) place {
	at := "[" + strconv.Itoa(i) + "]"
	full := p.full + at
	if p.log == p.full {
		return place{full, full, p.last}
	}
	return place{full, p.log + at, p.last}
}
