// Tsa is the server of github.com/sigstore/timestamp-authority (RFC 3161)
// without its metrics listener:
//
//	tsa -port PORT -key FILE -chain FILE
//
// The project's own command, timestamp-server, always listens on port 2112 of
// every interface and ends if it is taken, so two of them cannot run on one
// machine. This one takes a port of 127.0.0.1 and nothing else; the handlers,
// the signer and the checks of the chain are upstream's. -key is a private key
// in PKCS#8, as PEM; -chain its certificate, then those above it up to the root.
package main

import (
	"flag"
	"log"
	"time"

	"github.com/sigstore/timestamp-authority/v2/pkg/server"
	"github.com/spf13/viper"
)

// timeout bounds one request, reading and answering.
const timeout = 30 * time.Second

func main() {
	port := flag.Int("port", 0, "listen on `PORT` of 127.0.0.1")
	key := flag.String("key", "", "`FILE` with the private key")
	chain := flag.String("chain", "", "`FILE` with the certificate chain, leaf first")
	flag.Parse()
	settings(*key, *chain)
	if err := server.NewRestAPIServer("127.0.0.1", *port, []string{"http"}, false, timeout, timeout).Serve(); err != nil {
		log.Fatal(err)
	}
}

// settings are what timestamp-server's flags default to, with a key in a file.
// Upstream's packages read them from viper.
func settings(key, chain string) {
	for name, value := range map[string]any{
		"timestamp-signer":         "file",
		"timestamp-signer-hash":    "sha256",
		"file-signer-key-path":     key,
		"certificate-chain-path":   chain,
		"enforce-intermediate-eku": true,
		"default-policy-oid":       "1.3.6.1.4.1.57264.2",
		"accepted-policy-oids":     []string{"1.3.6.1.4.1.57264.2"},
		"max-request-body-size":    1 << 20,
	} {
		viper.Set(name, value)
	}
}
