package main

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"os"
	"strings"

	protobundle "github.com/sigstore/protobuf-specs/gen/pb-go/bundle/v1"
	sigstore "github.com/sigstore/sigstore-go/pkg/verify"

	"github.com/consign-dev/consign/internal/durable"
	"github.com/consign-dev/consign/internal/keys"
	"github.com/consign-dev/consign/internal/reason"
	"github.com/consign-dev/consign/internal/verify"
)

func (o options) verify() error {
	root, err := o.root()
	if err != nil {
		return err
	}
	data, err := durable.ReadFile(o.bundle, verify.MaxSignatureBytes)
	if err != nil {
		return fmt.Errorf("read bundle: %w", err)
	}
	b, err := verify.ParseBundle(data)
	if err != nil {
		return err
	}
	about, done, err := artifact(o.artifact)
	if err != nil {
		return fmt.Errorf("read artifact: %w", err)
	}
	defer done()
	if o.key != "" {
		return o.byKey(root, b, about)
	}
	return o.byIdentity(root, b, about)
}

func (o options) root() (*verify.TrustedRoot, error) {
	file, err := o.instance(o.trustedRoot, "--trusted-root", "trusted_root.json")
	if err != nil {
		return nil, err
	}
	data, err := durable.ReadFile(file, verify.MaxTrustedRootBytes)
	if err != nil {
		return nil, fmt.Errorf("read trusted root: %w", err)
	}
	return verify.ParseTrustedRoot(data)
}

// maxKeyBytes bounds a public key in PEM.
const maxKeyBytes = 16 << 10

func (o options) byKey(root *verify.TrustedRoot, b *protobundle.Bundle, about sigstore.ArtifactPolicyOption) error {
	data, err := durable.ReadFile(o.key, maxKeyBytes)
	if err != nil {
		return fmt.Errorf("read key: %w", err)
	}
	key, err := keys.ParsePublic(data)
	if err != nil {
		return err
	}
	_, err = root.Keyed(b, about, key)
	return err
}

// byIdentity compares issuer and subject as they are: the protocol has no patterns.
func (o options) byIdentity(root *verify.TrustedRoot, b *protobundle.Bundle, about sigstore.ArtifactPolicyOption) error {
	_, signer, err := root.Certified(b, about)
	if err != nil {
		return err
	}
	if signer.Subject != o.identity {
		return reason.New(reason.Identity, "signed by %s, not by %q", signer, o.identity)
	}
	if signer.Issuer != o.issuer {
		return reason.New(reason.Identity, "signed by %s, not by one whom %q vouches for", signer, o.issuer)
	}
	return nil
}

// artifact is what a bundle must be about: "sha256:HEX" where there is no such
// file, else the bytes of a file. done closes it.
func artifact(text string) (about sigstore.ArtifactPolicyOption, done func(), err error) {
	f, err := os.Open(text)
	if err == nil {
		return sigstore.WithArtifact(f), func() { _ = f.Close() }, nil
	}
	hash, named := strings.CutPrefix(text, "sha256:")
	sum, bad := hex.DecodeString(hash)
	if !errors.Is(err, os.ErrNotExist) || !named || bad != nil || len(sum) != sha256.Size {
		return nil, nil, err
	}
	return sigstore.WithArtifactDigest("sha256", sum), func() {}, nil
}
