package tufclient_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/theupdateframework/go-tuf/v2/metadata"

	"github.com/consign-dev/consign/internal/reason"
	"github.com/consign-dev/consign/internal/tufclient"
)

func TestRefreshAsksInTheOrderOfTheSpecificationAndKeepsTheExactBytes(t *testing.T) {
	w := newWorld(t)
	d := w.device()
	m := d.mustRefresh(day0)
	if want := []string{"2.root.json", "timestamp.json", "1.snapshot.json", "1.targets.json"}; !slices.Equal(w.requests, want) {
		t.Errorf("requests %v, want %v", w.requests, want)
	}
	for role, name := range map[string]string{"root": "1.root.json", "timestamp": "timestamp.json", "snapshot": "1.snapshot.json", "targets": "1.targets.json"} {
		if !bytes.Equal(d.stored(role), w.files[name]) {
			t.Errorf("%s is not stored as it was served", role)
		}
		if !bytes.Equal(m.Files()[name], w.files[name]) {
			t.Errorf("Files: %s is not as it was served", name)
		}
	}
	if m.Identity() != channelA || !m.SignedAt().Equal(day0) || !m.Expires().Equal(day0.Add(30*day)) {
		t.Errorf("identity %s, signed %s, expires %s", m.Identity(), m.SignedAt(), m.Expires())
	}
	target, err := m.Target("policy")
	if err != nil || target.Role != "targets" || target.Length != int64(len("the policy")) || target.CheckBytes([]byte("the policy")) != nil {
		t.Errorf("target %+v, %v", target, err)
	}
	if err := target.CheckBytes([]byte("the Policy")); !reason.Is(err, reason.DigestMismatch) {
		t.Errorf("other bytes: %v", err)
	}
	if _, err := m.Target("absent"); !errors.Is(err, tufclient.ErrNoTarget) {
		t.Errorf("absent target: %v", err)
	}
}

func TestRefreshOfAnUnchangedChannelFetchesAndWritesNothing(t *testing.T) {
	w := newWorld(t)
	d := w.trusting()
	before := d.all()
	w.requests = nil
	d.mustRefresh(day0.Add(day))
	if want := []string{"2.root.json", "timestamp.json"}; !slices.Equal(w.requests, want) {
		t.Errorf("requests %v, want %v", w.requests, want)
	}
	if !maps.Equal(before, d.all()) {
		t.Error("the state changed")
	}
}

func TestRefreshKeepsTheStepsThatPassed(t *testing.T) {
	for _, c := range []struct {
		missing string
		want    map[string]int64 // versions stored afterwards
	}{
		{"timestamp.json", map[string]int64{"root": 2, "timestamp": 1, "snapshot": 1, "targets": 1}},
		{"2.snapshot.json", map[string]int64{"root": 2, "timestamp": 2, "snapshot": 1, "targets": 1}},
		{"2.targets.json", map[string]int64{"root": 2, "timestamp": 2, "snapshot": 2, "targets": 1}},
	} {
		t.Run(c.missing, func(t *testing.T) {
			w := newWorld(t)
			d := w.trusting()
			w.nextRoot(func() {})
			w.bump()
			kept := w.files[c.missing]
			delete(w.files, c.missing)
			d.mustRefuse(reason.Unreachable, day0)
			for role, want := range c.want {
				if got := versionOf(t, d.stored(role)); got != want {
					t.Errorf("%s: version %d is stored, want %d", role, got, want)
				}
			}
			// A restart without a network still has the last whole set.
			m, err := d.Stored(day0)
			if err != nil {
				t.Fatalf("stored: %v", err)
			}
			if v := m.Versions(); v["timestamp"] != 1 || v["snapshot"] != 1 || v["targets"] != 1 || v["root"] != 2 {
				t.Errorf("stored versions %v", v)
			}
			w.files[c.missing] = kept
			if v := d.mustRefresh(day0).Versions(); v["targets"] != 2 {
				t.Errorf("recovery: versions %v", v)
			}
		})
	}
}

func versionOf(t *testing.T, data []byte) int64 {
	t.Helper()
	var doc struct {
		Signed struct {
			Version int64 `json:"version"`
		} `json:"signed"`
	}
	if err := json.Unmarshal(data, &doc); err != nil {
		t.Fatal(err)
	}
	return doc.Signed.Version
}

func TestInitRefusesWhatItCannotPin(t *testing.T) {
	w := newWorld(t)
	root := w.files["1.root.json"]
	other := channelA
	other.Kind = tufclient.KindReleases
	for name, c := range map[string]struct {
		root []byte
		id   tufclient.Identity
		want reason.Code
	}{
		"another kind":     {root, other, reason.WrongChannel},
		"no identity":      {root, tufclient.Identity{}, reason.WrongChannel},
		"identity of form": {root, tufclient.Identity{Kind: "releases", ID: "x"}, reason.Malformed},
		"not signed":       {encode(t, w.root, nil), channelA, reason.UntrustedSigner},
		"not a root":       {w.files["timestamp.json"], channelA, reason.Malformed},
		"too long":         {append(bytes.Clone(root), bytes.Repeat([]byte(" "), tufclient.MaxRoot)...), channelA, reason.TooLarge},
	} {
		t.Run(name, func(t *testing.T) {
			dir := filepath.Join(t.TempDir(), "s")
			if err := tufclient.Init(dir, c.root, c.id); !reason.Is(err, c.want) {
				t.Errorf("%v, want %s", err, c.want)
			}
			if _, err := tufclient.Open(dir); !errors.Is(err, fs.ErrNotExist) {
				t.Errorf("open: %v", err)
			}
		})
	}
	d := w.device()
	if err := tufclient.Init(d.dir, root, channelA); !errors.Is(err, fs.ErrExist) {
		t.Errorf("second init: %v", err)
	}
	if id, err := tufclient.RootIdentity(root); err != nil || id != channelA {
		t.Errorf("identity %s, %v", id, err)
	}
}

func TestStoredBeforeAnyRefreshDoesNotExist(t *testing.T) {
	d := newWorld(t).device()
	if _, err := d.Stored(day0); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("%v", err)
	}
}

func TestStoredFilesAreNotTrustedBlindly(t *testing.T) {
	t.Run("rollback memory", func(t *testing.T) {
		for _, role := range []string{"root", "timestamp", "snapshot"} {
			for kind, change := range damages {
				w := newWorld(t)
				d := w.trusting()
				path := filepath.Join(d.dir, role+".json")
				if err := os.WriteFile(path, change(d.stored(role)), 0o600); err != nil {
					t.Fatal(err)
				}
				if err := d.mustRefuse(reason.Internal, day0); !strings.Contains(err.Error(), role+".json") {
					t.Errorf("%s, %s: the error does not name the file: %v", role, kind, err)
				}
			}
		}
	})
	t.Run("targets are fetched again", func(t *testing.T) {
		for _, change := range damages {
			w := newWorld(t)
			d := w.trusting()
			if err := os.WriteFile(filepath.Join(d.dir, "targets.json"), change(d.stored("targets")), 0o600); err != nil {
				t.Fatal(err)
			}
			d.mustRefresh(day0)
			if !bytes.Equal(d.stored("targets"), w.files["1.targets.json"]) {
				t.Error("targets.json was not repaired")
			}
		}
	})
	t.Run("the complete set", func(t *testing.T) {
		for _, name := range []string{"timestamp.json", "1.snapshot.json", "1.targets.json"} {
			for kind, change := range damages {
				w := newWorld(t)
				d := w.trusting()
				path := filepath.Join(d.dir, "complete", name)
				data, err := os.ReadFile(path)
				if err != nil {
					t.Fatal(err)
				}
				if err := os.WriteFile(path, change(data), 0o600); err != nil {
					t.Fatal(err)
				}
				if m, err := d.Stored(day0); err == nil {
					t.Errorf("%s, %s: accepted %v", name, kind, m.Versions())
				}
				d.mustRefresh(day0) // repairs
				if _, err := d.Stored(day0); err != nil {
					t.Errorf("%s, %s: after refresh: %v", name, kind, err)
				}
			}
		}
	})
}

var damages = map[string]func([]byte) []byte{
	"cut":     func(b []byte) []byte { return b[:len(b)/2] },
	"flipped": func(b []byte) []byte { return bytes.Replace(b, []byte(`2030-01-31`), []byte(`2030-03-31`), 1) },
	"empty":   func([]byte) []byte { return []byte{} },
}

// A new root may put the stored timestamp's signer out of office while the
// rest of the refresh fails. That is not damage.
func TestStoredTimestampOfAnOldRootIsNotDamage(t *testing.T) {
	w := newWorld(t)
	w.addKey("timestamp", newKey())
	w.root.Signed.Version = 1
	w.publishRoot()
	w.keys["timestamp"] = w.keys["timestamp"][:1]
	w.publish()
	d := w.trusting()
	// The threshold rises; no key goes.
	w.nextRoot(func() { w.root.Signed.Roles["timestamp"].Threshold = 2 })
	d.mustRefuse(reason.Threshold, day0)
	d.mustRefuse(reason.Threshold, day0)
	if versionOf(t, d.stored("root")) != 2 {
		t.Error("the new root was not kept")
	}
}

func TestPlainRepositoryIsReadByTheSameWorkflow(t *testing.T) {
	for _, consistent := range []bool{true, false} {
		w := newWorldOf(t, tufclient.Identity{})
		delete(w.timestamp.Signed.UnrecognizedFields, tufclient.SignedAtField)
		w.root.Signed.ConsistentSnapshot = consistent
		w.publishRoot()
		w.publish()
		want := []string{"2.root.json", "timestamp.json", "1.snapshot.json", "1.targets.json"}
		if !consistent {
			w.files["snapshot.json"], w.files["targets.json"] = w.files["1.snapshot.json"], w.files["1.targets.json"]
			want = []string{"2.root.json", "timestamp.json", "snapshot.json", "targets.json"}
		}
		d := w.device()
		if m := d.mustRefresh(day0); m.Kind() != "" || !m.SignedAt().IsZero() {
			t.Errorf("kind %q, signed at %s", m.Kind(), m.SignedAt())
		}
		if !slices.Equal(w.requests, want) {
			t.Errorf("requests %v, want %v", w.requests, want)
		}
		if _, err := d.Stored(day0); err != nil {
			t.Errorf("stored: %v", err)
		}
	}
}

func TestMetadataWithoutHashesIsBoundByVersions(t *testing.T) {
	w := newWorld(t)
	w.snapshot.Signed.Meta["targets.json"] = metadata.MetaFile(1)
	w.publishSnapshot()
	d := w.trusting()
	w.requests = nil
	d.mustRefresh(day0)
	if want := []string{"2.root.json", "timestamp.json"}; !slices.Equal(w.requests, want) {
		t.Errorf("requests %v, want %v", w.requests, want)
	}
}
