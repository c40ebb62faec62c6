package cli

import (
	"fmt"
	"strings"
	"unicode"
	"unicode/utf8"
)

// Safe returns s with everything escaped that a terminal would act upon or
// hide: control characters (so also escape sequences and line ends),
// bidirectional and zero-width marks, private and unassigned characters, and
// bytes that are not UTF-8. What is left is printable text on one line.
// Names, messages and annotations written by others pass through it before
// they reach a terminal.
func Safe(s string) string { return escape(s, printable) }

// safeText is Safe for text of several lines made by a command: line ends and
// tabs stay.
func safeText(s string) string {
	return escape(s, func(r rune) bool { return r == '\n' || r == '\t' || printable(r) })
}

// printable follows unicode.IsPrint, whose only space is the ASCII one and
// which counts no format character (Cf) as printable.
func printable(r rune) bool { return unicode.IsPrint(r) }

func escape(s string, keep func(rune) bool) string {
	var b strings.Builder
	for len(s) > 0 {
		r, n := utf8.DecodeRuneInString(s)
		switch {
		case r == utf8.RuneError && n == 1:
			fmt.Fprintf(&b, `\x%02x`, s[0])
		case keep(r):
			b.WriteRune(r)
		default:
			b.WriteString(escaped(r))
		}
		s = s[n:]
	}
	return b.String()
}

// escaped writes r as JSON does, which Go and shells' printf read too.
func escaped(r rune) string {
	if r > 0xffff {
		r -= 0x10000
		return fmt.Sprintf(`\u%04x\u%04x`, 0xd800+(r>>10), 0xdc00+(r&0x3ff))
	}
	return fmt.Sprintf(`\u%04x`, r)
}
