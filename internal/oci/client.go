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
	// MinRate is the rate in bytes per second under which a source is given
	// up, [DefaultMinRate] if 0.
	MinRate int64
	// ObjectTimeout is the longest time for one object whatever its size,
	// [DefaultObjectTimeout] if 0. What was received until then is kept by
	// whoever resumes.
	ObjectTimeout time.Duration
	// HeaderTimeout is the longest wait for an answer to begin,
	// [DefaultHeaderTimeout] if 0.
	HeaderTimeout time.Duration
	// LoopbackTLS demands TLS from loopback hosts too.
	LoopbackTLS bool
	// UserAgent is sent with every request, "consign" if empty.
	UserAgent string
}

const (
	// DefaultParallel suits a device: enough to hide latency, few enough not
	// to crowd a thin line.
	DefaultParallel = 4
	// DefaultMinRate is below the slowest modem link in use.
	DefaultMinRate = 1 << 10
	// DefaultObjectTimeout lets 1 GiB arrive at 50 kB/s.
	DefaultObjectTimeout = 6 * time.Hour
	// DefaultHeaderTimeout is long because registries move a large blob to
	// its place before they answer its PUT.
	DefaultHeaderTimeout = 2 * time.Minute

	// rateWindow is the span over which a rate is judged: shorter ones take
	// the pauses of a mobile network for an attack.
	rateWindow = 20 * time.Second
	// requestTime is what any request may take before its size counts; it
	// covers the retries with their waits.
	requestTime = 3 * time.Minute
	// maxHeaderBytes bounds a response header (attack T7).
	maxHeaderBytes = 64 << 10
	dialTimeout    = 30 * time.Second
)

// Client talks to OCI registries. It is safe for concurrent use.
type Client struct {
	auth   *auth.Client
	opts   Options
	window time.Duration // rateWindow but in tests
	local  bool          // of newLocalClient
	close  func() error
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
	policy := retryPolicy(maxRetryAfter)
	c := &Client{
		auth: &auth.Client{
			Client: &http.Client{
				Transport:     &retry.Transport{Base: guard{transport}, Policy: func() retry.Policy { return policy }},
				CheckRedirect: checkRedirect,
			},
			Credential: credential,
			Cache:      auth.NewCache(),
			ClientID:   o.UserAgent,
		},
		opts:   o,
		window: rateWindow,
		close:  func() error { transport.CloseIdleConnections(); return nil },
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
	if o.MinRate <= 0 {
		o.MinRate = DefaultMinRate
	}
	if o.ObjectTimeout <= 0 {
		o.ObjectTimeout = DefaultObjectTimeout
	}
	if o.HeaderTimeout <= 0 {
		o.HeaderTimeout = DefaultHeaderTimeout
	}
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
		DialContext:            (&net.Dialer{Timeout: dialTimeout, KeepAlive: dialTimeout, Control: refuseLinkLocal}).DialContext,
		TLSClientConfig:        &tls.Config{RootCAs: roots, MinVersion: tls.VersionTLS12},
		TLSHandshakeTimeout:    dialTimeout,
		ResponseHeaderTimeout:  o.HeaderTimeout,
		ExpectContinueTimeout:  time.Second,
		IdleConnTimeout:        90 * time.Second,
		MaxIdleConnsPerHost:    o.Parallel,
		MaxResponseHeaderBytes: maxHeaderBytes,
		ForceAttemptHTTP2:      true,
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
	limit := c.opts.ObjectTimeout
	if seconds := size / c.opts.MinRate; seconds < int64(limit/time.Second) {
		limit = min(limit, requestTime+time.Duration(seconds)*time.Second)
	}
	return context.WithTimeoutCause(ctx, limit, errDeadline)
}
