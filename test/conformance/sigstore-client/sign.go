package main

import (
	"context"
	"crypto/sha256"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"time"

	"github.com/opencontainers/go-digest"
	sigstore "github.com/sigstore/sigstore-go/pkg/verify"

	"github.com/consign-dev/consign/internal/durable"
	"github.com/consign-dev/consign/internal/sign"
	"github.com/consign-dev/consign/internal/verify"
)

// sign writes a bundle that this client has verified, whoever the token is of: by
// the instance's own rules, and about what was to be signed.
func (o options) sign(ctx context.Context) error {
	root, err := o.root()
	if err != nil {
		return err
	}
	by, err := o.signer()
	if err != nil {
		return err
	}
	data, about, err := o.signed(ctx, by)
	if err != nil {
		return err
	}
	b, err := verify.ParseBundle(data)
	if err != nil {
		return err
	}
	if _, _, err := root.Certified(b, about); err != nil {
		return fmt.Errorf("verify what was signed: %w", err)
	}
	return durable.WriteFile(o.bundle, data, 0o644)
}

func (o options) signer() (sign.Signer, error) {
	file, err := o.instance(o.signingConfig, "--signing-config", "signing_config.json")
	if err != nil {
		return nil, err
	}
	data, err := durable.ReadFile(file, sign.MaxSigningConfigBytes)
	if err != nil {
		return nil, fmt.Errorf("read signing configuration: %w", err)
	}
	services, err := sign.ParseSigningConfig(data, time.Now())
	if err != nil {
		return nil, err
	}
	return sign.Keyless{Services: services, Token: func(context.Context) (string, error) { return o.token, nil }}, nil
}

// signed is the bundle, and what it must be about.
func (o options) signed(ctx context.Context, by sign.Signer) ([]byte, sigstore.ArtifactPolicyOption, error) {
	if o.inToto {
		statement, err := durable.ReadFile(o.artifact, verify.MaxSignatureBytes)
		if err != nil {
			return nil, nil, fmt.Errorf("read statement: %w", err)
		}
		data, err := by.Sign(ctx, statement)
		return data, sigstore.WithoutArtifactUnsafe(), err // the statement itself says what it is about
	}
	hash, err := hashFile(o.artifact)
	if err != nil {
		return nil, nil, fmt.Errorf("read artifact: %w", err)
	}
	subject := sign.Subject{Name: filepath.Base(o.artifact), Digest: digest.NewDigestFromBytes(digest.SHA256, hash)}
	data, err := sign.Bundle(ctx, subject, by)
	return data, sigstore.WithArtifactDigest("sha256", hash), err
}

// hashFile is the SHA-256 of a file.
func hashFile(path string) ([]byte, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	hash := sha256.New()
	_, err = io.Copy(hash, f)
	return hash.Sum(nil), err
}
