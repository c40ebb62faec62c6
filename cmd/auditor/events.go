package main

import (
	"strconv"

	"github.com/spf13/cobra"

	"github.com/consign-dev/consign/internal/audit"
	"github.com/consign-dev/consign/internal/auditor"
	"github.com/consign-dev/consign/internal/cli"
)

func eventsCommand() *cobra.Command {
	var (
		r     auditor.Request
		f     auditor.Filter
		kinds []string
	)
	cmd := &cobra.Command{
		Use:     "events LOG",
		Short:   "check a log and tell its story, one line for each event",
		Example: "  auditor events /media/press-07/log --key press-07.vkey --kind refused,outcome --app line-monitor",
		Args:    cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			if err := complete(&r, args); err != nil {
				return err
			}
			for _, k := range kinds {
				f.Kinds = append(f.Kinds, audit.Kind(k))
			}
			if err := f.Check(); err != nil {
				return cli.Usage("--kind: %w", err)
			}
			story, err := auditor.Events(cmd.Context(), r, f)
			if err != nil {
				return exit(err)
			}
			return cli.Out(cmd).Print(story, story.WriteText)
		},
	}
	addRequest(cmd, &r)
	cmd.Flags().StringSliceVar(&kinds, "kind", nil, "only events of these `KINDS`, such as refused,outcome")
	cmd.Flags().StringVar(&f.Application, "app", "", "only events about the application `ID`")
	cmd.Flags().StringVar(&f.Deployment, "deployment", "", "only events about the deployment `ID`")
	return cmd
}

func showCommand() *cobra.Command {
	var r auditor.Request
	cmd := &cobra.Command{
		Use:     "show LOG SEQ",
		Short:   "check a log and show one event with all its members",
		Example: "  auditor show /media/press-07/log 12 --key press-07.vkey",
		Args:    cobra.ExactArgs(2),
		RunE: func(cmd *cobra.Command, args []string) error {
			if err := complete(&r, args); err != nil {
				return err
			}
			seq, err := strconv.ParseUint(args[1], 10, 64)
			if err != nil {
				return cli.Usage("%q is not the number of an event", args[1])
			}
			shown, err := auditor.Show(cmd.Context(), r, seq)
			if err != nil {
				return exit(err)
			}
			return cli.Out(cmd).Print(shown, shown.WriteText)
		},
	}
	addRequest(cmd, &r)
	return cmd
}
