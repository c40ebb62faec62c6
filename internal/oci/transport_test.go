package oci

import (
	"context"
	"encoding/pem"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"testing/iotest"
	"time"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/consign-dev/consign/internal/reason"
)

// answer is a registry that answers every request alike.
func answer(t *testing.T, o Options, h http.HandlerFunc) (*Repository, *traffic) {
	t.Helper()
	srv := serve(t, h)
	return repository(t, newClient(t, o), srv.host()+"/acme/app"), srv
}

func TestRepositoryNamesAreStrict(t *testing.T) {
	c := newClient(t, Options{})
	for name, base := range map[string]string{
		"127.0.0.1:5000/acme/releases": "http://127.0.0.1:5000/v2/acme/releases",
		"localhost/a":                  "http://localhost/v2/a",
		"[::1]:5000/a":                 "http://[::1]:5000/v2/a",
		"registry.example/acme/a.b__c": "https://registry.example/v2/acme/a.b__c",
		"registry.example:5000/a":      "https://registry.example:5000/v2/a",
		"docker.io/library/nginx":      "https://registry-1.docker.io/v2/library/nginx",
	} {
		if r, err := c.Repository(name); err != nil || r.base != base || r.Name() != name {
			t.Errorf("%s: %+v, %v, want %s", name, r, err, base)
		}
	}
	for _, name := range []string{
		"", "acme", "acme/releases", "registry.example", "registry.example/", "registry.example/a/", "https://registry.example/a",
		"registry.example/a:1", "registry.example/a@" + zeros, "registry.example/A", "registry.example/../a", "registry.example//a",
		"user@registry.example/a", "registry.example/a?b", "registry.example/a%2fb", "registry.example:x/a", "registry.example:5000:1/a",
		"registry.example/" + strings.Repeat("a", 300), "regis try.example/a", "registry.example/a\n",
	} {
		if _, err := c.Repository(name); !reason.Is(err, reason.Malformed) {
			t.Errorf("%q: %v, want malformed", name, err)
		}
	}
}

// attack T8: a source that sends too slowly, in every place where it can.
func TestSlowSourcesAreGivenUp(t *testing.T) {
	blob := content(1<<20, 1)
	desc := describe(octets, blob)
	drip := func(pause time.Duration, n int) http.HandlerFunc {
		return func(w http.ResponseWriter, req *http.Request) {
			w.Header().Set("Content-Type", ocispec.MediaTypeImageManifest)
			for i := 0; i+n <= len(blob) && req.Context().Err() == nil; i += n {
				_, _ = w.Write(blob[i : i+n])
				_ = http.NewResponseController(w).Flush()
				select {
				case <-req.Context().Done():
				case <-time.After(pause):
				}
			}
		}
	}
	stall := func(_ http.ResponseWriter, req *http.Request) { <-req.Context().Done() }
	fetch := func(ctx context.Context, r *Repository) error {
		_, err := r.BlobBytes(ctx, desc, desc.Size)
		return err
	}
	manifest := func(ctx context.Context, r *Repository) error {
		_, _, err := r.Manifest(ctx, desc.Digest, MaxManifestBytes)
		return err
	}
	resolve := func(ctx context.Context, r *Repository) error { _, err := r.ResolveTag(ctx, "tuf"); return err }
	short := Limits{MinRate: 10 << 10, HeaderTimeout: 200 * time.Millisecond}
	for _, c := range []struct {
		name string
		l    Limits
		h    http.HandlerFunc
		do   func(context.Context, *Repository) error
	}{
		{"one byte at a time", short, drip(20*time.Millisecond, 1), fetch},
		{"nothing after the first bytes", short, drip(time.Hour, 1000), fetch},
		{"just under the rate", short, drip(100*time.Millisecond, 900), fetch},
		{"a manifest by the byte", short, drip(20*time.Millisecond, 1), manifest},
		{"no answer to a GET", short, stall, fetch},
		{"no answer to a HEAD", short, stall, resolve},
		{"fast enough, but for too long", Limits{ObjectTimeout: 300 * time.Millisecond}, drip(20*time.Millisecond, 1000), fetch},
		{"an upload that is not read", Limits{ObjectTimeout: 300 * time.Millisecond}, func(w http.ResponseWriter, req *http.Request) {
			switch req.Method {
			case http.MethodHead:
				w.WriteHeader(http.StatusNotFound)
			case http.MethodPost:
				w.Header().Set("Location", req.URL.Path+"1")
				w.WriteHeader(http.StatusAccepted)
			default:
				time.Sleep(time.Second)
			}
		}, func(ctx context.Context, r *Repository) error {
			large := content(16<<20, 2)
			return r.PushBlob(ctx, describe(octets, large), opener(large))
		}},
	} {
		t.Run(c.name, func(t *testing.T) {
			c.l.RateWindow = 200 * time.Millisecond
			repo, _ := answer(t, Options{Limits: c.l}, c.h)
			begin := time.Now()
			// Whoever asks must not take it for the end of its own context.
			if err := c.do(t.Context(), repo); !reason.Is(err, reason.TooSlow) || errors.Is(err, context.DeadlineExceeded) {
				t.Errorf("error %v, want too-slow and no deadline of ours", err)
			}
			if took := time.Since(begin); took > 5*time.Second {
				t.Errorf("it took %s", took)
			}
		})
	}
}

// TestAlarmBetweenReads: a read that had its bytes when the alarm went off is
// followed by one that ends with the alarm's own cause, as net/http tells it.
func TestAlarmBetweenReads(t *testing.T) {
	r := &rateReader{body: io.MultiReader(strings.NewReader("x"), iotest.ErrReader(errTooSlow)), cancel: func(error) {}, window: time.Hour, need: 1 << 20}
	if data, err := io.ReadAll(r); string(data) != "x" || !reason.Is(err, reason.TooSlow) {
		t.Errorf("%q, %v; want x and too-slow", data, err)
	}
}

// The clock of the rate runs while we wait for the source, not while the
// source waits for us.
func TestSlowReaderIsNotTakenForASlowSource(t *testing.T) {
	blob := content(64<<10, 1)
	repo, _ := answer(t, Options{Limits: Limits{MinRate: 100 << 10, RateWindow: 50 * time.Millisecond}}, func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write(blob) })
	rc, err := repo.Blob(t.Context(), describe(octets, blob), 0)
	if err != nil {
		t.Fatal(err)
	}
	defer rc.Close()
	buf := make([]byte, 1<<10)
	for range 5 {
		if _, err := rc.Read(buf); err != nil {
			t.Fatal(err)
		}
		time.Sleep(60 * time.Millisecond)
	}
}

func TestWhoStopsIsTold(t *testing.T) {
	repo, _ := answer(t, Options{}, func(_ http.ResponseWriter, req *http.Request) { <-req.Context().Done() })
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	if _, err := repo.ResolveTag(ctx, "tuf"); !errors.Is(err, context.DeadlineExceeded) || reason.Is(err, reason.TooSlow) {
		t.Errorf("the caller's own deadline came back as %v", err)
	}
}

// attack T7: a header without end.
func TestHeadersAreBounded(t *testing.T) {
	repo, _ := answer(t, Options{}, func(w http.ResponseWriter, _ *http.Request) {
		for range 100 {
			w.Header().Add("X-Filler", strings.Repeat("x", 4<<10))
		}
	})
	if _, err := repo.ResolveTag(t.Context(), "tuf"); !reason.Is(err, reason.Unreachable) {
		t.Errorf("a header of 400 kB: %v", err)
	}
}

func TestBusyRegistryIsAskedAgainAFewTimes(t *testing.T) {
	var busy atomic.Int64
	repo, srv := answer(t, Options{}, func(w http.ResponseWriter, req *http.Request) {
		if busy.Add(-1) >= 0 {
			w.Header().Set("Retry-After", "0")
			w.WriteHeader(http.StatusTooManyRequests)
			return
		}
		w.Header().Set(headerDigest, zeros)
		w.Header().Set("Content-Length", "5")
	})
	busy.Store(2)
	if _, err := repo.ResolveTag(t.Context(), "tuf"); err != nil {
		t.Errorf("after two refusals: %v", err)
	}
	srv.reset()
	busy.Store(1 << 40)
	if _, err := repo.ResolveTag(t.Context(), "tuf"); !reason.Is(err, reason.Unreachable) {
		t.Errorf("for ever busy: %v, want unreachable", err)
	}
	if requests, _ := srv.reset(); len(requests) != 1+maxRetries {
		t.Errorf("%d requests to a registry that stays busy, want %d", len(requests), 1+maxRetries)
	}
}

func TestRetryAfterIsFollowedUpToALimit(t *testing.T) {
	wait := func(retryAfter string) time.Duration {
		t.Helper()
		resp := &http.Response{StatusCode: http.StatusServiceUnavailable, Header: http.Header{"Retry-After": {retryAfter}}}
		d, err := retryPolicy(DefaultMaxRetryAfter).Retry(0, resp, nil)
		if err != nil {
			t.Fatal(err)
		}
		return d
	}
	for header, want := range map[string]time.Duration{"7": 7 * time.Second, "3600": DefaultMaxRetryAfter, "65535": DefaultMaxRetryAfter} {
		if got := wait(header); got != want {
			t.Errorf("Retry-After %s: waits %s, want %s", header, got, want)
		}
	}
	for _, header := range []string{"", "-1", "99999999999999999999", "Wed, 21 Oct 2035 07:28:00 GMT"} {
		if got := wait(header); got > time.Second {
			t.Errorf("Retry-After %q: waits %s", header, got)
		}
	}
}

// attack O9: where a redirect may lead.
func TestRedirects(t *testing.T) {
	for _, c := range []struct {
		from, to string
		followed bool
	}{
		{"https://registry.example/v2/", "https://storage.example/blob", true},
		{"https://registry.example/v2/", "https://10.1.2.3/blob", true},
		{"http://127.0.0.1:5000/v2/", "http://localhost:5001/blob", true},
		{"http://127.0.0.1:5000/v2/", "https://storage.example/blob", true},
		{"https://registry.example/v2/", "http://registry.example/blob", false},
		{"https://registry.example/v2/", "http://127.0.0.1:2375/info", false},
		{"https://registry.example/v2/", "https://127.0.0.1/", false},
		{"https://registry.example/v2/", "https://localhost/", false},
		{"https://registry.example/v2/", "https://[::1]/", false},
		{"https://registry.example/v2/", "https://[::ffff:127.0.0.1]/", false},
		{"https://registry.example/v2/", "https://169.254.169.254/latest/meta-data", false},
		{"https://registry.example/v2/", "https://[fe80::1]/", false},
		{"https://registry.example/v2/", "https://0.0.0.0/", false},
		{"https://registry.example/v2/", "file:///etc/shadow", false},
		{"https://registry.example/v2/", "gopher://registry.example/", false},
		{"http://127.0.0.1:5000/v2/", "http://storage.example/blob", false},
		{"https://127.0.0.1:5000/v2/", "http://127.0.0.1:5000/v2/", false},
	} {
		from, _ := http.NewRequest(http.MethodGet, c.from, nil)
		to := &http.Request{URL: mustURL(t, c.to)}
		if err := checkRedirect(to, []*http.Request{from}); (err == nil) != c.followed {
			t.Errorf("%s to %s: %v", c.from, c.to, err)
		}
	}
	for address, allowed := range map[string]bool{
		"10.0.0.1:443": true, "127.0.0.1:5000": true, "169.254.169.254:80": false, "[fe80::1%eth0]:443": false, "[::ffff:169.254.1.1]:443": false,
	} {
		if err := refuseLinkLocal("tcp", address, nil); (err == nil) != allowed {
			t.Errorf("dial %s: %v", address, err)
		}
	}
}

func mustURL(t *testing.T, s string) *url.URL {
	t.Helper()
	u, err := url.Parse(s)
	if err != nil {
		t.Fatal(err)
	}
	return u
}

func TestRedirectsEnd(t *testing.T) {
	repo, srv := answer(t, Options{}, func(w http.ResponseWriter, req *http.Request) {
		http.Redirect(w, req, req.URL.Path, http.StatusTemporaryRedirect)
	})
	if _, err := repo.ResolveTag(t.Context(), "tuf"); !reason.Is(err, reason.Unreachable) {
		t.Errorf("got %v", err)
	}
	if requests, _ := srv.reset(); len(requests) != 1+maxRedirects {
		t.Errorf("%d requests", len(requests))
	}
}

// A presigned storage URL is a credential for its time.
func TestErrorsDoNotRepeatQueries(t *testing.T) {
	gone := httptest.NewServer(http.NotFoundHandler())
	gone.Close()
	repo, _ := answer(t, Options{}, func(w http.ResponseWriter, req *http.Request) {
		http.Redirect(w, req, gone.URL+"/blob?X-Signature=topsecret", http.StatusTemporaryRedirect)
	})
	_, err := repo.BlobBytes(t.Context(), describe(octets, []byte("x")), 1)
	if !reason.Is(err, reason.Unreachable) || strings.Contains(err.Error(), "topsecret") {
		t.Errorf("got %v", err)
	}
}

// attack O9: a registry names a token endpoint that is reached in plain text.
func TestCredentialsAreNotSentToAPlainTokenEndpoint(t *testing.T) {
	var proxied atomic.Int64
	proxy := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { proxied.Add(1) }))
	t.Cleanup(proxy.Close)
	t.Setenv("HTTP_PROXY", proxy.URL) // what leaves this machine is seen here
	srv := serve(t, http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("WWW-Authenticate", `Bearer realm="http://tokens.example/token",service="x"`)
		w.WriteHeader(http.StatusUnauthorized)
	}))
	repo := repository(t, newClient(t, Options{DockerConfig: dockerConfig(t, srv.host())}), srv.host()+"/acme/app")
	if _, err := repo.ResolveTag(t.Context(), "tuf"); !reason.Is(err, reason.Unreachable) {
		t.Errorf("got %v", err)
	}
	if n := proxied.Load(); n != 0 {
		t.Errorf("%d requests left for the token endpoint", n)
	}
}

func dockerConfig(t *testing.T, host string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "config.json")
	if err := os.WriteFile(path, []byte(`{"auths":{"`+host+`":{"auth":"dXNlcjpzZWNyZXQ="}}}`), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

func TestCredentialsAreForTheHostAskedFor(t *testing.T) {
	var got atomic.Value
	h := func(w http.ResponseWriter, req *http.Request) {
		user, password, _ := req.BasicAuth()
		got.Store(user + ":" + password)
		if user == "" {
			w.Header().Set("WWW-Authenticate", `Basic realm="test"`)
			w.WriteHeader(http.StatusUnauthorized)
			return
		}
		w.Header().Set(headerDigest, zeros)
		w.Header().Set("Content-Length", "5")
	}
	srv := serve(t, http.HandlerFunc(h))
	mine := repository(t, newClient(t, Options{DockerConfig: dockerConfig(t, srv.host())}), srv.host()+"/acme/app")
	if _, err := mine.ResolveTag(t.Context(), "tuf"); err != nil || got.Load() != "user:secret" {
		t.Errorf("with credentials: %v, %v", got.Load(), err)
	}
	others := repository(t, newClient(t, Options{DockerConfig: dockerConfig(t, "registry.example")}), srv.host()+"/acme/app")
	_, err := others.ResolveTag(t.Context(), "tuf")
	if got.Load() != ":" || !reason.Is(err, reason.Unreachable) || !strings.Contains(err.Error(), "credential") {
		t.Errorf("with credentials for another host: sent %v, %v", got.Load(), err)
	}
}

func TestCertificatesOfAPrivateAuthority(t *testing.T) {
	reg := newRegistry(t, RegistryOptions{})
	srv := httptest.NewTLSServer(reg)
	t.Cleanup(srv.Close)
	srv.Config.ErrorLog = nil
	name := strings.TrimPrefix(srv.URL, "https://") + "/acme/app"
	ca := filepath.Join(t.TempDir(), "ca.pem")
	data := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: srv.Certificate().Raw})
	if err := os.WriteFile(ca, data, 0o600); err != nil {
		t.Fatal(err)
	}
	push(t, repository(t, newClient(t, Options{LoopbackTLS: true, CAFile: ca}), name), nil, content(1000, 1))
	strange := repository(t, newClient(t, Options{LoopbackTLS: true}), name)
	if _, err := strange.ResolveTag(t.Context(), "x"); !reason.Is(err, reason.Unreachable) || errors.Is(err, ErrNotFound) {
		t.Errorf("an unknown authority was accepted: %v", err)
	}
	for _, file := range []string{filepath.Join(t.TempDir(), "none"), dockerConfig(t, "x")} {
		if _, err := NewClient(Options{CAFile: file}); err == nil {
			t.Errorf("%s was taken for a CA file", file)
		}
	}
}

func TestNamedDockerConfigurationMustExist(t *testing.T) {
	if _, err := NewClient(Options{DockerConfig: filepath.Join(t.TempDir(), "none")}); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("got %v", err)
	}
	t.Setenv("HOME", "")
	t.Setenv("DOCKER_CONFIG", "")
	if _, err := NewClient(Options{}); err != nil {
		t.Errorf("a service without a home directory: %v", err)
	}
}

func TestProxyOfTheEnvironment(t *testing.T) {
	var asked atomic.Value
	proxy := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
		asked.Store(req.Method + " " + req.Host)
		w.WriteHeader(http.StatusBadGateway)
	}))
	t.Cleanup(proxy.Close)
	t.Setenv("HTTPS_PROXY", proxy.URL)
	t.Setenv("NO_PROXY", "")
	repo := repository(t, newClient(t, Options{}), "registry.example/acme/app")
	if _, err := repo.ResolveTag(t.Context(), "tuf"); !reason.Is(err, reason.Unreachable) {
		t.Errorf("got %v", err)
	}
	if asked.Load() != "CONNECT registry.example:443" {
		t.Errorf("the proxy was asked %v", asked.Load())
	}
}

func TestContentIsNeverDecompressed(t *testing.T) {
	repo, _ := answer(t, Options{}, func(w http.ResponseWriter, req *http.Request) {
		if e := req.Header.Get("Accept-Encoding"); e != "" && e != "identity" {
			t.Errorf("Accept-Encoding %q", e)
		}
		w.Header().Set("Content-Encoding", "gzip")
		_, _ = w.Write([]byte("abc"))
	})
	if data, err := repo.BlobBytes(t.Context(), describe(octets, []byte("abc")), 3); err != nil || string(data) != "abc" {
		t.Errorf("got %q, %v", data, err)
	}
}

func TestTagWithoutDigestHeaderIsFetched(t *testing.T) {
	manifest := []byte(`{"schemaVersion":2,"manifests":[]}`)
	repo, srv := answer(t, Options{}, func(w http.ResponseWriter, req *http.Request) {
		w.Header().Set("Content-Type", ocispec.MediaTypeImageIndex)
		_, _ = w.Write(manifest)
	})
	got, err := repo.ResolveTag(t.Context(), "tuf")
	want := ocispec.Descriptor{MediaType: ocispec.MediaTypeImageIndex, Digest: digest.FromBytes(manifest), Size: int64(len(manifest))}
	if err != nil || got.Digest != want.Digest || got.Size != want.Size || got.MediaType != want.MediaType {
		t.Errorf("got %+v, %v", got, err)
	}
	if requests, _ := srv.reset(); len(requests) != 2 {
		t.Errorf("requests %q", requests)
	}
}

func TestStatusBecomesAReason(t *testing.T) {
	for status, want := range map[int]reason.Code{
		http.StatusBadRequest: reason.Malformed, http.StatusUnauthorized: reason.Unreachable, http.StatusForbidden: reason.Unreachable,
		http.StatusNotFound: reason.Unreachable, http.StatusConflict: reason.Conflict, http.StatusPreconditionFailed: reason.Conflict,
		http.StatusRequestEntityTooLarge: reason.TooLarge, http.StatusInternalServerError: reason.Unreachable, http.StatusTeapot: reason.Unreachable,
	} {
		repo, _ := answer(t, Options{}, func(w http.ResponseWriter, _ *http.Request) {
			refuse(w, status, "SOME_CODE", "said the registry\x1b[31m")
		})
		manifest := []byte(`{"schemaVersion":2,"manifests":[]}`)
		err := repo.Tag(t.Context(), describe(ocispec.MediaTypeImageIndex, manifest), manifest, "tuf", "")
		if !reason.Is(err, want) || !strings.Contains(err.Error(), "SOME_CODE: said the registry") || strings.ContainsRune(err.Error(), '\x1b') {
			t.Errorf("%d: %v, want %s", status, err, want)
		}
	}
}
