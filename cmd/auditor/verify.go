package main

import (
	"errors"

	"github.com/spf13/cobra"

	"github.com/consign-dev/consign/internal/auditor"
	"github.com/consign-dev/consign/internal/cli"
)

func verifyCommand() *cobra.Command {
	var r auditor.Request
	cmd := &cobra.Command{
		Use:   "verify LOG",
		Short: "check a whole log: signature, tree, every event",
		Long: `Verify checks the log in the directory LOG, or in a copy of it: the signature of
its checkpoint, the tree computed anew from all events, each event and its place
in the history, every stored file. Nothing is written.

A log that is whole in itself can still have been cut back to an older state of
its own, or be another history of the same device. Only an earlier checkpoint
that was kept elsewhere shows that it was not: keep LOG/checkpoint after each
audit, and name it with --since at the next.

The first thing that is not as it was signed is named, and the exit code is 7.`,
		Example: "  auditor verify /media/press-07/log --key press-07.vkey --since 2026-10.checkpoint",
		Args:    cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			if err := complete(&r, args); err != nil {
				return err
			}
			result, err := auditor.Verify(cmd.Context(), r)
			out := cli.Out(cmd)
			if result.Whole || result.Finding != nil && out.JSON() {
				err = errors.Join(err, out.Print(result, result.WriteText))
			}
			return exit(err)
		},
	}
	addRequest(cmd, &r)
	return cmd
}
