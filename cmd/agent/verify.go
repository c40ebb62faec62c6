package main

import (
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/spf13/cobra"

	"github.com/consign-dev/consign/internal/agent"
	"github.com/consign-dev/consign/internal/cli"
	"github.com/consign-dev/consign/internal/verify"
)

func verifyCommand(g *globals) *cobra.Command {
	var explain bool
	cmd := &cobra.Command{
		Use:   "verify [APPLICATION]",
		Short: "judge what is ordered for this device, applying nothing",
		Long: `Verify does everything that "agent sync" does up to the moment before it would
change the machine: refresh, verify, fetch, render, check grants. It writes
nothing into the device log. With --explain it prints every check with what it
demanded, what it found, and the digest of the document that shows it.`,
		Example: "  agent verify line-monitor --explain",
		Args:    cobra.MaximumNArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			a, done, err := g.open(cmd)
			if err != nil {
				return err
			}
			defer done()
			app := ""
			if len(args) == 1 {
				app = args[0]
			}
			res, err := a.Verify(cmd.Context(), time.Now(), app)
			if res != nil {
				err = errors.Join(err, cli.Out(cmd).Print(res, func(w io.Writer) { writeJudgements(w, res, explain) }))
			}
			if err != nil {
				return err
			}
			return res.Err()
		},
	}
	cmd.Flags().BoolVar(&explain, "explain", false, "print every check with its evidence")
	return cmd
}

func writeJudgements(w io.Writer, res *agent.Result, explain bool) {
	for _, c := range res.Changes {
		fmt.Fprintf(w, "%-9s %s %s", c.Action, cli.Safe(c.Application), cli.Safe(c.Version))
		if c.Reason != "" {
			fmt.Fprintf(w, " (%s)", c.Reason)
		}
		fmt.Fprintln(w)
		if explain {
			verify.WriteSteps(w, c.Steps, cli.Safe)
		}
	}
}
