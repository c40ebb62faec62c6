// Command publisher-kms is the publisher whose --key may also be the URI of a key
// in AWS KMS, Azure Key Vault, Google Cloud KMS, or the transit engine of Vault and
// OpenBao. What it does with such a key is in internal/kms; here are the clients of
// the services, which register themselves there by their scheme.
package main

import (
	"os"

	_ "github.com/sigstore/sigstore/pkg/signature/kms/aws"
	_ "github.com/sigstore/sigstore/pkg/signature/kms/azure"
	_ "github.com/sigstore/sigstore/pkg/signature/kms/gcp"
	_ "github.com/sigstore/sigstore/pkg/signature/kms/hashivault"

	"github.com/consign-dev/consign/cmd/internal/publisher"
	"github.com/consign-dev/consign/internal/cli"
)

func main() { os.Exit(cli.Main(publisher.Command())) }
