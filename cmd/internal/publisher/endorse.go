package publisher

import (
	"fmt"
	"io"
	"time"

	"github.com/spf13/cobra"

	"github.com/consign-dev/consign/internal/cli"
	"github.com/consign-dev/consign/internal/durable"
	"github.com/consign-dev/consign/internal/publish"
)

func endorseCommand(g *globals) *cobra.Command {
	var f channelFlags
	var sf signFlags
	var statement, output string
	cmd := &cobra.Command{
		Use:   "endorse APPLICATION@VERSION --channel REPOSITORY --key FILE --to FILE",
		Short: "give one's word for a release, as an integrator or a site does",
		Long: `Endorse verifies a release by the policy of the deployment channel, signs it, and
writes the signature into a file for "publisher deploy --endorsement". A policy
demands it with "listedIn: deployment". Of the channel's keys none is needed, only
its root.json in the directory of --keys. With --attestation an in-toto statement,
such as a test report, is signed in the place of a plain signature.`,
		Example: "  publisher endorse line-monitor@1.4.0 --channel registry.example/plant/deployments --keys ./plant --key integrator.pem --to integrator.sigstore.json",
		Args:    cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			in := publish.EndorseInput{Channel: f.channel, SigningKey: sf.key}
			var err error
			if in.Application, in.Version, err = splitRelease(args[0]); err != nil {
				return err
			}
			if in.Keyless, err = sf.keyless(time.Now()); err != nil {
				return err
			}
			if sf.key == "" && in.Keyless == nil {
				return cli.Usage("who endorses? give --key, or --signing-config to sign without one")
			}
			if statement != "" {
				a, err := publish.ReadAttestation(statement, "")
				if err != nil {
					return err
				}
				in.Statement = &a
			}
			p, err := f.publisher(cmd, g, nil)
			if err != nil {
				return err
			}
			done, err := p.Endorse(cmd.Context(), in)
			if err != nil {
				return err
			}
			if err := durable.WriteFile(output, done.Evidence, 0o644); err != nil {
				return err
			}
			return cli.Out(cmd).Print(done, func(w io.Writer) {
				fmt.Fprintf(w, "endorsed %s %s\n  bundle  %s\n  written %s\n", done.Application, done.Version, done.Bundle, cli.Safe(output))
			})
		},
	}
	f.addFlags(cmd, true)
	sf.addFlags(cmd)
	cmd.Flags().Lookup("key").Usage = "`FILE` of the key that endorses"
	cmd.Flags().StringVar(&statement, "attestation", "", "sign the in-toto statement in `FILE`, in the place of a plain signature")
	cmd.Flags().StringVar(&output, "to", "", "`FILE` to write the Sigstore bundle into")
	_ = cmd.MarkFlagRequired("to")
	return cmd
}
