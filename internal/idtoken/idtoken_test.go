package idtoken_test

import (
	"context"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/consign-dev/consign/internal/idtoken"
	"github.com/consign-dev/consign/internal/reason"
)

const token = "eyJhbGciOiJSUzI1NiJ9.eyJhdWQiOiJzaWdzdG9yZSJ9.c2lnbmVk"

// env is an environment of a test's own.
func env(vars map[string]string) func(string) string {
	return func(name string) string { return vars[name] }
}

func file(t *testing.T, text string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "token")
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

// platform answers as GitHub's server of tokens does.
func platform(t *testing.T, answer http.HandlerFunc) map[string]string {
	t.Helper()
	s := httptest.NewServer(answer)
	t.Cleanup(s.Close)
	return map[string]string{"ACTIONS_ID_TOKEN_REQUEST_URL": s.URL + "/mint?api-version=2.0", "ACTIONS_ID_TOKEN_REQUEST_TOKEN": "bearer-of-the-job"}
}

func TestTokenIsFound(t *testing.T) {
	var asked *http.Request
	github := platform(t, func(w http.ResponseWriter, r *http.Request) {
		asked = r
		fmt.Fprintf(w, `{"count":1,"value":%q}`, token)
	})
	for name, s := range map[string]idtoken.Source{
		"file":    {File: file(t, token+"\n"), Command: "false", Env: env(github)},
		"command": {Command: "printf '%s\\n' " + token, Env: env(github)},
		"github":  {Env: env(github)},
		"gitlab":  {Env: env(map[string]string{"SIGSTORE_ID_TOKEN": token})},
	} {
		got, err := s.Token(t.Context(), "sigstore")
		if err != nil || got != token {
			t.Errorf("%s: %q, %v", name, got, err)
		}
	}
	if asked == nil {
		t.Fatal("the platform was not asked")
	}
	if q := asked.URL.Query(); q.Get("audience") != "sigstore" || q.Get("api-version") != "2.0" || asked.Header.Get("Authorization") != "Bearer bearer-of-the-job" {
		t.Errorf("the platform was asked %s with %q", asked.URL, asked.Header)
	}
}

// TestTokenIsRefused: every error says what is wrong and quotes neither a token
// nor the platform's credential.
func TestTokenIsRefused(t *testing.T) {
	elsewhere := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { t.Error("a redirect was followed") }))
	t.Cleanup(elsewhere.Close)
	secret := token + ".planted"
	answers := func(code int, body string) map[string]string {
		return platform(t, func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Location", elsewhere.URL)
			w.WriteHeader(code)
			_, _ = w.Write([]byte(body))
		})
	}
	away := answers(200, "")
	away["ACTIONS_ID_TOKEN_REQUEST_URL"] = "http://registry.example/planted"
	for name, c := range map[string]struct {
		source idtoken.Source
		want   string
	}{
		"nowhere":           {idtoken.Source{Env: env(nil)}, "--identity-token"},
		"no file":           {idtoken.Source{File: filepath.Join(t.TempDir(), "none")}, "none"},
		"no token":          {idtoken.Source{File: file(t, secret)}, "no token"},
		"empty":             {idtoken.Source{File: file(t, "")}, "no token"},
		"two lines":         {idtoken.Source{File: file(t, token+"\n"+token)}, "no token"},
		"huge file":         {idtoken.Source{File: file(t, strings.Repeat("a", 1<<20))}, "65536"},
		"command fails":     {idtoken.Source{Command: "echo planted >&2; exit 3"}, "exit status 3"},
		"command floods":    {idtoken.Source{Command: "yes"}, "token"},
		"in the clear":      {idtoken.Source{Env: env(away)}, "in the clear"},
		"redirected":        {idtoken.Source{Env: env(answers(302, ""))}, "redirect"},
		"forbidden":         {idtoken.Source{Env: env(answers(403, secret))}, "id-token: write"},
		"HTML":              {idtoken.Source{Env: env(answers(200, "<html>"+secret))}, "ask 127.0.0.1"},
		"no JSON Web Token": {idtoken.Source{Env: env(answers(200, `{"value":"planted"}`))}, "no token"},
		"huge answer":       {idtoken.Source{Env: env(answers(200, `{"value":"`+strings.Repeat("a", 1<<20)+`"}`))}, "ask 127.0.0.1"},
	} {
		if c.source.Env == nil {
			c.source.Env = env(nil)
		}
		got, err := c.source.Token(t.Context(), "sigstore")
		if err == nil || got != "" || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %q, %v; want an error with %q", name, got, err, c.want)
		}
		if err != nil && (strings.Contains(err.Error(), "planted") || strings.Contains(err.Error(), "bearer-of-the-job")) {
			t.Errorf("%s: the error tells a secret: %v", name, err)
		}
	}
}

func TestTokenEndsWithItsContext(t *testing.T) {
	hung := platform(t, func(_ http.ResponseWriter, r *http.Request) { <-r.Context().Done() })
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := (idtoken.Source{Env: env(hung)}).Token(ctx, "sigstore"); !reason.Is(err, reason.Unreachable) {
		t.Errorf("the platform: %v", err)
	}
	if _, err := (idtoken.Source{Command: "sleep 1000", Env: env(nil)}).Token(ctx, "sigstore"); err == nil {
		t.Error("the command goes on")
	}
}
