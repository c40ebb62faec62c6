// Command publisher signs and lists applications for suppliers, and policies
// and orders for operators.
package main

import (
	"os"

	"github.com/spf13/cobra"

	"github.com/consign-dev/consign/internal/cli"
)

func main() { os.Exit(cli.Main(newRoot())) }

func newRoot() *cobra.Command {
	root := cli.Root("publisher", "publish signed applications, and order them for devices")
	g := &globals{}
	g.addFlags(root)
	root.AddCommand(
		keyCommand(), channelCommand(g), packCommand(g), planCommand(g), publishCommand(g), attestCommand(g), endorseCommand(g), policyCommand(g), deviceCommand(g),
		deployCommand(g), undeployCommand(g), inspectCommand(g), verifyCommand(g), copyCommand(g), registryCommand(),
	)
	return root
}
