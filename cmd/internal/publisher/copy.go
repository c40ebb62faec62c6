package publisher

import (
	"errors"
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/consign-dev/consign/internal/channel"
	"github.com/consign-dev/consign/internal/cli"
	"github.com/consign-dev/consign/internal/durable"
	"github.com/consign-dev/consign/internal/lazyregexp"
	"github.com/consign-dev/consign/internal/oci"
	"github.com/consign-dev/consign/internal/publish"
	"github.com/consign-dev/consign/internal/reason"
	"github.com/consign-dev/consign/internal/tufclient"
)

// copyFlags are the flags of copy.
type copyFlags struct {
	channelFlags
	root     string
	releases []string
	devices  []string
}

func copyCommand(g *globals) *cobra.Command {
	var f copyFlags
	cmd := &cobra.Command{
		Use:   "copy SOURCE DESTINATION",
		Short: "copy a channel and what it lists to another registry, or to and from a directory",
		Long: `Copy verifies the source channel from a root that you name, copies what it lists,
reads everything back from the destination, and moves the destination's tag
last. A destination that holds a newer state of the channel, or another channel,
is refused. Run it again after an interruption: what is there is not sent again.

SOURCE and DESTINATION are each the repository of a channel in a registry
(HOST/PATH), or oci:DIR for a directory. In a directory a channel keeps the name
that it has in the other place, which is how devices find it; --channel gives
another name, and is needed when SOURCE is a directory. 'agent sync --from DIR'
reads such a directory, and 'publisher registry serve --dir DIR' serves it.`,
		Example: `  publisher copy registry.example/acme/releases oci:/media/usb/site --root acme-root.json --release line-monitor@1.4.0
  publisher copy registry.example/plant/deployments oci:/media/usb/site --root plant-root.json
  publisher copy oci:/media/usb/site mirror.example/acme/releases --channel registry.example/acme/releases --root acme-root.json`,
		Args: cobra.ExactArgs(2),
		RunE: func(cmd *cobra.Command, args []string) error { return f.run(cmd, g, args[0], args[1]) },
	}
	f.addFlags(cmd, false)
	cmd.Flags().StringVar(&f.channel, "channel", "", "`REPOSITORY` as which the channel is known in the directory")
	cmd.Flags().StringVar(&f.root, "root", "", "`FILE` with the channel's root that you trust (default: the root beside the channel's keys)")
	cmd.MarkFlagsMutuallyExclusive("root", "keys")
	cmd.Flags().StringArrayVar(&f.releases, "release", nil, "`APPLICATION@VERSION` to copy; repeatable (default all)")
	cmd.Flags().StringArrayVar(&f.devices, "device", nil, "device `ID` whose desired state is copied; repeatable (default all)")
	return cmd
}

func (f *copyFlags) run(cmd *cobra.Command, g *globals, source, destination string) (err error) {
	from, to, err := readPlaces(source, destination, f.channel)
	if err != nil {
		return err
	}
	in := publish.CopyInput{Devices: f.devices}
	if in.Releases, err = releaseTargets(f.releases); err != nil {
		return err
	}
	if f.root != "" {
		if in.Root, err = durable.ReadFile(f.root, tufclient.MaxRoot); err != nil {
			return fmt.Errorf("read root: %w", err)
		}
	}
	if in.From, err = from.open(g, oci.NewDirectoryReader); err != nil {
		return err
	}
	defer func() { err = errors.Join(err, in.From.Client.Close()) }()
	if in.To, err = to.open(g, oci.NewDirectoryWriter); err != nil {
		return err
	}
	defer func() { err = errors.Join(err, in.To.Client.Close()) }()
	err = f.copy(cmd, g, in)
	if reason.Is(err, reason.NoSpace) && to.dir != "" {
		err = fmt.Errorf("%s is full: %w", to.dir, err)
	}
	return err
}

func (f *copyFlags) copy(cmd *cobra.Command, g *globals, in publish.CopyInput) error {
	bar := cli.NewProgress(cmd.ErrOrStderr(), "copying", 0)
	defer bar.Close()
	p := &publish.Publisher{Now: time.Now(), Progress: bar.Set}
	if in.Root == nil {
		f.channel = in.From.Repository // whose keys are looked for
		own, err := f.publisher(cmd, g, bar.Set)
		if err != nil {
			return err
		}
		p = own
	}
	done, err := p.Copy(cmd.Context(), in)
	bar.Close()
	if err != nil {
		return err
	}
	return cli.Out(cmd).Print(done, func(w io.Writer) { writeCopied(w, done) })
}

func releaseTargets(releases []string) ([]string, error) {
	var out []string
	for _, r := range releases {
		application, version, err := splitRelease(r)
		if err != nil {
			return nil, err
		}
		out = append(out, channel.ReleaseTarget(application, version))
	}
	return out, nil
}

func writeCopied(w io.Writer, c *publish.Copied) {
	verb := "copied"
	if c.Unchanged {
		verb = "copied already, unchanged:"
	}
	fmt.Fprintf(w, "%s %s channel %s to %s\n", verb, c.Kind, cli.Safe(c.From), cli.Safe(c.To))
	for _, t := range c.Targets {
		fmt.Fprintf(w, "  %s %s\n", cli.Safe(t.Name), t.Digest)
	}
	if n := len(c.Left); n > 0 {
		fmt.Fprintf(w, "  not asked for: %d more that the channel lists\n", n)
	}
	fmt.Fprintf(w, "sent %d bytes of content; everything above was found in the destination\n", c.Sent)
}

// place is a side of a copy as it is written on the command line.
type place struct {
	repository string
	dir        string // "" for a registry
}

const directoryPrefix = "oci:"

// hostNamedOCI is a registry host called "oci" with a port.
var hostNamedOCI = lazyregexp.New(`^oci:[0-9]+(/|$)`)

func readPlace(arg string) (place, error) {
	dir, isDir := strings.CutPrefix(arg, directoryPrefix)
	switch {
	case hostNamedOCI.MatchString(arg):
		return place{}, cli.Usage("%q may be a directory or a registry: write oci:./%s for the directory, and another name for the host", arg, dir)
	case isDir && dir == "":
		return place{}, cli.Usage("%q names no directory: write oci:DIR", arg)
	case isDir:
		return place{dir: dir}, nil
	case arg == "" || strings.ContainsAny(arg[:1], "./~"):
		return place{}, cli.Usage("%q is not a repository: write oci:%s for a directory", arg, arg)
	}
	return place{repository: arg}, nil
}

// readPlaces gives a directory the channel's name of the other side, or the one
// that was chosen.
func readPlaces(source, destination, chosen string) (from, to place, err error) {
	if from, err = readPlace(source); err != nil {
		return from, to, err
	}
	if to, err = readPlace(destination); err != nil {
		return from, to, err
	}
	switch {
	case from.dir == "" && to.dir == "" && chosen != "":
		return from, to, cli.Usage("--channel names a channel in a directory, and neither side is one")
	case from.dir != "" && chosen == "":
		return from, to, cli.Usage("%s may hold several channels: choose one with --channel", source)
	case chosen == "":
		chosen = from.repository
	}
	for _, side := range []*place{&from, &to} {
		if side.dir != "" {
			side.repository = chosen
		}
	}
	return from, to, nil
}

func (p place) open(g *globals, inDirectory func(string, oci.Options) (*oci.Client, error)) (publish.Place, error) {
	if p.dir == "" {
		client, err := g.client()
		return publish.Place{Client: client, Repository: p.repository}, err
	}
	client, err := inDirectory(p.dir, oci.Options{UserAgent: "consign-publisher"})
	return publish.Place{Client: client, Repository: p.repository, Local: true}, err
}
