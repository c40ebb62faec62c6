package hostile

import (
	"encoding/base64"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"sync"
	"testing"
)

// Elsewhere is a host that no credential is meant for. It serves what the good
// registry has, and keeps whatever reaches it.
type Elsewhere struct {
	// URL is its address, http://127.0.0.2:port: of this machine, so that plain
	// HTTP is spoken to it, and another host than the registry's.
	URL string

	good func() http.Handler
	mu   sync.Mutex
	got  []string // guarded by mu
}

// NewElsewhere listens until the process ends.
func NewElsewhere(t testing.TB, good func() http.Handler) *Elsewhere {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.2:0")
	if err != nil {
		t.Fatal(err)
	}
	e := &Elsewhere{good: good}
	srv := httptest.NewUnstartedServer(e)
	_ = srv.Listener.Close()
	srv.Listener = l
	srv.Start()
	e.URL = srv.URL
	return e
}

func (e *Elsewhere) ServeHTTP(w http.ResponseWriter, req *http.Request) {
	body, _ := io.ReadAll(io.LimitReader(req.Body, 1<<20))
	req.Body = io.NopCloser(strings.NewReader(string(body)))
	e.mu.Lock()
	e.got = append(e.got, fmt.Sprintf("%s %s\n%v\n%s", req.Method, req.URL, req.Header, body))
	e.mu.Unlock()
	if h := e.good(); h != nil && strings.HasPrefix(req.URL.Path, "/v2/") {
		h.ServeHTTP(w, req)
		return
	}
	_, _ = io.WriteString(w, `{"token":"elsewhere","access_token":"elsewhere"}`)
}

// Got returns what reached it since the last call.
func (e *Elsewhere) Got() []string {
	e.mu.Lock()
	defer e.mu.Unlock()
	out := e.got
	e.got = nil
	return out
}

// Leaked returns the requests that hold one of the secrets, plain or in an
// encoding that HTTP uses, or any Authorization at all.
func Leaked(requests []string, secrets ...string) []string {
	var out []string
	for _, r := range requests {
		found := strings.Contains(r, "Authorization:")
		for _, s := range secrets {
			for _, form := range []string{s, base64.StdEncoding.EncodeToString([]byte(s)), url.QueryEscape(s)} {
				found = found || strings.Contains(r, form)
			}
		}
		if found {
			out = append(out, r)
		}
	}
	return out
}
