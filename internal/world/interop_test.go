package world_test

import (
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/consign-dev/consign/internal/world"
)

func tool(t *testing.T, name string, args ...string) string {
	t.Helper()
	dir := os.Getenv("CONSIGN_INTEROP_BIN")
	if dir == "" {
		t.Fatal("CONSIGN_INTEROP_BIN does not name the oras and crane programs: run this with make test")
	}
	cmd := exec.Command(filepath.Join(dir, name), args...)
	cmd.Env = append(os.Environ(), "HOME="+t.TempDir())
	out, err := cmd.Output()
	if err != nil {
		var stderr string
		if e, ok := err.(*exec.ExitError); ok {
			stderr = string(e.Stderr)
		}
		t.Fatalf("%s %s: %v: %s", name, strings.Join(args, " "), err, stderr)
	}
	return string(out)
}

// TestOtherClientsReadWhatIsPublished: bundle, package, component and evidence
// are ordinary OCI content to the oras and crane command lines.
func TestOtherClientsReadWhatIsPublished(t *testing.T) {
	w := world.New(t)
	bundle := w.Publish("acme", "1.0.0", nil)
	app := strings.TrimSuffix(w.Releases, "releases") + "hello"

	pulled := t.TempDir()
	tool(t, "oras", "pull", "--plain-http", "-o", pulled, app+":1.0.0")
	description, err := os.ReadFile(filepath.Join(pulled, "margo.yaml"))
	w.Must(err)
	if !strings.Contains(string(description), "id: hello") {
		t.Fatalf("the package's margo.yaml is %q", description)
	}

	var component struct {
		ArtifactType string `json:"artifactType"`
	}
	manifest := tool(t, "crane", "manifest", "--insecure", app+"/hello-stack:1.0.0")
	w.Must(json.Unmarshal([]byte(manifest), &component))
	if component.ArtifactType != "application/vnd.org.margo.component.compose+json" {
		t.Fatalf("the component's manifest is %s", manifest)
	}

	layout := filepath.Join(t.TempDir(), "layout")
	tool(t, "crane", "pull", "--insecure", "--format=oci", app+"@"+string(bundle), layout)
	if _, err := os.Stat(filepath.Join(layout, "blobs", "sha256", bundle.Encoded())); err != nil {
		t.Fatalf("crane did not pull the bundle index as it is: %v", err)
	}

	found := tool(t, "oras", "discover", "--plain-http", "--format", "json", app+"@"+string(bundle))
	if !strings.Contains(found, "application/vnd.dev.sigstore.bundle.v0.3+json") {
		t.Fatalf("the referrers API does not list the signature: %s", found)
	}
}
