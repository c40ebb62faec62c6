package cli

import (
	"encoding/json"
	"strings"
	"testing"
	"unicode/utf8"
)

func TestSafeEscapesWhatATerminalActsUpon(t *testing.T) {
	for _, c := range []struct{ name, in, want string }{
		{"plain", "line-monitor/1.4.0 (grün, 日本)", "line-monitor/1.4.0 (grün, 日本)"},
		{"colour", "\x1b[31mred", `\u001b[31mred`},
		{"title change", "\x1b]0;own\x07", `\u001b]0;own\u0007`},
		{"C1 control sequence introducer", "\u009b31m", `\u009b31m`},
		{"line forging", "ok\nnext: run rm", `ok\u000anext: run rm`},
		{"overwriting", "refused\rinstalled", `refused\u000dinstalled`},
		{"bidi override", "press\u202e70", `press\u202e70`},
		{"bidi isolate", "\u2066x\u2069", `\u2066x\u2069`},
		{"zero width", "ac\u200bme", `ac\u200bme`},
		{"no-break space", "a\u00a0b", `a\u00a0b`},
		{"tag characters beyond the BMP", "a\U000e0041", `a\udb40\udc41`},
		{"not UTF-8", "a\xff\xc3", `a\xff\xc3`},
	} {
		t.Run(c.name, func(t *testing.T) {
			if got := Safe(c.in); got != c.want {
				t.Errorf("Safe(%q) = %q, want %q", c.in, got, c.want)
			}
		})
	}
}

func FuzzSafe(f *testing.F) {
	f.Add("a\x1b[0m\u202e\xff")
	f.Fuzz(func(t *testing.T, s string) {
		got := Safe(s)
		if !utf8.ValidString(got) || strings.ContainsFunc(got, func(r rune) bool { return !printable(r) }) {
			t.Errorf("Safe(%q) = %q", s, got)
		}
		// JSON keeps its meaning.
		line, err := marshal(s)
		if err != nil {
			t.Fatal(err)
		}
		var back string
		if err := json.Unmarshal(line, &back); err != nil || back != strings.ToValidUTF8(s, "\ufffd") && utf8.ValidString(s) {
			t.Errorf("marshal(%q) = %s: %v", s, line, err)
		}
	})
}
