// Package cosign runs the cosign command line, the real program as tools/cosign
// builds it, against a private Sigstore and registries over HTTP on loopback. It
// asks nothing outside: what would be fetched from the public Sigstore is given as
// a file.
package cosign

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"

	"github.com/consign-dev/consign/internal/sigstoretest"
)

// Bin is the environment variable that names the directory of the program: what
// tools/tool.sh prints for cosign. "make interop" and "make goldens" set it.
const Bin = "CONSIGN_COSIGN_BIN"

// Program is cosign with a home of its own and one Sigstore.
type Program struct {
	// Dir is its home and working directory.
	Dir   string
	stack *sigstoretest.Stack
	path  string
}

// New is a program whose home is dir, which holds the instance's two files.
func New(s *sigstoretest.Stack, dir string) (*Program, error) {
	bin := os.Getenv(Bin)
	if bin == "" {
		return nil, errors.New(Bin + " does not name the cosign program: run this with make interop")
	}
	p := &Program{Dir: dir, stack: s, path: filepath.Join(bin, "cosign")}
	return p, errors.Join(
		os.WriteFile(p.trustedRoot(), s.TrustedRoot, 0o600),
		os.WriteFile(p.signingConfig(), s.SigningConfig, 0o600),
	)
}

func (p *Program) trustedRoot() string   { return filepath.Join(p.Dir, "trusted_root.json") }
func (p *Program) signingConfig() string { return filepath.Join(p.Dir, "signing_config.json") }

// Run returns what a command prints; the error holds what it complains of.
func (p *Program) Run(ctx context.Context, args ...string) ([]byte, error) {
	cmd := exec.CommandContext(ctx, p.path, args...)
	cmd.Dir = p.Dir
	cmd.Env = []string{"HOME=" + p.Dir, "TUF_ROOT=" + filepath.Join(p.Dir, "tuf"), "COSIGN_PASSWORD=" + password}
	var stdout, stderr bytes.Buffer
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	err := cmd.Run()
	if errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("%w (build the program with make interop)", err)
	}
	if err != nil {
		return stdout.Bytes(), fmt.Errorf("cosign %s: %w: %s", args[0], err, strings.TrimSpace(stderr.String()))
	}
	return stdout.Bytes(), nil
}

// password protects the keys of GenerateKey.
const password = "test"

// GenerateKey makes cosign.key and cosign.pub in Dir.
func (p *Program) GenerateKey(ctx context.Context) error {
	_, err := p.Run(ctx, "generate-key-pair")
	return err
}

// By says who signs: the bearer of an identity token or, if it is "", the key that
// GenerateKey made.
type By struct{ Token string }

func (b By) flags() []string {
	if b.Token == "" {
		return []string{"--key", "cosign.key"}
	}
	return []string{"--identity-token", b.Token}
}

// Signing is a command that signs ("sign", "attest" or "sign-blob") and returns
// the Sigstore bundle that it leaves in a file. The entry in the log and the
// timestamp are made for keys too.
func (p *Program) Signing(ctx context.Context, by By, command string, args ...string) ([]byte, error) {
	file, err := os.CreateTemp(p.Dir, command+"-*.json")
	if err != nil {
		return nil, err
	}
	_ = file.Close()
	all := []string{command, "--yes", "--signing-config", p.signingConfig(), "--trusted-root", p.trustedRoot(), "--bundle", file.Name()}
	if command != "sign-blob" {
		all = append(all, "--allow-http-registry")
	}
	if _, err := p.Run(ctx, slices.Concat(all, by.flags(), args)...); err != nil {
		return nil, err
	}
	return os.ReadFile(file.Name())
}

// Verify runs a command, such as "verify-attestation --type spdx", on a reference
// and by whom flags name.
func (p *Program) Verify(ctx context.Context, command []string, ref string, flags ...string) error {
	_, err := p.Run(ctx, slices.Concat(command, []string{"--allow-http-registry"}, flags, []string{ref})...)
	return err
}

// Identity are the flags that accept signatures of one identity under this
// instance: in a certificate log, in the log of signatures, and timestamped.
func (p *Program) Identity(subject string, issuer sigstoretest.Issuer) []string {
	return []string{
		"--trusted-root", p.trustedRoot(), "--use-signed-timestamps",
		"--certificate-identity", subject, "--certificate-oidc-issuer", p.stack.Issuer(issuer),
	}
}
