package world_test

import (
	"bytes"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/consign-dev/consign/internal/channel"
	"github.com/consign-dev/consign/internal/oci"
	"github.com/consign-dev/consign/internal/pack"
	"github.com/consign-dev/consign/internal/publish"
	"github.com/consign-dev/consign/internal/reason"
	"github.com/consign-dev/consign/internal/world"
)

// TestPublishAgain: the same content again changes nothing, other content under
// a released version is refused.
func TestPublishAgain(t *testing.T) {
	w := world.New(t)
	w.Publish("acme", "1.0.0", nil)
	before, _ := w.Head(w.Releases)
	again := func(dir string) (*publish.Published, error) {
		layout, err := oci.CreateLayout(filepath.Join(t.TempDir(), "layout"))
		w.Must(err)
		client, err := oci.NewClient(oci.Options{DockerConfig: filepath.Join(w.Dir, "docker.json")})
		w.Must(err)
		options := w.PackOptions(dir, layout)
		options.Client = client
		packed, err := pack.Pack(w.Context(), options)
		w.Must(err)
		p := w.Party("acme")
		return p.Publish(w.Context(), publish.PublishInput{Channel: w.Releases, Layout: layout, Packed: packed, SigningKey: p.Keys.SigningKey()})
	}
	done, err := again(w.Package("1.0.0", nil))
	w.Must(err)
	if after, _ := w.Head(w.Releases); !done.Unchanged || after.Digest != before.Digest {
		t.Fatalf("publishing the same again: %+v, channel moved: %t", done, after.Digest != before.Digest)
	}
	_, err = again(w.Package("1.0.0", func(dir string) {
		w.Edit(filepath.Join(dir, "margo.yaml"), "The smallest application", "Another application")
	}))
	wantReason(t, err, reason.Exists)
}

// TestExpiredChannelCanBeRefreshed: a channel whose timestamp ran out over a
// holiday is taken up again by whoever holds its keys, and devices follow.
func TestExpiredChannelCanBeRefreshed(t *testing.T) {
	w := world.New(t)
	d := w.Device("press-07", "unix:///nonexistent/engine.sock")
	w.Now = w.Now.Add(10 * 24 * time.Hour)
	_, err := d.Sync()
	wantReason(t, err, reason.Expired)
	_, err = w.Party("plant").RefreshChannel(w.Context(), w.Deployments, channel.KindDeployments)
	w.Must(err)
	_, err = d.Sync()
	w.Must(err)
}

// TestPolicyNamesRootOfAnotherKind: an operator's own root in a supplier's place
// is found before it is signed.
func TestPolicyNamesRootOfAnotherKind(t *testing.T) {
	w := world.New(t)
	root, err := os.ReadFile(filepath.Join(w.Dir, "plant", "root.json"))
	w.Must(err)
	w.Must(os.WriteFile(filepath.Join(w.Dir, "acme-root.json"), root, 0o600))
	_, err = w.Party("plant").SetPolicy(w.Context(), w.Deployments, filepath.Join(w.Dir, "policy.yaml"))
	wantReason(t, err, reason.WrongChannel)
}

// TestDeviceAddRefusesAnotherDevicesLogKey: a log key is bound to its device's name.
func TestDeviceAddRefusesAnotherDevicesLogKey(t *testing.T) {
	w := world.New(t)
	d := w.Device("press-07", "unix:///nonexistent/engine.sock")
	err := w.Party("plant").AddDevice(w.Context(), w.Deployments, "press-08", d.LogKey)
	wantReason(t, err, reason.WrongDevice)
}

// TestInitChannelAgain: an initialisation that could not reach the registry is
// run again and makes the same channel; one that was done is refused.
func TestInitChannelAgain(t *testing.T) {
	w := world.New(t)
	place := strings.Replace(w.Releases, "acme", "new", 1)
	in := publish.InitChannelInput{Repository: readOnly(t, place), Kind: channel.KindReleases, OfflineKeys: 1, Threshold: 1}
	_, err := w.Party("new").InitChannel(w.Context(), in)
	wantReason(t, err, reason.Unreachable)
	key, err := os.ReadFile(filepath.Join(w.Dir, "new", "root.pem"))
	w.Must(err)
	in.Repository = place
	info, err := w.Party("new").InitChannel(w.Context(), in)
	w.Must(err)
	if info.Versions["root"] != 1 || info.Kind != channel.KindReleases {
		t.Fatalf("channel %+v", info)
	}
	if again, err := os.ReadFile(filepath.Join(w.Dir, "new", "root.pem")); err != nil || !bytes.Equal(again, key) {
		t.Fatalf("the second run made other keys: %v", err)
	}
	_, err = w.Party("new").InitChannel(w.Context(), in)
	wantReason(t, err, reason.Exists)
}

// readOnly is a repository of the registry behind a proxy that answers every
// write with a server error.
func readOnly(t *testing.T, repository string) string {
	t.Helper()
	host, path, _ := strings.Cut(repository, "/")
	proxy := httputil.NewSingleHostReverseProxy(&url.URL{Scheme: "http", Host: host})
	srv := httptest.NewServer(http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
		if r.Method != http.MethodGet && r.Method != http.MethodHead {
			http.Error(rw, "read only", http.StatusServiceUnavailable)
			return
		}
		proxy.ServeHTTP(rw, r)
	}))
	t.Cleanup(srv.Close)
	return strings.TrimPrefix(srv.URL, "http://") + "/" + path
}

// TestInitChannelWhereOneIs: nothing is made for a channel that cannot come to be.
func TestInitChannelWhereOneIs(t *testing.T) {
	w := world.New(t)
	in := publish.InitChannelInput{Repository: w.Releases, Kind: channel.KindReleases, OfflineKeys: 1, Threshold: 1}
	_, err := w.Party("other").InitChannel(w.Context(), in)
	wantReason(t, err, reason.Exists)
	if left, _ := filepath.Glob(filepath.Join(w.Dir, "other", "*.pem")); len(left) > 0 {
		t.Fatalf("keys were made: %q", left)
	}
}
