package keyless

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/consign-dev/consign/internal/agent"
	"github.com/consign-dev/consign/internal/reason"
	"github.com/consign-dev/consign/internal/sigstoretest"
	"github.com/consign-dev/consign/internal/world"
)

// job runs "publisher publish" as a job of acme/hello on the tag of a version
// does: with what GitHub Actions puts into its environment, and nothing else.
func job(w *world.World, s *sigstoretest.Stack, version string, args ...string) {
	w.T.Helper()
	requestURL, requestToken, err := s.Job(tag(version))
	w.Must(err)
	config, passphrase := filepath.Join(w.Dir, "signing_config.json"), filepath.Join(w.Dir, "passphrase")
	w.Must(os.WriteFile(config, s.SigningConfig, 0o600))
	w.Must(os.WriteFile(passphrase, []byte("test\n"), 0o600))
	args = append([]string{"publish", w.Package(version, nil), "--channel", w.Releases, "--keys", filepath.Join(w.Dir, "acme"), "--passphrase-file", passphrase,
		"--docker-config", filepath.Join(w.Dir, "docker.json"), "--signing-config", config, "--provenance", "auto"}, args...)
	cmd := exec.Command(filepath.Join(world.Programs(w.T), "publisher"), args...)
	cmd.Env = append(sigstoretest.GitHubEnvironment(tag(version)), "HOME="+w.Dir, "PATH="+os.Getenv("PATH"),
		"ACTIONS_ID_TOKEN_REQUEST_URL="+requestURL, "ACTIONS_ID_TOKEN_REQUEST_TOKEN="+requestToken)
	if out, err := cmd.CombinedOutput(); err != nil {
		w.T.Fatalf("publish %s: %v: %s", version, err, out)
	}
}

// contents is a policy that demands the provenance that a job makes of itself, and
// an SBOM with every image and without one package.
func contents(s *sigstoretest.Stack) string {
	who := strings.ReplaceAll(signers(s), "        identities:", "        threshold: 1\n        identities:")
	return fmt.Sprintf(`    attestations:
      - name: provenance
        predicateType: https://slsa.dev/provenance/v1
%s        provenance:
          builder: ^https://git\.example\.test/acme/hello/\.github/workflows/release\.yml@refs/tags/v[0-9.]+$
          buildType: https://consign.dev/publish/v1
          source: {uri: https://git.example.test/acme/hello, ref: '^refs/tags/v[0-9.]+$'}
          materials: images
      - name: contents
        predicateType: https://cyclonedx.org/bom
%s        sbom:
          deny: {packages: ["pkg:npm/event-stream"], licenses: [AGPL-3.0-only]}
          covers: images
`, who, who)
}

// padding makes an SBOM as long as that of an image: more than 300 KiB.
func padding() string {
	var out strings.Builder
	for n := range 2500 {
		fmt.Fprintf(&out, `,{"type":"library","name":"package-%d","purl":"pkg:deb/debian/package-%d@1.0-%d?arch=amd64","licenses":[{"license":{"id":"MIT"}}]}`, n, n, n)
	}
	return out.String()
}

// TestJobSaysWhatItPublishes: a device whose operator demands provenance and an
// SBOM accepts what a job says of itself and its bundle, and refuses the release
// whose SBOM names a denied package.
func TestJobSaysWhatItPublishes(t *testing.T) {
	s := sigstoretest.Shared(t)
	w := world.New(t)
	d := w.Recorded("press-07")
	w.Signers, w.TrustedRoot = signers(s), s.TrustedRoot
	w.Rules = map[string]string{"hello": contents(s)}
	w.SetPolicy("")
	job(w, s, "1.0.0")
	w.Deploy(d.ID, "1.0.0", nil)
	res, err := d.Sync()
	if err != nil || len(res.Changes) != 1 || res.Changes[0].Action != agent.Installed {
		t.Fatalf("%v, %+v", err, res.Changes)
	}
	runs := d.Runs()

	given := filepath.Join(t.TempDir(), "sbom.json")
	w.Must(os.WriteFile(given, []byte(`{"bomFormat":"CycloneDX","specVersion":"1.6","components":[
  {"type":"library","name":"event-stream","version":"3.3.6","purl":"pkg:npm/event-stream@3.3.6"}`+padding()+`]}`), 0o600))
	job(w, s, "1.1.0", "--sbom", given)
	if _, err := w.TryDeploy(d.ID, "1.1.0", nil, nil); !reason.Is(err, reason.Attestation) {
		t.Errorf("the operator may order a denied package: %v", err)
	}
	rules := w.Rules
	w.Rules = nil
	ordered(w, d, "1.1.0", w.Signers)
	w.Rules = rules
	w.SetPolicy("")
	_, err = d.Sync()
	if named := regexp.MustCompile(`package "event-stream": .*denied as pkg:npm/event-stream`); !reason.Is(err, reason.Attestation) || !named.MatchString(err.Error()) {
		t.Errorf("a denied package: %v", err)
	}
	if now := d.Runs(); !slices.Equal(now, runs) {
		t.Errorf("it changed what runs to %q", now)
	}
}
