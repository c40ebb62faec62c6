package publisher

import (
	"cmp"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/consign-dev/consign/internal/channel"
	"github.com/consign-dev/consign/internal/cli"
	"github.com/consign-dev/consign/internal/durable"
	"github.com/consign-dev/consign/internal/oci"
	"github.com/consign-dev/consign/internal/pack"
	"github.com/consign-dev/consign/internal/publish"
)

// packFlags say what goes into a bundle.
type packFlags struct {
	images    []string
	platforms []string
	locked    bool
	rehearse  bool // no flag: what plan does
}

func (f *packFlags) addFlags(cmd *cobra.Command) {
	cmd.Flags().StringArrayVar(&f.images, "image", nil, "`REF=SOURCE` of an image: oci:DIR, docker-archive:FILE or docker-daemon:REF; repeatable")
	cmd.Flags().StringArrayVar(&f.platforms, "platform", nil, "`PLATFORM` that the bundle is for, such as linux/arm64; repeatable (default all that the images have)")
	cmd.Flags().BoolVar(&f.locked, "locked", false, "refuse to change consign.lock")
}

func (f *packFlags) pack(cmd *cobra.Command, g *globals, dir, channel string, out *oci.Layout) (pack.Result, error) {
	images, err := readAssignments("--image", f.images)
	if err != nil {
		return pack.Result{}, err
	}
	o := pack.Options{Dir: dir, Out: out, Images: images, Locked: f.locked, Rehearse: f.rehearse, Channel: channel, ChartImages: chartImages}
	for _, text := range f.platforms {
		p, err := pack.ParsePlatform(text)
		if err != nil {
			return pack.Result{}, cli.Usage("--platform: %v", err)
		}
		o.Platforms = append(o.Platforms, p)
	}
	if o.Client, err = g.client(); err != nil {
		return pack.Result{}, err
	}
	return pack.Pack(cmd.Context(), o)
}

// packTo packs into a layout that stays. A layout that it had to make goes
// again when there is nothing to put into it.
func (f *packFlags) packTo(cmd *cobra.Command, g *globals, dir, to string) (pack.Result, error) {
	_, err := os.Lstat(to)
	made := errors.Is(err, fs.ErrNotExist)
	out, err := oci.CreateLayout(to)
	if err != nil {
		return pack.Result{}, err
	}
	res, err := f.pack(cmd, g, dir, "", out)
	if err != nil && made {
		err = errors.Join(err, durable.RemoveAll(to))
	}
	return res, err
}

// readAssignments splits each KEY=VALUE at its first '='.
func readAssignments(flag string, list []string) (map[string]string, error) {
	out := map[string]string{}
	for _, a := range list {
		key, value, ok := strings.Cut(a, "=")
		if !ok || key == "" {
			return nil, cli.Usage("%s %q: want NAME=VALUE", flag, a)
		}
		if _, twice := out[key]; twice {
			return nil, cli.Usage("%s: %q is given twice", flag, key)
		}
		out[key] = value
	}
	return out, nil
}

// packed is what pack prints.
type packed struct {
	Application string   `json:"application"`
	Version     string   `json:"version"`
	Bundle      string   `json:"bundle"`
	Layout      string   `json:"layout"`
	Components  int      `json:"components"`
	Images      []string `json:"images"`
	Warnings    []string `json:"warnings,omitempty"`
}

func packCommand(g *globals) *cobra.Command {
	var f packFlags
	var to string
	cmd := &cobra.Command{
		Use:   "pack DIRECTORY --to LAYOUT",
		Short: "build the bundle of a Margo package in an OCI image layout, signing nothing",
		Long: `Pack validates margo.yaml and its components, resolves every tag once into
consign.lock, and writes the bundle. The same input gives the same digest on
every machine.`,
		Example: "  publisher pack ./line-monitor --to ./out",
		Args:    cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			res, err := f.packTo(cmd, g, args[0], to)
			if err != nil {
				return err
			}
			p := packed{
				Application: res.Bundle.Application, Version: res.Bundle.Version, Bundle: string(res.Descriptor.Digest),
				Layout: to, Components: len(res.Bundle.Components), Images: []string{}, Warnings: res.Warnings,
			}
			for _, i := range res.Bundle.Images {
				p.Images = append(p.Images, i.Reference)
			}
			return cli.Out(cmd).Print(p, func(w io.Writer) {
				fmt.Fprintf(w, "packed %s %s: bundle %s\n", p.Application, p.Version, p.Bundle)
				for _, i := range p.Images {
					fmt.Fprintf(w, "  image %s\n", cli.Safe(i))
				}
				writeWarnings(w, p.Warnings)
			})
		},
	}
	f.addFlags(cmd)
	cmd.Flags().StringVar(&to, "to", "", "`DIRECTORY` of the OCI image layout to write")
	_ = cmd.MarkFlagRequired("to")
	return cmd
}

func writeWarnings(w io.Writer, warnings []string) {
	for _, text := range warnings {
		fmt.Fprintf(w, "warning: %s\n", cli.Safe(text))
	}
}

func publishCommand(g *globals) *cobra.Command {
	var f channelFlags
	var pf packFlags
	var sf signFlags
	var af attestFlags
	var policyFile string
	cmd := &cobra.Command{
		Use:   "publish DIRECTORY --channel REPOSITORY",
		Short: "pack, push, sign, and list a package in a release channel",
		Long: `Publish is one transaction: everything is pushed and read back before the
channel's tag moves, so readers see the whole release or none of it. It can be
run again after an interruption. The registry must be reachable and the key
directory must hold the keys of targets, snapshot and timestamp. An SBOM of the
bundle's parts is attached unless --sbom gives another.

With --policy an operator's policy is asked before anything is pushed or signed:
what its devices would refuse ends with the reason that they would give.`,
		Example: `  publisher publish ./line-monitor --channel registry.example/acme/releases
  publisher publish ./line-monitor --channel registry.example/acme/releases --sbom sbom.cdx.json
  publisher publish ./line-monitor --channel registry.example/acme/releases --signing-config signing_config.json --provenance auto`,
		Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			keyless, err := sf.keyless(time.Now())
			if err != nil {
				return err
			}
			attestations, err := af.read(thisJob)
			if err != nil {
				return err
			}
			bar := cli.NewProgress(cmd.ErrOrStderr(), "pushing", 0)
			defer bar.Close()
			p, err := f.publisher(cmd, g, bar.Set)
			if err != nil {
				return err
			}
			if err := p.CheckKeys(channel.KindReleases); err != nil {
				return err
			}
			temp, err := os.MkdirTemp("", "consign-pack-")
			if err != nil {
				return err
			}
			defer os.RemoveAll(temp)
			layout, err := oci.CreateLayout(filepath.Join(temp, "bundle"))
			if err != nil {
				return err
			}
			res, err := pf.pack(cmd, g, args[0], f.channel, layout)
			if err != nil {
				return err
			}
			done, err := p.Publish(cmd.Context(), publish.PublishInput{
				Channel: f.channel, Layout: layout, Packed: res, SigningKey: cmp.Or(sf.key, p.Keys.SigningKey()), Keyless: keyless,
				Attestations: attestations, Policy: policyFile,
			})
			if err != nil {
				return err
			}
			return cli.Out(cmd).Print(done, func(w io.Writer) { writePublished(w, done) })
		},
	}
	f.addFlags(cmd, true)
	pf.addFlags(cmd)
	sf.addFlags(cmd)
	af.addFlags(cmd)
	cmd.Flags().StringVar(&policyFile, "policy", "", "ask the TrustPolicy in `FILE` first, and publish nothing that a device under it would refuse")
	return cmd
}

func writePublished(w io.Writer, p *publish.Published) {
	verb := "published"
	if p.Unchanged {
		verb = "already published, unchanged:"
	}
	fmt.Fprintf(w, "%s %s %s\n", verb, p.Application, p.Version)
	fmt.Fprintf(w, "  bundle  %s@%s\n", cli.Safe(p.Repository), p.Bundle)
	fmt.Fprintf(w, "  listed  %s/%s in %s\n", p.Application, p.Version, cli.Safe(p.Channel))
	writeWarnings(w, p.Warnings)
}
