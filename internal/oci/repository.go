package oci

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"

	"oras.land/oras-go/v2/registry"
	"oras.land/oras-go/v2/registry/remote"
	"oras.land/oras-go/v2/registry/remote/auth"
	"oras.land/oras-go/v2/registry/remote/errcode"

	"github.com/consign-dev/consign/internal/fault"
	"github.com/consign-dev/consign/internal/lazyregexp"
	"github.com/consign-dev/consign/internal/reason"
)

// maxNameLength is what clients commonly allow for host and repository
// together (OCI Distribution Spec 1.1, Pulling manifests).
const maxNameLength = 255

// Repository is one repository of one registry.
type Repository struct {
	client *Client
	name   string // host[:port]/path, as given
	path   string // below /v2/: the part after the host, or its LocalPath
	base   string // URL up to and with the path
	remote *remote.Repository
}

// Repository names a repository, for example "127.0.0.1:5000/acme/releases":
// a host with a dot, a port or the name localhost, then a lower case path; no
// scheme, tag or digest. Nothing is asked of the registry yet.
func (c *Client) Repository(name string) (*Repository, error) {
	host, path, _ := strings.Cut(name, "/")
	if len(name) > maxNameLength || !validPath(path) || !strings.ContainsAny(host, ".:") && host != "localhost" {
		return nil, reason.New(reason.Malformed, "%q is not a repository of the form host[:port]/path in lower case, without scheme, tag or digest", clip(name))
	}
	if c.local {
		var err error
		if path, err = LocalPath(name); err != nil {
			return nil, err
		}
		host = localHost
	}
	ref := registry.Reference{Registry: host, Repository: path}
	// The library would take a second colon for a part of the name.
	if err := ref.ValidateRegistry(); err != nil || strings.Contains(hostOnly(host), ":") != strings.HasPrefix(host, "[") {
		return nil, reason.New(reason.Malformed, "%q is not a host with an optional port", clip(host))
	}
	plain := isLoopback(hostOnly(host)) && !c.opts.LoopbackTLS
	scheme := "https"
	if plain {
		scheme = "http"
	}
	return &Repository{
		client: c,
		name:   name,
		path:   path,
		base:   scheme + "://" + ref.Host() + "/v2/" + path,
		remote: &remote.Repository{
			Client:               c.auth,
			Reference:            ref,
			PlainHTTP:            plain,
			ReferrerListMaxPages: maxReferrerPages,
			MaxMetadataBytes:     MaxManifestBytes,
			SkipReferrersGC:      true, // we never delete, least of all another tool's index
		},
	}, nil
}

// TLS reports whether the registry is asked over TLS: every host but a loopback one.
func (r *Repository) TLS() bool { return !r.remote.PlainHTTP }

// Host is the registry's host, with its port if one was given.
func (r *Repository) Host() string { return r.remote.Reference.Registry }

// Name is the name the repository was made with.
func (r *Repository) Name() string { return r.name }

var (
	pathPattern = lazyregexp.New(`^[a-z0-9]+(?:(?:\.|_|__|-+)[a-z0-9]+)*(?:/[a-z0-9]+(?:(?:\.|_|__|-+)[a-z0-9]+)*)*$`)
	tagPattern  = lazyregexp.New(`^[a-zA-Z0-9_][a-zA-Z0-9._-]{0,127}$`)
)

// validPath and checkTag follow OCI Distribution Spec 1.1, Pulling manifests.
func validPath(s string) bool { return len(s) <= maxNameLength && pathPattern.MatchString(s) }

func checkTag(tag string) error {
	if !tagPattern.MatchString(tag) {
		return reason.New(reason.Malformed, "%q is not a tag", clip(tag))
	}
	return nil
}

// hostOnly drops the port and the brackets of an IPv6 address.
func hostOnly(host string) string {
	if i := strings.LastIndexByte(host, ':'); i > strings.LastIndexByte(host, ']') {
		host = host[:i]
	}
	return strings.Trim(host, "[]")
}

// call is one request below the repository.
type call struct {
	method string
	path   string // "/manifests/..." or "/blobs/..."
	header http.Header
	body   []byte
}

// send makes a request and returns the answer whatever its status. The point
// names the fault hook.
func (r *Repository) send(ctx context.Context, point string, c call) (*http.Response, error) {
	if err := fault.Point(point); err != nil {
		return nil, err
	}
	var body io.Reader
	actions := []string{auth.ActionPull}
	if c.method == http.MethodPut {
		body = bytes.NewReader(c.body)
		actions = append(actions, auth.ActionPush)
	}
	ctx = auth.AppendRepositoryScope(ctx, r.remote.Reference, actions...)
	req, err := http.NewRequestWithContext(ctx, c.method, r.base+c.path, body)
	if err != nil {
		return nil, fmt.Errorf("make request: %w", err)
	}
	for k, v := range c.header {
		req.Header[k] = v
	}
	resp, err := r.client.auth.Do(req)
	var token *errcode.ErrorResponse // the registry's own answers are no errors here
	if errors.As(err, &token) && token.StatusCode == http.StatusNotFound {
		// Whatever is missing there, it is not what the registry was asked for.
		err = reason.New(reason.Unreachable, "the token server that the registry names answered 404 Not Found")
	}
	return resp, err
}

// discard lets the connection of resp be used again.
func discard(resp *http.Response) {
	_, _ = io.Copy(io.Discard, io.LimitReader(resp.Body, maxErrorBody))
	_ = resp.Body.Close()
}
