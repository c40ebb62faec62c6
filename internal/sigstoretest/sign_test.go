package sigstoretest_test

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"time"

	protobundle "github.com/sigstore/protobuf-specs/gen/pb-go/bundle/v1"
	"github.com/sigstore/sigstore-go/pkg/bundle"
	"github.com/sigstore/sigstore-go/pkg/fulcio/certificate"
	"github.com/sigstore/sigstore-go/pkg/root"
	"github.com/sigstore/sigstore-go/pkg/sign"
	"github.com/sigstore/sigstore-go/pkg/verify"
	"google.golang.org/protobuf/proto"

	"github.com/consign-dev/consign/internal/sigstoretest"
)

// artifact is what the statement of a test is about.
var artifact = []byte("line-monitor 1.4.0\n")

// statement is an in-toto statement about the artifact. Each differs, since a
// log takes one entry of a kind.
func statement() []byte {
	digest := sha256.Sum256(artifact)
	return fmt.Appendf(nil, `{"_type":"https://in-toto.io/Statement/v1","subject":[{"name":"line-monitor","digest":{"sha256":%q}}],`+
		`"predicateType":"https://consign.test/note/v1","predicate":{"note":%q}}`, hex.EncodeToString(digest[:]), rand.Text())
}

// signKeyless: a token, a certificate for it, a signature, its log entry and its
// timestamp.
func signKeyless(ctx context.Context, s *sigstoretest.Stack, i sigstoretest.Issuer, c sigstoretest.Claims) (*protobundle.Bundle, error) {
	token, err := s.Mint(i, c)
	if err != nil {
		return nil, err
	}
	key, err := sign.NewEphemeralKeypair(nil)
	if err != nil {
		return nil, err
	}
	options, err := signers(s.SigningConfig)
	if err != nil {
		return nil, err
	}
	options.Context = ctx
	options.CertificateProviderOptions = &sign.CertificateProviderOptions{IDToken: token}
	return sign.Bundle(&sign.DSSEData{Data: statement(), PayloadType: "application/vnd.in-toto+json"}, key, options)
}

// signers asks the servers that a signing_config.json names.
func signers(signingConfig []byte) (o sign.BundleOptions, err error) {
	config, err := root.NewSigningConfigFromJSON(signingConfig)
	if err != nil {
		return o, err
	}
	now := time.Now()
	ca, err := root.SelectService(config.FulcioCertificateAuthorityURLs(), sign.FulcioAPIVersions, now)
	if err != nil {
		return o, err
	}
	logs, err := root.SelectServices(config.RekorLogURLs(), config.RekorLogURLsConfig(), sign.RekorAPIVersions, now)
	if err != nil {
		return o, err
	}
	tsas, err := root.SelectServices(config.TimestampAuthorityURLs(), config.TimestampAuthorityURLsConfig(), sign.TimestampAuthorityAPIVersions, now)
	if err != nil {
		return o, err
	}
	o.CertificateProvider = sign.NewFulcio(&sign.FulcioOptions{BaseURL: ca.URL})
	for _, l := range logs {
		o.TransparencyLogs = append(o.TransparencyLogs, sign.NewRekor(&sign.RekorOptions{BaseURL: l.URL, Version: l.MajorAPIVersion}))
	}
	for _, t := range tsas {
		o.TimestampAuthorities = append(o.TimestampAuthorities, sign.NewTimestampAuthority(&sign.TimestampAuthorityOptions{URL: t.URL}))
	}
	return o, nil
}

// wanted is what a verifier asks of a bundle.
type wanted struct {
	trustedRoot []byte
	artifact    []byte
	issuer, san string
	extensions  certificate.Extensions
}

// wantedOf is what is true of the jobs of these tests.
func wantedOf(s *sigstoretest.Stack) wanted {
	return wanted{
		trustedRoot: s.TrustedRoot,
		artifact:    artifact,
		issuer:      s.Issuer(sigstoretest.GitHub),
		san:         sigstoretest.Forge + "/acme/line-monitor/.github/workflows/release.yml@refs/heads/main",
		extensions: certificate.Extensions{
			SourceRepositoryURI:      sigstoretest.Forge + "/acme/line-monitor",
			SourceRepositoryRef:      "refs/heads/main",
			SourceRepositoryOwnerURI: sigstoretest.Forge + "/acme",
			BuildTrigger:             "push",
			RunnerEnvironment:        "github-hosted",
			RunInvocationURI:         sigstoretest.Forge + "/acme/line-monitor/actions/runs/1792/attempts/1",
		},
	}
}

// verifyKeyless demands an SCT, a log entry and a timestamp, and what is wanted.
func verifyKeyless(b *protobundle.Bundle, w wanted) error {
	trusted, err := root.NewTrustedRootFromJSON(w.trustedRoot)
	if err != nil {
		return err
	}
	verifier, err := verify.NewVerifier(trusted,
		verify.WithSignedCertificateTimestamps(1), verify.WithTransparencyLog(1), verify.WithObserverTimestamps(1))
	if err != nil {
		return err
	}
	san, err := verify.NewSANMatcher(w.san, "")
	if err != nil {
		return err
	}
	issuer, err := verify.NewIssuerMatcher(w.issuer, "")
	if err != nil {
		return err
	}
	identity, err := verify.NewCertificateIdentity(san, issuer, w.extensions)
	if err != nil {
		return err
	}
	entity, err := bundle.NewBundle(b)
	if err != nil {
		return err
	}
	digest := sha256.Sum256(w.artifact)
	_, err = verifier.Verify(entity, verify.NewPolicy(verify.WithArtifactDigest("sha256", digest[:]), verify.WithCertificateIdentity(identity)))
	return err
}

func mainClaims() sigstoretest.Claims {
	return sigstoretest.GitHubClaims("acme/line-monitor", "refs/heads/main")
}

func TestKeylessSignatureIsVerifiedFromTheTrustedRootAlone(t *testing.T) {
	s := sigstoretest.Shared(t)
	made, err := signKeyless(t.Context(), s, sigstoretest.GitHub, mainClaims())
	if err != nil {
		t.Fatal(err)
	}
	if made.GetMediaType() != "application/vnd.dev.sigstore.bundle.v0.3+json" {
		t.Errorf("the bundle is a %s", made.GetMediaType())
	}
	if err := verifyKeyless(made, wantedOf(s)); err != nil {
		t.Fatal(err)
	}

	for name, c := range map[string]struct {
		bundle func(*protobundle.Bundle)
		want   func(*wanted)
		says   string
	}{
		"another workflow":  {want: func(w *wanted) { w.san = strings.Replace(w.san, "release", "nightly", 1) }, says: "SAN"},
		"another issuer":    {want: func(w *wanted) { w.issuer = s.Issuer(sigstoretest.GitLab) }, says: "issuer"},
		"another ref":       {want: func(w *wanted) { w.extensions.SourceRepositoryRef = "refs/heads/next" }, says: "SourceRepositoryRef"},
		"another runner":    {want: func(w *wanted) { w.extensions.RunnerEnvironment = "self-hosted" }, says: "RunnerEnvironment"},
		"another artifact":  {want: func(w *wanted) { w.artifact = []byte("line-monitor 6.6.6\n") }, says: "digest"},
		"no log entry":      {bundle: func(b *protobundle.Bundle) { b.VerificationMaterial.TlogEntries = nil }, says: "log entries"},
		"no timestamp":      {bundle: func(b *protobundle.Bundle) { b.VerificationMaterial.TimestampVerificationData = nil }, says: "threshold"},
		"another signature": {bundle: func(b *protobundle.Bundle) { b.GetDsseEnvelope().Signatures[0].Sig[8] ^= 1 }, says: "log entry"},
		"no CT log":         {want: func(w *wanted) { w.trustedRoot = without(t, w.trustedRoot, "ctlogs") }, says: "signed certificate timestamp"},
		"no CA":             {want: func(w *wanted) { w.trustedRoot = without(t, w.trustedRoot, "certificateAuthorities") }, says: "certificate"},
	} {
		b, w := proto.Clone(made).(*protobundle.Bundle), wantedOf(s)
		if c.bundle != nil {
			c.bundle(b)
		}
		if c.want != nil {
			c.want(&w)
		}
		if err := verifyKeyless(b, w); err == nil || !strings.Contains(err.Error(), c.says) {
			t.Errorf("%s: want a refusal that says %q, got: %v", name, c.says, err)
		}
	}
}

// without is a trusted root without one of its lists.
func without(t *testing.T, trustedRoot []byte, list string) []byte {
	t.Helper()
	var lists map[string]json.RawMessage
	if err := json.Unmarshal(trustedRoot, &lists); err != nil || lists[list] == nil {
		t.Fatalf("the trusted root has no %s: %v", list, err)
	}
	delete(lists, list)
	data, err := json.Marshal(lists)
	if err != nil {
		t.Fatal(err)
	}
	return data
}

// TestClaimsGoIntoTheCertificate: a job of another branch gets a certificate, and
// the certificate says so.
func TestClaimsGoIntoTheCertificate(t *testing.T) {
	s := sigstoretest.Shared(t)
	made, err := signKeyless(t.Context(), s, sigstoretest.GitHub, sigstoretest.GitHubClaims("acme/line-monitor", "refs/heads/next"))
	if err != nil {
		t.Fatal(err)
	}
	if err := verifyKeyless(made, wantedOf(s)); err == nil || !strings.Contains(err.Error(), "refs/heads/next") {
		t.Errorf("want a refusal that names the branch, got: %v", err)
	}
}
