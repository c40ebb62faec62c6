package publisher

import (
	"cmp"
	"fmt"
	"io"
	"os"
	"time"

	"github.com/spf13/cobra"

	"github.com/consign-dev/consign/internal/channel"
	"github.com/consign-dev/consign/internal/cli"
	"github.com/consign-dev/consign/internal/provenance"
	"github.com/consign-dev/consign/internal/publish"
	"github.com/consign-dev/consign/policy"
)

// attestFlags name the files that are attached to a release.
type attestFlags struct{ provenance, sbom, any, signature []string }

func (f *attestFlags) addFlags(cmd *cobra.Command) {
	flags := cmd.Flags()
	flags.StringArrayVar(&f.sbom, "sbom", nil, "attach the SBOM in `FILE`: SPDX or CycloneDX as JSON, or an attestation that holds one (repeatable)")
	flags.StringArrayVar(&f.provenance, "provenance", nil, "attach the SLSA v1 provenance in `FILE`: a statement, or a Sigstore bundle of the builder (repeatable); publish makes it of a CI job for \"auto\"")
	flags.StringArrayVar(&f.any, "attestation", nil, "attach the in-toto statement in `FILE`, or a Sigstore bundle that holds one (repeatable)")
	flags.StringArrayVar(&f.signature, "signature", nil, "attach the signature in `FILE`: a Sigstore bundle by somebody else, such as one of cosign sign --bundle (repeatable)")
}

// auto is --provenance of the job that runs the publisher. A file of that name is
// "./auto".
const auto = "auto"

// read reads the files; run, if not nil, says where the bundle is packed.
func (f *attestFlags) read(run func() (provenance.Run, error)) ([]publish.Attestation, error) {
	var out []publish.Attestation
	for _, kind := range []struct {
		files []string
		read  func(file string) (publish.Attestation, error)
	}{
		{f.provenance, func(file string) (publish.Attestation, error) { return readProvenance(file, run) }},
		{f.sbom, publish.ReadSBOM},
		{f.any, func(file string) (publish.Attestation, error) { return publish.ReadAttestation(file, "") }},
		{f.signature, publish.ReadSignature},
	} {
		for _, file := range kind.files {
			a, err := kind.read(file)
			if err != nil {
				return nil, err
			}
			out = append(out, a)
		}
	}
	return out, nil
}

// thisJob is where the publisher runs, as the CI system says.
func thisJob() (provenance.Run, error) { return provenance.FromEnv(os.Getenv) }

func readProvenance(file string, run func() (provenance.Run, error)) (publish.Attestation, error) {
	if file != auto {
		return publish.ReadAttestation(file, policy.SLSAProvenance)
	}
	if run == nil {
		return publish.Attestation{}, cli.Usage("--provenance auto is for publish: who did not pack the bundle does not know where it is from")
	}
	r, err := run()
	if err != nil {
		return publish.Attestation{}, cli.Usage("--provenance auto: %v", err)
	}
	return publish.Provenance(r), nil
}

func attestCommand(g *globals) *cobra.Command {
	var f channelFlags
	var af attestFlags
	var sf signFlags
	cmd := &cobra.Command{
		Use:   "attest APPLICATION@VERSION --channel REPOSITORY --attestation FILE",
		Short: "add evidence to a release that is published",
		Long: `Attest attaches provenance or other statements to a released bundle and lists
them in the channel. The bundle stays what it is, and so does what was ordered.
A bare statement is signed as a bundle is; one in a Sigstore bundle is attached
as its signer made it. Either must be about the bundle or one of its parts. A
signature that somebody else made must be on the bundle.`,
		Example: "  publisher attest line-monitor@1.4.0 --channel registry.example/acme/releases --provenance provenance.sigstore.json\n" +
			"  publisher attest line-monitor@1.4.0 --channel registry.example/acme/releases --signature cosign.sigstore.json",
		Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			app, version, err := splitRelease(args[0])
			if err != nil {
				return err
			}
			attestations, err := af.read(nil)
			if err != nil {
				return err
			}
			if len(attestations) == 0 {
				return cli.Usage("nothing to attach: give --provenance, --sbom, --attestation or --signature")
			}
			keyless, err := sf.keyless(time.Now())
			if err != nil {
				return err
			}
			p, err := f.publisher(cmd, g, nil)
			if err != nil {
				return err
			}
			if err := p.CheckKeys(channel.KindReleases); err != nil {
				return err
			}
			done, err := p.Attest(cmd.Context(), publish.AttestInput{
				Channel: f.channel, Application: app, Version: version, Attestations: attestations,
				SigningKey: cmp.Or(sf.key, p.Keys.SigningKey()), Keyless: keyless,
			})
			if err != nil {
				return err
			}
			return cli.Out(cmd).Print(done, func(w io.Writer) { writeAttested(w, done) })
		},
	}
	f.addFlags(cmd, true)
	af.addFlags(cmd)
	sf.addFlags(cmd)
	return cmd
}

func writeAttested(w io.Writer, p *publish.Published) {
	verb := "attested"
	if p.Unchanged {
		verb = "attested already, unchanged:"
	}
	fmt.Fprintf(w, "%s %s %s\n", verb, p.Application, p.Version)
	fmt.Fprintf(w, "  bundle  %s@%s\n", cli.Safe(p.Repository), p.Bundle)
}
