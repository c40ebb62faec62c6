package verify

import (
	"fmt"
	"io"
)

// WriteSteps prints the checks of a judgement, each with what it demanded, what
// it found, and the digest of the document that shows it. safe makes text from
// documents fit for a terminal.
func WriteSteps(w io.Writer, steps []Step, safe func(string) string) {
	for _, s := range steps {
		mark := "ok     "
		if !s.OK {
			mark = "REFUSED"
		}
		fmt.Fprintf(w, "  %s %-9s %s\n", mark, s.Name, safe(s.Rule))
		fmt.Fprintf(w, "            found     %s\n", safe(s.Found))
		if s.Evidence != "" {
			fmt.Fprintf(w, "            evidence  %s\n", s.Evidence)
		}
	}
}
