// Vault is the server of github.com/hashicorp/vault with the transit engine and no
// other, for tests:
//
//	vault
//
// It keeps everything in memory, is unsealed, and listens on a port of 127.0.0.1
// that the kernel chooses. Its first line of output is its address, its second the
// root token. It ends when its standard input does. The project's own command
// links the engines of every cloud and database; core, engine and HTTP handlers are
// upstream's here, too. The version is one under the Mozilla Public License whose
// module sdk, which upstream builds from its own tree, the module proxy has from
// the same days.
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"os"

	"github.com/hashicorp/go-hclog"
	"github.com/hashicorp/vault/builtin/logical/transit"
	"github.com/hashicorp/vault/helper/namespace"
	vaulthttp "github.com/hashicorp/vault/http"
	"github.com/hashicorp/vault/internalshared/configutil"
	"github.com/hashicorp/vault/sdk/helper/consts"
	"github.com/hashicorp/vault/sdk/logical"
	"github.com/hashicorp/vault/sdk/physical/inmem"
	"github.com/hashicorp/vault/vault"
)

func main() {
	if err := run(); err != nil {
		log.Fatal(err)
	}
}

func run() error {
	core, token, err := unsealed(hclog.New(&hclog.LoggerOptions{Level: hclog.Warn}))
	if err != nil {
		return err
	}
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	fmt.Printf("http://%s\n%s\n", listener.Addr(), token)
	handler := vaulthttp.Handler(&vault.HandlerProperties{Core: core, ListenerConfig: &configutil.Listener{}})
	ended := make(chan error, 2)
	go func() { ended <- http.Serve(listener, handler) }()
	go func() {
		_, err := io.Copy(io.Discard, os.Stdin)
		ended <- err
	}()
	return <-ended
}

// unsealed starts a core with one key share, which nobody needs again, and returns
// its root token.
func unsealed(logger hclog.Logger) (*vault.Core, string, error) {
	disk, err := inmem.NewInmem(nil, logger)
	if err != nil {
		return nil, "", err
	}
	core, err := vault.NewCore(&vault.CoreConfig{
		Physical: disk, Logger: logger, DisableMlock: true, BuiltinRegistry: registry{},
		LogicalBackends: map[string]logical.Factory{"transit": transit.Factory},
	})
	if err != nil {
		return nil, "", err
	}
	ctx := namespace.ContextWithNamespace(context.Background(), namespace.RootNamespace)
	made, err := core.Initialize(ctx, &vault.InitParams{BarrierConfig: &vault.SealConfig{SecretShares: 1, SecretThreshold: 1}})
	if err != nil {
		return nil, "", err
	}
	open, err := core.Unseal(made.SecretShares[0])
	if err == nil && !open {
		err = errors.New("still sealed")
	}
	return core, made.RootToken, err
}

// registry knows the one plugin that is linked.
type registry struct{}

func (registry) Contains(name string, kind consts.PluginType) bool {
	return name == "transit" && kind == consts.PluginTypeSecrets
}

func (r registry) Get(name string, kind consts.PluginType) (func() (interface{}, error), bool) {
	return func() (interface{}, error) { return logical.Factory(transit.Factory), nil }, r.Contains(name, kind)
}

func (registry) Keys(kind consts.PluginType) []string {
	if kind == consts.PluginTypeSecrets {
		return []string{"transit"}
	}
	return nil
}

func (r registry) DeprecationStatus(name string, kind consts.PluginType) (consts.DeprecationStatus, bool) {
	return consts.Supported, r.Contains(name, kind)
}
