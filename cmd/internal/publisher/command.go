// Package publisher has the commands of the publisher, of which there is more
// than one build: cmd/publisher, and cmd/publisher-kms in a module of its own.
package publisher

import (
	"github.com/spf13/cobra"

	"github.com/consign-dev/consign/internal/cli"
)

// Command returns the publisher with all its commands.
func Command() *cobra.Command {
	root := cli.Root("publisher", "publish signed applications, and order them for devices")
	g := &globals{}
	g.addFlags(root)
	root.AddCommand(
		keyCommand(), channelCommand(g), packCommand(g), planCommand(g), publishCommand(g), attestCommand(g), endorseCommand(g), policyCommand(g), deviceCommand(g),
		deployCommand(g), undeployCommand(g), inspectCommand(g), verifyCommand(g), copyCommand(g), registryCommand(),
	)
	return root
}
