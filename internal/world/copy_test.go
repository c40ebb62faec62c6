package world_test

import (
	"context"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/opencontainers/go-digest"

	"github.com/consign-dev/consign/internal/agent"
	"github.com/consign-dev/consign/internal/channel"
	"github.com/consign-dev/consign/internal/oci"
	"github.com/consign-dev/consign/internal/publish"
	"github.com/consign-dev/consign/internal/reason"
	"github.com/consign-dev/consign/internal/world"
)

// inMedia is where a repository lies in a directory.
func inMedia(t *testing.T, dir, repository string) string {
	t.Helper()
	at, err := oci.LocalPath(repository)
	if err != nil {
		t.Fatal(err)
	}
	return filepath.Join(dir, at)
}

// onlyEngineMissing: a device took everything up to the moment at which it
// would start containers.
func onlyEngineMissing(t *testing.T, d *world.Device, res *agent.Result, err error) {
	t.Helper()
	wantReason(t, err, reason.Unreachable)
	kinds := strings.Join(d.Events(), " ")
	if len(res.Changes) != 1 || !strings.Contains(kinds, "accepted") || !strings.Contains(kinds, "intent:") {
		t.Fatalf("changes %+v, events %s: want an intent", res.Changes, kinds)
	}
}

// TestSyncFromADirectory is the life of a device without a network: it installs
// and upgrades from directories, and refuses an older one (O13).
func TestSyncFromADirectory(t *testing.T) {
	w := world.New(t)
	w.Publish("acme", "1.0.0", nil)
	d := w.Device("press-07", engine(t))
	port := world.FreePort(t)
	w.Deploy(d.ID, "1.0.0", map[string]string{"greeting": "Hi", "port": port})
	first := w.Media()
	w.Publish("acme", "1.1.0", nil)
	w.Deploy(d.ID, "1.1.0", nil)
	second := w.Media()
	w.Must(w.Party("plant").Undeploy(w.Context(), w.Deployments, "hello", d.ID))
	last := w.Media()
	t.Cleanup(func() { _, _ = d.SyncFrom(last) })
	w.StopRegistry()

	res, err := d.SyncFrom(first)
	wantAction(t, res, err, agent.Installed)
	if got, want := get(t, port), "Hi (hello 1.0.0)"; got != want {
		t.Fatalf("the application answers %q, want %q", got, want)
	}
	res, err = d.SyncFrom(first)
	wantAction(t, res, err, agent.Unchanged)
	res, err = d.SyncFrom(second)
	wantAction(t, res, err, agent.Upgraded)
	_, err = d.SyncFrom(first)
	wantReason(t, err, reason.Rollback)
	if got, want := get(t, port), "Hi (hello 1.1.0)"; got != want {
		t.Fatalf("after older media the application answers %q, want %q", got, want)
	}
	res, err = d.SyncFrom(last)
	wantAction(t, res, err, agent.Removed)
}

// TestSyncFromADirectoryAsksNobody: nothing reaches a registry that is there.
func TestSyncFromADirectoryAsksNobody(t *testing.T) {
	w := world.New(t)
	w.Publish("acme", "1.0.0", nil)
	d := w.Device("press-07", noEngine)
	w.Deploy(d.ID, "1.0.0", nil)
	dir := w.Media()
	w.Requests()
	res, err := d.SyncFrom(dir)
	onlyEngineMissing(t, d, res, err)
	if asked := w.Requests(); len(asked) > 0 {
		t.Fatalf("the registry was asked: %q", asked)
	}
}

// TestAttackO12MediaIsRefused: each change of a directory is refused before the
// machine is touched, and genuine media are taken afterwards.
func TestAttackO12MediaIsRefused(t *testing.T) {
	w := world.New(t)
	bundle := w.Publish("acme", "1.0.0", nil)
	app := strings.Replace(w.Releases, "releases", "hello", 1)
	device := w.Device("press-07", noEngine)
	w.Deploy(device.ID, "1.0.0", nil)
	genuine := w.Media()
	config := w.ImageConfig("hello", bundle)
	head, _ := w.Head(w.Deployments)
	tests := []struct {
		name string
		do   func(dir string)
		want reason.Code
	}{
		{"another image", func(dir string) { zero(t, inMedia(t, dir, app), config) }, reason.DigestMismatch},
		{"another bundle", func(dir string) { zero(t, inMedia(t, dir, app), bundle) }, reason.DigestMismatch},
		{"another channel manifest", func(dir string) { zero(t, inMedia(t, dir, w.Deployments), head.Digest) }, reason.DigestMismatch},
		{"a part is missing", func(dir string) { w.Must(os.Remove(blobIn(inMedia(t, dir, app), config))) }, reason.Unreachable},
		{"a link to the right bytes", func(dir string) {
			path := blobIn(inMedia(t, dir, app), config)
			w.Must(os.Rename(path, path+"-"))
			w.Must(os.Symlink(path+"-", path))
		}, reason.Malformed},
		{"the channel is a link", func(dir string) {
			path := inMedia(t, dir, w.Deployments)
			w.Must(os.Rename(path, path+"-"))
			w.Must(os.Symlink(path+"-", path))
		}, reason.Malformed},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			dir := filepath.Join(t.TempDir(), "media")
			w.Must(os.CopyFS(dir, os.DirFS(genuine)))
			d := device.Again(t)
			tt.do(dir)
			_, err := d.SyncFrom(dir)
			wantReason(t, err, tt.want)
			if kinds := strings.Join(d.Events(), " "); strings.Contains(kinds, "intent") {
				t.Fatalf("the machine was about to be changed: %s", kinds)
			}
			res, err := d.SyncFrom(genuine)
			onlyEngineMissing(t, d, res, err)
		})
	}
}

func blobIn(repository string, d digest.Digest) string {
	return filepath.Join(repository, "blobs", "sha256", d.Encoded())
}

// zero changes a blob and keeps its length.
func zero(t *testing.T, repository string, d digest.Digest) {
	t.Helper()
	path := blobIn(repository, d)
	data, err := os.ReadFile(path)
	if err == nil {
		err = os.WriteFile(path, make([]byte, len(data)), 0o600)
	}
	if err != nil {
		t.Fatal(err)
	}
}

// TestCopyToAnotherRegistry: a copy in a registry is the channel, whole, with the
// tags of a published one, and a second run sends nothing.
func TestCopyToAnotherRegistry(t *testing.T) {
	w := world.New(t)
	bundle := w.Publish("acme", "1.0.0", nil)
	w.Publish("acme", "1.1.0", nil)
	mirror := strings.Replace(w.Releases, "acme", "mirror/acme", 1)
	in := publish.CopyInput{From: w.Registry(w.Releases), To: w.Registry(mirror), Releases: []string{"hello/1.0.0"}}
	done, err := w.Copy("acme", in)
	w.Must(err)
	here, _ := w.Head(w.Releases)
	there, _ := w.Head(mirror)
	if here.Digest != there.Digest || done.Manifest != here.Digest {
		t.Fatalf("the channel is %s, its copy %s (%s)", here.Digest, there.Digest, done.Manifest)
	}
	if len(done.Targets) != 1 || done.Targets[0].Digest != bundle || len(done.Left) != 1 || done.Left[0] != "hello/1.1.0" || done.Sent == 0 {
		t.Fatalf("copied %+v", done)
	}
	for repository, tag := range map[string]string{
		"mirror/acme/hello": "1.0.0", "mirror/acme/hello/hello-stack": "1.0.0",
	} {
		if got, want := w.Tag(repository, tag), w.Tag(strings.TrimPrefix(repository, "mirror/"), tag); got != want {
			t.Errorf("%s:%s names %s, in the source %s", repository, tag, got, want)
		}
	}
	if got := w.Tag("mirror/acme/hello", channel.RetentionTag(bundle)); got != bundle {
		t.Errorf("the retention tag names %s", got)
	}

	w.Requests()
	done, err = w.Copy("acme", in)
	w.Must(err)
	if !done.Unchanged || done.Sent != 0 {
		t.Errorf("the second copy: %+v", done)
	}
	for _, r := range w.Requests() {
		if strings.HasPrefix(r, "PUT") || strings.HasPrefix(r, "POST") || strings.HasPrefix(r, "PATCH") {
			t.Errorf("the second copy wrote: %s", r)
		}
	}

	in.Releases = nil
	done, err = w.Copy("acme", in)
	w.Must(err)
	if len(done.Targets) != 2 || len(done.Left) != 0 || done.Unchanged {
		t.Errorf("the rest: %+v", done)
	}
}

// TestCopyFailsWhole: a part that the source has lost, or that the destination
// loses, is named, and the destination's tag does not move.
func TestCopyFailsWhole(t *testing.T) {
	w := world.New(t)
	bundle := w.Publish("acme", "1.0.0", nil)
	config := w.ImageConfig("hello", bundle)
	mirror := strings.Replace(w.Releases, "acme", "mirror", 1)
	in := publish.CopyInput{From: w.Registry(w.Releases), To: w.Registry(mirror)}
	nothingThere := func() {
		t.Helper()
		if at := w.Tag("mirror/releases", channel.Tag); at != "" {
			t.Fatalf("the tag names %s", at)
		}
	}

	path := blobIn(filepath.Join(w.RegistryDir, "acme/hello"), config)
	w.Must(os.Rename(path, path+"-"))
	_, err := w.Copy("acme", in)
	wantReason(t, err, reason.Unreachable)
	if !strings.Contains(err.Error(), config.String()) {
		t.Errorf("the error does not name the blob: %v", err)
	}
	nothingThere()
	w.Must(os.Rename(path+"-", path))

	repair := w.Overwrite("acme/hello", config)
	_, err = w.Copy("acme", in)
	wantReason(t, err, reason.DigestMismatch)
	nothingThere()
	repair()

	// A destination that takes everything and keeps less.
	lost := blobIn(filepath.Join(w.RegistryDir, "mirror/hello"), config)
	w.Intercept(func(_ http.ResponseWriter, req *http.Request) bool {
		if req.Method == http.MethodPut && req.URL.Path == "/v2/mirror/hello/manifests/"+bundle.String() {
			w.Must(os.Remove(lost))
		}
		return false
	})
	_, err = w.Copy("acme", in)
	wantReason(t, err, reason.DigestMismatch)
	if !strings.Contains(err.Error(), "read back") {
		t.Errorf("not found by reading back: %v", err)
	}
	nothingThere()
	w.Intercept(nil)

	_, err = w.Copy("acme", in)
	w.Must(err)
	// The same for a copy that lost a part since, under manifests that are there.
	w.Must(os.Remove(lost))
	done, err := w.Copy("acme", in)
	w.Must(err)
	if done.Unchanged || done.Sent == 0 {
		t.Errorf("the lost blob was not sent again: %+v", done)
	}
}

// TestInterruptedCopyGoesOn: what arrived before an interruption is not sent
// again.
func TestInterruptedCopyGoesOn(t *testing.T) {
	w := world.New(t)
	w.Publish("acme", "1.0.0", nil)
	mirror := strings.Replace(w.Releases, "acme", "mirror", 1)
	in := publish.CopyInput{From: w.Registry(w.Releases), To: w.Registry(mirror)}
	ctx, stop := context.WithCancel(w.Context())
	defer stop()
	w.Intercept(func(_ http.ResponseWriter, req *http.Request) bool {
		if req.Method == http.MethodPut && strings.HasPrefix(req.URL.Path, "/v2/mirror/hello/manifests/") {
			stop()
		}
		return false
	})
	root, err := os.ReadFile(filepath.Join(w.Dir, "acme", "root.json"))
	w.Must(err)
	in.Root = root
	if _, err := w.Party("acme").Copy(ctx, in); err == nil {
		t.Fatal("the interrupted copy succeeded")
	}
	w.Intercept(nil)
	if at := w.Tag("mirror/releases", channel.Tag); at != "" {
		t.Fatalf("the tag names %s after an interruption", at)
	}
	uploads := func() (n int) {
		for _, r := range w.Requests() {
			if strings.HasPrefix(r, "PUT /v2/mirror/hello/blobs/") {
				n++
			}
		}
		return n
	}
	if n := uploads(); n < 4 {
		t.Fatalf("%d blobs had arrived", n)
	}
	_, err = w.Copy("acme", in)
	w.Must(err)
	// What is left is the evidence, whose turn had not come.
	if n := uploads(); n > 2 {
		t.Errorf("%d blobs were sent again", n)
	}
}

// TestCopyNeverGoesBack: an older state over a newer one is a rollback, another
// channel in the place is refused, and nothing moves.
func TestCopyNeverGoesBack(t *testing.T) {
	w := world.New(t)
	w.Publish("acme", "1.0.0", nil)
	mirror := strings.Replace(w.Releases, "acme", "mirror", 1)
	old := strings.Replace(w.Releases, "acme", "old", 1)
	in := publish.CopyInput{From: w.Registry(w.Releases), To: w.Registry(old)}
	_, err := w.Copy("acme", in)
	w.Must(err)
	w.Publish("acme", "1.1.0", nil)
	in.To = w.Registry(mirror)
	_, err = w.Copy("acme", in)
	w.Must(err)
	newest := w.Tag("mirror/releases", channel.Tag)

	in.From = w.Registry(old)
	_, err = w.Copy("acme", in)
	wantReason(t, err, reason.Rollback)
	in.Root = nil
	_, err = w.Party("acme").Copy(w.Context(), publish.CopyInput{From: w.Registry(old), To: w.Registry(strings.Replace(w.Releases, "acme", "third", 1))})
	wantReason(t, err, reason.Rollback) // the keys have seen more

	_, err = w.Copy("plant", publish.CopyInput{From: w.Registry(w.Deployments), To: w.Registry(mirror)})
	wantReason(t, err, reason.WrongChannel)
	_, err = w.Copy("plant", publish.CopyInput{From: w.Registry(w.Releases), To: w.Registry(strings.Replace(w.Releases, "acme", "third", 1))})
	wantReason(t, err, reason.UntrustedSigner)
	if at := w.Tag("mirror/releases", channel.Tag); at != newest {
		t.Errorf("the tag moved from %s to %s", newest, at)
	}
	if at := w.Tag("third/releases", channel.Tag); at != "" {
		t.Errorf("a channel was made: %s", at)
	}

	w.Now = w.Now.Add(60 * 24 * time.Hour)
	_, err = w.Copy("acme", publish.CopyInput{From: w.Registry(w.Releases), To: w.Registry(mirror)})
	if !reason.Is(err, reason.Expired) && !reason.Is(err, reason.Freeze) {
		t.Errorf("an expired channel: %v", err)
	}
}

// TestCopyChoosesDevices: other devices' orders stay at home, and what is asked
// for must be there.
func TestCopyChoosesDevices(t *testing.T) {
	w := world.New(t)
	w.Publish("acme", "1.0.0", nil)
	d, other := w.Device("press-07", noEngine), w.Device("press-08", noEngine)
	w.Deploy(d.ID, "1.0.0", nil)
	w.Deploy(other.ID, "1.0.0", nil)
	dir := filepath.Join(t.TempDir(), "media")
	_, err := w.CopyOut("acme", w.Releases, dir, nil)
	w.Must(err)
	done, err := w.CopyOut("plant", w.Deployments, dir, func(in *publish.CopyInput) { in.Devices = []string{d.ID} })
	w.Must(err)
	if len(done.Targets) != 2 || len(done.Left) != 1 || done.Left[0] != "devices/press-08" {
		t.Errorf("copied %+v", done)
	}
	res, err := d.SyncFrom(dir)
	onlyEngineMissing(t, d, res, err)
	_, err = other.SyncFrom(dir)
	wantReason(t, err, reason.Unreachable)

	_, err = w.CopyOut("plant", w.Deployments, dir, func(in *publish.CopyInput) { in.Devices = []string{"nobody"} })
	wantReason(t, err, reason.NoOrder)
	_, err = w.CopyOut("acme", w.Releases, dir, func(in *publish.CopyInput) { in.Releases = []string{"hello/9.9.9"} })
	wantReason(t, err, reason.NotReleased)
	_, err = w.CopyOut("acme", w.Releases, dir, func(in *publish.CopyInput) { in.Devices = []string{d.ID} })
	if err == nil {
		t.Error("devices of a release channel were copied")
	}
}

// TestCopyFromADirectory: a directory fills a registry elsewhere; one that lost
// a part, or whose bytes rotted, is not called a copy at either end.
func TestCopyFromADirectory(t *testing.T) {
	w := world.New(t)
	bundle := w.Publish("acme", "1.0.0", nil)
	config := w.ImageConfig("hello", bundle)
	dir := filepath.Join(t.TempDir(), "media")
	_, err := w.CopyOut("acme", w.Releases, dir, nil)
	w.Must(err)
	path := blobIn(inMedia(t, dir, strings.Replace(w.Releases, "releases", "hello", 1)), config)
	genuine, err := os.ReadFile(path)
	w.Must(err)
	client, err := oci.NewDirectoryReader(dir, oci.Options{})
	w.Must(err)
	t.Cleanup(func() { w.Must(client.Close()) })
	in := publish.CopyInput{
		From: publish.Place{Client: client, Repository: w.Releases, Local: true},
		To:   w.Registry(strings.Replace(w.Releases, "acme", "mirror", 1)),
	}
	w.Must(os.Remove(path))
	_, err = w.Copy("acme", in)
	wantReason(t, err, reason.Unreachable)
	w.Must(os.WriteFile(path, make([]byte, len(genuine)), 0o600))
	_, err = w.Copy("acme", in)
	wantReason(t, err, reason.DigestMismatch)
	_, err = w.CopyOut("acme", w.Releases, dir, nil)
	wantReason(t, err, reason.DigestMismatch)
	if at := w.Tag("mirror/releases", channel.Tag); at != "" {
		t.Fatalf("the tag names %s", at)
	}
	w.Must(os.WriteFile(path, genuine, 0o600))
	_, err = w.Copy("acme", in)
	w.Must(err)
	if at, _ := w.Head(w.Releases); w.Tag("mirror/releases", channel.Tag) != at.Digest {
		t.Error("the copy is not the channel")
	}
}

// TestCopyBringsEveryRoot: a copier who trusts a later root still copies those
// before it, for readers that begin there, if they lead to it.
func TestCopyBringsEveryRoot(t *testing.T) {
	w := world.New(t)
	second := w.RenewRoot("acme", w.Releases)
	in := publish.CopyInput{From: w.Registry(w.Releases), To: w.Registry(strings.Replace(w.Releases, "acme", "mirror", 1)), Root: second}
	done, err := w.Party("acme").Copy(w.Context(), in)
	w.Must(err)
	if at, _ := w.Head(w.Releases); done.Manifest != at.Digest {
		t.Error("the copy has other files than the channel")
	}
	// A first root of somebody else, put below the one that is trusted.
	_, data := w.Head(w.Releases)
	files, err := channel.ParseManifest(data)
	w.Must(err)
	stranger, err := os.ReadFile(filepath.Join(w.Dir, "plant", "root.json"))
	w.Must(err)
	w.Replace(w.Releases, files["1.root.json"].Digest, stranger)
	in.To = w.Registry(strings.Replace(w.Releases, "acme", "third", 1))
	if _, err = w.Party("acme").Copy(w.Context(), in); !reason.Is(err, reason.WrongChannel) && !reason.Is(err, reason.UntrustedSigner) {
		t.Errorf("a stranger's first root: %v", err)
	}
	if at := w.Tag("third/releases", channel.Tag); at != "" {
		t.Errorf("a channel was made: %s", at)
	}
}
