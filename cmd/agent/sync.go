package main

import (
	"errors"
	"fmt"
	"io"
	"log/slog"
	"time"

	"github.com/spf13/cobra"

	"github.com/consign-dev/consign/internal/agent"
	"github.com/consign-dev/consign/internal/cli"
	"github.com/consign-dev/consign/internal/reason"
)

func syncCommand(g *globals) *cobra.Command {
	return &cobra.Command{
		Use:     "sync",
		Short:   "run one cycle: refresh, verify, fetch, apply, log",
		Example: "  agent sync",
		Args:    cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			a, done, err := g.open(cmd)
			if err != nil {
				return err
			}
			defer done()
			res, err := a.Sync(cmd.Context(), time.Now())
			if printErr := cli.Out(cmd).Print(res, func(w io.Writer) { writeResult(w, res, err) }); printErr != nil {
				err = errors.Join(err, printErr)
			}
			if err != nil {
				return err
			}
			return res.Err()
		},
	}
}

func writeResult(w io.Writer, res *agent.Result, err error) {
	for _, c := range res.Changes {
		fmt.Fprintf(w, "%-9s %s %s", c.Action, cli.Safe(c.Application), cli.Safe(c.Version))
		if c.Reason != "" {
			fmt.Fprintf(w, " (%s)", c.Reason)
		}
		fmt.Fprintln(w)
	}
	if len(res.Changes) == 0 && err == nil {
		fmt.Fprintln(w, "nothing changed")
	}
}

func runCommand(g *globals) *cobra.Command {
	return &cobra.Command{
		Use:   "run",
		Short: "run cycles for ever, and serve verified content to the engine meanwhile",
		Long: `Run repeats "agent sync" at the configured interval until it is stopped. What
goes wrong in a cycle is logged and the next one begins in its time; the
applications that run are left alone.`,
		Example: "  agent run --config /etc/consign/agent.yaml",
		Args:    cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			a, done, err := g.open(cmd)
			if err != nil {
				return err
			}
			defer done()
			log := slog.New(slog.NewTextHandler(cmd.ErrOrStderr(), nil))
			return a.Run(cmd.Context(), time.Now, func(res *agent.Result, err error) { reportCycle(log, res, err) })
		},
	}
}

func reportCycle(log *slog.Logger, res *agent.Result, err error) {
	for _, c := range res.Changes {
		attrs := []any{
			slog.String("action", string(c.Action)), slog.String("application", cli.Safe(c.Application)),
			slog.String("version", cli.Safe(c.Version)), slog.String("deployment", cli.Safe(c.Deployment)),
		}
		if c.Reason != "" {
			attrs = append(attrs, slog.String("reason", string(c.Reason)), slog.String("message", cli.Safe(c.Message)))
		}
		if c.Action != agent.Unchanged {
			log.Info("deployment", attrs...)
		}
	}
	if err != nil {
		log.Error("cycle ended early", slog.String("reason", string(reason.Of(err))), slog.String("error", cli.Safe(err.Error())))
	}
}
