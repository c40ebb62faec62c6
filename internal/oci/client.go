package oci

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"net/http"
	"net/url"
	"os"
	"time"

	"golang.org/x/net/http/httpproxy"
	"oras.land/oras-go/v2/registry/remote/auth"
	"oras.land/oras-go/v2/registry/remote/credentials"
	"oras.land/oras-go/v2/registry/remote/retry"
)

// Options configures a [Client]. The zero value is usable.
type Options struct {
	// CAFile is a PEM file of certificates to trust beside the system's, for
	// a corporate proxy or a private registry.
	CAFile string
	// DockerConfig is the path of the Docker configuration with credentials
	// or credential helpers. Empty means $DOCKER_CONFIG/config.json or
	// ~/.docker/config.json, if there is one.
	DockerConfig string
	// Parallel is the number of transfers at a time, [DefaultParallel] if 0.
	Parallel int
	// Limits say when a source is given up.
	Limits Limits
	// LoopbackTLS demands TLS from loopback hosts too.
	LoopbackTLS bool
	// UserAgent is sent with every request, "consign" if empty.
	UserAgent string
}

const (
	// DefaultParallel suits a device: enough to hide latency, few enough not
	// to crowd a thin line.
	DefaultParallel = 4
	// maxHeaderBytes bounds a response header (attack T7).
	maxHeaderBytes = 64 << 10
)

// Client talks to OCI registries. It is safe for concurrent use.
type Client struct {
	auth  *auth.Client
	opts  Options
	local bool // of newLocalClient
	close func() error
}

// NewClient reads the files that o names. Proxies are taken from HTTP_PROXY,
// HTTPS_PROXY and NO_PROXY as they are now; loopback hosts are never proxied.
func NewClient(o Options) (*Client, error) {
	o = o.withDefaults()
	transport, err := newTransport(o)
	if err != nil {
		return nil, err
	}
	credential, err := credentialsOf(o.DockerConfig)
	if err != nil {
		return nil, err
	}
	return newClientOver(transport, credential, o), nil
}

func newClientOver(transport *http.Transport, credential auth.CredentialFunc, o Options) *Client {
	policy := retryPolicy(o.Limits.MaxRetryAfter)
	c := &Client{
		auth: &auth.Client{
			Client: &http.Client{
				Transport:     &retry.Transport{Base: guard{watched{transport, o.Limits}}, Policy: func() retry.Policy { return policy }},
				CheckRedirect: checkRedirect,
			},
			Credential: credential,
			Cache:      auth.NewCache(),
			ClientID:   o.UserAgent,
		},
		opts:  o,
		close: func() error { transport.CloseIdleConnections(); return nil },
	}
	c.auth.SetUserAgent(o.UserAgent)
	return c
}

// Close lets go of idle connections, and ends what [newLocalClient] began. No
// transfer may be under way.
func (c *Client) Close() error { return c.close() }

// Parallel is the number of transfers that may run at a time.
func (c *Client) Parallel() int { return c.opts.Parallel }

func (o Options) withDefaults() Options {
	if o.Parallel <= 0 {
		o.Parallel = DefaultParallel
	}
	o.Limits = o.Limits.withDefaults()
	if o.UserAgent == "" {
		o.UserAgent = "consign"
	}
	return o
}

func newTransport(o Options) (*http.Transport, error) {
	roots, err := certificates(o.CAFile)
	if err != nil {
		return nil, err
	}
	proxy := httpproxy.FromEnvironment().ProxyFunc()
	return &http.Transport{
		Proxy:                  func(req *http.Request) (*url.URL, error) { return proxy(req.URL) },
		DialContext:            (&net.Dialer{Timeout: o.Limits.DialTimeout, KeepAlive: o.Limits.DialTimeout, Control: refuseLinkLocal}).DialContext,
		TLSClientConfig:        &tls.Config{RootCAs: roots, MinVersion: tls.VersionTLS12},
		TLSHandshakeTimeout:    o.Limits.DialTimeout,
		ResponseHeaderTimeout:  o.Limits.HeaderTimeout,
		ExpectContinueTimeout:  time.Second,
		IdleConnTimeout:        90 * time.Second,
		MaxIdleConnsPerHost:    o.Parallel,
		MaxResponseHeaderBytes: maxHeaderBytes,
		ForceAttemptHTTP2:      true,
		// All requests to a host share one connection, and one that died without a
		// word would be given to each of them until the kernel notices.
		HTTP2: &http.HTTP2Config{SendPingTimeout: o.Limits.PingTimeout, PingTimeout: o.Limits.PingTimeout},
		// A transparent gunzip would break sizes and digests, and is a bomb.
		DisableCompression: true,
	}, nil
}

// certificates returns the system's pool with those of file added, or nil for
// the system's own.
func certificates(file string) (*x509.CertPool, error) {
	if file == "" {
		return nil, nil
	}
	pool, err := x509.SystemCertPool()
	if err != nil {
		return nil, fmt.Errorf("read the system's certificates: %w", err)
	}
	pem, err := os.ReadFile(file)
	if err != nil {
		return nil, fmt.Errorf("read CA file: %w", err)
	}
	if !pool.AppendCertsFromPEM(pem) {
		return nil, fmt.Errorf("CA file %s holds no PEM certificate", file)
	}
	return pool, nil
}

// credentialsOf reads the Docker configuration. A configuration that was named
// must exist; the default one need not, and a service without a home directory
// has none.
func credentialsOf(file string) (auth.CredentialFunc, error) {
	var store *credentials.DynamicStore
	var err error
	if file == "" {
		if os.Getenv("DOCKER_CONFIG") == "" && os.Getenv("HOME") == "" {
			return nil, nil
		}
		store, err = credentials.NewStoreFromDocker(credentials.StoreOptions{})
	} else {
		if _, err := os.Stat(file); errors.Is(err, fs.ErrNotExist) {
			return nil, fmt.Errorf("read Docker configuration: %w", err)
		}
		store, err = credentials.NewStore(file, credentials.StoreOptions{})
	}
	if err != nil {
		return nil, fmt.Errorf("read Docker configuration: %w", err)
	}
	return credentials.Credential(store), nil
}

// deadline bounds one operation that moves size bytes.
func (c *Client) deadline(ctx context.Context, size int64) (context.Context, context.CancelFunc) {
	return context.WithTimeoutCause(ctx, c.opts.Limits.forSize(size), errDeadline)
}
