package audit

import (
	"fmt"
	"strings"
	"unicode"
	"unicode/utf8"
)

// Clean makes text that others wrote fit for an event: what a terminal would
// act upon or hide (control characters, escape sequences, line ends,
// bidirectional and zero-width marks) and bytes that are not UTF-8 become
// visible escapes, and what is longer than [MaxMessage] bytes is cut and ends
// in "...". [Log.Append] applies it; it is exported for those who compare.
func Clean(s string) string { return clean(s, MaxMessage) }

// clean is the identity on text that is already clean, which is what readers
// demand of an event.
func clean(s string, limit int) string {
	const ellipsis = "..."
	var b strings.Builder
	end := 0 // where to cut, should the text turn out too long
	for rest := s; len(rest) > 0; {
		r, n := utf8.DecodeRuneInString(rest)
		b.WriteString(visible(r, rest[:n]))
		rest = rest[n:]
		if b.Len() <= limit-len(ellipsis) {
			end = b.Len()
		}
		if b.Len() > limit {
			return b.String()[:end] + ellipsis
		}
	}
	return b.String()
}

// visible follows unicode.IsPrint, whose only space is the ASCII one and which
// counts no format character as printable.
func visible(r rune, raw string) string {
	switch {
	case r == utf8.RuneError && len(raw) == 1:
		return fmt.Sprintf(`\x%02x`, raw[0])
	case unicode.IsPrint(r):
		return raw
	case r > 0xffff:
		return fmt.Sprintf(`\U%08x`, r)
	default:
		return fmt.Sprintf(`\u%04x`, r)
	}
}
