package outputs

import (
	"crypto/sha256"
	"crypto/subtle"
	"encoding/base64"
	"fmt"
	"io/fs"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/consign-dev/consign/internal/audit"
	"github.com/consign-dev/consign/internal/oci"
	"github.com/consign-dev/consign/internal/world"
)

func TestMain(m *testing.M) {
	audit.SetTesseraLogger(slog.New(slog.DiscardHandler))
	os.Exit(world.Main(m))
}

// What is planted. Each is found again wherever it is written, in plain text or
// in base64.
const (
	passphrase = "planted-passphrase-4711"
	password   = "planted-password-4712"
	wrong      = "planted-wrong-password-4713"
	value      = "planted-value-4714"
	secret     = "planted-secret-4715"
)

// site is a world whose registry wants a password, and a shell.
type site struct {
	*shell
	w      *world.World
	device *world.Device
}

func newSite(t *testing.T) *site {
	t.Helper()
	host := guarded(t, "publisher", password)
	dir := t.TempDir()
	w := world.NewIn(t, world.Options{Registry: host, DockerConfig: login(t, dir, host, password), Passphrase: passphrase})
	s := &site{shell: newShell(t), w: w}
	s.file("passphrase", passphrase+"\n")
	s.flags["publisher"] = []string{"--docker-config", filepath.Join(dir, "docker.json")}
	return s
}

// guarded is the embedded registry behind a password.
func guarded(t *testing.T, name, password string) string {
	t.Helper()
	reg, err := oci.NewRegistry(oci.RegistryOptions{Dir: t.TempDir(), CollectEvery: -1})
	if err != nil {
		t.Fatal(err)
	}
	inner := httptest.NewServer(reg)
	to, err := url.Parse(inner.URL)
	if err != nil {
		t.Fatal(err)
	}
	proxy := httputil.NewSingleHostReverseProxy(to)
	want := sha256.Sum256([]byte(password))
	outer := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
		user, given, _ := req.BasicAuth()
		got := sha256.Sum256([]byte(given))
		if user != name || subtle.ConstantTimeCompare(got[:], want[:]) != 1 {
			w.Header().Set("WWW-Authenticate", `Basic realm="guarded"`)
			// A registry may say anything, also what it was given.
			http.Error(w, `{"errors":[{"code":"UNAUTHORIZED","message":"not `+given+`"}]}`, http.StatusUnauthorized)
			return
		}
		proxy.ServeHTTP(w, req)
	}))
	t.Cleanup(func() { outer.Close(); inner.Close(); _ = reg.Close(t.Context()) })
	return strings.TrimPrefix(outer.URL, "http://")
}

func login(t *testing.T, dir, host, password string) string {
	t.Helper()
	path := filepath.Join(dir, "docker.json")
	auth := base64.StdEncoding.EncodeToString([]byte("publisher:" + password))
	if err := os.WriteFile(path, fmt.Appendf(nil, `{"auths":{%q:{"auth":%q}}}`, host, auth), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

// file writes a file of the person at the shell.
func (s *site) file(name, text string) string {
	s.t.Helper()
	path := filepath.Join(s.w.Dir, name)
	s.w.Must(os.WriteFile(path, []byte(text), 0o600))
	return path
}

// keys are the flags that open a party's keys.
func (s *site) keys(party string) []string {
	return []string{"--keys", filepath.Join(s.w.Dir, party), "--passphrase-file", filepath.Join(s.w.Dir, "passphrase")}
}

// enrol makes the device press-07 for the agent program.
func (s *site) enrol() {
	s.t.Helper()
	s.device = s.w.Device("press-07", "unix://"+filepath.Join(s.w.Dir, "engine"))
	c := s.device.Config
	s.flags["agent"] = []string{"--config", s.file("agent.yaml", fmt.Sprintf(
		"stateDir: %s\nengine: %s\nregistryAddress: %s\ndockerConfig: %s\nsecretsDir: %s\n", c.StateDir, c.Engine, c.RegistryAddress, c.DockerConfig, c.SecretsDir))}
}

// tokenPackage is hello with a secret parameter "token".
func (s *site) tokenPackage(dir string) {
	description, stack := filepath.Join(dir, "margo.yaml"), filepath.Join(dir, "components/hello-stack/compose.yaml")
	s.w.Edit(description, "    id: hello-compose\n", "    id: hello-compose\n    x-consign-extensions: {secretParameters: [token]}\n")
	s.w.Edit(description, "parameters:\n", "parameters:\n  token:\n    targets:\n      - pointer: TOKEN\n        components: [\"hello-stack\"]\n")
	s.w.Edit(stack, "services:\n", "secrets: {token: {environment: TOKEN}}\nservices:\n")
	s.w.Edit(stack, "    read_only: true\n", "    secrets: [token]\n")
}

// TestNothingSecretIsSaid plants a passphrase, a registry's password, a
// parameter's value and a device's secret, goes through the life of an
// application with every program, faults included, and finds none of them in
// what was written, in a log, or in the list of processes.
func TestNothingSecretIsSaid(t *testing.T) {
	s := newSite(t)
	processes := watch(s.bin)
	s.live()
	for _, p := range processes.end() {
		s.said = append(s.said, said{command: p})
	}
	s.enters("the log", filepath.Join(s.device.Config.StateDir, "log"))
	for _, out := range s.said {
		for _, plant := range []string{passphrase, password, wrong, value, secret} {
			if text := out.command + out.stdout + out.stderr; mentions(text, plant) {
				t.Errorf("%q is in: %s\n%s%s", plant, out.command, out.stdout, out.stderr)
			}
		}
	}
	if len(s.said) < 80 {
		t.Errorf("only %d outputs were looked at", len(s.said))
	}
}

func mentions(text, plant string) bool {
	encoded := base64.StdEncoding.EncodeToString([]byte("publisher:" + plant))
	return strings.Contains(text, plant) || strings.Contains(text, encoded) || strings.Contains(text, base64.StdEncoding.EncodeToString([]byte(plant)))
}

// enters adds the files below a directory to what was said.
func (s *site) enters(what, dir string) {
	s.t.Helper()
	s.w.Must(filepath.WalkDir(dir, func(path string, e fs.DirEntry, err error) error {
		if err != nil || e.IsDir() {
			return err
		}
		data, err := os.ReadFile(path)
		s.said = append(s.said, said{command: what + " " + e.Name(), stdout: string(data)})
		return err
	}))
}

// live is the life of an application, with every fault that knows a secret.
func (s *site) live() {
	s.t.Helper()
	w := s.w
	s.enrol()
	dir := w.Package("1.0.0", s.tokenPackage)
	publish := append([]string{"publish", dir, "--channel", w.Releases}, s.keys("acme")...)
	s.file("bad-passphrase", "planted-passphrase-other\n")
	s.run(1, "publisher", "publish", dir, "--channel", w.Releases, "--keys", filepath.Join(w.Dir, "acme"), "--passphrase-file", filepath.Join(w.Dir, "bad-passphrase"))
	s.denied(publish...)
	s.once(0, "publisher", publish...)
	w.Rules = map[string]string{"hello": "    grants: {secrets: [line-7]}\n"}
	w.SetPolicy("")
	s.orders()
	s.once(0, "agent", "sync")
	s.looksAround()
	s.rotates()
	s.once(0, "publisher", append([]string{"undeploy", "hello", "--device", "press-07", "--channel", w.Deployments}, s.keys("plant")...)...)
	s.once(0, "agent", "sync")
	s.looksAround()
}

// denied runs a command of the publisher with the wrong password.
func (s *site) denied(args ...string) {
	s.t.Helper()
	right := s.flags["publisher"]
	host, _, _ := strings.Cut(s.w.Releases, "/")
	dir := filepath.Join(s.w.Dir, "denied")
	s.w.Must(os.MkdirAll(dir, 0o700))
	t := s.t.(*testing.T)
	s.flags["publisher"] = []string{"--docker-config", login(t, dir, host, wrong)}
	s.run(4, "publisher", args...)
	s.flags["publisher"] = right
}

func (s *site) orders() {
	s.t.Helper()
	secretFile := filepath.Join(s.device.Config.SecretsDir, "line-7")
	good := s.file("values.yaml", "greeting: \""+value+"\"\nport: \"18080\"\n")
	order := func(values string, more ...string) []string {
		return append(append([]string{"hello@1.0.0", "--device", "press-07", "--channel", s.w.Deployments, "--values", values}, s.keys("plant")...), more...)
	}
	// Values that do not fit are named by their parameter.
	for name, text := range map[string]string{
		"port.yaml":    "port: \"" + value + "\"\n",
		"unknown.yaml": "other: \"" + value + "\"\n",
		"long.yaml":    "greeting: \"" + strings.Repeat(value, 20) + "\"\n",
		"literal.yaml": "token: \"" + value + "\"\n",
		"shape.yaml":   "greeting: [\"" + value + "\"]\n",
		"broken.yaml":  "greeting: \"" + value + "\n",
	} {
		s.once(3, "publisher", append([]string{"deploy"}, order(s.file(name, text), "--secret", "token=line-7")...)...)
	}
	s.run(0, "publisher", append([]string{"plan"}, planned(order(good, "--secret", "token=line-7"))...)...)
	s.once(0, "publisher", append([]string{"deploy"}, order(good, "--secret", "token=line-7")...)...)
	s.run(3, "agent", "sync") // the secret is missing
	s.w.Must(os.WriteFile(secretFile, []byte(secret), 0o644))
	s.w.Must(os.Chmod(secretFile, 0o644))
	s.run(3, "agent", "sync") // others may read it
	s.w.Must(os.Chmod(secretFile, 0o600))
}

// planned leaves out what plan does not take.
func planned(args []string) []string {
	for i, a := range args {
		if a == "--passphrase-file" {
			return append(append([]string{}, args[:i]...), args[i+2:]...)
		}
	}
	return args
}

// looksAround runs everything that only looks.
func (s *site) looksAround() {
	s.t.Helper()
	log := filepath.Join(s.device.Config.StateDir, "log")
	s.run(0, "agent", "status")
	s.run(0, "agent", "verify", "--explain")
	s.run(0, "agent", "log", "events")
	s.run(0, "agent", "log", "checkpoint")
	s.run(0, "agent", "doctor")
	s.run(0, "auditor", "verify", log, "--key", s.device.LogKey)
	s.run(0, "auditor", "events", log, "--key", s.device.LogKey)
	s.run(0, "auditor", "show", log, "0", "--key", s.device.LogKey)
	s.run(0, "publisher", "channel", "show", s.w.Deployments, "--keys", filepath.Join(s.w.Dir, "plant"))
	s.run(0, "publisher", "verify", "hello@1.0.0", "--channel", s.w.Deployments, "--keys", filepath.Join(s.w.Dir, "plant"))
}

// rotates changes the secret, and has the application fail.
func (s *site) rotates() {
	s.t.Helper()
	s.w.Must(os.WriteFile(filepath.Join(s.device.Config.SecretsDir, "line-7"), []byte(secret+"-next"), 0o600))
	s.once(0, "agent", "sync")
	s.denied(append([]string{"copy", s.w.Releases, "oci:" + filepath.Join(s.w.Dir, "media")}, "--root", filepath.Join(s.w.Dir, "acme", "root.json"))...)
}
