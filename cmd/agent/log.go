package main

import (
	"fmt"
	"io"

	"github.com/spf13/cobra"

	"github.com/consign-dev/consign/internal/audit"
	"github.com/consign-dev/consign/internal/auditor"
	"github.com/consign-dev/consign/internal/cli"
)

func logCommand(g *globals) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "log",
		Short: "read this device's log",
		Long: `The log is checked whole, against this device's own key, before anything of it
is shown. What an auditor may believe is said by "auditor verify", with the key
that the operator recorded.`,
		Example: "  agent log events",
	}
	cmd.AddCommand(logEventsCommand(g), logCheckpointCommand(g))
	return cmd
}

func logEventsCommand(g *globals) *cobra.Command {
	return &cobra.Command{
		Use:     "events",
		Short:   "list the events, oldest first",
		Example: "  agent log events --output json",
		Args:    cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			a, err := g.look()
			if err != nil {
				return err
			}
			entries := []audit.Entry{}
			if _, err := a.Events(cmd.Context(), func(e audit.Entry) error { entries = append(entries, e); return nil }); err != nil {
				return exit(err)
			}
			return auditor.PrintEvents(cli.Out(cmd), entries)
		},
	}
}

func logCheckpointCommand(g *globals) *cobra.Command {
	return &cobra.Command{
		Use:   "checkpoint",
		Short: "print the newest signed checkpoint, to be kept elsewhere",
		Long: `A checkpoint that is kept elsewhere is what later shows that this log was
neither cut nor rewritten: auditor verify LOG --key KEY --since FILE.`,
		Example: "  agent log checkpoint > press-07-2026-11.checkpoint",
		Args:    cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			a, err := g.look()
			if err != nil {
				return err
			}
			signed, err := a.SignedCheckpoint()
			if err != nil {
				return err
			}
			return cli.Out(cmd).Print(map[string]string{"checkpoint": string(signed)}, func(w io.Writer) { fmt.Fprint(w, string(signed)) })
		},
	}
}
