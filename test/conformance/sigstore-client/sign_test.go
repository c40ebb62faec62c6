package main

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/opencontainers/go-digest"

	"github.com/consign-dev/consign/internal/sigstoretest"
)

// signing is an instance whose files lie in a directory, and one job's token.
func signing(t *testing.T) (s *sigstoretest.Stack, instances, token string) {
	t.Helper()
	s = sigstoretest.Shared(t)
	instances = t.TempDir()
	public := filepath.Join(instances, "public")
	if err := os.Mkdir(public, 0o700); err != nil {
		t.Fatal(err)
	}
	for name, data := range map[string][]byte{"trusted_root.json": s.TrustedRoot, "signing_config.json": s.SigningConfig} {
		if err := os.WriteFile(filepath.Join(public, name), data, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	token, err := s.Mint(sigstoretest.GitHub, sigstoretest.GitHubClaims("acme/hello", tag))
	if err != nil {
		t.Fatal(err)
	}
	return s, instances, token
}

// TestSignAndVerify: a file and a statement are signed by a real instance, and
// verified for whom the token is of.
func TestSignAndVerify(t *testing.T) {
	t.Parallel()
	s, instances, token := signing(t)
	artifact := write(t, []byte("a file\n"))
	statement := write(t, fmt.Appendf(nil, `{"_type":"https://in-toto.io/Statement/v1","subject":[{"name":"a","digest":{"sha256":%q}}],"predicateType":"https://x.example/y","predicate":{}}`,
		digest.FromString("a file\n").Encoded()))
	for name, flags := range map[string][]string{"file": {artifact}, "statement": {"--in-toto", statement}} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			bundle := filepath.Join(t.TempDir(), "bundle.json")
			args := append([]string{"sign-bundle", "--identity-token", token, "--bundle", bundle}, flags...)
			if code, stderr := runIn(t, instances, args...); code != 0 {
				t.Fatalf("sign-bundle: %s", stderr)
			}
			for ref, want := range map[string]int{tag: 0, "refs/heads/main": 1} {
				code, stderr := runIn(t, instances, "verify-bundle", "--bundle", bundle,
					"--certificate-identity", "https://git.example.test/acme/hello/.github/workflows/release.yml@"+ref,
					"--certificate-oidc-issuer", s.Issuer(sigstoretest.GitHub), artifact)
				if code != want {
					t.Errorf("verify-bundle for %s: exit code %d: %s", ref, code, stderr)
				}
			}
		})
	}
}

// TestSignWritesNothing: what was not signed, or does not verify, is not written.
func TestSignWritesNothing(t *testing.T) {
	t.Parallel()
	_, instances, token := signing(t)
	artifact := write(t, []byte("a file\n"))
	for name, c := range map[string]struct {
		flags []string
		says  string
	}{
		"another instance's root": {[]string{"--identity-token", token, "--trusted-root", testdata("certified", "trusted_root.json"), artifact}, "untrusted-signer"},
		"no token":                {[]string{"--identity-token", "x.y.z", artifact}, "sign without a key"},
		"no statement":            {[]string{"--in-toto", "--identity-token", token, artifact}, ""},
		"no artifact":             {[]string{"--identity-token", token, filepath.Join(t.TempDir(), "absent")}, "read artifact"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			bundle := filepath.Join(t.TempDir(), "bundle.json")
			code, stderr := runIn(t, instances, append([]string{"sign-bundle", "--bundle", bundle}, c.flags...)...)
			if code != 1 || !strings.Contains(stderr, c.says) {
				t.Errorf("exit code %d: %s", code, stderr)
			}
			if _, err := os.Stat(bundle); err == nil {
				t.Error("a bundle was written")
			}
		})
	}
}
