package publisher

import (
	"fmt"
	"io"
	"strings"

	"github.com/opencontainers/go-digest"
	"github.com/spf13/cobra"

	"github.com/consign-dev/consign/internal/cli"
	"github.com/consign-dev/consign/internal/publish"
	"github.com/consign-dev/consign/internal/verify"
	"github.com/consign-dev/consign/policy"
)

func inspectCommand(g *globals) *cobra.Command {
	return &cobra.Command{
		Use:   "inspect REPOSITORY@DIGEST",
		Short: "say what is in a bundle and which evidence lies beside it, judging nothing",
		Long: `Inspect reads a bundle by its digest and lists its parts and the evidence that
the registry knows of. What it prints is not verified against any policy: use
"publisher verify" for that.`,
		Example: "  publisher inspect registry.example/acme/line-monitor@sha256:...",
		Args:    cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			if !strings.Contains(args[0], "@sha256:") {
				return cli.Usage("%q: want REPOSITORY@sha256:...; tags are not trusted, 'publisher channel show' lists digests", args[0])
			}
			client, err := g.client()
			if err != nil {
				return err
			}
			res, err := publish.Inspect(cmd.Context(), client, args[0])
			if err != nil {
				return err
			}
			return cli.Out(cmd).Print(res, func(w io.Writer) { writeInspection(w, res) })
		},
	}
}

func writeInspection(w io.Writer, res *publish.Inspection) {
	fmt.Fprintf(w, "%s %s, bundle %s (not verified)\n", cli.Safe(res.Application), cli.Safe(res.Version), res.Bundle)
	fmt.Fprintf(w, "  package    %s\n", res.Package)
	for _, c := range res.Components {
		fmt.Fprintf(w, "  component  %s %s\n", cli.Safe(c.Name), c.Digest)
	}
	for _, i := range res.Images {
		fmt.Fprintf(w, "  image      %s %s\n", cli.Safe(i.Name), i.Digest)
	}
	shown := map[string]bool{}
	for _, e := range res.Evidence {
		if e.Unreadable != "" {
			fmt.Fprintf(w, "  evidence   %s unreadable: %s\n", e.Digest, cli.Safe(e.Unreadable))
			continue
		}
		by := "key " + e.Key
		if e.Signer.Subject != "" {
			by = e.Signer.String()
		}
		fmt.Fprintf(w, "  evidence   %s %s, predicate %s\n", e.Digest, cli.Safe(by), cli.Safe(e.PredicateType))
		if !shown[by] {
			writeProposal(w, e.Signer)
		}
		shown[by] = true
	}
}

// writeProposal prints what a policy would have to say to accept a certified
// signer.
func writeProposal(w io.Writer, s policy.Signer) {
	if s.Subject == "" {
		return
	}
	s.TrustedRoot = "NAME"
	text, err := policy.ProposeIdentity(s).Text()
	if err != nil {
		return
	}
	fmt.Fprintln(w, "    a policy accepts it under identities (NAME is a trusted root, see docs/spec/policy.md):")
	for _, line := range strings.Split(strings.TrimSuffix(text, "\n"), "\n") {
		fmt.Fprintf(w, "      %s\n", cli.Safe(line))
	}
}

func verifyCommand(g *globals) *cobra.Command {
	var f channelFlags
	var explain bool
	cmd := &cobra.Command{
		Use:     "verify APPLICATION@VERSION --channel REPOSITORY",
		Short:   "judge a release by the policy of a deployment channel, as its devices do",
		Example: "  publisher verify line-monitor@1.4.0 --channel registry.example/plant/deployments --explain",
		Args:    cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			app, version, err := splitRelease(args[0])
			if err != nil {
				return err
			}
			p, err := f.publisher(cmd, g, nil)
			if err != nil {
				return err
			}
			rel, judged := p.VerifyRelease(cmd.Context(), f.channel, app, version)
			j := judgement{Application: app, Version: version, Accepted: judged == nil, Steps: verify.StepsOf(judged)}
			if judged == nil {
				j.Bundle, j.Steps, j.Left = rel.Digest(), rel.Steps(), rel.LeftToOrders()
			}
			if err := cli.Out(cmd).Print(j, func(w io.Writer) { writeJudgement(w, j, explain) }); err != nil {
				return err
			}
			return judged
		},
	}
	f.addFlags(cmd, true)
	cmd.Flags().BoolVar(&explain, "explain", false, "print every check with its evidence")
	return cmd
}

type judgement struct {
	Application string        `json:"application"`
	Version     string        `json:"version"`
	Accepted    bool          `json:"accepted"`
	Bundle      digest.Digest `json:"bundle,omitempty"`
	Steps       []verify.Step `json:"steps"`
	// Left is what is judged with an order.
	Left []string `json:"leftToOrders,omitempty"`
}

func writeJudgement(w io.Writer, j judgement, explain bool) {
	word := "refused"
	if j.Accepted {
		word = "accepted"
	}
	fmt.Fprintf(w, "%s %s %s %s\n", word, cli.Safe(j.Application), cli.Safe(j.Version), j.Bundle)
	if explain {
		verify.WriteSteps(w, j.Steps, cli.Safe)
	}
	for _, text := range j.Left {
		fmt.Fprintf(w, "  judged with an order: %s\n", cli.Safe(text))
	}
}
