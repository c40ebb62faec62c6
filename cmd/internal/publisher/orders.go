package publisher

import (
	"fmt"
	"io"

	"github.com/spf13/cobra"

	"github.com/consign-dev/consign/internal/cli"
	"github.com/consign-dev/consign/internal/margo"
	"github.com/consign-dev/consign/internal/publish"
)

func policyCommand(g *globals) *cobra.Command {
	cmd := &cobra.Command{Use: "policy", Short: "set an operator's policy, or test one", Example: "  publisher policy test policy-test.yaml\n  publisher policy set policy.yaml --channel registry.example/plant/deployments"}
	var f channelFlags
	set := &cobra.Command{
		Use:   "set FILE --channel REPOSITORY",
		Short: "sign a TrustPolicy, with the supplier roots that it names, for all devices of a channel",
		Long: `Set checks the policy strictly, reads the root files that it names (relative to
the policy's own directory), and signs all of it with the top-level targets
keys. Devices obey it from their next cycle on.`,
		Example: "  publisher policy set policy.yaml --channel registry.example/plant/deployments",
		Args:    cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			p, err := f.publisher(cmd, g, nil)
			if err != nil {
				return err
			}
			d, err := p.SetPolicy(cmd.Context(), f.channel, args[0])
			if err != nil {
				return err
			}
			return cli.Out(cmd).Print(map[string]string{"policy": string(d), "channel": f.channel}, func(w io.Writer) {
				fmt.Fprintf(w, "policy %s is in force in %s\n", d, cli.Safe(f.channel))
			})
		},
	}
	f.addFlags(set, true)
	cmd.AddCommand(set, policyTestCommand(g))
	return cmd
}

func deviceCommand(g *globals) *cobra.Command {
	cmd := &cobra.Command{Use: "device", Short: "enrol devices", Example: "  publisher device add press-07 --channel registry.example/plant/deployments --log-key KEY"}
	var f channelFlags
	var logKey string
	var types []string
	add := &cobra.Command{
		Use:   "add DEVICE --channel REPOSITORY --log-key KEY",
		Short: "enrol a device, recording the log key that \"agent init\" printed",
		Long: `Add gives a device a place in the channel and records, signed, its log key and
the types of profiles that it applies. "publisher deploy" chooses by them which
profile of a package the device gets. Add the device again, with the same log key,
to record other types.`,
		Example: "  publisher device add press-07 --profile-type compose --channel registry.example/plant/deployments --log-key 'consign.dev/device/press-07+...'",
		Args:    cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			p, err := f.publisher(cmd, g, nil)
			if err != nil {
				return err
			}
			if err := p.AddDevice(cmd.Context(), f.channel, args[0], logKey, types...); err != nil {
				return err
			}
			return cli.Out(cmd).Print(enrolled{args[0], logKey, types}, func(w io.Writer) {
				fmt.Fprintf(w, "device %s is enrolled\n", cli.Safe(args[0]))
			})
		},
	}
	f.addFlags(add, true)
	add.Flags().StringVar(&logKey, "log-key", "", "the device's log `KEY`, as \"agent init\" printed it")
	_ = add.MarkFlagRequired("log-key")
	add.Flags().StringSliceVar(&types, "profile-type", nil, "`TYPE` of profiles that the device applies, compose or helm; repeatable (without it what is recorded stays)")
	_ = add.RegisterFlagCompletionFunc("profile-type", cobra.FixedCompletions(margo.AppliedTypes, cobra.ShellCompDirectiveNoFileComp))
	cmd.AddCommand(add)
	return cmd
}

type enrolled struct {
	Device       string   `json:"device"`
	LogKey       string   `json:"logKey"`
	ProfileTypes []string `json:"profileTypes,omitempty"`
}

func deployCommand(g *globals) *cobra.Command {
	var f channelFlags
	var in publish.DeployInput
	var values valueFlags
	var devices, endorsements []string
	cmd := &cobra.Command{
		Use:   "deploy APPLICATION@VERSION --device ID --channel REPOSITORY",
		Short: "order a released version for devices",
		Long: `Deploy verifies the release with the channel's own policy, exactly as a device
will, writes a Margo ApplicationDeployment for each device and signs it with the
deploy key. Parameters that are not set keep the value that the device has.

Of the package's profiles a device gets the only one of a type that it is enrolled
for, see "publisher device add". Where several fit, the type that it has stays; else
--profile says which.

The value of a parameter that the package marks as secret never travels: NAME in
--secret PARAMETER=NAME is a file in the device's /etc/consign/secrets, mode 0600.`,
		Example: "  publisher deploy line-monitor@1.4.0 --device press-07 --set siteName=plant-1 --channel registry.example/plant/deployments",
		Args:    cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			var err error
			if in.Application, in.Version, err = splitRelease(args[0]); err != nil {
				return err
			}
			if err := values.read(&in); err != nil {
				return err
			}
			in.Channel = f.channel
			for _, file := range endorsements {
				e, err := publish.ReadEndorsement(file)
				if err != nil {
					return fmt.Errorf("--endorsement: %w", err)
				}
				in.Endorsements = append(in.Endorsements, e)
			}
			p, err := f.publisher(cmd, g, nil)
			if err != nil {
				return err
			}
			return deployAll(cmd, p, in, devices)
		},
	}
	f.addFlags(cmd, true)
	cmd.Flags().StringArrayVar(&devices, "device", nil, "device `ID`; repeatable")
	_ = cmd.MarkFlagRequired("device")
	addProfileFlag(cmd, &in.Profile)
	values.addFlags(cmd)
	cmd.Flags().StringArrayVar(&endorsements, "endorsement", nil, "list the evidence in `FILE`, as \"publisher endorse\" writes it, with the order; repeatable")
	cmd.Flags().BoolVar(&in.AllowDowngrade, "allow-downgrade", false, "let the device go below the highest version it ran (never below the policy's minimum)")
	cmd.Flags().BoolVar(&in.DeleteVolumes, "delete-volumes-on-remove", false, "when the deployment is removed, delete its data, if the policy agrees")
	return cmd
}

func addProfileFlag(cmd *cobra.Command, profile *string) {
	cmd.Flags().StringVar(profile, "profile", "", "`ID` of the package's profile, where several fit the device")
}

func deployAll(cmd *cobra.Command, p *publish.Publisher, in publish.DeployInput, devices []string) error {
	done := []*publish.Deployed{}
	for _, device := range devices {
		in.Device = device
		d, err := p.Deploy(cmd.Context(), in)
		if err != nil && len(devices) > 1 {
			err = fmt.Errorf("device %q (%d of %d devices are done): %w", device, len(done), len(devices), err)
		}
		if err != nil {
			return err
		}
		done = append(done, d)
	}
	return cli.Out(cmd).Print(map[string]any{"deployed": done}, func(w io.Writer) {
		for _, d := range done {
			fmt.Fprintf(w, "device %s: %s %s ordered as %s (deployment %s)\n", cli.Safe(d.Device), d.Application, d.Version, cli.Safe(d.Profile), d.Deployment)
		}
	})
}

func undeployCommand(g *globals) *cobra.Command {
	var f channelFlags
	var device string
	cmd := &cobra.Command{
		Use:     "undeploy APPLICATION --device ID --channel REPOSITORY",
		Short:   "take an application out of a device's desired state",
		Long:    "Undeploy signs a desired state without the application. The device removes it if\nthe policy's mayRemove lets it; data stays unless deployment and policy both say otherwise.",
		Example: "  publisher undeploy line-monitor --device press-07 --channel registry.example/plant/deployments",
		Args:    cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			p, err := f.publisher(cmd, g, nil)
			if err != nil {
				return err
			}
			if err := p.Undeploy(cmd.Context(), f.channel, args[0], device); err != nil {
				return err
			}
			return cli.Out(cmd).Print(map[string]string{"device": device, "application": args[0]}, func(w io.Writer) {
				fmt.Fprintf(w, "device %s: %s is no longer ordered\n", cli.Safe(device), cli.Safe(args[0]))
			})
		},
	}
	f.addFlags(cmd, true)
	cmd.Flags().StringVar(&device, "device", "", "device `ID`")
	_ = cmd.MarkFlagRequired("device")
	return cmd
}
