package world_test

import (
	"bytes"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/consign-dev/consign/internal/agent"
	"github.com/consign-dev/consign/internal/publish"
	"github.com/consign-dev/consign/internal/reason"
	"github.com/consign-dev/consign/internal/world"
)

// distribution is the distribution project's registry: no referrers API, no
// If-Match, and a collection of its own.
type distribution struct {
	t    *testing.T
	bin  string
	conf string // its configuration file
	// Address is where it listens, on loopback.
	Address string
}

// startDistribution runs it with further sections of its configuration, which
// may use TLS.
func startDistribution(t *testing.T, scheme, http, more string) *distribution {
	t.Helper()
	dir := os.Getenv("CONSIGN_REGISTRY_BIN")
	if dir == "" {
		t.Fatal("CONSIGN_REGISTRY_BIN does not name the distribution project's registry: run this with make test")
	}
	d := &distribution{t: t, bin: filepath.Join(dir, "registry"), conf: filepath.Join(t.TempDir(), "config.yml"), Address: "127.0.0.1:" + world.FreePort(t)}
	text := fmt.Sprintf(`version: 0.1
log: {level: warn, accesslog: {disabled: true}}
storage:
  filesystem: {rootdirectory: %s}
  delete: {enabled: true}
http:
  addr: %s
%s%s`, t.TempDir(), d.Address, http, more)
	if err := os.WriteFile(d.conf, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(d.bin, "serve", d.conf)
	log := &bytes.Buffer{}
	cmd.Stdout, cmd.Stderr = log, log
	cmd.Env = append(os.Environ(), "OTEL_TRACES_EXPORTER=none")
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
		if t.Failed() {
			t.Logf("registry: %s", log)
		}
	})
	d.wait(scheme)
	return d
}

// wait asks until something speaks HTTP there; what a client makes of it is for
// the test.
func (d *distribution) wait(scheme string) {
	client := http.Client{Timeout: time.Second}
	for end := time.Now().Add(30 * time.Second); ; time.Sleep(20 * time.Millisecond) {
		resp, err := client.Get(scheme + "://" + d.Address + "/v2/")
		if err == nil {
			_ = resp.Body.Close()
			return
		}
		if strings.Contains(err.Error(), "certificate") {
			return
		}
		if time.Now().After(end) {
			d.t.Fatalf("the registry does not come up: %v", err)
		}
	}
}

// collect runs its garbage collection, which removes what no tag reaches.
func (d *distribution) collect() {
	d.t.Helper()
	cmd := exec.Command(d.bin, "garbage-collect", "--delete-untagged", d.conf)
	cmd.Env = append(os.Environ(), "OTEL_TRACES_EXPORTER=none")
	out, err := cmd.CombinedOutput()
	if err != nil || !strings.Contains(string(out), "eligible for deletion") {
		d.t.Fatalf("garbage-collect: %v: %s", err, out)
	}
}

// strip deletes a tag, as the registry's owner can.
func (d *distribution) strip(repository, tag string) {
	d.t.Helper()
	req, err := http.NewRequest(http.MethodDelete, "http://"+d.Address+"/v2/"+repository+"/manifests/"+tag, nil)
	if err != nil {
		d.t.Fatal(err)
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		d.t.Fatal(err)
	}
	_ = resp.Body.Close()
	if resp.StatusCode != http.StatusAccepted {
		d.t.Fatalf("delete %s:%s: %s", repository, tag, resp.Status)
	}
}

// TestRegistryWithoutReferrers: publish, deploy and run from a registry without
// the referrers API; its collection takes nothing that a new device needs; what
// is stripped from it is noticed.
func TestRegistryWithoutReferrers(t *testing.T) {
	reg := startDistribution(t, "http", "", "")
	if resp, err := http.Get("http://" + reg.Address + "/v2/acme/hello/referrers/sha256:" + strings.Repeat("0", 64)); err != nil || resp.StatusCode != http.StatusNotFound {
		t.Fatalf("this registry has a referrers API: %v, %v", resp, err)
	}
	w := world.NewIn(t, world.Options{Registry: reg.Address})
	bundle := w.Publish("acme", "1.0.0", nil)
	d := w.Device("press-07", engine(t))
	t.Cleanup(func() { takeAway(w, d) })
	port := world.FreePort(t)
	w.Deploy(d.ID, "1.0.0", map[string]string{"greeting": "Hi", "port": port})
	res, err := d.Sync()
	wantAction(t, res, err, agent.Installed)
	if got := get(t, port); got != "Hi (hello 1.0.0)" {
		t.Fatalf("the application answers %q", got)
	}
	seen, err := publish.Inspect(w.Context(), w.Client(), reg.Address+"/acme/hello@"+string(bundle))
	w.Must(err)
	if len(seen.Evidence) != 2 { // signature and SBOM
		t.Fatalf("the fallback tag lists %d pieces of evidence", len(seen.Evidence))
	}

	fresh, late := w.Device("press-08", noEngine), w.Device("press-09", noEngine)
	w.Deploy(fresh.ID, "1.0.0", nil)
	w.Deploy(late.ID, "1.0.0", nil)
	reg.collect()
	reg.collect()
	res, err = fresh.Verify()
	wantAction(t, res, err, agent.Accepted)

	// Nothing of the tags is believed, so without them there is nothing to
	// find but what is missing.
	reg.strip("acme/hello", strings.Replace(string(bundle), ":", "-", 1))
	reg.strip("acme/hello", "consign-"+seen.Evidence[0].Digest.Encoded())
	reg.collect()
	_, err = late.Verify()
	wantReason(t, err, reason.Unreachable)
	if !strings.Contains(err.Error(), seen.Evidence[0].Digest.String()) {
		t.Fatalf("the refusal does not name the evidence that is gone: %v", err)
	}
}
