package publisher

import (
	"crypto"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/consign-dev/consign/internal/cli"
	"github.com/consign-dev/consign/internal/oci"
	"github.com/consign-dev/consign/internal/publish"
)

// globals are the flags about how registries are reached.
type globals struct {
	caFile       string
	dockerConfig string
}

func (g *globals) addFlags(root *cobra.Command) {
	root.PersistentFlags().StringVar(&g.caFile, "ca-file", "", "PEM `FILE` of further certificate authorities for registries")
	root.PersistentFlags().StringVar(&g.dockerConfig, "docker-config", "", "Docker config.json `FILE` with registry credentials (default ~/.docker/config.json)")
}

func (g *globals) client() (*oci.Client, error) {
	return oci.NewClient(oci.Options{CAFile: g.caFile, DockerConfig: g.dockerConfig, UserAgent: "consign-publisher"})
}

// channelFlags are those of every command that works on a channel.
type channelFlags struct {
	channel    string
	keys       string
	passphrase cli.Passphrase
}

func (f *channelFlags) addFlags(cmd *cobra.Command, withChannel bool) {
	if withChannel {
		cmd.Flags().StringVar(&f.channel, "channel", "", "`REPOSITORY` of the channel")
		_ = cmd.MarkFlagRequired("channel")
	}
	cmd.Flags().StringVar(&f.keys, "keys", "", "`DIRECTORY` with the channel's keys (default ~/.config/consign/keys/<channel>)")
	f.passphrase.AddFlag(cmd)
}

// publisher makes the publisher of a channel command. progress is nil for
// commands that move little.
func (f *channelFlags) publisher(cmd *cobra.Command, g *globals, progress func(done, total int64)) (*publish.Publisher, error) {
	client, err := g.client()
	if err != nil {
		return nil, err
	}
	dir := f.keys
	if dir == "" {
		if dir, err = defaultKeys(f.channel); err != nil {
			return nil, err
		}
	}
	f.passphrase.Prompt = "passphrase of the keys in " + dir
	ask := func() ([]byte, error) { return f.passphrase.Read(cmd.Context()) }
	return &publish.Publisher{
		Client: client, Now: time.Now(), Progress: progress,
		Note: func(text string) { fmt.Fprintln(cmd.ErrOrStderr(), "publisher: "+cli.Safe(text)) },
		Keys: publish.KeyDir{Path: dir, Passphrase: publish.Once(ask), Opened: map[string]crypto.Signer{}},
	}, nil
}

// defaultKeys is where the keys of a channel lie when nothing else is said.
func defaultKeys(channel string) (string, error) {
	config, err := os.UserConfigDir()
	if err != nil {
		return "", fmt.Errorf("find the directory for keys: %w; name it with --keys", err)
	}
	name := strings.NewReplacer("/", "_", ":", "_").Replace(channel)
	return filepath.Join(config, "consign", "keys", name), nil
}

// splitRelease reads APPLICATION@VERSION.
func splitRelease(arg string) (application, version string, err error) {
	application, version, ok := strings.Cut(arg, "@")
	if !ok || application == "" || version == "" {
		return "", "", cli.Usage("%q: want APPLICATION@VERSION, such as line-monitor@1.4.0", arg)
	}
	return application, version, nil
}
