// Applier-compose does one task for the agent or the publisher: it renders a
// Compose component or makes a Docker engine run one. It is not for people;
// docs/spec/applier.md says what it reads and writes.
package main

import (
	"context"
	"fmt"
	"os"

	"github.com/consign-dev/consign/internal/apply/compose"
)

func main() {
	if err := compose.Run(context.Background(), os.Args[1:], os.Stdin, os.Stdout); err != nil {
		fmt.Fprintln(os.Stderr, "applier-compose:", err)
		os.Exit(1)
	}
}
