package keyless

import (
	"context"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/consign-dev/consign/internal/agent"
	"github.com/consign-dev/consign/internal/audit"
	"github.com/consign-dev/consign/internal/channel"
	"github.com/consign-dev/consign/internal/reason"
	"github.com/consign-dev/consign/internal/sign"
	"github.com/consign-dev/consign/internal/sigstoretest"
	"github.com/consign-dev/consign/internal/world"
)

func TestMain(m *testing.M) {
	audit.SetTesseraLogger(slog.New(slog.DiscardHandler))
	code := world.Main(m)
	if err := sigstoretest.Close(); err != nil {
		fmt.Fprintln(os.Stderr, err)
		code = 1
	}
	os.Exit(code)
}

// signers trusts the release workflow of acme/hello, on a tag.
func signers(s *sigstoretest.Stack) string {
	return fmt.Sprintf(`        identities:
          - trustedRoot: private
            issuer: %s
            subject: ^https://git\.example\.test/acme/hello/\.github/workflows/release\.yml@refs/tags/v[0-9.]+$
            claims:
              sourceRepositoryURI: https://git.example.test/acme/hello
              sourceRepositoryRef: ^refs/tags/v[0-9.]+$
              buildTrigger: push
              runnerEnvironment: github-hosted
`, s.Issuer(sigstoretest.GitHub))
}

// ordered orders a version that the policy does not allow: the operator's own
// tools refuse to, so the policy that allows it comes and goes.
func ordered(w *world.World, d *world.Recorded, version, loose string) {
	w.T.Helper()
	strict := w.Signers
	w.Signers = loose
	w.SetPolicy("")
	w.Deploy(d.ID, version, nil)
	w.Signers = strict
	w.SetPolicy("")
}

// anybody trusts every job of the forge.
func anybody(s *sigstoretest.Stack) string {
	return fmt.Sprintf("        identities:\n          - {trustedRoot: private, issuer: %q, subject: '^https://.*$'}\n", s.Issuer(sigstoretest.GitHub))
}

// tag are the claims of the job that releases a version.
func tag(version string) sigstoretest.Claims {
	return sigstoretest.GitHubClaims("acme/hello", "refs/tags/v"+version)
}

// as lets a world's supplier sign as a job of a pipeline.
func as(t *testing.T, s *sigstoretest.Stack, claims sigstoretest.Claims) *sign.Keyless {
	t.Helper()
	services, err := sign.ParseSigningConfig(s.SigningConfig, time.Now())
	if err != nil {
		t.Fatal(err)
	}
	return &sign.Keyless{Services: services, Token: func(context.Context) (string, error) {
		return s.Mint(sigstoretest.GitHub, claims)
	}}
}

// released is a world with a device that runs hello 1.0.0, released by the
// pipeline that the operator trusts, with no key of the supplier's for bundles.
func released(t *testing.T) (*sigstoretest.Stack, *world.World, *world.Recorded) {
	t.Helper()
	s := sigstoretest.Shared(t)
	w := world.New(t)
	d := w.Recorded("press-07")
	w.Signers, w.TrustedRoot, w.Keyless = signers(s), s.TrustedRoot, as(t, s, tag("1.0.0"))
	installs(t, w, d)
	return s, w, d
}

// installs publishes 1.0.0 as the world is set up, and has the device run it.
func installs(t *testing.T, w *world.World, d *world.Recorded) {
	t.Helper()
	w.SetPolicy("")
	w.Publish("acme", "1.0.0", nil)
	w.Deploy(d.ID, "1.0.0", nil)
	res, err := d.Sync()
	if err != nil || len(res.Changes) != 1 || res.Changes[0].Action != agent.Installed {
		t.Fatalf("%v, %+v", err, res.Changes)
	}
}

// TestKeylessRelease is the life of an application whose supplier has no key: it
// is installed, a release from the wrong branch is refused and leaves it alone,
// one from the next tag replaces it.
func TestKeylessRelease(t *testing.T) {
	s, w, d := released(t)
	runs := d.Runs()
	w.Keyless = as(t, s, sigstoretest.GitHubClaims("acme/hello", "refs/heads/main"))
	w.Publish("acme", "1.1.0", nil)
	if _, err := w.TryDeploy(d.ID, "1.1.0", nil, nil); !reason.Is(err, reason.Identity) {
		t.Errorf("the operator may order a release from a branch: %v", err)
	}
	ordered(w, d, "1.1.0", anybody(s))
	_, err := d.Sync()
	if !reason.Is(err, reason.Identity) || !strings.Contains(err.Error(), "refs/heads/main") {
		t.Errorf("a release from a branch: %v", err)
	}
	if now := d.Runs(); !slices.Equal(now, runs) {
		t.Errorf("it changed what runs to %q", now)
	}
	w.Keyless = as(t, s, tag("1.2.0"))
	w.Publish("acme", "1.2.0", nil)
	w.Deploy(d.ID, "1.2.0", nil)
	if res, err := d.Sync(); err != nil || res.Changes[0].Action != agent.Upgraded {
		t.Errorf("a release from a tag: %v, %+v", err, res)
	}
	replayed(t, d, "accepted", "refused identity", "accepted")
}

// replayed lets an auditor make a device's decisions again, with no Sigstore.
func replayed(t *testing.T, d *world.Recorded, told ...string) {
	t.Helper()
	dir := filepath.Join(t.TempDir(), "export")
	if _, err := d.Export(dir); err != nil {
		t.Fatal(err)
	}
	got, err := d.Replay(dir, nil)
	if err != nil {
		t.Fatal(err)
	}
	var words []string
	for _, decision := range got.Decisions {
		words = append(words, strings.TrimSpace(string(decision.Decision.Outcome)+" "+string(decision.Decision.Reason)))
	}
	if got.Same != len(told) || !slices.Equal(words, told) {
		t.Errorf("%d replayed the same of %q, want %q", got.Same, words, told)
	}
}

// TestAttackS14StolenKeysOfTheSupplier: who holds every key of the supplier's
// channel lists what they like, and still signs as nobody whom the policy names.
func TestAttackS14StolenKeysOfTheSupplier(t *testing.T) {
	s, w, d := released(t)
	runs := d.Runs()
	for version, c := range map[string]struct {
		by    *sign.Keyless
		loose string
		code  reason.Code
	}{
		"1.1.0": {nil, "", reason.UntrustedSigner}, // with the supplier's key for bundles
		"1.1.1": {as(t, s, sigstoretest.GitHubClaims("evil/hello", "refs/tags/v1.1.1")), anybody(s), reason.Identity},
	} {
		w.Keyless = c.by
		w.Publish("acme", version, nil)
		ordered(w, d, version, c.loose)
		if _, err := d.Sync(); !reason.Is(err, c.code) {
			t.Errorf("%s: %v, want %s", version, err, c.code)
		}
		if now := d.Runs(); !slices.Equal(now, runs) {
			t.Errorf("%s changed what runs to %q", version, now)
		}
	}
}

// TestYearsLater: certificates that lived for minutes verify when they are long
// over, with no Sigstore anywhere; what makes a device wait is its channels.
func TestYearsLater(t *testing.T) {
	_, w, d := released(t)
	w.Now = w.Now.AddDate(0, 9, 0)
	for _, c := range []struct{ party, repository, kind string }{
		{"acme", w.Releases, channel.KindReleases}, {"plant", w.Deployments, channel.KindDeployments},
	} {
		_, err := w.Party(c.party).RefreshChannel(w.Context(), c.repository, c.kind)
		w.Must(err)
	}
	fresh := w.Recorded("press-08")
	w.Deploy(fresh.ID, "1.0.0", nil)
	if res, err := fresh.Sync(); err != nil || res.Changes[0].Action != agent.Installed {
		t.Errorf("a new device: %v, %+v", err, res)
	}
	if _, err := d.Sync(); err != nil {
		t.Errorf("the old device: %v", err)
	}
}

// TestNothingIsListedWithoutASignature: a token that Fulcio does not take, and
// services that do not answer, end the release before the channel moves.
func TestNothingIsListedWithoutASignature(t *testing.T) {
	s := sigstoretest.Shared(t)
	w := world.New(t)
	w.Publish("acme", "1.0.0", nil)
	head, _ := w.Head(w.Releases)
	expired := tag("1.1.0").With(sigstoretest.Claims{"exp": time.Now().Add(-time.Hour).Unix()})
	gone := strings.NewReplacer(s.Fulcio, "http://127.0.0.1:1").Replace(string(s.SigningConfig))
	services, err := sign.ParseSigningConfig([]byte(gone), time.Now())
	if err != nil {
		t.Fatal(err)
	}
	nobody := as(t, s, tag("1.1.0"))
	nobody.Services = services
	for name, c := range map[string]struct {
		by   *sign.Keyless
		want string
	}{
		"expired": {as(t, s, expired), "identity token"},
		"gone":    {nobody, string(reason.Unreachable)},
	} {
		w.Keyless = c.by
		if _, err := w.TryPublish("acme", "1.1.0", nil); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v, want %q", name, err, c.want)
		}
		if now, _ := w.Head(w.Releases); now.Digest != head.Digest {
			t.Errorf("%s: the channel moved", name)
		}
	}
	w.Keyless = as(t, s, tag("1.1.0"))
	w.Publish("acme", "1.1.0", nil)
}
