package kms

import (
	"bytes"
	"context"
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/rsa"
	"fmt"
	"io"
	"slices"

	"github.com/sigstore/sigstore/pkg/signature/kms"
	"github.com/sigstore/sigstore/pkg/signature/options"

	"github.com/consign-dev/consign/internal/keys"
	"github.com/consign-dev/consign/internal/reason"
)

// key is a key in a service as a [crypto.Signer], which has no context of its own.
type key struct {
	ctx    context.Context
	uri    string
	in     service
	remote kms.SignerVerifier
	public crypto.PublicKey
}

// Open asks the service for the public half of the key that the URI names, this
// once. What the key signs until ctx ends is checked with that half before it is
// returned, so an answer of another key or another version is caught here and not
// by a device.
func Open(ctx context.Context, uri string) (crypto.Signer, error) {
	in, err := parse(uri)
	if err != nil {
		return nil, err
	}
	if !slices.Contains(kms.SupportedProviders(), in.scheme) {
		return nil, fmt.Errorf("key %s: this build has no client of a KMS: make one that has with 'make publisher-kms'", uri)
	}
	k := &key{ctx: ctx, uri: uri, in: in}
	if k.remote, err = k.client(); err != nil {
		return nil, k.failed("open", err)
	}
	k.public, err = within(ctx, func(ctx context.Context) (crypto.PublicKey, error) {
		return k.remote.PublicKey(options.WithContext(ctx))
	})
	if err != nil {
		return nil, k.failed("read its public half", err)
	}
	if err := k.in.check(k.public); err != nil {
		return nil, fmt.Errorf("key %s: %w", uri, err)
	}
	return k, nil
}

// client may sign in, so it takes part in the time allowed. The hash is what a key
// is asked for where the caller names none; this package always does.
func (k *key) client() (kms.SignerVerifier, error) {
	// A client keeps the context that it was made with, so it gets the whole one.
	return within(k.ctx, func(context.Context) (kms.SignerVerifier, error) {
		return kms.Get(k.ctx, k.uri, crypto.SHA256)
	})
}

// check refuses keys by which nothing could be signed that a device accepts. RSA
// keys are among them: the providers choose padding and hash themselves, and not
// all as a verifier assumes.
func (s service) check(pub crypto.PublicKey) error {
	if k, ok := pub.(*rsa.PublicKey); ok {
		return fmt.Errorf("RSA key of %d bits: the padding would be the service's choice; use ECDSA P-256", k.N.BitLen())
	}
	if _, ok := pub.(ed25519.PublicKey); ok && !s.ed25519 {
		return fmt.Errorf("Ed25519 key: not usable for signing over %s; use ECDSA P-256", s.scheme)
	}
	_, err := keys.ID(pub)
	return err
}

func (k *key) Public() crypto.PublicKey { return k.public }

// Sign implements [crypto.Signer]. The service has its own source of randomness.
func (k *key) Sign(_ io.Reader, digest []byte, opts crypto.SignerOpts) ([]byte, error) {
	sig, err := within(k.ctx, func(ctx context.Context) ([]byte, error) {
		return k.remote.SignMessage(bytes.NewReader(digest), options.WithContext(ctx), options.WithDigest(digest), options.WithCryptoSignerOpts(opts))
	})
	if err != nil {
		return nil, k.failed("sign", err)
	}
	if !verifies(k.public, digest, sig) {
		id, _ := keys.ID(k.public)
		return nil, reason.New(reason.Signature, "key %s: the signature returned does not verify with the public half that was given before, %s: "+
			"the key was rotated meanwhile, or this is not the service's answer; run the command again, and show the key with 'publisher-kms key show'", k.uri, id)
	}
	return sig, nil
}

func verifies(pub crypto.PublicKey, digest, sig []byte) bool {
	switch pub := pub.(type) {
	case *ecdsa.PublicKey:
		return ecdsa.VerifyASN1(pub, digest, sig)
	case ed25519.PublicKey:
		return ed25519.Verify(pub, digest, sig)
	default:
		return false
	}
}
