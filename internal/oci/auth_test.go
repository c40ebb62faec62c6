package oci

import (
	"errors"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/consign-dev/consign/internal/reason"
)

// tokenServer gives a token to everybody and remembers who asked how.
func tokenServer(t *testing.T) (*traffic, *[]string) {
	t.Helper()
	var said []string
	srv := serve(t, http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
		said = append(said, req.Header.Get("Authorization"))
		_, _ = w.Write([]byte(`{"token":"good"}`))
	}))
	return srv, &said
}

func credentialsFor(t *testing.T, host string) string {
	t.Helper()
	config := filepath.Join(t.TempDir(), "config.json")
	if err := os.WriteFile(config, []byte(`{"auths":{"`+host+`":{"auth":"dXNlcjpzZWNyZXQ="}}}`), 0o600); err != nil {
		t.Fatal(err)
	}
	return config
}

func demandToken(w http.ResponseWriter, realm string) {
	w.Header().Set("WWW-Authenticate", `Bearer realm="`+realm+`/token",service="test",scope="repository:acme/app:pull"`)
	w.WriteHeader(http.StatusUnauthorized)
}

// TestTokenRealmGetsOnlyCredentialsOfTheRegistry: a registry that sends clients
// to another host for a token makes that host neither receive the password it
// shares with us for something else, nor that of a third one.
func TestTokenRealmGetsOnlyCredentialsOfTheRegistry(t *testing.T) {
	realm, said := tokenServer(t)
	blob := content(100, 1)
	srv := serve(t, http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
		if req.Header.Get("Authorization") != "Bearer good" {
			demandToken(w, realm.URL)
			return
		}
		_, _ = w.Write(blob)
	}))
	for _, tt := range []struct{ login, want string }{
		{realm.host(), ""},
		{"127.0.0.1", ""}, // the same machine is not the same registry
		{srv.host(), "Basic dXNlcjpzZWNyZXQ="},
	} {
		*said = nil
		repo := repository(t, newClient(t, Options{DockerConfig: credentialsFor(t, tt.login)}), srv.host()+"/acme/app")
		if _, err := repo.BlobBytes(t.Context(), describe(octets, blob), 100); err != nil {
			t.Fatal(err)
		}
		if len(*said) != 1 || (*said)[0] != tt.want {
			t.Errorf("logged in to %s, the token server was told %q, want %q", tt.login, *said, tt.want)
		}
	}
}

// TestRedirectTargetCannotAskForCredentials: where a registry redirects to is
// not the registry.
func TestRedirectTargetCannotAskForCredentials(t *testing.T) {
	realm, said := tokenServer(t)
	other := serve(t, http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { demandToken(w, realm.URL) }))
	srv := serve(t, http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
		http.Redirect(w, req, other.URL+req.URL.Path, http.StatusTemporaryRedirect)
	}))
	blob := content(100, 1)
	repo := repository(t, newClient(t, Options{DockerConfig: credentialsFor(t, srv.host())}), srv.host()+"/acme/app")
	_, err := repo.BlobBytes(t.Context(), describe(octets, blob), 100)
	if !reason.Is(err, reason.Unreachable) {
		t.Fatalf("error %v, want unreachable", err)
	}
	if requests, _ := other.reset(); len(requests) != 1 || len(*said) != 0 {
		t.Fatalf("the other host saw %q, the token server %q", requests, *said)
	}
}

// TestTokenRealmInPlainTextIsRefused: no password leaves this machine so.
func TestTokenRealmInPlainTextIsRefused(t *testing.T) {
	srv := serve(t, http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { demandToken(w, "http://tokens.example.test") }))
	repo := repository(t, newClient(t, Options{DockerConfig: credentialsFor(t, srv.host())}), srv.host()+"/acme/app")
	_, err := repo.ResolveTag(t.Context(), "tuf")
	if !reason.Is(err, reason.Unreachable) || !strings.Contains(err.Error(), "tokens.example.test") {
		t.Fatalf("error %v, want unreachable, naming the host", err)
	}
}

// TestPasswordIsAskedForAndMissing says what to do.
func TestPasswordIsAskedForAndMissing(t *testing.T) {
	srv := serve(t, http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("WWW-Authenticate", `Basic realm="test"`)
		w.WriteHeader(http.StatusUnauthorized)
	}))
	for login, want := range map[string]string{"other.example": "has none for this host", srv.host(): "401"} {
		repo := repository(t, newClient(t, Options{DockerConfig: credentialsFor(t, login)}), srv.host()+"/acme/app")
		_, err := repo.ResolveTag(t.Context(), "tuf")
		if !reason.Is(err, reason.Unreachable) || !strings.Contains(err.Error(), want) || !strings.Contains(err.Error(), "docker login") {
			t.Errorf("logged in to %s: %v", login, err)
		}
	}
}

// TestTokenServerWithoutTokens: what a token server does not know says nothing
// about what the registry has.
func TestTokenServerWithoutTokens(t *testing.T) {
	srv := serve(t, http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
		if req.URL.Path == "/token" {
			w.WriteHeader(http.StatusNotFound)
			return
		}
		demandToken(w, "http://"+req.Host)
	}))
	repo := repository(t, newClient(t, Options{DockerConfig: credentialsFor(t, srv.host())}), srv.host()+"/acme/app")
	_, err := repo.ResolveTag(t.Context(), "tuf")
	if !reason.Is(err, reason.Unreachable) || errors.Is(err, ErrNotFound) || !strings.Contains(err.Error(), "token server") {
		t.Errorf("error %v, want unreachable, and not that the tag is missing", err)
	}
}
