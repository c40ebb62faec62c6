package main

import (
	"fmt"
	"io"
	"time"

	"github.com/spf13/cobra"

	"github.com/consign-dev/consign/internal/cli"
)

func approveCommand(g *globals) *cobra.Command {
	return &cobra.Command{
		Use:   "approve",
		Short: "let the orders that were fetched last be applied, where the configuration demands that",
		Long: `Approve is for a device with requireApproval in its configuration: new orders
are verified and fetched, and wait for a person at the device. An approval is
for the orders as they are now; other orders need another one. Read them first
with "agent verify --explain". The approval is written into the device log when
the agent takes it up.`,
		Example: "  agent approve",
		Args:    cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			a, err := g.look()
			if err != nil {
				return err
			}
			approval, orders, err := a.Approve(cmd.Context(), time.Now())
			if err != nil {
				return err
			}
			return cli.Out(cmd).Print(map[string]any{"approval": approval, "orders": orders}, func(w io.Writer) {
				fmt.Fprintf(w, "approved: desired state %s\n", approval.DesiredState)
				for _, o := range orders {
					fmt.Fprintf(w, "  %s %s (deployment %s)\n", cli.Safe(o.Application), cli.Safe(o.Version), cli.Safe(o.Deployment))
				}
			})
		},
	}
}
