package margo_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/consign-dev/consign/internal/margo"
	"github.com/consign-dev/consign/internal/reason"
)

// own reads one of the example documents, which are written for this project
// after the specification.
func own(t testing.TB, name string) string {
	t.Helper()
	data, err := os.ReadFile(filepath.Join("..", "..", "testdata", "margo", "own", name))
	if err != nil {
		t.Fatal(err)
	}
	return string(data)
}

const (
	descriptionExample = "application-description-helm-and-compose.yaml"
	helmExample        = "application-deployment-helm.yaml"
	composeExample     = "application-deployment-compose.yaml"
	capabilityExample  = "device-capabilities.json"
)

func parseDescription(t testing.TB, doc string) *margo.ApplicationDescription {
	t.Helper()
	d, err := margo.ParseDescription([]byte(doc))
	if err != nil {
		t.Fatal(err)
	}
	return d
}

func parseDeployment(t testing.TB, doc string) *margo.ApplicationDeployment {
	t.Helper()
	d, err := margo.ParseDeployment([]byte(doc))
	if err != nil {
		t.Fatal(err)
	}
	return d
}

func parseCapabilities(t testing.TB, doc string) *margo.DeviceCapabilities {
	t.Helper()
	c, err := margo.ParseCapabilities([]byte(doc))
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// edit replaces the first occurrence of old, which must be there.
func edit(t testing.TB, doc, old, new string) string {
	t.Helper()
	if !strings.Contains(doc, old) {
		t.Fatalf("the document has no %q", old)
	}
	return strings.Replace(doc, old, new, 1)
}

func mustRefuse(t testing.TB, err error, code reason.Code, want string) {
	t.Helper()
	if !reason.Is(err, code) || !strings.Contains(err.Error(), want) {
		t.Errorf("got %v\nwant %s with %q", err, code, want)
	}
}
