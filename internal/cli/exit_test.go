package cli

import (
	"errors"
	"fmt"
	"os"
	"strings"
	"testing"

	"github.com/consign-dev/consign/internal/reason"
)

func TestExitCodes(t *testing.T) {
	refusal := reason.New(reason.Grant, "services.web.privileged")
	for _, c := range []struct {
		name string
		err  error
		want int
	}{
		{"none", nil, 0},
		{"plain", errors.New("x"), 1},
		{"usage", Usage("x"), 2},
		{"wrapped refusal", fmt.Errorf("sync: %w", refusal), 3},
		{"explicit code wins over reason", &ExitError{Code: ExitRolledBack, Err: refusal}, 5},
		{"explicit code found when wrapped", fmt.Errorf("x: %w", &ExitError{Code: 7}), 7},
	} {
		if got := ExitCode(c.err); got != c.want {
			t.Errorf("%s: exit %d, want %d", c.name, got, c.want)
		}
	}
}

// Each reason has an exit code decided on purpose; this is the table of
// docs/spec/reasons.md, and a new reason must be entered in both.
func TestExitCodeOfEachReason(t *testing.T) {
	doc, err := os.ReadFile("../../docs/spec/reasons.md")
	if err != nil {
		t.Fatal(err)
	}
	for _, code := range reason.All() {
		row := fmt.Sprintf("| `%s` | %s | %d |", code, code.Class(), ExitCode(reason.New(code, "x")))
		if !strings.Contains(string(doc), "\n"+row) {
			t.Errorf("docs/spec/reasons.md has no row beginning %s", row)
		}
	}
}

func TestFailuresAreNotCalledRefusals(t *testing.T) {
	for code, want := range map[reason.Code]string{
		reason.Freeze: "refused (freeze): ", reason.Unreachable: "failed (unreachable): ",
		reason.Grant: "refused (grant): ", reason.Health: "failed (health): ", "": "",
	} {
		if got := prefix(Failure{Reason: code}); got != want {
			t.Errorf("prefix(%q) = %q, want %q", code, got, want)
		}
	}
}
