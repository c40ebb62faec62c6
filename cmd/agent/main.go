// Command agent installs on a device what its operator signed, and nothing else.
package main

import (
	"os"

	"github.com/spf13/cobra"

	"github.com/consign-dev/consign/internal/cli"
)

func main() { os.Exit(cli.Main(newRoot())) }

func newRoot() *cobra.Command {
	root := cli.Root("agent", "install on this device what its operator signed, and nothing else")
	g := &globals{}
	g.addFlags(root)
	root.AddCommand(initCommand(g), syncCommand(g), runCommand(g), approveCommand(g), verifyCommand(g), statusCommand(g), doctorCommand(g), logCommand(g))
	return root
}
