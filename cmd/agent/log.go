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
	cmd.AddCommand(logEventsCommand(g), logCheckpointCommand(g), logExportCommand(g))
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

func logExportCommand(g *globals) *cobra.Command {
	return &cobra.Command{
		Use:   "export DIR",
		Short: "copy the log, and what its decisions were made from, for an auditor",
		Long: `Export copies the log and the archived inputs of its decisions into the new
directory DIR, for "auditor replay". It works beside a running agent. The
device's keys and secrets stay here. Values of parameters are in the orders and
renders that are copied: whoever gets DIR can read them.`,
		Example: "  agent log export /media/usb/press-07",
		Args:    cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			a, err := g.look()
			if err != nil {
				return err
			}
			done, err := a.Export(cmd.Context(), args[0])
			if err != nil {
				return exit(err)
			}
			return cli.Out(cmd).Print(done, func(w io.Writer) {
				fmt.Fprintf(w, "%d events; %d decisions can be replayed from %d documents (%.1f MiB)\n",
					done.Events, done.Decisions, done.Documents, float64(done.Bytes)/(1<<20))
				if done.Missing > 0 {
					fmt.Fprintf(w, "%d decisions cannot: what they were made from is past retention, or damaged, on this device\n", done.Missing)
				}
			})
		},
	}
}
