package sign

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"time"

	"github.com/sigstore/sigstore-go/pkg/root"
	"github.com/sigstore/sigstore-go/pkg/sign"

	"github.com/consign-dev/consign/internal/reason"
	"github.com/consign-dev/consign/internal/strictjson"
)

// Audience is what an identity token must be meant for: Fulcio's own name.
const Audience = "sigstore"

// MaxSigningConfigBytes bounds a signing_config.json; the public one has 2 KiB.
const MaxSigningConfigBytes = 256 << 10

// Times of one request to a Sigstore service. A transparency log answers when
// its next checkpoint is published, which takes about a second.
const (
	serviceTimeout = 30 * time.Second
	serviceRetries = 2
)

// Services are where signatures without a key of one's own are made: one
// certificate authority, and the logs and timestamp authorities that a signing
// configuration selects.
type Services struct {
	fulcio, tsas, logs []root.Service
}

// ParseSigningConfig reads a signing_config.json (Sigstore protobuf-specs,
// SigningConfig v0.2) and selects the services that are in use at now. A
// configuration without one of each kind is malformed: devices demand what all
// of them give.
func ParseSigningConfig(data []byte, now time.Time) (*Services, error) {
	if err := strictjson.Check(data, strictjson.Limits{Bytes: MaxSigningConfigBytes, Depth: 16}); err != nil {
		return nil, fmt.Errorf("signing configuration: %w", err)
	}
	c, err := root.NewSigningConfigFromJSON(data)
	if err != nil {
		return nil, reason.New(reason.Malformed, "signing configuration: %w", err)
	}
	s := &Services{}
	ca, err := root.SelectService(c.FulcioCertificateAuthorityURLs(), sign.FulcioAPIVersions, now)
	if err != nil {
		return nil, reason.New(reason.Malformed, "signing configuration: caUrls: %w", err)
	}
	if err := checkAddress(ca.URL); err != nil {
		return nil, reason.New(reason.Malformed, "signing configuration: caUrls: %w", err)
	}
	s.fulcio = []root.Service{ca}
	if s.logs, err = root.SelectServices(c.RekorLogURLs(), c.RekorLogURLsConfig(), sign.RekorAPIVersions, now); err != nil {
		return nil, reason.New(reason.Malformed, "signing configuration: rekorTlogUrls: %w", err)
	}
	if s.tsas, err = root.SelectServices(c.TimestampAuthorityURLs(), c.TimestampAuthorityURLsConfig(), sign.TimestampAuthorityAPIVersions, now); err != nil {
		return nil, reason.New(reason.Malformed, "signing configuration: tsaUrls: %w", err)
	}
	return s, nil
}

// checkAddress insists that an identity token can be sent there.
func checkAddress(address string) error {
	u, err := url.Parse(address)
	if err != nil {
		return err
	}
	ip := net.ParseIP(u.Hostname())
	if u.Scheme != "https" && u.Hostname() != "localhost" && (ip == nil || !ip.IsLoopback()) {
		return fmt.Errorf("%.200q: an identity token would be sent in the clear; only https, or this machine", address)
	}
	return nil
}

// direct takes an answer from nobody but whom was asked: a redirect would carry
// the token elsewhere. It gives an error for one that sigstore-go would try to
// read when it has closed it.
type direct struct{}

func (direct) RoundTrip(req *http.Request) (*http.Response, error) {
	res, err := http.DefaultTransport.RoundTrip(req)
	if err != nil {
		return nil, err
	}
	if code := res.StatusCode; code/100 == 3 || code/100 == 5 || code == http.StatusTooManyRequests {
		_ = res.Body.Close()
		return nil, fmt.Errorf("answers %s", res.Status)
	}
	return res, nil
}

// Keyless signs with a key that is made for one signature and forgotten, and a
// certificate that the services issue for the bearer of an identity token.
type Keyless struct {
	Services *Services
	// Token gives an OpenID Connect identity token with the audience [Audience]. It
	// is asked when the signature is made: such tokens are valid for minutes. Several
	// signatures may ask at once.
	Token func(ctx context.Context) (string, error)
}

func (k Keyless) fulcio() *sign.Fulcio {
	return sign.NewFulcio(&sign.FulcioOptions{BaseURL: k.Services.fulcio[0].URL, Timeout: serviceTimeout, Transport: direct{}})
}

// Certify returns a certificate, DER, such as [Keyless.Sign] would sign with, and
// forgets its key: it says beforehand whom a signature will name.
func (k Keyless) Certify(ctx context.Context) ([]byte, error) {
	token, pair, err := k.begin(ctx)
	if err != nil {
		return nil, err
	}
	leaf, err := k.fulcio().GetCertificate(ctx, pair, &sign.CertificateProviderOptions{IDToken: token})
	return leaf, unanswered("certificate", err)
}

// begin asks for a token and makes a key.
func (k Keyless) begin(ctx context.Context) (token string, pair *keypair, err error) {
	if token, err = k.Token(ctx); err != nil {
		return "", nil, fmt.Errorf("identity token: %w", err)
	}
	private, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return "", nil, err
	}
	pair, err = newKeypair(private)
	return token, pair, err
}

// unanswered tells a service that does not answer from one that refuses.
func unanswered(operation string, err error) error {
	if err == nil {
		return nil
	}
	if at := new(url.Error); errors.As(err, &at) {
		return reason.New(reason.Unreachable, "%s: %w", operation, err)
	}
	return fmt.Errorf("%s: %w", operation, err)
}

// Sign implements [Signer]. A service that does not answer is unreachable; one
// that refuses the token says so in its own words.
func (k Keyless) Sign(ctx context.Context, statement []byte) ([]byte, error) {
	token, pair, err := k.begin(ctx)
	if err != nil {
		return nil, err
	}
	opts := sign.BundleOptions{
		Context:                    ctx,
		CertificateProvider:        k.fulcio(),
		CertificateProviderOptions: &sign.CertificateProviderOptions{IDToken: token},
	}
	for _, s := range k.Services.tsas {
		opts.TimestampAuthorities = append(opts.TimestampAuthorities, sign.NewTimestampAuthority(&sign.TimestampAuthorityOptions{URL: s.URL, Timeout: serviceTimeout, Retries: serviceRetries}))
	}
	for _, s := range k.Services.logs {
		opts.TransparencyLogs = append(opts.TransparencyLogs, sign.NewRekor(&sign.RekorOptions{BaseURL: s.URL, Version: s.MajorAPIVersion, Timeout: serviceTimeout, Retries: serviceRetries}))
	}
	data, err := bundleOf(statement, pair, opts)
	return data, unanswered("sign without a key", err)
}
