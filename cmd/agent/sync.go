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
	var fetchOnly, applyOnly bool
	var from string
	cmd := &cobra.Command{
		Use:   "sync",
		Short: "run one cycle: refresh, verify, fetch, apply, look at what runs, log",
		Long: `Sync is one cycle of "agent run". In two steps, it fetches while there is a
line and applies when the machine may stop: --fetch-only ends before anything
would be changed; --apply-only uses no network and verifies again what was
fetched. The configuration may add a window (applyWindow) and a person's
approval (requireApproval).

With --from it reads a directory that "publisher copy" made, in place of
registries, and nothing from the network: channels keep the names that the
device and its policy know, and everything is checked and logged as ever. The
directory is not trusted and not written to.`,
		Example: "  agent sync\n  agent sync --fetch-only\n  agent sync --apply-only\n  agent sync --from /media/usb/site",
		Args:    cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if cmd.Flags().Changed("from") && from == "" {
				return cli.Usage("--from names no directory")
			}
			a, done, err := g.openFrom(cmd, from)
			if err != nil {
				return err
			}
			defer done()
			res, err := a.Sync(cmd.Context(), time.Now(), scopeOf(fetchOnly, applyOnly))
			if printErr := cli.Out(cmd).Print(res, func(w io.Writer) { writeResult(w, res, err) }); printErr != nil {
				err = errors.Join(err, printErr)
			}
			if err != nil {
				return err
			}
			return res.Err()
		},
	}
	cmd.Flags().BoolVar(&fetchOnly, "fetch-only", false, "refresh, verify and fetch, and change nothing on the machine")
	cmd.Flags().BoolVar(&applyOnly, "apply-only", false, "apply what was fetched before, without the network")
	cmd.MarkFlagsMutuallyExclusive("fetch-only", "apply-only")
	cmd.Flags().StringVar(&from, "from", "", "`DIRECTORY` to read in place of registries")
	cmd.MarkFlagsMutuallyExclusive("from", "apply-only")
	return cmd
}

func scopeOf(fetchOnly, applyOnly bool) agent.Scope {
	switch {
	case fetchOnly:
		return agent.FetchOnly
	case applyOnly:
		return agent.ApplyOnly
	default:
		return agent.Everything
	}
}

func writeResult(w io.Writer, res *agent.Result, err error) {
	for _, c := range res.Changes {
		fmt.Fprintf(w, "%-9s %s %s", c.Action, cli.Safe(c.Application), cli.Safe(c.Version))
		if c.Reason != "" {
			fmt.Fprintf(w, " (%s)", c.Reason)
		}
		fmt.Fprintln(w)
		if c.Returned != "" {
			fmt.Fprintf(w, "          %s %s runs again\n", cli.Safe(c.Application), cli.Safe(c.Returned))
		}
		if c.Reason == "" && c.Message != "" {
			fmt.Fprintf(w, "          %s\n", cli.Safe(c.Message))
		}
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
