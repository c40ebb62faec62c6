package main

import (
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/consign-dev/consign/internal/agent"
	"github.com/consign-dev/consign/internal/cli"
	"github.com/consign-dev/consign/internal/durable"
	"github.com/consign-dev/consign/internal/lazyregexp"
	"github.com/consign-dev/consign/internal/tufclient"
)

var sha256Hex = lazyregexp.New(`^[0-9a-f]{64}$`)

func initCommand(g *globals) *cobra.Command {
	var in agent.InitInput
	var rootFile string
	cmd := &cobra.Command{
		Use:   "init --channel REPOSITORY --root FILE --device ID",
		Short: "pin the operator's root, make this device's log key, and begin its log",
		Long: `Init makes the state directory. The operator's root is this device's one
anchor: it is taken from a file that you got from the operator, never from the
registry. It prints the device's log key, which the operator records with
"publisher device add" so that auditors can check this device's log.`,
		Example: "  agent init --channel registry.example/plant/deployments --root plant-root.json --device press-07",
		Args:    cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			quietTessera()
			if sum := strings.TrimPrefix(in.RootSHA256, "sha256:"); sum != "" && !sha256Hex.MatchString(sum) {
				return cli.Usage("--root-sha256 %q: want 64 lower case hexadecimal digits, as 'sha256sum' prints them", in.RootSHA256)
			}
			cfg, err := g.load()
			if err != nil {
				return err
			}
			if in.Root, err = durable.ReadFile(rootFile, tufclient.MaxRoot); err != nil {
				return fmt.Errorf("operator root: %w", err)
			}
			in.Program, in.Now = program(), time.Now()
			id, err := agent.Init(cmd.Context(), cfg, in)
			if err != nil {
				return err
			}
			return cli.Out(cmd).Print(id, func(w io.Writer) {
				fmt.Fprintf(w, "device %s obeys %s\n", cli.Safe(id.Device), cli.Safe(id.Channel))
				fmt.Fprintf(w, "state directory: %s\n", cli.Safe(cfg.StateDir))
				fmt.Fprintf(w, "log key: %s\n", id.LogKey)
				fmt.Fprintf(w, "the operator now runs: publisher device add %s --profile-type %s --channel %s --log-key '%s'\n", cli.Safe(id.Device), strings.Join(cfg.ProfileTypes(), ","), cli.Safe(id.Channel), id.LogKey)
			})
		},
	}
	cmd.Flags().StringVar(&in.Channel, "channel", "", "`REPOSITORY` of the operator's deployment channel")
	cmd.Flags().StringVar(&rootFile, "root", "", "`FILE` with the operator's root metadata")
	cmd.Flags().StringVar(&in.RootSHA256, "root-sha256", "", "`HEX` SHA-256 that the root file must have")
	cmd.Flags().StringVar(&in.Device, "device", "", "Margo device `ID`, such as press-07 or gateway/press-07")
	for _, name := range []string{"channel", "root", "device"} {
		_ = cmd.MarkFlagRequired(name)
	}
	return cmd
}
