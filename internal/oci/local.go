package oci

import (
	"context"
	"errors"
	"log/slog"
	"net"
	"net/http"
	"strings"
	"sync"

	"github.com/consign-dev/consign/internal/reason"
)

// newLocalClient returns a client that reaches h and nothing else: it speaks
// HTTP with it through pipes in this process, opens no socket and resolves no
// name. Repositories keep the names that they have elsewhere, and lie where
// [LocalPath] says. Every bound and check is that of a client of a network,
// since it is the same client.
//
// Of the options Parallel, UserAgent and the limits of transfers count. The
// caller closes the client.
func newLocalClient(h http.Handler, o Options) *Client {
	o = o.withDefaults()
	// A stick may sync a large blob for longer than a registry is waited for.
	o.Limits.HeaderTimeout = o.Limits.ObjectTimeout
	o.LoopbackTLS = false
	p := newPipe(h)
	c := newClientOver(&http.Transport{
		DialContext:            p.dial,
		ResponseHeaderTimeout:  o.Limits.HeaderTimeout,
		MaxIdleConnsPerHost:    o.Parallel,
		MaxResponseHeaderBytes: maxHeaderBytes,
		DisableCompression:     true,
	}, nil, o)
	idle := c.close
	c.local, c.close = true, func() error { return errors.Join(idle(), p.close()) }
	return c
}

// localHost is the host in the requests of a local client: plain HTTP is
// spoken to loopback only, and this is the one that needs no address.
const localHost = "localhost"

// LocalPath is where a repository lies in a directory, relative to it: the host
// first, a ":" before its port written "_". So
// "registry.example:5000/acme/releases" lies in
// "registry.example_5000/acme/releases", which is also its name in a registry
// that serves the directory. Two repositories never share a place. Reason
// malformed for a host that cannot be written so.
func LocalPath(repository string) (string, error) {
	host, path, _ := strings.Cut(repository, "/")
	name, port, hasPort := strings.Cut(host, ":")
	if hasPort {
		host = name + "_" + port
	}
	if strings.Contains(name, "_") || strings.Contains(port, "_") || !validRepo(host+"/"+path) {
		return "", reason.New(reason.Malformed, "repository %q has no place in a directory: its host must be a name or an IPv4 address in lower case, without '_', and it may have %d characters", clip(repository), maxNameLength)
	}
	return host + "/" + path, nil
}

// pipe serves a handler over pairs of connected pipes.
type pipe struct {
	conns  chan net.Conn
	closed chan struct{}
	once   sync.Once
	server *http.Server
	done   chan error
}

func newPipe(h http.Handler) *pipe {
	p := &pipe{conns: make(chan net.Conn), closed: make(chan struct{}), done: make(chan error, 1)}
	p.server = NewServer(h, slog.New(slog.DiscardHandler))
	go func() { p.done <- p.server.Serve(p) }()
	return p
}

func (p *pipe) dial(ctx context.Context, _, _ string) (net.Conn, error) {
	ours, theirs := net.Pipe()
	select {
	case p.conns <- theirs:
		return ours, nil
	case <-p.closed:
		return nil, net.ErrClosed
	case <-ctx.Done():
		return nil, context.Cause(ctx)
	}
}

// Accept, Close and Addr make a pipe a net.Listener.
func (p *pipe) Accept() (net.Conn, error) {
	select {
	case c := <-p.conns:
		return c, nil
	case <-p.closed:
		return nil, net.ErrClosed
	}
}

func (p *pipe) Close() error {
	p.once.Do(func() { close(p.closed) })
	return nil
}

func (p *pipe) Addr() net.Addr { return &net.UnixAddr{Name: "pipe", Net: "unix"} }

func (p *pipe) close() error {
	err := p.server.Close()
	_ = p.Close() // also when the server had not begun to listen
	<-p.done
	return err
}
