package policy

import "strings"

// Names of Kubernetes, as its API takes them. They stand on every object: compared
// by expressions that count, they would cost more than all other rules.

// maxRelease is the longest name of a release of Helm's.
const maxRelease = 53

// word reports whether s is 1 to most characters of a-z and 0-9, of A-Z too if it
// may have capitals and, but for the first and the last, of inner.
func word(s string, most int, capitals bool, inner string) bool {
	if s == "" || len(s) > most {
		return false
	}
	for i := range len(s) {
		switch c := s[i]; {
		case c >= 'a' && c <= 'z', c >= '0' && c <= '9', capitals && c >= 'A' && c <= 'Z':
		case i > 0 && i < len(s)-1 && strings.IndexByte(inner, c) >= 0:
		default:
			return false
		}
	}
	return true
}

// dnsLabel is a label of RFC 1123 in lower case.
func dnsLabel(s string) bool { return word(s, 63, false, "-") }

// dnsName is one to four of them, with dots between.
func dnsName(s string) bool {
	for range 4 {
		label, rest, more := strings.Cut(s, ".")
		if !dnsLabel(label) {
			return false
		}
		if !more {
			return true
		}
		s = rest
	}
	return false
}

// plainObject is the name of an object, of whatever kind.
func plainObject(s string) bool { return word(s, 253, false, "-.") }

// labelValue may be empty.
func labelValue(s string) bool { return s == "" || word(s, 63, true, "-._") }

// qualifiedName is the name of a label, with a domain before it or without; that of
// an annotation may have capitals in the domain.
func qualifiedName(s string, capitals bool) bool {
	domain, name, ok := strings.Cut(s, "/")
	if !ok {
		return word(s, 63, true, "-._")
	}
	return word(domain, 253, capitals, "-.") && word(name, 63, true, "-._")
}
