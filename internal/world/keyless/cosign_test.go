//go:build interop

package keyless

import (
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/opencontainers/go-digest"

	"github.com/consign-dev/consign/internal/agent"
	"github.com/consign-dev/consign/internal/publish"
	"github.com/consign-dev/consign/internal/reason"
	"github.com/consign-dev/consign/internal/sigstoretest"
	"github.com/consign-dev/consign/internal/sigstoretest/cosign"
	"github.com/consign-dev/consign/internal/world"
	"github.com/consign-dev/consign/policy"
)

// These tests run the cosign command line, which takes minutes to build: make
// interop builds it and runs them.

// workflow is whom a certificate of the job names that releases a version.
func workflow(version string) string {
	return "https://git.example.test/acme/hello/.github/workflows/release.yml@refs/tags/v" + version
}

// reference is a bundle of hello as cosign wants it.
func reference(w *world.World, bundle digest.Digest) string {
	return strings.TrimSuffix(w.Releases, "releases") + "hello@" + string(bundle)
}

// program is cosign, with a key of its own.
func program(t *testing.T, s *sigstoretest.Stack) *cosign.Program {
	t.Helper()
	c, err := cosign.New(s, t.TempDir())
	if err == nil {
		err = c.GenerateKey(t.Context())
	}
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// TestCosignVerifiesCertified: what a publisher signs without a key, and the
// provenance beside it, count for cosign if they are by whom it is asked for.
func TestCosignVerifiesCertified(t *testing.T) {
	s, w, _ := built(t)
	c := program(t, s)
	release, err := w.Party("plant").VerifyRelease(w.Context(), w.Deployments, "hello", "1.0.0")
	w.Must(err)
	ref := reference(w, release.Digest())
	for _, command := range verifying {
		if err := c.Verify(t.Context(), command, ref, c.Identity(workflow("1.0.0"), sigstoretest.GitHub)...); err != nil {
			t.Error(err)
		}
		for name, refuses := range map[string][]string{
			"another ref":    c.Identity(strings.Replace(workflow("1.0.0"), "tags/v1.0.0", "heads/main", 1), sigstoretest.GitHub),
			"another issuer": c.Identity(workflow("1.0.0"), sigstoretest.GitLab),
			"a key":          {"--key", "cosign.pub", "--insecure-ignore-tlog"},
		} {
			if err := c.Verify(t.Context(), command, ref, refuses...); refused(err) != nil {
				t.Errorf("%s: %s: %v", name, command[0], err)
			}
		}
	}
}

// verifying are the commands that verify a signature, and provenance.
var verifying = [][]string{{"verify"}, {"verify-attestation", "--type", "slsaprovenance1"}}

// refused is an error unless cosign itself refused: it ran, and exited with a code.
func refused(err error) error {
	var exit *exec.ExitError
	if err == nil || !errors.As(err, &exit) {
		return errors.New("not refused")
	}
	return nil
}

// TestCosignVerifiesKeyed: the same by the supplier's key, of whose signatures no
// log has an entry.
func TestCosignVerifiesKeyed(t *testing.T) {
	s := sigstoretest.Shared(t)
	w := world.New(t)
	w.Attest = from("1.0.0")
	ref := reference(w, w.Publish("acme", "1.0.0", nil))
	c := program(t, s)
	key := w.Party("acme").Keys.SigningKey() + ".pub"
	for _, command := range verifying {
		if err := c.Verify(t.Context(), command, ref, "--key", key, "--insecure-ignore-tlog"); err != nil {
			t.Error(err)
		}
		if err := c.Verify(t.Context(), command, ref, "--key", "cosign.pub", "--insecure-ignore-tlog"); refused(err) != nil {
			t.Errorf("%s by another key: %v", command[0], err)
		}
	}
}

// attach runs the built publisher: it adds evidence to hello 1.0.0 of a world.
func attach(w *world.World, flags ...string) {
	w.T.Helper()
	pass := filepath.Join(w.T.TempDir(), "pass")
	w.Must(os.WriteFile(pass, []byte("test\n"), 0o600))
	args := append([]string{"attest", "hello@1.0.0", "--channel", w.Releases, "--keys", w.Party("acme").Keys.Path, "--passphrase-file", pass}, flags...)
	cmd := exec.CommandContext(w.Context(), filepath.Join(world.Programs(w.T), "publisher"), args...)
	cmd.Env = []string{"HOME=" + w.T.TempDir()}
	if out, err := cmd.CombinedOutput(); err != nil {
		w.T.Fatalf("publisher attest: %v: %s", err, out)
	}
}

// signing runs a command of cosign that signs a bundle in the registry as a job,
// or with its key, and returns the file with what it made.
func signing(w *world.World, s *sigstoretest.Stack, c *cosign.Program, claims sigstoretest.Claims, args ...string) string {
	w.T.Helper()
	var by cosign.By
	if claims != nil {
		token, err := s.Mint(sigstoretest.GitHub, claims)
		w.Must(err)
		by.Token = token
	}
	data, err := c.Signing(w.Context(), by, args[0], args[1:]...)
	w.Must(err)
	file := filepath.Join(w.T.TempDir(), args[0]+".json")
	w.Must(os.WriteFile(file, data, 0o600))
	return file
}

// predicate writes the predicate of a statement, which cosign puts into one of its own.
func predicate(w *world.World, c *cosign.Program, version string) {
	w.T.Helper()
	statement := from(version)(digest.FromString(""))[0]
	_, text, _ := strings.Cut(statement, `"predicate":`)
	w.Must(os.WriteFile(filepath.Join(c.Dir, "predicate.json"), []byte(strings.TrimSuffix(text, "}")), 0o600))
}

// TestCosignSignsForDevices: a supplier whose pipeline signs and attests with
// cosign, in the registry, attaches what it made; a device that demands both
// refuses the release until then.
func TestCosignSignsForDevices(t *testing.T) {
	s := sigstoretest.Shared(t)
	w := world.New(t)
	d := w.Recorded("press-07")
	bundle := w.Publish("acme", "1.0.0", nil)
	w.Deploy(d.ID, "1.0.0", nil)
	w.Signers, w.TrustedRoot = signers(s), s.TrustedRoot
	w.Rules = map[string]string{"hello": demanding(s)}
	w.SetPolicy("")
	if _, err := d.Sync(); !reason.Is(err, reason.UntrustedSigner) {
		t.Errorf("by the supplier's key only: %v", err)
	}
	c, ref := program(t, s), reference(w, bundle)
	attach(w, "--signature", signing(w, s, c, sigstoretest.GitHubClaims("acme/hello", "refs/heads/main"), "sign", ref))
	if _, err := d.Sync(); !reason.Is(err, reason.Identity) {
		t.Errorf("signed on a branch: %v", err)
	}
	attach(w, "--signature", signing(w, s, c, tag("1.0.0"), "sign", ref))
	if _, err := d.Sync(); !reason.Is(err, reason.Attestation) {
		t.Errorf("without provenance: %v", err)
	}
	predicate(w, c, "1.0.0")
	attach(w, "--provenance", signing(w, s, c, tag("1.0.0"), "attest", "--type", "slsaprovenance1", "--predicate", "predicate.json", ref))
	res, err := d.Sync()
	if err != nil || len(res.Changes) != 1 || res.Changes[0].Action != agent.Installed {
		t.Fatalf("signed and attested by cosign: %v, %+v", err, res)
	}
	if rel, err := w.Party("plant").VerifyRelease(w.Context(), w.Deployments, "hello", "1.0.0"); err != nil || rel.Digest() != bundle {
		t.Errorf("the operator's judgement: %v", err)
	}
}

// TestCosignSignsWithAKey: the key is named by a policy as one of ours is.
func TestCosignSignsWithAKey(t *testing.T) {
	s := sigstoretest.Shared(t)
	w := world.New(t)
	d := w.Recorded("press-07")
	bundle := w.Publish("acme", "1.0.0", nil)
	w.Deploy(d.ID, "1.0.0", nil)
	c := program(t, s)
	key, err := os.ReadFile(filepath.Join(c.Dir, "cosign.pub"))
	w.Must(err)
	w.Signers = "        keys:\n          - |\n            " + strings.ReplaceAll(strings.TrimSpace(string(key)), "\n", "\n            ") + "\n"
	w.SetPolicy("")
	if _, err := d.Sync(); !reason.Is(err, reason.UntrustedSigner) {
		t.Errorf("by the supplier's key only: %v", err)
	}
	attach(w, "--signature", signing(w, s, c, nil, "sign", reference(w, bundle)))
	if res, err := d.Sync(); err != nil || len(res.Changes) != 1 || res.Changes[0].Action != agent.Installed {
		t.Errorf("signed by cosign's key: %v, %+v", err, res)
	}
}

// TestCosignEvidenceIsInspected: what cosign has left in the registry, listed in no
// channel, is shown beside what is listed.
func TestCosignEvidenceIsInspected(t *testing.T) {
	s := sigstoretest.Shared(t)
	w := world.New(t)
	c, ref := program(t, s), reference(w, w.Publish("acme", "1.0.0", nil))
	signing(w, s, c, tag("1.0.0"), "sign", ref)
	predicate(w, c, "1.0.0")
	signing(w, s, c, nil, "attest", "--type", "slsaprovenance1", "--predicate", "predicate.json", ref)
	found, err := publish.Inspect(w.Context(), w.Client(), ref)
	if err != nil || len(found.Evidence) != 4 { // ours are a signature and an SBOM
		t.Fatalf("%+v, %v", found, err)
	}
	var certified, provenance int
	for _, e := range found.Evidence {
		if e.Unreadable != "" {
			t.Errorf("%s: %s", e.Digest, e.Unreadable)
		}
		if e.Signer.Subject == workflow("1.0.0") {
			certified++
		}
		if e.PredicateType == policy.SLSAProvenance && e.Key != "" {
			provenance++
		}
	}
	if certified != 1 || provenance != 1 {
		t.Errorf("%+v", found.Evidence)
	}
}
