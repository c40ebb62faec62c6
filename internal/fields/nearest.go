package fields

import (
	"fmt"
	"strings"
)

// maxName bounds the work spent on a name that an attacker chose; no field
// name of any format read here is near it. maxKnown bounds what a message
// lists: known names may come from a document, too.
const (
	maxName  = 64
	maxKnown = 12
)

// Nearest returns the known name that name was most likely meant to be, or ""
// when none is close.
func Nearest(name string, known []string) string {
	if len(name) > maxName {
		return ""
	}
	best, bestDistance := "", 1+max(2, len(name)/3)
	for _, k := range known {
		if len(k) > maxName {
			continue
		}
		d := distance(strings.ToLower(name), strings.ToLower(k))
		if d < bestDistance {
			best, bestDistance = k, d
		}
	}
	return best
}

// Unknown is the text of a refusal: the quoted name and what is known instead.
func Unknown(what, name string, known []string) string {
	text := fmt.Sprintf("unknown %s %.64q", what, name)
	if near := Nearest(name, known); near != "" {
		return text + fmt.Sprintf(", did you mean %q?", near)
	}
	if len(known) == 0 || len(known) > maxKnown {
		return text
	}
	quoted := make([]string, len(known))
	for i, k := range known {
		quoted[i] = fmt.Sprintf("%.64q", k)
	}
	return text + "; known: " + strings.Join(quoted, ", ")
}

// distance is the number of single byte insertions, deletions, replacements
// and swaps of neighbours between a and b (optimal string alignment).
func distance(a, b string) int {
	prev2, prev, cur := make([]int, len(b)+1), make([]int, len(b)+1), make([]int, len(b)+1)
	for j := range prev {
		prev[j] = j
	}
	for i := 1; i <= len(a); i++ {
		cur[0] = i
		for j := 1; j <= len(b); j++ {
			cost := 1
			if a[i-1] == b[j-1] {
				cost = 0
			}
			cur[j] = min(prev[j]+1, cur[j-1]+1, prev[j-1]+cost)
			if i > 1 && j > 1 && a[i-1] == b[j-2] && a[i-2] == b[j-1] {
				cur[j] = min(cur[j], prev2[j-2]+1)
			}
		}
		prev2, prev, cur = prev, cur, prev2
	}
	return prev[len(b)]
}
