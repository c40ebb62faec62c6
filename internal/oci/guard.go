package oci

import (
	"errors"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"strings"
	"syscall"

	"github.com/consign-dev/consign/internal/reason"
)

// maxRedirects is what a registry with a storage backend behind a content
// network needs (two), and a little more.
const maxRedirects = 5

// guard refuses every request that would leave in plain text, whatever made
// it: the caller, a redirect, a token endpoint or an upload location.
type guard struct{ next http.RoundTripper }

func (g guard) RoundTrip(req *http.Request) (*http.Response, error) {
	if err := checkURL(req.URL); err != nil {
		if req.Body != nil {
			_ = req.Body.Close() // a RoundTripper closes it also on errors
		}
		return nil, err
	}
	return g.next.RoundTrip(req)
}

func checkURL(u *url.URL) error {
	switch {
	case u.Scheme == "https":
		return nil
	case u.Scheme == "http" && isLoopback(u.Hostname()):
		return nil
	case u.Scheme == "http":
		return reason.New(reason.Unreachable, "plain HTTP to %q is refused, only loopback hosts may be asked without TLS", clip(u.Host))
	default:
		return reason.New(reason.Unreachable, "scheme %q is refused", clip(u.Scheme))
	}
}

// checkRedirect adds to the rules of [guard] what depends on where the chain
// began. The Authorization header is dropped by oras's auth.Client as soon as
// a redirect leaves scheme, host or port of the first request.
func checkRedirect(req *http.Request, via []*http.Request) error {
	if len(via) > maxRedirects {
		return reason.New(reason.Unreachable, "more than %d redirects", maxRedirects)
	}
	if err := checkURL(req.URL); err != nil {
		return err
	}
	first, host := via[0].URL, req.URL.Hostname()
	if req.URL.Scheme == "http" && via[len(via)-1].URL.Scheme == "https" {
		return reason.New(reason.Unreachable, "redirect from HTTPS to plain HTTP is refused")
	}
	if isLoopback(host) && !isLoopback(first.Hostname()) {
		return reason.New(reason.Unreachable, "redirect from %q to this machine (%q) is refused", clip(first.Host), clip(req.URL.Host))
	}
	if ip, err := netip.ParseAddr(host); err == nil && (ip.IsLinkLocalUnicast() || ip.IsUnspecified()) {
		return reason.New(reason.Unreachable, "redirect to the local address %s is refused", ip)
	}
	return nil
}

// isLoopback decides on the text of a host: a name that resolves to 127.0.0.1
// is not enough, because who answers for names is not known here.
func isLoopback(host string) bool {
	if strings.EqualFold(host, "localhost") {
		return true
	}
	ip, err := netip.ParseAddr(host)
	return err == nil && ip.Zone() == "" && ip.Unmap().IsLoopback()
}

// refuseLinkLocal is a net.Dialer control function. No registry lives at a
// link-local address, metadata services of clouds do, and a name in a redirect
// can resolve to one.
func refuseLinkLocal(_, address string, _ syscall.RawConn) error {
	host, _, err := net.SplitHostPort(address)
	if err != nil {
		return err
	}
	ip, err := netip.ParseAddr(host)
	if err != nil {
		return err
	}
	if ip.Unmap().IsLinkLocalUnicast() {
		return errors.New("link-local addresses are refused")
	}
	return nil
}
