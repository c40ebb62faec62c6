package keyless

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/opencontainers/go-digest"

	"github.com/consign-dev/consign/internal/agent"
	"github.com/consign-dev/consign/internal/publish"
	"github.com/consign-dev/consign/internal/reason"
	"github.com/consign-dev/consign/internal/sigstoretest"
	"github.com/consign-dev/consign/internal/world"
	"github.com/consign-dev/consign/policy"
)

// commit is that of every job's certificate.
const commit = "8843d7f92416211de9ebb963ff4ce28125932878"

// provenance is a SLSA statement about a bundle that was built from a source.
func provenance(bundle digest.Digest, source, commit string) string {
	return fmt.Sprintf(`{"_type":"https://in-toto.io/Statement/v1","subject":[{"name":"hello","digest":{"sha256":%q}}],
  "predicateType":%q,"predicate":{
    "buildDefinition":{"buildType":"https://actions.github.io/buildtypes/workflow/v1","externalParameters":{},
      "resolvedDependencies":[{"uri":"git+%s","digest":{"gitCommit":%q}}]},
    "runDetails":{"builder":{"id":"https://github.com/actions/runner/github-hosted"}}}}`, bundle.Encoded(), policy.SLSAProvenance, source, commit)
}

// demanding is a policy that demands it, by whoever may sign.
func demanding(s *sigstoretest.Stack) string {
	who := strings.ReplaceAll(signers(s), "        identities:", "        threshold: 1\n        identities:")
	return "    attestations:\n      - name: provenance\n        predicateType: " + policy.SLSAProvenance + "\n" + who + `        provenance:
          builder: https://github.com/actions/runner/github-hosted
          source: {uri: https://git.example.test/acme/hello, ref: '^refs/tags/v[0-9.]+$'}
`
}

// from is the provenance that a job on a tag of acme/hello makes.
func from(version string) func(digest.Digest) []string {
	return func(d digest.Digest) []string {
		return []string{provenance(d, "https://git.example.test/acme/hello@refs/tags/v"+version, commit)}
	}
}

// built is a world in which provenance is demanded, and a device that runs hello
// 1.0.0, which has it.
func built(t *testing.T) (*sigstoretest.Stack, *world.World, *world.Recorded) {
	t.Helper()
	s := sigstoretest.Shared(t)
	w := world.New(t)
	d := w.Recorded("press-07")
	w.Signers, w.TrustedRoot = signers(s), s.TrustedRoot
	w.Rules = map[string]string{"hello": demanding(s)}
	w.Keyless, w.Attest = as(t, s, tag("1.0.0")), from("1.0.0")
	installs(t, w, d)
	return s, w, d
}

// TestProvenanceIsDemanded: a release without it is refused, and accepted when it
// has been attested since, with the bundle and the order as they were.
func TestProvenanceIsDemanded(t *testing.T) {
	s, w, d := built(t)
	runs := d.Runs()
	w.Keyless, w.Attest = as(t, s, tag("1.1.0")), nil
	bundle := w.Publish("acme", "1.1.0", nil)
	if _, err := w.TryDeploy(d.ID, "1.1.0", nil, nil); !reason.Is(err, reason.Attestation) {
		t.Errorf("the operator may order what has no provenance: %v", err)
	}
	rules := w.Rules
	w.Rules = nil
	ordered(w, d, "1.1.0", w.Signers)
	w.Rules = rules
	w.SetPolicy("")
	if _, err := d.Sync(); !reason.Is(err, reason.Attestation) {
		t.Errorf("without provenance: %v", err)
	}
	if now := d.Runs(); !slices.Equal(now, runs) {
		t.Errorf("it changed what runs to %q", now)
	}
	file := filepath.Join(t.TempDir(), "provenance.json")
	w.Must(os.WriteFile(file, []byte(from("1.1.0")(bundle)[0]), 0o600))
	a, err := publish.ReadAttestation(file, policy.SLSAProvenance)
	w.Must(err)
	in := publish.AttestInput{Channel: w.Releases, Application: "hello", Version: "1.1.0", Attestations: []publish.Attestation{a}, Keyless: w.Keyless}
	done, err := w.Party("acme").Attest(w.Context(), in)
	if err != nil || done.Bundle != bundle || done.Unchanged {
		t.Fatalf("%+v, %v", done, err)
	}
	if res, err := d.Sync(); err != nil || res.Changes[0].Action != agent.Upgraded {
		t.Errorf("attested since: %v, %+v", err, res)
	}
}

// TestAttackS6ProvenanceOfAnotherSource: the right signer, by whose certificate it
// is the release workflow, says that something else was built.
func TestAttackS6ProvenanceOfAnotherSource(t *testing.T) {
	s, w, d := built(t)
	runs, rules := d.Runs(), w.Rules
	for version, said := range map[string][2]string{
		"1.1.0": {"https://git.example.test/evil/hello@refs/tags/v1.1.0", commit},
		"1.1.1": {"https://git.example.test/acme/hello@refs/heads/main", commit},
		"1.1.2": {"https://git.example.test/acme/hello@refs/tags/v1.1.2", strings.Repeat("a", 40)},
	} {
		w.Keyless = as(t, s, tag(version))
		w.Attest = func(d digest.Digest) []string { return []string{provenance(d, said[0], said[1])} }
		w.Publish("acme", version, nil)
		w.Rules = nil
		ordered(w, d, version, w.Signers)
		w.Rules = rules
		w.SetPolicy("")
		if _, err := d.Sync(); !reason.Is(err, reason.Provenance) {
			t.Errorf("%s: %v", version, err)
		}
		if now := d.Runs(); !slices.Equal(now, runs) {
			t.Errorf("%s changed what runs to %q", version, now)
		}
	}
}

// TestAttestationsAreAboutTheBundle: what is about something else is refused
// before anything is pushed or signed.
func TestAttestationsAreAboutTheBundle(t *testing.T) {
	s := sigstoretest.Shared(t)
	w := world.New(t)
	head, _ := w.Head(w.Releases)
	w.Keyless = as(t, s, tag("1.0.0"))
	w.Attest = func(digest.Digest) []string {
		return []string{provenance(digest.FromString("another bundle"), "https://git.example.test/acme/hello", commit)}
	}
	if _, err := w.TryPublish("acme", "1.0.0", nil); !reason.Is(err, reason.Attestation) {
		t.Errorf("provenance of another bundle: %v", err)
	}
	if now, _ := w.Head(w.Releases); now.Digest != head.Digest {
		t.Error("the channel moved")
	}
}
