package main

import (
	"errors"
	"strconv"

	"github.com/spf13/cobra"

	"github.com/consign-dev/consign/internal/audit"
	"github.com/consign-dev/consign/internal/auditor"
	"github.com/consign-dev/consign/internal/cli"
)

func replayCommand() *cobra.Command {
	var (
		r     auditor.ReplayRequest
		event string
	)
	cmd := &cobra.Command{
		Use:   "replay EXPORT",
		Short: "make a device's decisions again from what it archived",
		Long: `Replay checks the log in EXPORT, which "agent log export" made, as verify does.
Then it gives the archived inputs of each decision (metadata, policy, trusted
roots, order, evidence, package, renders, the time) to the verifier of this
program and compares: accepted, or refused for the same reason at the same step.
Every document is hashed again. Templates are not rendered again: the archived
render is what the grants are checked on.

The operator's root is the file that the device was set up with. None is ever
taken from the export.

A decision whose inputs are past the device's retention is counted and is no
error, unless --event asks for it. One that differs, or a document that is not
what was archived, is named, and the exit code is 7.`,
		Example: "  auditor replay /media/press-07 --key press-07.vkey --root plant-root.json",
		Args:    cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			if err := complete(&r.Request, args); err != nil {
				return err
			}
			r.Export = args[0]
			if err := choose(&r, event); err != nil {
				return err
			}
			replayed, err := auditor.Replay(cmd.Context(), r)
			if replayed.Decisions != nil && (err == nil || audit.IsTampering(err)) {
				err = errors.Join(err, cli.Out(cmd).Print(replayed, replayed.WriteText))
			}
			return exit(err)
		},
	}
	addRequest(cmd, &r.Request)
	cmd.Flags().StringVar(&r.Root, "root", "", "`FILE` with the operator's root that the device was set up with")
	cmd.Flags().StringVar(&event, "event", "", "replay only the decision that event `SEQ` tells")
	return cmd
}

// choose insists on a root, as complete does on a key, and reads --event.
func choose(r *auditor.ReplayRequest, event string) error {
	if r.Root == "" {
		return cli.Usage("--root is missing: the operator's root file that the device was set up with; none is ever taken from the export")
	}
	if event == "" {
		return nil
	}
	seq, err := strconv.ParseUint(event, 10, 64)
	if err != nil {
		return cli.Usage("--event: %q is not the number of an event", event)
	}
	r.Event = &seq
	return nil
}
