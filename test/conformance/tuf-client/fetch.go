package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/consign-dev/consign/internal/reason"
	"github.com/consign-dev/consign/internal/tufclient"
)

const (
	// requestTime bounds one request; the suite serves small files on loopback.
	requestTime = time.Minute
	// maxHeaderBytes bounds a response header (attack T7).
	maxHeaderBytes = 64 << 10
)

// transport takes no proxy from the environment and follows no redirect: the
// suite counts requests, and a repository has its files where it says.
var transport = &http.Client{
	Timeout:       requestTime,
	Transport:     &http.Transport{MaxResponseHeaderBytes: maxHeaderBytes, DisableKeepAlives: true},
	CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
}

// repository is a [tufclient.Fetcher] over the metadata files of an HTTP
// server. A file is asked for once: one process sees one state.
type repository struct {
	base string
	seen map[string][]byte // nil: the server does not have it
}

func newRepository(base string) (*repository, error) {
	b, err := directory(base)
	return &repository{base: b, seen: map[string][]byte{}}, err
}

// directory checks that base is a plain HTTP URL and returns it with a slash
// at its end.
func directory(base string) (string, error) {
	u, err := url.Parse(base)
	if err != nil {
		return "", fmt.Errorf("repository URL: %w", err)
	}
	if u.Scheme != "http" && u.Scheme != "https" || u.Host == "" || u.RawQuery != "" || u.Fragment != "" {
		return "", fmt.Errorf("repository URL %q: want http or https, a host and a path", base)
	}
	return strings.TrimSuffix(u.String(), "/") + "/", nil
}

// Fetch gets a metadata file. Its name is one path segment, encoded already.
func (r *repository) Fetch(ctx context.Context, name string, max int64) ([]byte, error) {
	data, ok := r.seen[name]
	if !ok {
		var err error
		data, err = get(ctx, r.base+name, max)
		if err != nil && !errors.Is(err, tufclient.ErrNotFound) {
			return nil, err
		}
		r.seen[name] = data
	}
	if data == nil {
		return nil, tufclient.ErrNotFound
	}
	if int64(len(data)) > max {
		return nil, tooLong(r.base+name, max)
	}
	return data, nil
}

// get reads the body behind a URL, of at most max bytes, never nil without an
// error. Servers that do not list their directories answer 403 for a file that
// is not there.
func get(ctx context.Context, from string, max int64) ([]byte, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, from, nil)
	if err != nil {
		return nil, fmt.Errorf("request: %w", err)
	}
	resp, err := transport.Do(req)
	if err != nil {
		return nil, reason.New(reason.Unreachable, "%w", err)
	}
	defer resp.Body.Close()
	switch resp.StatusCode {
	case http.StatusOK:
	case http.StatusNotFound, http.StatusForbidden:
		return nil, tufclient.ErrNotFound
	default:
		return nil, reason.New(reason.Unreachable, "GET %q: status %d", from, resp.StatusCode)
	}
	data, err := io.ReadAll(io.LimitReader(resp.Body, max+1))
	if err != nil {
		return nil, reason.New(reason.Unreachable, "GET %q: %w", from, err)
	}
	if int64(len(data)) > max {
		return nil, tooLong(from, max)
	}
	return data, nil
}

func tooLong(from string, max int64) error {
	return reason.New(reason.TooLarge, "GET %q: more than %d bytes", from, max)
}
