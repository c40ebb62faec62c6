package kms

import (
	"context"
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"errors"
	"io"
	"net/url"
	"strings"
	"testing"

	"github.com/sigstore/sigstore/pkg/signature"
	"github.com/sigstore/sigstore/pkg/signature/kms"

	"github.com/consign-dev/consign/internal/reason"
)

// A service that does what a real one never should. Real ones are asked in
// cmd/publisher-kms.
type faulty struct {
	kms.SignerVerifier
	public crypto.PublicKey
	signs  crypto.Signer
	err    error
	silent bool
	asked  int
}

func (f *faulty) PublicKey(...signature.PublicKeyOption) (crypto.PublicKey, error) {
	f.asked++
	return f.public, f.err
}

func (f *faulty) SignMessage(_ io.Reader, opts ...signature.SignOption) ([]byte, error) {
	if f.silent {
		select {}
	}
	var digest []byte
	for _, o := range opts {
		o.ApplyDigest(&digest)
	}
	return f.signs.Sign(rand.Reader, digest, crypto.SHA256)
}

// serve makes a service the one that keys of a scheme lie in, for this test.
func serve(scheme string, f *faulty) {
	kms.AddProvider(scheme, func(context.Context, string, crypto.Hash, ...signature.RPCOption) (kms.SignerVerifier, error) {
		return f, nil
	})
}

func must[T any](v T, err error) T {
	if err != nil {
		panic(err)
	}
	return v
}

func p256() *ecdsa.PrivateKey { return must(ecdsa.GenerateKey(elliptic.P256(), rand.Reader)) }

func TestNoClientInThisBuild(t *testing.T) {
	_, err := Open(t.Context(), "gcpkms://projects/acme/locations/global/keyRings/r/cryptoKeys/k")
	if err == nil || !strings.Contains(err.Error(), "make publisher-kms") {
		t.Error(err)
	}
}

func TestKeysThatNoDeviceAccepts(t *testing.T) {
	for name, c := range map[string]struct {
		scheme string
		public crypto.PublicKey
		says   string
	}{
		"P-521":      {"hashivault://", must(ecdsa.GenerateKey(elliptic.P521(), rand.Reader)).Public(), "P-521"},
		"RSA":        {"hashivault://", must(rsa.GenerateKey(rand.Reader, 3072)).Public(), "RSA key of 3072 bits"},
		"Ed25519":    {"azurekms://", ed25519.PublicKey(make([]byte, ed25519.PublicKeySize)), "Ed25519"},
		"none":       {"hashivault://", nil, "<nil>"},
		"symmetric":  {"hashivault://", []byte("key"), "[]uint8"},
		"not parsed": {"hashivault://", ecdsa.PublicKey{}, "ecdsa.PublicKey"},
	} {
		serve(c.scheme, &faulty{public: c.public})
		uri := map[string]string{"hashivault://": "hashivault://k", "azurekms://": "azurekms://acme.vault.azure.net/k"}[c.scheme]
		if _, err := Open(t.Context(), uri); err == nil || !strings.Contains(err.Error(), c.says) || !strings.Contains(err.Error(), uri) {
			t.Errorf("%s: %v, want %q", name, err, c.says)
		}
	}
}

// TestSignatureOfAnotherKey: what does not verify never leaves, and the public
// half is asked for once.
func TestSignatureOfAnotherKey(t *testing.T) {
	mine := p256()
	f := &faulty{public: mine.Public(), signs: mine}
	serve("hashivault://", f)
	k := must(Open(t.Context(), "hashivault://k"))
	sum := sha256.Sum256([]byte("a bundle"))
	if sig, err := k.Sign(nil, sum[:], crypto.SHA256); err != nil || !ecdsa.VerifyASN1(&mine.PublicKey, sum[:], sig) {
		t.Fatal(err)
	}
	f.signs = p256()
	if sig, err := k.Sign(nil, sum[:], crypto.SHA256); sig != nil || !reason.Is(err, reason.Signature) || !strings.Contains(err.Error(), "hashivault://k") {
		t.Errorf("%x, %v", sig, err)
	}
	if f.asked != 1 {
		t.Errorf("asked for the public half %d times", f.asked)
	}
}

// TestNoAnswer: whoever waits for a service can give up.
func TestNoAnswer(t *testing.T) {
	mine := p256()
	serve("hashivault://", &faulty{public: mine.Public(), silent: true})
	ctx, cancel := context.WithCancelCause(t.Context())
	k := must(Open(ctx, "hashivault://k"))
	enough := errors.New("enough of this")
	cancel(enough)
	if _, err := k.Sign(nil, make([]byte, 32), crypto.SHA256); !errors.Is(err, enough) {
		t.Error(err)
	}
}

func TestClientsWords(t *testing.T) {
	gone := &url.Error{Op: "Get", URL: "http://127.0.0.1:1/", Err: errors.New("refused\n\n  for " + strings.Repeat("a long time ", 100))}
	serve("hashivault://", &faulty{err: gone})
	_, err := Open(t.Context(), "hashivault://k")
	if !reason.Is(err, reason.Unreachable) || !errors.Is(err, gone) || !strings.Contains(err.Error(), "VAULT_ADDR") ||
		strings.Contains(err.Error(), "\n") || len(err.Error()) > maxWords+300 {
		t.Error(err)
	}
}
