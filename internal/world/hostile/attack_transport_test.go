package hostile_test

import (
	"crypto/tls"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/consign-dev/consign/internal/oci"
	"github.com/consign-dev/consign/internal/reason"
	"github.com/consign-dev/consign/internal/world/hostile"
)

// TestAttackO9Redirects: a registry leads a device to other schemes, to internal
// addresses and to other hosts. It goes only to the last, without credentials.
func TestAttackO9Redirects(t *testing.T) {
	s := newScene(t)
	for _, r := range elsewhere(s.elsewhere.URL) {
		t.Run(r.name, func(t *testing.T) {
			s.T = t
			d := s.device.Again(t)
			s.suffer(t, hostile.Attack{On: r.on & hostile.Bodies, In: "acme/hello", How: r.how}, r.want, func() error { return fetch(d) })
		})
	}
}

// keeper is another server: it keeps what reaches it.
type keeper struct {
	mu   sync.Mutex
	got  []string // guarded by mu
	then http.HandlerFunc
}

func (k *keeper) ServeHTTP(w http.ResponseWriter, req *http.Request) {
	body, _ := io.ReadAll(io.LimitReader(req.Body, 1<<20))
	k.mu.Lock()
	k.got = append(k.got, fmt.Sprintf("%s %s\n%v\n%s", req.Method, req.URL, req.Header, body))
	k.mu.Unlock()
	k.then(w, req)
}

func (k *keeper) requests() []string {
	k.mu.Lock()
	defer k.mu.Unlock()
	return slices.Clone(k.got)
}

var logins = map[string]map[string]string{
	"password":       {"auth": auth},
	"identity token": {"identitytoken": "refresh-" + password},
	"bearer token":   {"registrytoken": "bearer-" + password},
}

// TestAttackO9Credentials: whatever form a credential has, it goes to its registry
// and to the token server that this registry names, and nowhere from there.
func TestAttackO9Credentials(t *testing.T) {
	for form, login := range logins {
		t.Run(form, func(t *testing.T) {
			n := newNetwork(t)
			other := &keeper{then: func(w http.ResponseWriter, _ *http.Request) {
				w.Header().Set("WWW-Authenticate", `Bearer realm="https://other.example.test/token",service="x"`)
				w.WriteHeader(http.StatusUnauthorized)
			}}
			inside := &keeper{then: func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, "x") }}
			insideTLS := "https://" + n.serve("inside", inside, nil)
			insidePlain := httptest.NewServer(inside)
			t.Cleanup(insidePlain.Close)
			n.serve("other.example.test", other, nil)
			n.serve("tokens.example.test", http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
				_, _ = io.Copy(io.Discard, req.Body)
				http.Redirect(w, req, "https://other.example.test/token", http.StatusTemporaryRedirect)
			}), nil)
			for name, how := range map[string]http.HandlerFunc{
				"a redirect":                           redirect("https://other.example.test"),
				"a redirect inside":                    redirect(insidePlain.URL),
				"a redirect inside over TLS":           redirect(insideTLS),
				"a redirect in plain text":             redirect("http://other.example.test"),
				"a token server that leads elsewhere":  challenge("https://tokens.example.test/token"),
				"a token server in plain text":         challenge("http://other.example.test/token"),
				"a token server inside":                challenge(insidePlain.URL + "/token"),
				"a token server at a metadata service": challenge("https://169.254.169.254/token"),
			} {
				n.serve(registryName, how, nil)
				client := n.client(n.ca, map[string]map[string]string{registryName: login}, oci.Limits{})
				repo, err := client.Repository(registryName + "/acme/hello")
				if err == nil {
					_, err = repo.BlobBytes(t.Context(), describe([]byte("x")), 1)
				}
				if !reason.Is(err, reason.Unreachable) {
					t.Errorf("%s: error %v, want unreachable", name, err)
				}
				if err != nil && strings.Contains(err.Error(), password) {
					t.Errorf("%s: the error holds a credential: %v", name, err)
				}
			}
			if leaked := hostile.Leaked(other.requests(), password, auth); leaked != nil {
				t.Errorf("credentials were sent to another host: %q", leaked)
			}
			if len(other.requests()) == 0 {
				t.Error("no redirect was followed to another host")
			}
			if got := inside.requests(); got != nil {
				t.Errorf("a registry elsewhere led to this machine: %q", got)
			}
			if got := n.leftInPlainText(); got != nil {
				t.Errorf("requests left in plain text: %q", got)
			}
		})
	}
}

func redirect(to string) http.HandlerFunc {
	return func(w http.ResponseWriter, req *http.Request) {
		if req.Header.Get("Authorization") == "" {
			challenge("https://"+registryName+"/token")(w, req)
			return
		}
		http.Redirect(w, req, to+req.URL.Path, http.StatusTemporaryRedirect)
	}
}

// challenge asks for a token of a realm; at its own address it gives one out.
func challenge(realm string) http.HandlerFunc {
	return func(w http.ResponseWriter, req *http.Request) {
		if req.URL.Path == "/token" {
			_, _ = io.WriteString(w, `{"token":"t","access_token":"t"}`)
			return
		}
		w.Header().Set("WWW-Authenticate", fmt.Sprintf(`Bearer realm="%s",service="x",scope="repository:acme/hello:pull"`, realm))
		w.WriteHeader(http.StatusUnauthorized)
	}
}

// TestAttackO10Transport: another authority, another name, an old TLS, and plain
// HTTP in its place. Nothing is read, and no credential is sent.
func TestAttackO10Transport(t *testing.T) {
	stranger, strange := certificate(t, registryName)
	_, misnamed := certificate(t, "other.example.test")
	for _, tt := range []struct {
		name string
		ca   string // "" is the network's
		edit func(*tls.Config)
	}{
		{"a certificate of another authority", "", func(c *tls.Config) { c.Certificates = []tls.Certificate{strange} }},
		{"another authority is trusted", stranger, func(*tls.Config) {}},
		{"a certificate of another name", "", func(c *tls.Config) { c.Certificates = []tls.Certificate{misnamed} }},
		{"TLS 1.1", "", func(c *tls.Config) { c.MinVersion, c.MaxVersion = tls.VersionTLS10, tls.VersionTLS11 }},
	} {
		t.Run(tt.name, func(t *testing.T) {
			n := newNetwork(t)
			reached := &keeper{then: func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusOK) }}
			n.serve(registryName, reached, tt.edit)
			ca := n.ca
			if tt.ca != "" {
				ca = tt.ca
			}
			err := unreachableOver(t, n, ca)
			if got := reached.requests(); got != nil {
				t.Errorf("requests were sent: %q, %v", got, err)
			}
		})
	}
	t.Run("only plain HTTP is offered", func(t *testing.T) {
		n := newNetwork(t)
		_ = unreachableOver(t, n, n.ca)
		if got := n.leftInPlainText(); got != nil {
			t.Errorf("requests left in plain text: %q", got)
		}
	})
}

// TestAttackO10PlainHTTP: a registry on this machine, which is asked in plain HTTP,
// leads to another host the same way.
func TestAttackO10PlainHTTP(t *testing.T) {
	s := newScene(t)
	n := newNetwork(t)
	repo, err := s.ClientWith(oci.Limits{}).Repository(s.Host + "/acme/hello")
	s.Must(err)
	for _, how := range []hostile.Behaviour{
		hostile.Redirects("http://other.example.test"), hostile.Asks(`Bearer realm="http://other.example.test/token",service="x"`),
	} {
		s.suffer(t, hostile.Attack{On: hostile.Blob, How: how}, unreachable, func() error {
			_, err := repo.BlobBytes(t.Context(), describe([]byte("x")), 1)
			return err
		})
	}
	if got := n.leftInPlainText(); got != nil {
		t.Errorf("requests left in plain text: %q", got)
	}
}

func unreachableOver(t *testing.T, n *network, ca string) error {
	t.Helper()
	client := n.client(ca, map[string]map[string]string{registryName: logins["bearer token"]}, oci.Limits{})
	repo, err := client.Repository(registryName + "/acme/hello")
	if err == nil {
		_, err = repo.ResolveTag(t.Context(), "tuf")
	}
	if !reason.Is(err, reason.Unreachable) {
		t.Errorf("error %v, want unreachable", err)
	}
	return err
}
