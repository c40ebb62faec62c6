package oci

import (
	"crypto/tls"
	"errors"
	"io/fs"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/consign-dev/consign/internal/reason"
)

func TestDockerConfigurationIsDescribed(t *testing.T) {
	dir := t.TempDir()
	for text, want := range map[string]struct {
		secrets bool
		code    reason.Code
	}{
		`{"auths":{"registry.example":{"auth":"dTpw"}},"other":1}`:                       {true, ""},
		`{"auths":{"registry.example":{"identitytoken":"t"}}}`:                           {true, ""},
		`{"auths":{"registry.example":{}},"credHelpers":{"registry.example":"no-such"}}`: {false, ""},
		`{}`: {false, ""},
		`{`:  {false, reason.Malformed},
		`[]`: {false, reason.Malformed},
	} {
		path := filepath.Join(dir, "config.json")
		if err := os.WriteFile(path, []byte(text), 0o640); err != nil {
			t.Fatal(err)
		}
		c, err := LookDockerConfig(path)
		if c.Secrets != want.secrets || reason.Of(err) != want.code || c.Path != path || c.Mode.Perm() != 0o640 {
			t.Errorf("%s: %+v, %v", text, c, err)
		}
	}
}

func TestAPipeIsNoDockerConfiguration(t *testing.T) {
	path := filepath.Join(t.TempDir(), "config.json")
	if err := unix.Mkfifo(path, 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := LookDockerConfig(path); err == nil || !strings.Contains(err.Error(), "not a regular file") {
		t.Errorf("got %v", err)
	}
}

func TestPlaceOfTheDockerConfiguration(t *testing.T) {
	t.Setenv("HOME", "/home/a")
	t.Setenv("DOCKER_CONFIG", "")
	for file, want := range map[string]string{"": "/home/a/.docker/config.json", "/etc/c.json": "/etc/c.json"} {
		if c, err := LookDockerConfig(file); c.Path != want || !errors.Is(err, fs.ErrNotExist) {
			t.Errorf("%q: %+v, %v", file, c, err)
		}
	}
	t.Setenv("DOCKER_CONFIG", "/d")
	if c, _ := LookDockerConfig(""); c.Path != "/d/config.json" {
		t.Errorf("DOCKER_CONFIG: %+v", c)
	}
	t.Setenv("DOCKER_CONFIG", "")
	t.Setenv("HOME", "")
	if c, err := LookDockerConfig(""); c.Path != "" || !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("no home: %+v, %v", c, err)
	}
}

func TestHasCredentials(t *testing.T) {
	c := newClient(t, Options{DockerConfig: dockerConfig(t, "registry.example")})
	for host, want := range map[string]bool{"registry.example": true, "other.example": false} {
		if got, err := c.HasCredentials(t.Context(), host); got != want || err != nil {
			t.Errorf("%s: %t, %v", host, got, err)
		}
	}
}

// Whoever has to help a person can tell the errors apart: credentials that are
// missing or refused, and a certificate that nobody here vouches for.
func TestErrorsSayWhatIsAboutCredentialsAndCertificates(t *testing.T) {
	denies := func(challenge string, status int) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("WWW-Authenticate", challenge)
			w.WriteHeader(status)
		})
	}
	for name, h := range map[string]http.Handler{
		"none for a basic challenge": denies(`Basic realm="test"`, http.StatusUnauthorized),
		"no challenge":               denies("", http.StatusUnauthorized),
		"not this one":               denies("", http.StatusForbidden),
	} {
		srv := serve(t, h)
		_, err := repository(t, newClient(t, Options{}), srv.host()+"/acme/app").ResolveTag(t.Context(), "tuf")
		if !errors.Is(err, ErrDenied) || !reason.Is(err, reason.Unreachable) {
			t.Errorf("%s: %v", name, err)
		}
	}
	srv := httptest.NewTLSServer(denies("", http.StatusOK))
	t.Cleanup(srv.Close)
	repo := repository(t, newClient(t, Options{LoopbackTLS: true}), strings.TrimPrefix(srv.URL, "https://")+"/acme/app")
	_, err := repo.ResolveTag(t.Context(), "tuf")
	var untrusted *tls.CertificateVerificationError
	if !errors.As(err, &untrusted) || errors.Is(err, ErrDenied) || !repo.TLS() {
		t.Errorf("an unknown authority: %v", err)
	}
}
