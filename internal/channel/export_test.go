package channel_test

import (
	"bytes"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/opencontainers/go-digest"
	"github.com/theupdateframework/go-tuf/v2/metadata/config"
	"github.com/theupdateframework/go-tuf/v2/metadata/updater"

	"github.com/consign-dev/consign/internal/channel"
	"github.com/consign-dev/consign/internal/reason"
	"github.com/consign-dev/consign/internal/tufrepo"
)

// Any TUF client reads an exported channel; here go-tuf's own, over HTTP.
func TestExportIsReadByGoTUFsUpdater(t *testing.T) {
	p := newPublisher(t, newRegistry(t, nil))
	order := channel.DeviceTarget("gateway/press-07")
	if err := p.tuf.SetTarget(tufrepo.Deploy, order, tufrepo.Target{Digest: digest.FromString("order"), Length: 5}); err != nil {
		t.Fatal(err)
	}
	p.sign("one")
	if err := p.tuf.Renew(tufrepo.Root); err != nil {
		t.Fatal(err)
	}
	p.sign("two")

	dir := t.TempDir()
	if err := channel.Export(p.files, dir); err != nil {
		t.Fatal(err)
	}
	if err := channel.Export(p.files, dir); err != nil {
		t.Errorf("again: %v", err)
	}
	if root, err := os.ReadFile(filepath.Join(dir, "metadata", "root.json")); err != nil || !bytes.Equal(root, p.files["2.root.json"]) {
		t.Errorf("root.json is not the newest root: %v", err)
	}
	server := httptest.NewServer(http.FileServer(http.Dir(dir)))
	defer server.Close()

	cfg, err := config.New(server.URL+"/metadata", p.files["1.root.json"])
	if err != nil {
		t.Fatal(err)
	}
	cfg.LocalMetadataDir, cfg.LocalTargetsDir = t.TempDir(), t.TempDir()
	up, err := updater.New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	up.UnsafeSetRefTime(now.Add(time.Hour))
	if err := up.Refresh(); err != nil {
		t.Fatal(err)
	}
	if set := up.GetTrustedMetadataSet(); set.Root.Signed.Version != 2 || set.Timestamp.Signed.Version != 2 {
		t.Errorf("root %d, timestamp %d", set.Root.Signed.Version, set.Timestamp.Signed.Version)
	}
	for name, text := range map[string]string{channel.PolicyTarget: "two", order: "order"} {
		info, err := up.GetTargetInfo(name)
		if err != nil || info.Hashes["sha256"].String() != digest.FromString(text).Encoded() {
			t.Errorf("%s: %+v, %v", name, info, err)
		}
	}
}

func TestExportRefusesNamesThatAreNotTUFs(t *testing.T) {
	good := map[string][]byte{"1.root.json": []byte("r"), "timestamp.json": []byte("t")}
	dir := t.TempDir()
	for _, name := range []string{"../1.root.json", "x", "1.a/b.json"} {
		files := map[string][]byte{name: []byte("x")}
		for n, b := range good {
			files[n] = b
		}
		if err := channel.Export(files, dir); !reason.Is(err, reason.Path) {
			t.Errorf("%q: %v", name, err)
		}
	}
	if err := channel.Export(map[string][]byte{"1.root.json": []byte("r")}, dir); !reason.Is(err, reason.Malformed) {
		t.Errorf("no timestamp: %v", err)
	}
}
