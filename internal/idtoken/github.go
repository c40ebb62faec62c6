package idtoken

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"time"

	"github.com/consign-dev/consign/internal/reason"
	"github.com/consign-dev/consign/internal/strictjson"
)

// askTimeout is for one answer of a server on the same platform.
const askTimeout = 30 * time.Second

// askGitHub asks the server that GitHub Actions names for a token (GitHub Docs,
// OpenID Connect reference, "Methods for requesting the OIDC token"). The bearer
// token goes to that server alone: over TLS or to this machine, and not along
// with a redirect.
func askGitHub(ctx context.Context, address, bearer, audience string) (string, error) {
	u, err := url.Parse(address)
	if err != nil {
		return "", fmt.Errorf("%s is no URL", githubURL)
	}
	if u.Scheme != "https" && !loopback(u.Hostname()) {
		return "", reason.New(reason.Rule, "%s: %s://%s would send a credential in the clear", githubURL, u.Scheme, u.Host)
	}
	q := u.Query()
	q.Set("audience", audience)
	u.RawQuery = q.Encode()
	ctx, cancel := context.WithTimeout(ctx, askTimeout)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, u.String(), nil)
	if err != nil {
		return "", err
	}
	req.Header.Set("Authorization", "Bearer "+bearer)
	req.Header.Set("Accept", "application/json")
	client := http.Client{CheckRedirect: func(*http.Request, []*http.Request) error { return errors.New("a redirect is not followed") }}
	res, err := client.Do(req)
	if err != nil {
		return "", reason.New(reason.Unreachable, "ask %s for a token: %w", u.Host, bare(err))
	}
	defer res.Body.Close()
	data, err := io.ReadAll(io.LimitReader(res.Body, maxToken+1))
	switch {
	case err != nil:
		return "", reason.New(reason.Unreachable, "ask %s for a token: %w", u.Host, err)
	case res.StatusCode != http.StatusOK:
		return "", reason.New(reason.Unreachable, "ask %s for a token: it answers %s; does the job have the permission id-token: write?", u.Host, res.Status)
	}
	var answer struct {
		Value string `json:"value"`
	}
	if err := strictjson.UnmarshalOpen(data, &answer, strictjson.Limits{Bytes: maxToken, Depth: 8}); err != nil {
		return "", fmt.Errorf("ask %s for a token: %w", u.Host, err)
	}
	return answer.Value, nil
}

func loopback(host string) bool {
	ip := net.ParseIP(host)
	return host == "localhost" || ip != nil && ip.IsLoopback()
}

// bare takes the address, whose query is not ours to show, out of an error.
func bare(err error) error {
	var u *url.Error
	if errors.As(err, &u) {
		return u.Err
	}
	return err
}
