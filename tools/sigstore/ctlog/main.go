// Ctlog is a certificate transparency log (RFC 6962) in one process: the
// upstream front end, CTFE, over the upstream Trillian log server and sequencer
// with their in-memory storage. A log that restarts is empty, so it serves
// tests and nothing else.
//
//	ctlog -addr HOST:PORT -roots FILE -key FILE [-prefix ct]
//
// -roots holds the certificates under which entries must chain, as PEM; -key is
// an ECDSA key in PKCS#8, as PEM. The log's URL is http://HOST:PORT/PREFIX.
package main

import (
	"context"
	"crypto/ecdsa"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"flag"
	"fmt"
	"log"
	"net/http"
	"os"
	"time"
)

func main() {
	addr := flag.String("addr", "", "listen on `HOST:PORT`")
	prefix := flag.String("prefix", "ct", "path under which the log answers")
	roots := flag.String("roots", "", "`FILE` with the accepted root certificates")
	key := flag.String("key", "", "`FILE` with the log's private key")
	flag.Parse()
	if err := serve(context.Background(), *addr, *prefix, *roots, *key); err != nil {
		log.Fatal(err)
	}
}

func serve(ctx context.Context, addr, prefix, roots, keyFile string) error {
	der, err := readKey(keyFile)
	if err != nil {
		return err
	}
	tree, err := newTree(ctx)
	if err != nil {
		return fmt.Errorf("make a tree: %w", err)
	}
	front, err := newFront(ctx, tree, prefix, roots, der)
	if err != nil {
		return fmt.Errorf("set up the front end: %w", err)
	}
	log.Printf("log http://%s/%s", addr, prefix)
	server := &http.Server{Addr: addr, Handler: front, ReadHeaderTimeout: 10 * time.Second}
	return server.ListenAndServe()
}

// readKey returns the key as PKCS#8 DER.
func readKey(file string) ([]byte, error) {
	data, err := os.ReadFile(file)
	if err != nil {
		return nil, err
	}
	block, _ := pem.Decode(data)
	if block == nil {
		return nil, fmt.Errorf("%s holds no PEM block", file)
	}
	key, err := x509.ParsePKCS8PrivateKey(block.Bytes)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", file, err)
	}
	if _, ok := key.(*ecdsa.PrivateKey); !ok {
		return nil, errors.New(file + " holds no ECDSA key")
	}
	return block.Bytes, nil
}
