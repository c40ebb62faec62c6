package main

import (
	"cmp"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/consign-dev/consign/internal/agent"
	"github.com/consign-dev/consign/internal/cli"
)

func statusCommand(g *globals) *cobra.Command {
	return &cobra.Command{
		Use:     "status",
		Short:   "say what runs here, how fresh the orders are, and what went wrong last",
		Example: "  agent status --output json",
		Args:    cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			a, err := g.look()
			if err != nil {
				return err
			}
			s, err := a.Status(cmd.Context(), time.Now())
			if err != nil {
				return exit(err)
			}
			return cli.Out(cmd).Print(s, func(w io.Writer) { writeStatus(w, s) })
		},
	}
}

func writeStatus(w io.Writer, s *agent.Status) {
	fmt.Fprintf(w, "device    %s, obeying %s\n", cli.Safe(s.Device), cli.Safe(s.Channel))
	fmt.Fprintf(w, "orders    %s\n", freshness(s.Operator))
	fmt.Fprintf(w, "changed   %s\n", when(s.LastChange))
	fmt.Fprintf(w, "log       %d event(s), %d pending; key %s\n", s.Log.Size, s.Log.Pending, s.LogKey)
	if len(s.Installations) == 0 {
		fmt.Fprintln(w, "nothing is installed")
	}
	for _, in := range s.Installations {
		fmt.Fprintf(w, "%s %s, applied %s, bundle %s\n", cli.Safe(in.Application), cli.Safe(in.Version), when(in.AppliedAt), in.Bundle)
		for _, svc := range in.Services {
			fmt.Fprintf(w, "  %-16s %s %s\n", cli.Safe(svc.Name), svc.State, svc.Health)
		}
		for _, n := range in.Notes {
			fmt.Fprintf(w, "  note: %s\n", cli.Safe(n))
		}
		if in.Unknown != "" {
			fmt.Fprintf(w, "  the engine did not answer: %s\n", cli.Safe(in.Unknown))
		}
	}
	for _, id := range slices.Sorted(maps.Keys(s.Deviations)) {
		fmt.Fprintf(w, "drifted   deployment %s at %s: %s\n", cli.Safe(id), when(s.Deviations[id].At), cli.Safe(s.Deviations[id].Text))
	}
	for _, key := range slices.Sorted(maps.Keys(s.Attempts)) {
		at := s.Attempts[key]
		fmt.Fprintf(w, "%-9s %s at %s: %s\n", cmp.Or(string(at.Reason), "refused"), cli.Safe(subject(key)), when(at.At), cli.Safe(at.Text))
	}
}

// subject says what an attempt was about.
func subject(key string) string {
	if key == "" {
		return "the deployment channel"
	}
	if name, ok := strings.CutPrefix(key, agent.ChannelKey("")); ok {
		return "release channel " + name
	}
	return "deployment " + key
}

func freshness(f agent.Freshness) string {
	if f.Reason != "" {
		return cli.Safe(f.Message)
	}
	return "signed " + when(f.SignedAt) + ", valid until " + when(f.Expires)
}

func when(t time.Time) string {
	if t.IsZero() {
		return "never"
	}
	return t.Local().Format("2006-01-02 15:04:05 MST")
}
