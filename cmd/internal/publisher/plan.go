package publisher

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"time"

	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
	"github.com/spf13/cobra"

	"github.com/consign-dev/consign/internal/bundle"
	"github.com/consign-dev/consign/internal/cli"
	"github.com/consign-dev/consign/internal/durable"
	"github.com/consign-dev/consign/internal/oci"
	"github.com/consign-dev/consign/internal/pack"
	"github.com/consign-dev/consign/internal/plan"
	"github.com/consign-dev/consign/internal/publish"
	"github.com/consign-dev/consign/internal/verify"
	"github.com/consign-dev/consign/policy"
)

// planFlags are those of both forms of plan.
type planFlags struct {
	pack    packFlags
	channel channelFlags
	policy  string
	sign    signFlags
	attest  attestFlags
	values  valueFlags
	show    bool
	devices []string
	order   publish.DeployInput
}

func planCommand(g *globals) *cobra.Command {
	var f planFlags
	cmd := &cobra.Command{
		Use:   "plan DIRECTORY | plan APPLICATION@VERSION --device ID --channel REPOSITORY",
		Short: "say what publish or deploy would change, signing nothing",
		Long: `Plan packs a package, or builds the orders for devices, and renders them with
the applier that devices use: objects, images and digests, privileges with the
grants to paste into a policy, and what would change on which device. Nothing is
signed, pushed or written, and no private key is opened. With --policy, or for
devices, it ends as a device would: exit code 3 with the reason of the refusal.

With --policy and who would sign (--key, of which FILE.pub is read, or
--signing-config), the signatures and attestations that publish would make are
judged, too.`,
		Example: `  publisher plan ./line-monitor --policy policy.yaml
  publisher plan ./line-monitor --policy policy.yaml --signing-config signing_config.json --provenance auto
  publisher plan line-monitor@1.4.0 --device press-07 --set siteName=plant-1 --channel registry.example/plant/deployments`,
		Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			if err := f.check(cmd, args[0]); err != nil {
				return err
			}
			if len(f.devices) > 0 {
				return f.orders(cmd, g, args[0])
			}
			return f.directory(cmd, g, args[0])
		},
	}
	f.pack.addFlags(cmd)
	cmd.Flags().StringVar(&f.policy, "policy", "", "policy `FILE` that is asked about a package")
	f.sign.addFlags(cmd)
	f.attest.addFlags(cmd)
	f.values.addFlags(cmd)
	cmd.Flags().BoolVar(&f.show, "show-values", false, "print the values of parameters that an order would change, not just their names")
	cmd.Flags().StringArrayVar(&f.devices, "device", nil, "device `ID` of an order; repeatable")
	addProfileFlag(cmd, &f.order.Profile)
	cmd.Flags().StringVar(&f.channel.channel, "channel", "", "`REPOSITORY` of the channel: of deployments with --device, else of releases")
	cmd.Flags().StringVar(&f.channel.keys, "keys", "", "`DIRECTORY` with the channel's root.json; keys are not needed (default ~/.config/consign/keys/<channel>)")
	cmd.Flags().BoolVar(&f.order.AllowDowngrade, "allow-downgrade", false, "as for deploy")
	cmd.Flags().BoolVar(&f.order.DeleteVolumes, "delete-volumes-on-remove", false, "as for deploy")
	return cmd
}

// The flags that are of use with one form only.
var (
	packageFlags  = append([]string{"policy", "image", "locked", "key", "signing-config"}, evidenceFlags...)
	orderFlags    = []string{"keys", "profile", "show-values", "allow-downgrade", "delete-volumes-on-remove"}
	evidenceFlags = []string{"identity-token", "identity-token-command", "provenance", "sbom", "attestation", "signature"}
)

// check keeps the flags of one form out of the other, where they would do nothing.
func (f *planFlags) check(cmd *cobra.Command, arg string) error {
	others, form := orderFlags, "for orders: name the devices with --device"
	if len(f.devices) > 0 {
		others, form = packageFlags, "for a package: take --device away"
		if f.channel.channel == "" {
			return cli.Usage("--device needs --channel, the repository of the deployment channel")
		}
		if len(f.pack.platforms) > 1 {
			return cli.Usage("--platform: one at a time with --device")
		}
	}
	if err := unused(cmd, others, form); err != nil {
		return err
	}
	if f.sign.named() && f.policy == "" {
		return cli.Usage("who would sign is asked of a policy: name one with --policy")
	}
	if !f.sign.named() {
		if err := unused(cmd, evidenceFlags, "judged with who would sign: add --policy, and --key or --signing-config"); err != nil {
			return err
		}
	}
	if _, err := os.Stat(arg); len(f.devices) == 0 && errors.Is(err, fs.ErrNotExist) && strings.Contains(arg, "@") {
		return cli.Usage("%q is no directory; for a released version name the devices with --device", arg)
	}
	return nil
}

func unused(cmd *cobra.Command, flags []string, why string) error {
	for _, name := range flags {
		if cmd.Flags().Changed(name) {
			return cli.Usage("--%s is %s", name, why)
		}
	}
	return nil
}

func (f *planFlags) directory(cmd *cobra.Command, g *globals, dir string) error {
	in, err := f.packageInput()
	if err != nil {
		return err
	}
	ask, err := f.foretell(cmd.Context())
	if err != nil {
		return err
	}
	programs, err := findAppliers()
	if err != nil {
		return err
	}
	temp, err := os.MkdirTemp("", "consign-plan-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(temp)
	layout, err := oci.CreateLayout(filepath.Join(temp, "bundle"))
	if err != nil {
		return err
	}
	f.pack.rehearse = true
	if in.Packed, err = f.pack.pack(cmd, g, dir, f.channel.channel, layout); err != nil {
		return err
	}
	in.Source = plan.Layout{Layout: layout}
	if ask != nil {
		ask.Layout, ask.Packed = layout, in.Packed
		in.Try = func(ctx context.Context) (*verify.Trial, error) { return publish.Foretell(ctx, *ask) }
	}
	p, err := plan.OfPackage(cmd.Context(), in, programs.renderer("any"))
	if err != nil {
		return err
	}
	if err := cli.Out(cmd).Print(p, planText{}.ofPackage(p)); err != nil {
		return err
	}
	if p.Policy != nil {
		return p.Policy.Err
	}
	return nil
}

// foretell is what the policy is asked about the evidence that publish would make
// with the same flags, nil for nothing. Of a key it reads the public half.
func (f *planFlags) foretell(ctx context.Context) (*publish.ForetellInput, error) {
	if !f.sign.named() {
		return nil, nil
	}
	in := &publish.ForetellInput{Policy: f.policy, Channel: f.channel.channel}
	var err error
	if in.Keyless, err = f.sign.keyless(time.Now()); err != nil {
		return nil, err
	}
	if in.Keyless == nil {
		if in.Signer, err = publicHalf(ctx, f.sign.key); err != nil {
			return nil, fmt.Errorf("--key: %w", err)
		}
	}
	in.Attestations, err = f.attest.read(thisJob)
	return in, err
}

func (f *planFlags) packageInput() (plan.PackageInput, error) {
	var in plan.PackageInput
	var err error
	var order publish.DeployInput
	if err = f.values.read(&order); err != nil {
		return in, err
	}
	in.Values, in.Secrets = order.Values, order.Secrets
	if in.Platform, err = f.platform(); err != nil {
		return in, err
	}
	if f.policy == "" {
		return in, nil
	}
	text, err := durable.ReadFile(f.policy, bundle.MaxDocumentBytes)
	if err != nil {
		return in, fmt.Errorf("read policy: %w", err)
	}
	if in.Policy, err = policy.Parse(text); err != nil {
		return in, fmt.Errorf("%s: %w", f.policy, err)
	}
	return in, nil
}

// platform is the first that was named: what is rendered for.
func (f *planFlags) platform() (ocispec.Platform, error) {
	if len(f.pack.platforms) == 0 {
		return ocispec.Platform{}, nil
	}
	p, err := pack.ParsePlatform(f.pack.platforms[0])
	if err != nil {
		return p, cli.Usage("--platform: %v", err)
	}
	return p, nil
}

func (f *planFlags) orders(cmd *cobra.Command, g *globals, release string) error {
	in := publish.PlanInput{Order: f.order, Devices: f.devices}
	var err error
	if in.Order.Application, in.Order.Version, err = splitRelease(release); err != nil {
		return err
	}
	if err := f.values.read(&in.Order); err != nil {
		return err
	}
	if in.Platform, err = f.platform(); err != nil {
		return err
	}
	programs, err := findAppliers()
	if err != nil {
		return err
	}
	in.Renderer = programs.renderer
	in.Order.Channel = f.channel.channel
	p, err := f.channel.publisher(cmd, g, nil)
	if err != nil {
		return err
	}
	planned, err := p.PlanDeploy(cmd.Context(), in)
	if err != nil {
		return err
	}
	for i := range planned.Orders {
		if !f.show {
			planned.Orders[i].HideValues()
		}
	}
	if err := cli.Out(cmd).Print(planned, planText{}.ofOrders(planned)); err != nil {
		return err
	}
	for _, o := range planned.Orders {
		if err := o.Policy.Err; err != nil {
			return fmt.Errorf("device %q: %w", o.Device, err)
		}
	}
	return nil
}
