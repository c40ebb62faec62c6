package world_test

import (
	"bufio"
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/opencontainers/go-digest"
	specs "github.com/opencontainers/image-spec/specs-go"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/consign-dev/consign/internal/oci"
	"github.com/consign-dev/consign/internal/world"
)

// process is "publisher registry serve" as people run it.
type process struct {
	cmd  *exec.Cmd
	host string
	log  *bytes.Buffer // to be read after it ended
}

func startRegistry(t testing.TB, dir string) *process { return serve(t, dir, "127.0.0.1:0") }

func serve(t testing.TB, dir, address string) *process {
	t.Helper()
	p := &process{cmd: exec.Command(filepath.Join(world.Programs(t), "publisher"), "registry", "serve", "--dir", dir, "--listen", address), log: &bytes.Buffer{}}
	p.cmd.Stderr = p.log
	out, err := p.cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := p.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = p.cmd.Process.Kill(); _ = p.cmd.Wait() })
	line, err := bufio.NewReader(out).ReadString('\n')
	p.host = strings.TrimPrefix(strings.TrimSpace(line), "serving on ")
	if err != nil || p.host == "" {
		_ = p.cmd.Wait()
		t.Fatalf("the registry did not start: %q, %v: %s", line, err, p.log)
	}
	return p
}

func (p *process) repository(t *testing.T) *oci.Repository {
	t.Helper()
	config := filepath.Join(t.TempDir(), "config.json")
	if err := os.WriteFile(config, []byte("{}"), 0o600); err != nil {
		t.Fatal(err)
	}
	client, err := oci.NewClient(oci.Options{DockerConfig: config})
	if err != nil {
		t.Fatal(err)
	}
	repo, err := client.Repository(p.host + "/acme/app")
	if err != nil {
		t.Fatal(err)
	}
	return repo
}

// answered is what a registry said it has.
type answered struct {
	mu        sync.Mutex
	blobs     map[digest.Digest]int64
	manifests map[digest.Digest]bool // all refer to one subject
	// tags has what each may name: what was answered last, and what was asked
	// for since. "" is no manifest.
	tags map[string]map[digest.Digest]bool
	// kill ends the registry once it has answered that many blobs and manifests.
	after int
	kill  func()
}

func (a *answered) note(change func()) {
	a.mu.Lock()
	defer a.mu.Unlock()
	before := a.writes()
	change()
	if before < a.after && a.writes() >= a.after {
		a.kill()
	}
}

func (a *answered) writes() int { return len(a.blobs) + len(a.manifests) }

func blobOf(seed string) (ocispec.Descriptor, []byte) {
	key := sha256.Sum256([]byte(seed))
	data := make([]byte, 1+(int(key[0])<<8|int(key[1]))*4)
	_, _ = rand.NewChaCha8(key).Read(data)
	return ocispec.Descriptor{MediaType: "application/octet-stream", Digest: digest.FromBytes(data), Size: int64(len(data))}, data
}

// pushManifest makes a manifest over a blob that was pushed.
func pushManifest(ctx context.Context, repo *oci.Repository, layer ocispec.Descriptor, subject *ocispec.Descriptor) (ocispec.Descriptor, []byte, error) {
	data, err := json.Marshal(ocispec.Manifest{
		Versioned: specs.Versioned{SchemaVersion: 2}, MediaType: ocispec.MediaTypeImageManifest, ArtifactType: "application/vnd.example.thing",
		Config: layer, Layers: []ocispec.Descriptor{layer}, Subject: subject,
	})
	desc := ocispec.Descriptor{MediaType: ocispec.MediaTypeImageManifest, Digest: digest.FromBytes(data), Size: int64(len(data))}
	return desc, data, errors.Join(err, repo.PushManifest(ctx, desc, data))
}

func pushBlob(ctx context.Context, repo *oci.Repository, seed string) (ocispec.Descriptor, error) {
	desc, data := blobOf(seed)
	return desc, repo.PushBlob(ctx, desc, func() (io.ReadCloser, error) { return io.NopCloser(bytes.NewReader(data)), nil })
}

// push sends things until the registry is gone, and notes what was answered.
func (a *answered) push(ctx context.Context, repo *oci.Repository, subject ocispec.Descriptor, tag, seed string) error {
	for n := 0; ; n++ {
		layer, err := pushBlob(ctx, repo, fmt.Sprint(seed, n))
		if err != nil {
			return err
		}
		a.note(func() { a.blobs[layer.Digest] = layer.Size })
		desc, data, err := pushManifest(ctx, repo, layer, &subject)
		if err != nil {
			return err
		}
		a.note(func() { a.manifests[desc.Digest] = true })
		a.note(func() { a.tags[tag][desc.Digest] = true })
		if err := repo.Tag(ctx, desc, data, tag, ""); err != nil {
			return err
		}
		a.note(func() { a.tags[tag] = map[digest.Digest]bool{desc.Digest: true} })
	}
}

func (a *answered) check(t *testing.T, repo *oci.Repository, subject ocispec.Descriptor) {
	t.Helper()
	for d, size := range a.blobs {
		if _, err := repo.BlobBytes(t.Context(), ocispec.Descriptor{MediaType: "application/octet-stream", Digest: d, Size: size}, size); err != nil {
			t.Errorf("a blob that was answered: %v", err)
		}
	}
	for d := range a.manifests {
		if _, _, err := repo.Manifest(t.Context(), d, oci.MaxManifestBytes); err != nil {
			t.Errorf("a manifest that was answered: %v", err)
		}
	}
	for tag, may := range a.tags {
		at, err := repo.ResolveTag(t.Context(), tag)
		if err != nil && !errors.Is(err, oci.ErrNotFound) || !may[at.Digest] {
			t.Errorf("tag %s names %q (%v), want one of %v", tag, at.Digest, err, may)
		}
		a.tags[tag] = map[digest.Digest]bool{at.Digest: true}
	}
	listed, err := repo.Referrers(t.Context(), subject, "")
	if err != nil {
		t.Fatal(err)
	}
	found := map[digest.Digest]bool{}
	for _, r := range listed {
		found[r.Digest] = true
	}
	for d := range a.manifests {
		if !found[d] {
			t.Errorf("the referrers do not list %s, which was answered", d)
		}
	}
}

// servesOnlyWhole asks for every name in the registry's directory, whether its
// upload was answered or not.
func servesOnlyWhole(t *testing.T, p *process, dir string) {
	t.Helper()
	names, err := filepath.Glob(filepath.Join(dir, "acme", "app", "blobs", "sha256", "*"))
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range names {
		resp, err := http.Get("http://" + p.host + "/v2/acme/app/blobs/sha256:" + filepath.Base(name))
		if err != nil {
			t.Fatal(err)
		}
		data, err := io.ReadAll(resp.Body)
		_ = resp.Body.Close()
		if err != nil || resp.StatusCode == http.StatusOK && digest.FromBytes(data).Encoded() != filepath.Base(name) {
			t.Errorf("%s is served with %d bytes of something else (%v)", filepath.Base(name), len(data), err)
		}
	}
	if left, err := os.ReadDir(filepath.Join(dir, "acme", "app", "_uploads")); err == nil && len(left) > 0 {
		t.Errorf("%d unfinished uploads survived the restart", len(left))
	}
}

// TestRegistryKilledWhilePushed: whatever a registry answered before a kill -9
// is there when it runs again, and nothing that it serves is half of something.
func TestRegistryKilledWhilePushed(t *testing.T) {
	dir := t.TempDir()
	a := &answered{tags: map[string]map[digest.Digest]bool{}}
	const kills, writers = 20, 6
	total := 0
	for n := range kills {
		p := startRegistry(t, dir)
		a.blobs, a.manifests = map[digest.Digest]int64{}, map[digest.Digest]bool{}
		a.after, a.kill = writers+n/2, func() { _ = p.cmd.Process.Kill() }
		layer, err := pushBlob(t.Context(), p.repository(t), fmt.Sprint("subject", n))
		if err != nil {
			t.Fatal(err)
		}
		subject, _, err := pushManifest(t.Context(), p.repository(t), layer, nil)
		if err != nil {
			t.Fatal(err)
		}
		var writing sync.WaitGroup
		for k := range writers {
			repo, tag := p.repository(t), fmt.Sprint("tag", k)
			if a.tags[tag] == nil {
				a.tags[tag] = map[digest.Digest]bool{"": true}
			}
			writing.Go(func() { _ = a.push(context.Background(), repo, subject, tag, fmt.Sprint(n, k, "-")) })
		}
		writing.Wait()
		_ = p.cmd.Process.Kill() // it is dead unless it stopped to answer
		_ = p.cmd.Wait()
		if a.writes() < a.after {
			t.Fatalf("only %d of %d writes were answered before kill %d: %s", a.writes(), a.after, n, p.log)
		}

		p = startRegistry(t, dir)
		a.check(t, p.repository(t), subject)
		servesOnlyWhole(t, p, dir)
		total += a.writes()
		if err := p.cmd.Process.Kill(); err != nil {
			t.Fatal(err)
		}
		_ = p.cmd.Wait()
		if t.Failed() {
			t.Fatalf("after kill %d: %s", n, p.log)
		}
	}
	t.Logf("%d kills, %d answered writes", kills, total)
}

// TestRegistryStopsGracefully: an upload that runs when the registry is told to
// stop is finished and answered.
func TestRegistryStopsGracefully(t *testing.T) {
	dir := t.TempDir()
	p := startRegistry(t, dir)
	base := "http://" + p.host
	resp, err := http.Post(base+"/v2/acme/app/blobs/uploads/", "", nil)
	if err != nil {
		t.Fatal(err)
	}
	_ = resp.Body.Close()
	desc, data := blobOf("graceful")
	body, feed := io.Pipe()
	req, err := http.NewRequest(http.MethodPut, base+resp.Header.Get("Location")+"&digest="+string(desc.Digest), body)
	if err != nil {
		t.Fatal(err)
	}
	req.ContentLength = desc.Size
	// The body is asked for by the handler, so the first byte of it that leaves
	// shows that the request runs; before that the connection counts as idle.
	req.Header.Set("Expect", "100-continue")
	client := &http.Client{Transport: &http.Transport{ExpectContinueTimeout: time.Minute}}
	defer client.CloseIdleConnections()
	go func() {
		_, _ = feed.Write(data[:len(data)/2])
		_ = p.cmd.Process.Signal(syscall.SIGTERM)
		time.Sleep(500 * time.Millisecond)
		_, _ = feed.Write(data[len(data)/2:])
		_ = feed.Close()
	}()
	resp, err = client.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	_ = resp.Body.Close()
	if resp.StatusCode != http.StatusCreated {
		t.Fatalf("the upload ended with %s", resp.Status)
	}
	if err := p.cmd.Wait(); err != nil {
		t.Fatalf("the registry ended with %v: %s", err, p.log)
	}
	again := startRegistry(t, dir)
	if _, err := again.repository(t).BlobBytes(t.Context(), desc, desc.Size); err != nil {
		t.Fatal(err)
	}
}
