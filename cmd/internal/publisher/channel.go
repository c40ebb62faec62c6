package publisher

import (
	"fmt"
	"io"
	"maps"
	"slices"
	"time"

	"github.com/spf13/cobra"

	"github.com/consign-dev/consign/internal/channel"
	"github.com/consign-dev/consign/internal/cli"
	"github.com/consign-dev/consign/internal/publish"
)

func channelCommand(g *globals) *cobra.Command {
	cmd := &cobra.Command{Use: "channel", Short: "make and look after channels", Example: "  publisher channel show registry.example/acme/releases"}
	cmd.AddCommand(channelInitCommand(g), channelShowCommand(g), channelRefreshCommand(g), channelExportCommand(g))
	return cmd
}

func channelInitCommand(g *globals) *cobra.Command {
	f := channelFlags{passphrase: cli.Passphrase{Confirm: true}}
	var in publish.InitChannelInput
	cmd := &cobra.Command{
		Use:   "init REPOSITORY --kind releases|deployments",
		Short: "make a channel: its keys on this machine, its first metadata in the registry",
		Long: `Init makes one key per TUF role in the key directory, encrypted with one
passphrase, and commits the first state of the channel. Move the keys of root
and targets to an offline machine afterwards. The file root.json in the key
directory is what readers of the channel pin: give it to them by hand.`,
		Example: `  publisher channel init registry.example/acme/releases --kind releases
  publisher channel init registry.example/plant/deployments --kind deployments --offline-keys 3 --threshold 2`,
		Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			if err := in.Check(); err != nil {
				return cli.Usage("%w", err)
			}
			f.channel, in.Repository = args[0], args[0]
			p, err := f.publisher(cmd, g, nil)
			if err != nil {
				return err
			}
			info, err := p.InitChannel(cmd.Context(), in)
			if err != nil {
				return err
			}
			return printChannel(cmd, info)
		},
	}
	f.addFlags(cmd, false)
	cmd.Flags().StringVar(&in.Kind, "kind", "", "`KIND`: "+channel.KindReleases+" (a supplier's) or "+channel.KindDeployments+" (an operator's)")
	_ = cmd.MarkFlagRequired("kind")
	cmd.Flags().IntVar(&in.OfflineKeys, "offline-keys", 1, "`NUMBER` of keys for each of the roles root and targets")
	cmd.Flags().IntVar(&in.Threshold, "threshold", 1, "`NUMBER` of those keys that must sign")
	return cmd
}

// onChannel makes a command that works on an existing channel.
func onChannel(g *globals, use, short, example string, do func(cmd *cobra.Command, p *publish.Publisher, repository, kind string) (*publish.ChannelInfo, error)) *cobra.Command {
	var f channelFlags
	cmd := &cobra.Command{
		Use: use, Short: short, Example: example, Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			f.channel = args[0]
			p, err := f.publisher(cmd, g, nil)
			if err != nil {
				return err
			}
			kind, err := p.KindOf()
			if err != nil {
				return err
			}
			info, err := do(cmd, p, args[0], kind)
			if err != nil {
				return err
			}
			return printChannel(cmd, info)
		},
	}
	f.addFlags(cmd, false)
	return cmd
}

func channelShowCommand(g *globals) *cobra.Command {
	return onChannel(g, "show REPOSITORY", "verify a channel from its root and say what it holds",
		"  publisher channel show registry.example/acme/releases --output json",
		func(cmd *cobra.Command, p *publish.Publisher, repository, kind string) (*publish.ChannelInfo, error) {
			return p.ShowChannel(cmd.Context(), repository, kind)
		})
}

func channelRefreshCommand(g *globals) *cobra.Command {
	return onChannel(g, "refresh REPOSITORY", "sign a new timestamp, as a timer does every day",
		"  publisher channel refresh registry.example/acme/releases --passphrase-file /etc/consign/passphrase",
		func(cmd *cobra.Command, p *publish.Publisher, repository, kind string) (*publish.ChannelInfo, error) {
			return p.RefreshChannel(cmd.Context(), repository, kind)
		})
}

func channelExportCommand(g *globals) *cobra.Command {
	var dir string
	cmd := onChannel(g, "export-tuf REPOSITORY --to DIRECTORY", "lay the metadata out as files for any TUF client",
		"  publisher channel export-tuf registry.example/acme/releases --to ./tuf",
		func(cmd *cobra.Command, p *publish.Publisher, repository, kind string) (*publish.ChannelInfo, error) {
			return p.ExportTUF(cmd.Context(), repository, kind, dir)
		})
	cmd.Flags().StringVar(&dir, "to", "", "`DIRECTORY` to write metadata/ into")
	_ = cmd.MarkFlagRequired("to")
	return cmd
}

func printChannel(cmd *cobra.Command, info *publish.ChannelInfo) error {
	return cli.Out(cmd).Print(info, func(w io.Writer) {
		fmt.Fprintf(w, "%s channel %s in %s\n", info.Kind, info.ID, cli.Safe(info.Repository))
		fmt.Fprintf(w, "signed %s, valid until %s\n", info.SignedAt.Format(time.RFC3339), info.Expires.Format(time.RFC3339))
		for _, role := range slices.Sorted(maps.Keys(info.Versions)) {
			fmt.Fprintf(w, "  %-10s version %d\n", role, info.Versions[role])
		}
		for _, t := range info.Targets {
			fmt.Fprintf(w, "  %s (%s) %s\n", cli.Safe(t.Name), cli.Safe(t.Role), t.Digest)
		}
		for _, role := range info.Aging {
			fmt.Fprintf(w, "note: role %s has used up half its lifetime; sign it anew before long\n", cli.Safe(role))
		}
		fmt.Fprintf(w, "root for readers: %s (sha256 %s)\n", cli.Safe(info.RootFile), info.RootSHA256)
	})
}
