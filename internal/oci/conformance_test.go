package oci

import (
	"context"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"testing"
	"time"
)

// notClaimed is what the suite knows and does not test here. Everything else
// must pass, and this list must be true.
var notClaimed = map[string]string{
	"Blob anonymous mount":         "Skip",     // an upload is begun instead, which the specification allows
	"Blob delete":                  "Skip",     // blobs go when no manifest needs them
	"Blob delete atomic":           "Skip",     // the same
	"Manifest put with tag params": "Disabled", // not in version 1.1
	"Tag Param":                    "Disabled", // the same
	"Tag Param sha512":             "Disabled", // the same
	"Sparse Manifests":             "Disabled", // refused: what a manifest needs must be there first
	"Non-distributable Layers":     "Disabled", // the same; deprecated by OCI Image Spec 1.1
}

var conformanceLine = regexp.MustCompile(`(?m)^ +([A-Z][^.\n]*[^.\n ])\.+: +(Pass|Skip|Disabled|FAIL|Error)$`)

// TestDistributionConformance runs the suite of the OCI Distribution
// Specification 1.1 itself.
func TestDistributionConformance(t *testing.T) {
	bin := os.Getenv("CONSIGN_CONFORMANCE_BIN")
	if bin == "" {
		t.Fatal("CONSIGN_CONFORMANCE_BIN does not name the conformance suite: run this with make test")
	}
	srv := serve(t, newRegistry(t, RegistryOptions{Delete: true}))
	ctx, cancel := context.WithTimeout(t.Context(), 3*time.Minute)
	defer cancel()
	suite := exec.CommandContext(ctx, filepath.Join(bin, "conformance"))
	suite.Dir = t.TempDir()
	suite.Env = append(os.Environ(), "OCI_VERSION=1.1", "OCI_TLS=disabled", "OCI_REGISTRY="+srv.host(),
		"OCI_API_BLOBS_UPLOAD_CANCEL=true", "OCI_DATA_NONDISTRIBUTABLE=false")
	out, err := suite.CombinedOutput()
	if err != nil {
		t.Fatalf("conformance: %v\n%s", err, out)
	}
	passed, rest := 0, map[string]string{}
	for _, line := range conformanceLine.FindAllStringSubmatch(string(out), -1) {
		if line[2] == "Pass" {
			passed++
		} else {
			rest[line[1]] = line[2]
		}
	}
	if passed < 40 || !maps.Equal(rest, notClaimed) {
		t.Fatalf("conformance: %d groups passed, the others are %v\n%s", passed, rest, out)
	}
}
