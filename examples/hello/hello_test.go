package main

import (
	"context"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/consign-dev/consign/internal/margo"
)

func TestGreetsWithItsConfiguration(t *testing.T) {
	starts := filepath.Join(t.TempDir(), "starts")
	for _, version := range []string{"1.0.0", "1.1.0"} {
		if err := noteStart(starts, version); err != nil {
			t.Fatal(err)
		}
	}
	s := httptest.NewServer(handler("guten Tag", "1.1.0", starts))
	defer s.Close()
	for path, want := range map[string]string{"/": "guten Tag (hello 1.1.0)\n", "/healthz": "ok\n", "/starts": "1.0.0\n1.1.0\n"} {
		resp, err := http.Get(s.URL + path)
		if err != nil {
			t.Fatal(err)
		}
		body, err := io.ReadAll(resp.Body)
		resp.Body.Close()
		if err != nil || string(body) != want || resp.StatusCode != http.StatusOK {
			t.Errorf("GET %s: %s %q %v, want %q", path, resp.Status, body, err, want)
		}
	}
}

func TestHealthTellsGoodFromBad(t *testing.T) {
	good := httptest.NewServer(handler("", "", ""))
	defer good.Close()
	if err := health(t.Context(), good.URL); err != nil {
		t.Error(err)
	}
	bad := httptest.NewServer(http.NotFoundHandler())
	if err := health(t.Context(), bad.URL); err == nil {
		t.Error("a 404 counts as healthy")
	}
	bad.Close()
	if err := health(t.Context(), bad.URL); err == nil {
		t.Error("a closed port counts as healthy")
	}
}

func TestServeEndsWithItsContext(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- serve(ctx, "127.0.0.1:0") }()
	cancel()
	select {
	case err := <-done:
		if err != nil {
			t.Error(err)
		}
	case <-time.After(10 * time.Second):
		t.Error("still serving")
	}
}

// The package beside this program is what users copy, so it must be valid.
func TestPackageIsValid(t *testing.T) {
	data, err := os.ReadFile("package/" + margo.DescriptionFile)
	if err != nil {
		t.Fatal(err)
	}
	desc, err := margo.ParseDescription(data)
	if err != nil {
		t.Fatal(err)
	}
	if desc.ID != "hello" || len(desc.DeploymentProfiles) != 2 {
		t.Errorf("unexpected package: %+v", desc)
	}
}

func TestGreetingFromAFile(t *testing.T) {
	file := filepath.Join(t.TempDir(), "words")
	if err := os.WriteFile(file, []byte("psst"), 0o600); err != nil {
		t.Fatal(err)
	}
	t.Setenv("GREETING", "in the open")
	t.Setenv("GREETING_FILE", file)
	if got, err := greeting(); err != nil || got != "psst" {
		t.Errorf("%q, %v", got, err)
	}
	t.Setenv("GREETING_FILE", file+".gone")
	if _, err := greeting(); err == nil {
		t.Error("a missing file is not noticed")
	}
}
