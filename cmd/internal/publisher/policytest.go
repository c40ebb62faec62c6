package publisher

import (
	"errors"
	"fmt"
	"io"

	"github.com/spf13/cobra"

	"github.com/consign-dev/consign/internal/cli"
	"github.com/consign-dev/consign/internal/publish"
	"github.com/consign-dev/consign/internal/verify"
)

func policyTestCommand(g *globals) *cobra.Command {
	var explain bool
	cmd := &cobra.Command{
		Use:   "test FILE",
		Short: "run a policy against stored bundles with expected results",
		Long: `Test reads a PolicyTest (docs/spec/policy-test.md): bundles in a registry, with
what a device under the policy shall say to each. It is the verifier of the
devices, but for the metadata of channels, and signs nothing. What "publisher copy"
stored in a directory is read by way of "publisher registry serve". A case that does not go as expected ends with exit code 1.`,
		Example: `  publisher policy test policy-test.yaml
  publisher policy test policy-test.yaml --explain`,
		Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) (err error) {
			client, err := g.client()
			if err != nil {
				return err
			}
			defer func() { err = errors.Join(err, client.Close()) }()
			results, err := publish.TestPolicy(cmd.Context(), client, args[0])
			if err != nil {
				return err
			}
			if !explain {
				for n := range results {
					results[n].Steps = nil
				}
			}
			if err := cli.Out(cmd).Print(map[string]any{"cases": results}, func(w io.Writer) { writeCases(w, results) }); err != nil {
				return err
			}
			return failedCases(results)
		},
	}
	cmd.Flags().BoolVar(&explain, "explain", false, "print every check with its evidence")
	return cmd
}

func failedCases(results []publish.CaseResult) error {
	n := 0
	for _, r := range results {
		if !r.OK {
			n++
		}
	}
	if n > 0 {
		return fmt.Errorf("%d of %d cases do not go as expected", n, len(results))
	}
	return nil
}

func writeCases(w io.Writer, results []publish.CaseResult) {
	for _, r := range results {
		mark := "ok    "
		if !r.OK {
			mark = "FAILED"
		}
		fmt.Fprintf(w, "%s %s: %s\n", mark, cli.Safe(r.Name), r.Outcome)
		if r.Wrong != "" {
			fmt.Fprintf(w, "       %s\n", cli.Safe(r.Wrong))
		}
		if r.Message != "" && (r.Wrong != "" || r.Steps != nil) {
			fmt.Fprintf(w, "       %s\n", cli.Safe(r.Message))
		}
		verify.WriteSteps(w, r.Steps, cli.Safe)
	}
}
