package world_test

import (
	"bytes"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/consign-dev/consign/internal/agent"
	"github.com/consign-dev/consign/internal/audit"
	"github.com/consign-dev/consign/internal/auditor"
	"github.com/consign-dev/consign/internal/inputs"
	"github.com/consign-dev/consign/internal/publish"
	"github.com/consign-dev/consign/internal/reason"
	"github.com/consign-dev/consign/internal/tufclient"
	"github.com/consign-dev/consign/internal/world"
)

// lived is a device with a past: it installed, refused for many reasons, was
// upgraded, failed and returned, and went back. Nothing of it is made up.
type lived struct {
	*testing.T
	w *world.World
	d *world.Recorded
}

// told is what its log has to tell of decisions, in order.
var told = []string{
	"order accepted",
	"order refused threshold signature", "order refused untrusted-signer signature",
	"order accepted",
	"order refused downgrade floor", "order refused grant grants", "order withheld render render", "order refused digest-mismatch package",
	"order accepted", "recall accepted",
	"order accepted",
	"orders refused wrong-device order",
}

func live(t *testing.T) *lived {
	t.Helper()
	w := world.New(t)
	l := &lived{t, w, w.Recorded("press-07")}
	l.d.Config.Capabilities = l.file("capabilities.json", `{"properties":{"id":"press-07","vendor":"v","modelNumber":"m","serialNumber":"s","cpus":[{"cores":4,"architecture":"x86_64"}],"memory":"16Gi"}}`)
	w.Device("press-08", noEngine)
	w.Publish("acme", "1.0.0", nil)
	w.Deploy("press-08", "1.0.0", map[string]string{"greeting": "not for press-07", "port": "8081"})
	w.Deploy("press-07", "1.0.0", map[string]string{"greeting": "one", "port": "8080"})
	l.follows(l.d, "")

	w.Publish("acme", "1.1.0", nil)
	w.Deploy("press-07", "1.1.0", nil)
	other := l.otherKey()
	l.policy(func(text string) string {
		return strings.Replace(text, "threshold: 1\n        keys:\n", "threshold: 2\n        keys:\n          - |\n"+other, 1)
	})
	l.follows(l.d, reason.Threshold)
	l.policy(func(text string) string {
		return text[:strings.Index(text, "          - |\n")] + "          - |\n" + other
	})
	l.follows(l.d, reason.UntrustedSigner)
	w.SetPolicy("")
	l.follows(l.d, "")

	w.Deploy("press-07", "1.0.0", nil)
	l.follows(l.d, reason.Downgrade)
	l.supply("1.2.0", "    privileged: true\n")
	l.follows(l.d, reason.Grant)
	l.supply("1.2.1", "    build: .\n")
	l.follows(l.d, reason.Render)

	w.Supply("1.0.0", "1.3.0", func(*world.Parts) {})
	w.Deploy("press-07", "1.3.0", nil)
	repair := w.Overwrite("acme/hello", w.Bundle("1.3.0").Package.Digest)
	l.follows(l.d, reason.DigestMismatch)
	repair()
	sick := filepath.Join(l.d.Engine, "sick")
	w.Must(os.WriteFile(sick, []byte(w.Bundle("1.3.0").Images[0].Manifest.Digest+"\n"), 0o600))
	l.follows(l.d, reason.Health)
	w.Must(os.Remove(sick))
	_, err := w.Party("plant").Deploy(w.Context(), publish.DeployInput{
		Channel: w.Deployments, Application: "hello", Version: "1.0.0", Device: "press-07", AllowDowngrade: true,
	})
	w.Must(err)
	l.follows(l.d, "")
	w.Reorder("press-07", func(documents [][]byte) [][]byte {
		return [][]byte{bytes.ReplaceAll(documents[0], []byte("press-07"), []byte("press-09"))}
	})
	l.follows(l.d, reason.WrongDevice)
	return l
}

func (l *lived) file(name, text string) string {
	path := filepath.Join(l.w.Dir, name)
	l.w.Must(os.WriteFile(path, []byte(text), 0o600))
	return path
}

// follows syncs once.
func (l *lived) follows(d *world.Recorded, code reason.Code) {
	l.Helper()
	res, err := d.Sync()
	if code == "" && err != nil || code != "" && !reason.Is(err, code) {
		l.Fatalf("the device says %v, want %q; it did %+v", err, code, res.Changes)
	}
}

// otherKey is the public key of a supplier who signed nothing, as the policy has it.
func (l *lived) otherKey() string {
	in := publish.InitChannelInput{Repository: l.w.Host + "/other/releases", Kind: tufclient.KindReleases, OfflineKeys: 1, Threshold: 1}
	_, err := l.w.Party("other").InitChannel(l.w.Context(), in)
	l.w.Must(err)
	key, err := os.ReadFile(l.w.Party("other").Keys.SigningKey() + ".pub")
	l.w.Must(err)
	return "            " + strings.ReplaceAll(strings.TrimSpace(string(key)), "\n", "\n            ") + "\n"
}

// policy signs the present policy with a change.
func (l *lived) policy(edit func(string) string) {
	l.Helper()
	path := filepath.Join(l.w.Dir, "policy.yaml")
	text, err := os.ReadFile(path)
	l.w.Must(err)
	l.w.SetPolicy("")
	_, err = l.w.Party("plant").SetPolicy(l.w.Context(), l.w.Deployments, l.file("policy.yaml", edit(string(text))))
	l.w.Must(err)
	l.w.Must(os.WriteFile(path, text, 0o600))
}

var (
	orderedVersion = regexp.MustCompile(`((?:version|revision): )\S+`)
	orderedDigest  = regexp.MustCompile(`(digest: )sha256:\S+`)
)

// supply releases hello with a key in its Compose file that our packer would
// refuse, and orders it with the operator's key.
func (l *lived) supply(version, service string) {
	l.Helper()
	bundle := l.w.Supply("1.1.0", version, func(p *world.Parts) {
		p.Compose["compose.yaml"] = "services:\n  hello:\n    image: localhost/hello:1.1.0\n" + service
	})
	l.w.Reorder("press-07", func(documents [][]byte) [][]byte {
		text := orderedVersion.ReplaceAll(documents[0], []byte("${1}"+version))
		return [][]byte{orderedDigest.ReplaceAll(text, []byte("${1}"+bundle))}
	})
}

func (l *lived) export() (string, agent.Exported) {
	l.Helper()
	dir := filepath.Join(l.TempDir(), "export")
	done, err := l.d.Export(dir)
	l.w.Must(err)
	return dir, done
}

func (l *lived) replay(dir string) (auditor.Replayed, error) { return l.d.Replay(dir, nil) }

// TestDecisionsAreReplayed: a device's whole story, exported, leads to the same
// decisions again; and whatever is changed in the export is found and named.
func TestDecisionsAreReplayed(t *testing.T) {
	l := live(t)
	dir, done := l.export()
	got, err := l.replay(dir)
	l.w.Must(err)
	var words []string
	for _, d := range got.Decisions {
		if d.Replay != auditor.Same {
			t.Errorf("event %d: %s", d.Events[0], d.Replay)
		}
		words = append(words, strings.TrimSpace(string(d.Question)+" "+string(d.Decision.Outcome)+" "+string(d.Decision.Reason)+" "+d.Decision.Step))
	}
	if strings.Join(words, "\n") != strings.Join(told, "\n") {
		t.Errorf("the log tells\n%s\nwant\n%s", strings.Join(words, "\n"), strings.Join(told, "\n"))
	}
	if got.Same != len(told) || got.Absent+got.Without != 0 || done.Decisions != len(told) || done.Missing != 0 {
		t.Errorf("%d same, %d absent, %d without inputs; exported %+v", got.Same, got.Absent, got.Without, done)
	}
	l.nothingForeign(dir)
	t.Run("damage", func(t *testing.T) { l.damage(t, dir) })
	t.Run("root", func(t *testing.T) { l.otherRoot(t, dir) })
	t.Run("retention", func(t *testing.T) { l.pastRetention(t, dir) })
	t.Run("later", func(t *testing.T) { l.later(t, dir) })
}

// nothingForeign: neither keys nor secrets of the device nor the orders of another
// are in the export.
func (l *lived) nothingForeign(dir string) {
	l.Helper()
	l.files(dir, func(path string, data []byte) {
		if bytes.Contains(data, []byte("not for press-07")) || bytes.Contains(data, []byte("PRIVATE")) {
			l.Errorf("%s holds what is not for an auditor of this device", path)
		}
		if info, err := os.Stat(path); err != nil || info.Mode().Perm() != 0o600 {
			l.Errorf("%s: %v, mode %v", path, err, info.Mode())
		}
	})
	key, err := os.ReadFile(filepath.Join(l.d.Config.StateDir, "log.key"))
	l.w.Must(err)
	l.files(dir, func(path string, data []byte) {
		if bytes.Contains(data, bytes.TrimSpace(key)) {
			l.Errorf("%s holds the log key", path)
		}
	})
}

func (l *lived) files(dir string, visit func(path string, data []byte)) {
	l.Helper()
	l.w.Must(filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() || filepath.Base(path) == "oci-layout" {
			return err
		}
		data, err := os.ReadFile(path)
		if err == nil {
			visit(path, data)
		}
		return err
	}))
}

// damage changes each document of the archive, one at a time, and takes some away.
// One decision that rests on it is replayed.
func (l *lived) damage(t *testing.T, dir string) {
	all, err := l.replay(dir)
	l.w.Must(err)
	rests := map[string]*uint64{}
	archive := filepath.Join(dir, "archive")
	for _, d := range all.Decisions {
		data, err := os.ReadFile(filepath.Join(archive, "blobs", "sha256", d.Inputs.Encoded()))
		l.w.Must(err)
		doc, err := inputs.Parse(data)
		l.w.Must(err)
		for _, ref := range append(doc.Refs(), inputs.Ref{Digest: d.Inputs}) {
			rests[ref.Digest.Encoded()] = &d.Events[0]
		}
	}
	n := 0
	l.files(archive, func(path string, data []byte) {
		event := rests[filepath.Base(path)]
		if event == nil {
			t.Fatalf("%s is in the archive and no decision rests on it", path)
		}
		_, parsed := inputs.Parse(data)
		broken := bytes.Clone(data)
		broken[len(broken)/2] ^= 1
		l.w.Must(os.WriteFile(path, broken, 0o600))
		l.finds(t, dir, path, event)
		if n++; parsed != nil && n%8 == 0 { // an inputs document that is gone is past retention
			l.w.Must(os.Remove(path))
			l.finds(t, dir, path, event)
		}
		l.w.Must(os.WriteFile(path, data, 0o600))
	})
	if len(rests) < 100 {
		t.Errorf("%d documents were damaged", len(rests))
	}
}

func (l *lived) finds(t *testing.T, dir, path string, event *uint64) {
	t.Helper()
	got, err := l.d.Replay(dir, event)
	var finding *audit.TamperError
	if !errors.As(err, &finding) || got.Differs != 1 || !strings.HasSuffix(finding.File, filepath.Base(path)) {
		t.Errorf("%s: %d differ, %v", path, got.Differs, err)
	}
}

// otherRoot: the root is believed from the auditor alone, and has to be the one of
// the device's enrolment.
func (l *lived) otherRoot(t *testing.T, dir string) {
	r := l.d.ReplayRequest(dir, nil)
	r.Root = filepath.Join(l.w.Dir, "acme", "root.json")
	if _, err := auditor.Replay(t.Context(), r); err == nil || !strings.Contains(err.Error(), "set up to obey") {
		t.Errorf("with the root of another: %v", err)
	}
	root, err := os.ReadFile(filepath.Join(l.w.Dir, "plant", "root.json"))
	l.w.Must(err)
	r.Root = filepath.Join(dir, "root.json")
	l.w.Must(os.WriteFile(r.Root, root, 0o600))
	if _, err := auditor.Replay(t.Context(), r); err == nil || !strings.Contains(err.Error(), "proves nothing") {
		t.Errorf("with a root out of the export: %v", err)
	}
	l.w.Must(os.Remove(r.Root))
}

// pastRetention: without its inputs a decision is counted, and an error only for
// who asks for it.
func (l *lived) pastRetention(t *testing.T, dir string) {
	got, err := l.replay(dir)
	l.w.Must(err)
	first := got.Decisions[0]
	path := filepath.Join(dir, "archive", "blobs", "sha256", first.Inputs.Encoded())
	data, err := os.ReadFile(path)
	l.w.Must(err)
	l.w.Must(os.Remove(path))
	defer func() { l.w.Must(os.WriteFile(path, data, 0o600)) }()
	if got, err = l.replay(dir); err != nil || got.Absent != 1 || got.Same != len(told)-1 {
		t.Errorf("%d absent, %d same: %v", got.Absent, got.Same, err)
	}
	r := l.d.ReplayRequest(dir, &first.Events[0])
	if _, err := auditor.Replay(t.Context(), r); err == nil || audit.IsTampering(err) || !strings.Contains(err.Error(), "past the device's retention") {
		t.Errorf("asked for: %v", err)
	}
	r.Event = &got.Decisions[1].Events[0]
	if one, err := auditor.Replay(t.Context(), r); err != nil || one.Same != 1 || len(one.Decisions) != 1 {
		t.Errorf("another: %+v, %v", one, err)
	}
}

// later: everything that was judged has expired by the clock of the machine that
// replays, and by the channels' own.
func (l *lived) later(t *testing.T, dir string) {
	l.w.Now = l.w.Now.AddDate(20, 0, 0)
	defer func() { l.w.Now = l.w.Now.AddDate(-20, 0, 0) }()
	if res, err := l.d.Sync(); !reason.Is(err, reason.Freeze) {
		t.Fatalf("twenty years later the device says %v; it did %+v", err, res)
	}
	if got, err := l.replay(dir); err != nil || got.Same != len(told) {
		t.Errorf("%d the same: %v", got.Same, err)
	}
	again, _ := l.export()
	if got, err := l.replay(again); err != nil || got.Same != len(told) || got.Without != 1 {
		t.Errorf("%d the same, %d without: %v", got.Same, got.Without, err)
	}
}
