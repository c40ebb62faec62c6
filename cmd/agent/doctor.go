package main

import (
	"fmt"
	"io"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/consign-dev/consign/internal/agent"
	"github.com/consign-dev/consign/internal/agent/doctor"
	"github.com/consign-dev/consign/internal/cli"
	"github.com/consign-dev/consign/internal/reason"
)

func doctorCommand(g *globals) *cobra.Command {
	return &cobra.Command{
		Use:   "doctor",
		Short: "say what is wrong on this device and what to do next",
		Long: `Doctor looks at everything that an update depends on: clock, channels and their
registries, credentials, disk, engine, port, state directory, device log, and
what was refused last. It changes nothing and works beside "agent run"; run it as
the user of the agent. It ends with 0 when nothing failed (warnings are none),
else with the exit code of the worst that it found.`,
		Example: "  sudo agent doctor\n  agent doctor --output json | jq '.findings[] | select(.status != \"ok\")'",
		Args:    cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			cfg, opts, err := g.options()
			if err != nil {
				return err
			}
			r := agent.Examine(cmd.Context(), cfg, opts, time.Now)
			if err := cmd.Context().Err(); err != nil {
				return err
			}
			if err := cli.Out(cmd).Print(r, func(w io.Writer) { writeReport(w, r) }); err != nil {
				return err
			}
			return verdictOf(r)
		},
	}
}

func writeReport(w io.Writer, r *doctor.Report) {
	for _, f := range r.Findings {
		fmt.Fprintf(w, "%-4s  %s", f.Status, f.Check)
		if f.Subject != "" {
			fmt.Fprintf(w, " (%s)", cli.Safe(f.Subject))
		}
		fmt.Fprintf(w, ": %s\n", oneLine(f.Found))
		if f.Next != "" {
			fmt.Fprintf(w, "      next: %s\n", cli.Safe(f.Next))
		}
	}
}

// oneLine joins the lines of joined errors.
func oneLine(s string) string { return cli.Safe(strings.ReplaceAll(s, "\n", "; ")) }

// urgency orders exit codes: whoever sees only one number has to learn the one
// that nothing else can be believed without.
var urgency = []int{cli.ExitTampering, cli.ExitFailed, cli.ExitRefused, cli.ExitRolledBack, cli.ExitUnreachable, cli.ExitConflict}

// verdictOf is the error that makes the program end with the code of the worst
// finding; everything has been said by then.
func verdictOf(r *doctor.Report) error {
	worst := len(urgency)
	for _, f := range r.Findings {
		if f.Status == doctor.Fail {
			worst = min(worst, slices.Index(urgency, exitCodeOf(f.Reason)))
		}
	}
	if worst == len(urgency) {
		return nil
	}
	return &cli.ExitError{Code: urgency[worst]}
}

// exitCodeOf: a finding without a reason is a circumstance of this machine.
func exitCodeOf(code reason.Code) int {
	if code == "" {
		return cli.ExitFailed
	}
	return cli.ExitCode(reason.New(code, "found"))
}
