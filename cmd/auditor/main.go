// Command auditor checks the log of a device, offline, with a key that did not
// come with the log.
package main

import (
	"log/slog"
	"os"

	"github.com/spf13/cobra"

	"github.com/consign-dev/consign/internal/audit"
	"github.com/consign-dev/consign/internal/cli"
)

func main() {
	audit.SetTesseraLogger(slog.New(slog.DiscardHandler)) // nothing is written, so there is nothing to say
	os.Exit(cli.Main(newRoot()))
}

func newRoot() *cobra.Command {
	root := cli.Root("auditor", "check and read the log of a device, offline")
	root.AddCommand(verifyCommand(), eventsCommand(), showCommand(), replayCommand())
	return root
}
