package helm

import (
	"strings"
	"unicode/utf8"

	"github.com/consign-dev/consign/internal/lazyregexp"
)

// shortest is the length from which a value within another is no accident.
const shortest = 8

// cryptHash is how a password looks that was hashed with a salt of its own.
var cryptHash = lazyregexp.New(`\$2[abxy]?\$|\{SHA\}|\$apr1\$|\$[56]\$`)

// link finds what values are within others, and which belong together: they are
// kept or made anew as one.
//
//   - certificates and keys, wherever they stand: what one of them has signed cannot
//     be told from the bytes
//   - a hash of a password, or bytes that are no text, and every value of its object:
//     it may be made of any of them
//   - a value and one within it, unless the rest of it stays the same
//
// A value that is only made of others is in no group.
func link(secrets []*secret) {
	for i, t := range secrets {
		for j := i - 1; j >= 0; j-- { // shorter ones stand before
			if t.contains(secrets[j]) {
				t.holds = append(t.holds, secrets[j])
			}
		}
		t.composed = t.onlyHolds()
	}
	var material *secret
	for _, s := range secrets {
		if s.composed {
			continue
		}
		for _, part := range s.holds {
			if !part.composed { // whose own parts are within s as well
				s.join(part)
			}
		}
		if pemBlock.MatchString(s.a) {
			if material == nil {
				material = s
			}
			s.join(material)
		}
		if s.sealed() {
			s.joinObjects(secrets)
		}
	}
}

func (s *secret) contains(part *secret) bool {
	return len(part.a) >= shortest && len(part.a) < len(s.a) && strings.Contains(s.a, part.a) && strings.Contains(s.b, part.b)
}

// onlyHolds reports whether all that varies in the value is values within it.
func (s *secret) onlyHolds() bool {
	if len(s.holds) == 0 {
		return false
	}
	a, b := s.a, s.b
	for _, part := range s.holds {
		a, b = strings.ReplaceAll(a, part.a, "\x00"), strings.ReplaceAll(b, part.b, "\x00")
	}
	return a == b
}

// made is a composed value with what those within it have become.
func (s *secret) made() string {
	text := s.a
	for _, part := range s.holds {
		text = strings.ReplaceAll(text, part.a, part.now)
	}
	return text
}

// sealed reports whether nobody can see what the value is made of.
func (s *secret) sealed() bool {
	return cryptHash.MatchString(s.a) || !utf8.ValidString(s.a)
}

func (s *secret) joinObjects(secrets []*secret) {
	in := map[*object]bool{}
	for _, f := range s.fields {
		in[f.object] = true
	}
	for _, other := range secrets {
		for _, f := range other.fields {
			if in[f.object] && !other.composed {
				other.join(s)
			}
		}
	}
}

func (s *secret) join(other *secret) { s.root().group = other.root() }

func (s *secret) root() *secret {
	for s.group != s {
		s = s.group
	}
	return s
}
