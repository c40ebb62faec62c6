package cluster

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/consign-dev/consign/internal/reason"
)

const kubeconfig = `apiVersion: v1
kind: Config
current-context: line
contexts: [{name: line, context: {cluster: line, user: agent}}]
clusters: [{name: line, cluster: {server: "https://127.0.0.1:6443", certificate-authority: ca.pem}}]
users: [{name: agent, user: {client-certificate: agent.pem, client-key: agent.key}}]
`

func written(t *testing.T, text string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "kubeconfig")
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

func TestPathsInAKubeconfigAreBesideIt(t *testing.T) {
	path := written(t, kubeconfig)
	config, err := loadKubeconfig(path)
	if err != nil {
		t.Fatal(err)
	}
	if got, want := config.AuthInfos["agent"].ClientKey, filepath.Join(filepath.Dir(path), "agent.key"); got != want {
		t.Errorf("key %s, want %s", got, want)
	}
	if got, want := config.Clusters["line"].CertificateAuthority, filepath.Join(filepath.Dir(path), "ca.pem"); got != want {
		t.Errorf("certificate %s, want %s", got, want)
	}
}

func TestKubeconfigsThatAreRefused(t *testing.T) {
	server := `server: "https://127.0.0.1:6443", certificate-authority: ca.pem`
	user := `client-certificate: agent.pem, client-key: agent.key`
	for name, c := range map[string]struct {
		old, new string
		want     reason.Code
		text     string
	}{
		"a program":             {user, "exec: {apiVersion: client.authentication.k8s.io/v1, command: /bin/sh, interactiveMode: Never}", reason.Malformed, "from a program"},
		"an old program":        {user, "auth-provider: {name: gcp}", reason.Malformed, "from a program"},
		"a program of a spare":  {"users: [", "users: [{name: spare, user: {exec: {command: x}}}, ", reason.Malformed, "from a program"},
		"an unproved server":    {server, `server: "https://127.0.0.1:6443", insecure-skip-tls-verify: true`, reason.Malformed, "insecure-skip-tls-verify"},
		"an unencrypted server": {server, `server: "http://10.0.0.1:6443"`, reason.Malformed, "want https"},
		"an address with a key": {server, `server: "http://me:word@10.0.0.1"`, reason.Malformed, "want https"},
		"no scheme":             {server, `server: "10.0.0.1:6443"`, reason.Malformed, ""},
		"not a kubeconfig":      {kubeconfig, "[", reason.Malformed, ""},
		"another kind":          {"kind: Config", "kind: Pod", reason.Malformed, ""},
		"much":                  {"users:", "#" + strings.Repeat("x", maxKubeconfig) + "\nusers:", reason.TooLarge, "more than 1048576 bytes"},
	} {
		text := strings.Replace(kubeconfig, c.old, c.new, 1)
		if text == kubeconfig {
			t.Fatal(name)
		}
		_, err := loadKubeconfig(written(t, text))
		if !reason.Is(err, c.want) || !strings.Contains(err.Error(), c.text) {
			t.Errorf("%s: got %v, want %s with %q", name, err, c.want, c.text)
		}
		if err != nil && strings.Contains(err.Error(), "word") {
			t.Errorf("%s: tells a password: %v", name, err)
		}
	}
	if _, err := loadKubeconfig("kubeconfig"); !reason.Is(err, reason.Malformed) {
		t.Errorf("a relative path: got %v", err)
	}
	if _, err := loadKubeconfig(filepath.Join(t.TempDir(), "none")); !reason.Is(err, reason.Unreachable) {
		t.Errorf("no file: got %v", err)
	}
}

// Neither the environment nor the home directory says which cluster it is.
func TestAKubeconfigThatNamesNoClusterIsNoOther(t *testing.T) {
	t.Setenv("KUBERNETES_MASTER", "http://127.0.0.1:1")
	t.Setenv("KUBERNETES_SERVICE_HOST", "127.0.0.1")
	t.Setenv("KUBERNETES_SERVICE_PORT", "1")
	t.Setenv("KUBECONFIG", written(t, kubeconfig))
	for _, text := range []string{"apiVersion: v1\nkind: Config\n", strings.Replace(kubeconfig, "current-context: line", "current-context: other", 1)} {
		if _, err := connect(t.Context(), written(t, text)); !reason.Is(err, reason.Malformed) {
			t.Errorf("got %v", err)
		}
	}
}
