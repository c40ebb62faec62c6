package world_test

import (
	"context"
	"crypto/rand"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/consign-dev/consign/internal/agent"
	"github.com/consign-dev/consign/internal/oci"
	"github.com/consign-dev/consign/internal/reason"
	"github.com/consign-dev/consign/internal/world"
)

const (
	user, password = "line", "secret"
	// passwordHash is bcrypt of password.
	passwordHash = "$2b$04$k9OwpFkktrEMrDF6rZbmd.8FhtZhii6dDljc7kkv/QWgYk5wcrFTe"
)

// dockerConfig is what "docker login" leaves behind.
func dockerConfig(t *testing.T, logins map[string]string) string {
	t.Helper()
	auths := map[string]map[string]string{}
	for host, login := range logins {
		auths[host] = map[string]string{"auth": base64.StdEncoding.EncodeToString([]byte(login))}
	}
	data, err := json.Marshal(map[string]any{"auths": auths})
	if err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(t.TempDir(), "config.json")
	if err := os.WriteFile(path, data, 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

// basicRegistry is the distribution project's with TLS and a password file.
func basicRegistry(t *testing.T, n *names) {
	t.Helper()
	users := filepath.Join(t.TempDir(), "htpasswd")
	if err := os.WriteFile(users, []byte(user+":"+passwordHash+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	d := startDistribution(t, "https",
		fmt.Sprintf("  tls: {certificate: %s, key: %s}\n", n.crt, n.key),
		fmt.Sprintf("auth:\n  htpasswd: {realm: test, path: %s}\n", users))
	n.is(registryName, d.Address)
}

// tokenRegistry is the embedded one behind a proxy that wants tokens, which
// another host gives out.
func tokenRegistry(t *testing.T, n *names) {
	t.Helper()
	reg, err := oci.NewRegistry(oci.RegistryOptions{Dir: t.TempDir()})
	if err != nil {
		t.Fatal(err)
	}
	inner := httptest.NewServer(reg)
	t.Cleanup(func() { inner.Close(); _ = reg.Close(context.Background()) })
	to, err := url.Parse(inner.URL)
	if err != nil {
		t.Fatal(err)
	}
	tokens := &tokens{t: t, scopes: map[string][]string{}}
	n.serve(tokensName, tokens)
	n.serve(registryName, tokens.demand(httputil.NewSingleHostReverseProxy(to)))
}

// tokens is a token server (Docker Registry v2 token authentication) whose
// tokens are good for the scopes that were asked for.
type tokens struct {
	t      *testing.T
	mu     sync.Mutex
	scopes map[string][]string
}

func (s *tokens) ServeHTTP(w http.ResponseWriter, req *http.Request) {
	name, secret, ok := req.BasicAuth()
	if !ok || name != user || secret != password {
		if name == "elsewhere" {
			s.t.Error("the token server received credentials that were not meant for this registry")
		}
		w.WriteHeader(http.StatusUnauthorized)
		return
	}
	if service := req.URL.Query().Get("service"); service != registryName {
		s.t.Errorf("a token was asked for service %q", service)
	}
	token := rand.Text()
	s.mu.Lock()
	s.scopes[token] = req.URL.Query()["scope"]
	s.mu.Unlock()
	_ = json.NewEncoder(w).Encode(map[string]string{"token": token})
}

// demand lets requests through that carry a token for what they do.
func (s *tokens) demand(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
		repository, action := strings.TrimPrefix(req.URL.Path, "/v2/"), "pull"
		for _, kind := range []string{"/manifests/", "/blobs/", "/referrers/", "/tags/"} {
			repository, _, _ = strings.Cut(repository, kind)
		}
		if req.Method != http.MethodGet && req.Method != http.MethodHead {
			action = "push"
		}
		if s.allows(req.Header.Get("Authorization"), repository, action) {
			next.ServeHTTP(w, req)
			return
		}
		scope := "repository:" + repository + ":pull"
		if action == "push" {
			scope += ",push"
		}
		w.Header().Set("WWW-Authenticate", fmt.Sprintf(`Bearer realm="https://%s/token",service="%s",scope="%s"`, tokensName, registryName, scope))
		w.WriteHeader(http.StatusUnauthorized)
	})
}

func (s *tokens) allows(header, repository, action string) bool {
	token, ok := strings.CutPrefix(header, "Bearer ")
	s.mu.Lock()
	defer s.mu.Unlock()
	return ok && slices.ContainsFunc(s.scopes[token], func(scope string) bool {
		actions, ok := strings.CutPrefix(scope, "repository:"+repository+":")
		return ok && slices.Contains(strings.Split(actions, ","), action)
	})
}

// TestRegistriesWithPasswords: publish, deploy and fetch over TLS from a
// registry that wants a password, and from one that wants a token of another
// host. Wrong or missing credentials are refused with what to do about it.
func TestRegistriesWithPasswords(t *testing.T) {
	for name, start := range map[string]func(*testing.T, *names){"basic": basicRegistry, "token": tokenRegistry} {
		t.Run(name, func(t *testing.T) {
			n := newNames(t)
			start(t, n)
			logins := map[string]string{registryName: user + ":" + password, tokensName: "elsewhere:other", "other.example.test": "elsewhere:other"}
			w := world.NewIn(t, world.Options{Registry: registryName, CAFile: n.ca, DockerConfig: dockerConfig(t, logins)})
			w.Publish("acme", "1.0.0", nil)
			d := w.Device("press-07", noEngine)
			w.Deploy(d.ID, "1.0.0", nil)
			res, err := d.Verify()
			wantAction(t, res, err, agent.Accepted)

			for what, login := range map[string]string{"wrong": user + ":guess", "missing": ""} {
				logins := map[string]string{tokensName: "elsewhere:other"}
				if login != "" {
					logins[registryName] = login
				}
				d.Config.DockerConfig = dockerConfig(t, logins)
				_, err := d.Verify()
				wantReason(t, err, reason.Unreachable)
				for _, told := range []string{registryName, "docker login"} {
					if !strings.Contains(err.Error(), told) {
						t.Errorf("%s credentials: the refusal does not say %q: %v", what, told, err)
					}
				}
				if strings.Contains(err.Error(), "guess") || strings.Contains(err.Error(), "scope=") {
					t.Errorf("%s credentials: the refusal tells too much: %v", what, err)
				}
			}
			d.Config.DockerConfig, d.Config.CAFile = dockerConfig(t, logins), ""
			_, err = d.Verify()
			wantReason(t, err, reason.Unreachable)
			if !strings.Contains(err.Error(), "CA file") {
				t.Errorf("the refusal of an unknown authority does not say what to do: %v", err)
			}
		})
	}
}
