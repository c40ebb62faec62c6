// Command publisher signs and lists applications for suppliers, and policies
// and orders for operators.
package main

import (
	"os"

	"github.com/consign-dev/consign/cmd/internal/publisher"
	"github.com/consign-dev/consign/internal/cli"
)

func main() { os.Exit(cli.Main(publisher.Command())) }
