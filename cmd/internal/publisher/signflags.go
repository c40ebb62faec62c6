package publisher

import (
	"context"
	"fmt"
	"os"
	"sync"
	"time"

	"github.com/spf13/cobra"

	"github.com/consign-dev/consign/internal/cli"
	"github.com/consign-dev/consign/internal/durable"
	"github.com/consign-dev/consign/internal/idtoken"
	"github.com/consign-dev/consign/internal/sign"
)

// signFlags say how a bundle is signed: with a key, or without one.
type signFlags struct {
	key, config, token, command string
}

func (f *signFlags) addFlags(cmd *cobra.Command) {
	flags := cmd.Flags()
	flags.StringVar(&f.key, "key", "", "`FILE` of the key that signs the bundle, or the URI of one in a token (pkcs11:) or in a KMS (default signing.pem in the key directory)")
	flags.StringVar(&f.config, "signing-config", "", "sign without a key, by the Sigstore services of this `FILE` (signing_config.json)")
	flags.StringVar(&f.token, "identity-token", "", "`FILE` with the OpenID Connect token to sign by (default what GitHub Actions or GitLab CI gives)")
	flags.StringVar(&f.command, "identity-token-command", "", "shell `COMMAND` that prints such a token")
	cmd.MarkFlagsMutuallyExclusive("key", "signing-config")
	cmd.MarkFlagsMutuallyExclusive("identity-token", "identity-token-command")
}

// named reports whether the flags say who signs.
func (f *signFlags) named() bool { return f.key != "" || f.config != "" }

// keyless is nil when a key signs.
func (f *signFlags) keyless(now time.Time) (*sign.Keyless, error) {
	if f.config == "" {
		if f.token != "" || f.command != "" {
			return nil, cli.Usage("an identity token is of use with --signing-config only")
		}
		return nil, nil
	}
	data, err := durable.ReadFile(f.config, sign.MaxSigningConfigBytes)
	if err != nil {
		return nil, fmt.Errorf("--signing-config: %w", err)
	}
	services, err := sign.ParseSigningConfig(data, now)
	if err != nil {
		return nil, fmt.Errorf("--signing-config %s: %w", f.config, err)
	}
	source := idtoken.Source{File: f.token, Command: f.command, Stderr: os.Stderr, Env: os.Getenv}
	var one sync.Mutex // a command that asks somebody asks once at a time
	return &sign.Keyless{Services: services, Token: func(ctx context.Context) (string, error) {
		one.Lock()
		defer one.Unlock()
		return source.Token(ctx, sign.Audience)
	}}, nil
}
