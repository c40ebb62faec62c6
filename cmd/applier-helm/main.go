// Applier-helm does one task for the agent or the publisher: it renders a Helm
// chart, lists the images that one names, or makes a cluster run one. It is not for people;
// docs/spec/applier.md says what it reads and writes.
package main

import (
	"context"
	"fmt"
	"os"

	"github.com/consign-dev/consign/internal/apply/helm"
)

func main() {
	if err := helm.Run(context.Background(), os.Args[1:], os.Stdin, os.Stdout); err != nil {
		fmt.Fprintln(os.Stderr, "applier-helm:", err)
		os.Exit(1)
	}
}
