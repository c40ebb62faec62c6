package sigstoretest_test

import (
	"context"
	"crypto/x509"
	"encoding/json"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/sigstore/sigstore-go/pkg/fulcio/certificate"
	"github.com/sigstore/sigstore-go/pkg/sign"

	"github.com/consign-dev/consign/internal/sigstoretest"
)

// certify asks Fulcio for a certificate for a token.
func certify(ctx context.Context, s *sigstoretest.Stack, token string) (certificate.Summary, error) {
	key, err := sign.NewEphemeralKeypair(nil)
	if err != nil {
		return certificate.Summary{}, err
	}
	der, err := sign.NewFulcio(&sign.FulcioOptions{BaseURL: s.Fulcio}).GetCertificate(ctx, key, &sign.CertificateProviderOptions{IDToken: token})
	if err != nil {
		return certificate.Summary{}, err
	}
	cert, err := x509.ParseCertificate(der)
	if err != nil {
		return certificate.Summary{}, err
	}
	return certificate.SummarizeCertificate(cert)
}

func TestEachIssuerVouchesForItsKind(t *testing.T) {
	s := sigstoretest.Shared(t)
	for _, c := range []struct {
		issuer sigstoretest.Issuer
		claims sigstoretest.Claims
		san    string
		want   certificate.Extensions
	}{
		{
			sigstoretest.GitHub, mainClaims().With(sigstoretest.Claims{"event_name": "workflow_dispatch"}),
			"https://git.example.test/acme/line-monitor/.github/workflows/release.yml@refs/heads/main",
			certificate.Extensions{BuildTrigger: "workflow_dispatch", SourceRepositoryIdentifier: "74"},
		},
		{
			sigstoretest.GitLab, sigstoretest.GitLabClaims("acme/line-monitor", "main"),
			"https://git.example.test/acme/line-monitor//.gitlab-ci.yml@refs/heads/main",
			certificate.Extensions{BuildTrigger: "push", SourceRepositoryRef: "refs/heads/main", RunInvocationURI: "https://git.example.test/acme/line-monitor/-/jobs/302"},
		},
		{sigstoretest.People, sigstoretest.PersonClaims("ada@example.test"), "ada@example.test", certificate.Extensions{}},
	} {
		token, err := s.Mint(c.issuer, c.claims)
		if err != nil {
			t.Fatal(err)
		}
		got, err := certify(t.Context(), s, token)
		if err != nil {
			t.Errorf("%s: %v", c.issuer, err)
			continue
		}
		c.want.Issuer = s.Issuer(c.issuer)
		if got.SubjectAlternativeName != c.san {
			t.Errorf("%s: the certificate names %q, want %q", c.issuer, got.SubjectAlternativeName, c.san)
		}
		if err := certificate.CompareExtensions(c.want, got.Extensions); err != nil {
			t.Errorf("%s: %v", c.issuer, err)
		}
	}
}

func TestFulcioRefusesTokensThatAreNotGood(t *testing.T) {
	s := sigstoretest.Shared(t)
	hourAgo := time.Now().Add(-time.Hour).Unix()
	for name, changes := range map[string]sigstoretest.Claims{
		"expired":          {"exp": hourAgo},
		"another audience": {"aud": "registry"},
		"unknown issuer":   {"iss": "https://token.actions.githubusercontent.com"},
		"another's issuer": {"iss": s.Issuer(sigstoretest.GitLab)},
		"a claim is gone":  {"repository": nil},
	} {
		token, err := s.Mint(sigstoretest.GitHub, mainClaims().With(changes))
		if err != nil {
			t.Fatal(err)
		}
		if _, err := certify(t.Context(), s, token); err == nil || !strings.Contains(err.Error(), "Fulcio returned 400") {
			t.Errorf("%s: want a refusal, got: %v", name, err)
		}
	}
}

// TestJobGetsItsTokenAsOnGitHub: the request URL answers the job's request token
// and nobody else's.
func TestJobGetsItsTokenAsOnGitHub(t *testing.T) {
	s := sigstoretest.Shared(t)
	url, requestToken, err := s.Job(mainClaims())
	if err != nil {
		t.Fatal(err)
	}
	status, token := requestJobToken(t, url+"&audience=sigstore", "bearer "+requestToken)
	if status != http.StatusOK {
		t.Fatalf("the request URL answers %d", status)
	}
	got, err := certify(t.Context(), s, token)
	if err != nil || got.SourceRepositoryURI != "https://git.example.test/acme/line-monitor" {
		t.Errorf("the token of the job gives %q, %v", got.SourceRepositoryURI, err)
	}
	for _, authorization := range []string{"", "Bearer ", "Bearer x" + requestToken, "Basic " + requestToken} {
		if status, _ := requestJobToken(t, url+"&audience=sigstore", authorization); status != http.StatusUnauthorized {
			t.Errorf("the request URL answers %d to %q", status, authorization)
		}
	}
	_, token = requestJobToken(t, url+"&audience=registry", "Bearer "+requestToken)
	if _, err := certify(t.Context(), s, token); err == nil {
		t.Error("a token for another audience got a certificate")
	}
}

func requestJobToken(t *testing.T, url, authorization string) (status int, token string) {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, url, nil)
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Authorization", authorization)
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	var reply struct{ Value string }
	if resp.StatusCode == http.StatusOK {
		if err := json.Unmarshal(body, &reply); err != nil {
			t.Fatal(err)
		}
	}
	return resp.StatusCode, reply.Value
}
