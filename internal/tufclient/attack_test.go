package tufclient_test

import (
	"bytes"
	"context"
	"crypto/ed25519"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/theupdateframework/go-tuf/v2/metadata"

	"github.com/consign-dev/consign/internal/reason"
	"github.com/consign-dev/consign/internal/tufclient"
)

var nonRoot = []string{"timestamp", "snapshot", "targets", "deploy"}

// withDeploy is a world like an operator's channel.
func withDeploy(t testing.TB) *world {
	w := newWorld(t)
	w.delegate("targets", "deploy", true, "devices/*")
	w.setTarget("deploy", "devices/press-07", "an order")
	w.publish()
	return w
}

const order = "devices/press-07"

// unmoved asserts that nothing was accepted: the state is as before, but for
// evidence, and the honest channel is accepted afterwards.
func (d *device) unmoved(before map[string]string, honest map[string][]byte) {
	d.w.t.Helper()
	after := d.all()
	maps.DeleteFunc(after, func(name, _ string) bool { return strings.HasPrefix(name, "/evidence/") })
	maps.DeleteFunc(before, func(name, _ string) bool { return strings.HasPrefix(name, "/evidence/") })
	if !maps.Equal(before, after) {
		d.w.t.Error("the state changed")
	}
	d.w.files, d.w.intercept = honest, nil
	d.mustRefresh(day0, order)
}

// Attack T1: everything signed by keys that nobody vouches for.
func TestAttackT1UnknownKeys(t *testing.T) {
	for _, role := range append([]string{"root"}, nonRoot...) {
		t.Run(role, func(t *testing.T) {
			w := withDeploy(t)
			d := w.device()
			d.mustRefresh(day0, order)
			before := d.all()
			honest := w.save()
			w.keys[role] = []ed25519.PrivateKey{newKey()}
			if role == "root" {
				w.root.Signed.Version = 2
				w.publishRoot()
			}
			w.bump()
			d.mustRefuse(reason.UntrustedSigner, day0, order)
			if role == "root" || role == "timestamp" {
				d.unmoved(before, honest)
			}
		})
	}
}

// Attack T1: a whole repository of somebody else, in perfect order, with and
// without a next root.
func TestAttackT1AnotherRepository(t *testing.T) {
	for _, roots := range []int{1, 2} {
		t.Run(fmt.Sprintf("%d roots", roots), func(t *testing.T) {
			w := withDeploy(t)
			d := w.device()
			d.mustRefresh(day0, order)
			before, honest := d.all(), w.save()
			other := withDeploy(t)
			if roots == 2 {
				other.nextRoot(func() {})
			}
			other.bump()
			w.files = other.files
			d.mustRefuse(reason.UntrustedSigner, day0, order)
			d.unmoved(before, honest)
		})
	}
}

// Attack T17: one signature where two are demanded.
func TestAttackBelowThreshold(t *testing.T) {
	for _, role := range []string{"root", "timestamp", "snapshot", "targets"} {
		t.Run(role, func(t *testing.T) {
			w := newWorld(t)
			w.addKey(role, newKey())
			w.root.Signed.Roles[role].Threshold = 2
			w.publishRoot()
			w.publish()
			d := w.trusting()
			all := w.keys[role]
			w.keys[role] = all[:1]
			if role == "root" {
				w.root.Signed.Version = 2
				w.publishRoot()
			}
			w.bump()
			d.mustRefuse(reason.Threshold, day0)
			w.keys[role] = all
			if role == "root" {
				w.publishRoot()
			}
			w.bump()
			d.mustRefresh(day0)
		})
	}
}

// Attack T20: a new root must be signed by the old root's keys and its own.
func TestAttackRootNotSignedByBoth(t *testing.T) {
	for name, sign := range map[string]func(w *world, old ed25519.PrivateKey){
		"old only": func(w *world, old ed25519.PrivateKey) { w.keys["root"] = nil; w.publishRoot(old) },
		"new only": func(w *world, _ ed25519.PrivateKey) { w.publishRoot() },
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t)
			d := w.trusting()
			old := w.keys["root"][0]
			w.rotate("root")
			w.root.Signed.Version = 2
			sign(w, old)
			d.mustRefuse(reason.UntrustedSigner, day0)
		})
	}
}

// What anyone can do to the bytes without a key is no equivocation: an alarm
// that strangers can raise is worth nothing.
func TestSameContentInOtherBytesIsNoEquivocation(t *testing.T) {
	w := newWorld(t)
	d := w.trusting()
	before := d.all()
	honest := w.files["timestamp.json"]
	for name, data := range map[string][]byte{
		"white space":    append([]byte(" "), honest...),
		"unsigned field": bytes.Replace(honest, []byte(`{"signatures"`), []byte(`{"note":"x","signatures"`), 1),
	} {
		w.files["timestamp.json"] = data
		if _, err := d.Refresh(context.Background(), w, day0); err != nil {
			t.Errorf("%s: %v", name, err)
		}
		if !maps.Equal(before, d.all()) {
			t.Errorf("%s: the state changed", name)
		}
	}
}

func TestEvidenceDoesNotFillTheDisk(t *testing.T) {
	w := newWorld(t)
	d := w.trusting()
	for n := range 70 {
		w.timestamp.Signed.Expires = day0.Add(time.Duration(31+n) * day)
		w.publishTimestamp()
		d.mustRefuse(reason.Equivocation, day0)
	}
	entries, err := os.ReadDir(filepath.Join(d.dir, "evidence"))
	if err != nil || len(entries) > 64 {
		t.Errorf("%d files of evidence, %v", len(entries), err)
	}
}

// Attack T4: the registry keeps serving what was valid once. The boundary is
// the expiry instant itself.
func TestAttackT4Freeze(t *testing.T) {
	for _, role := range append([]string{"root"}, nonRoot...) {
		t.Run(role, func(t *testing.T) {
			w := withDeploy(t)
			end := day0.Add(10 * day)
			w.setExpiry(role, end)
			w.publishRoot()
			w.publish()
			d := w.device()
			d.mustRefresh(day0, order)
			d.mustRefresh(end.Add(-1), order)
			if _, err := d.Stored(end.Add(-1)); err != nil {
				t.Errorf("stored, before: %v", err)
			}
			d.mustRefuse(reason.Freeze, end, order)
			if _, err := d.Stored(end); !reason.Is(err, reason.Freeze) {
				t.Errorf("stored, at the boundary: %v", err)
			}
			// Freshly served, the same document has merely expired.
			fresh := w.device()
			want := reason.Expired
			if role == "root" {
				want = reason.Freeze // the pinned one is stored
			}
			fresh.mustRefuse(want, end, order)
			// The owner comes back.
			if role == "root" {
				w.nextRoot(func() { w.root.Signed.Expires = end.Add(day) })
			}
			w.timestamp.Signed.Expires, w.snapshot.Signed.Expires = end.Add(day), end.Add(day)
			for _, r := range w.roles {
				r.Signed.Expires = end.Add(day)
			}
			w.bump()
			d.mustRefresh(end, order)
		})
	}
}

func TestAnExpiredIntermediateRootIsFollowed(t *testing.T) {
	w := newWorld(t)
	d := w.trusting()
	w.nextRoot(func() { w.root.Signed.Expires = day0.Add(-day) })
	d.mustRefuse(reason.Expired, day0)
	d.mustRefuse(reason.Freeze, day0) // now it is the stored one
	w.nextRoot(func() { w.root.Signed.Expires = day0.Add(day) })
	if v := d.mustRefresh(day0).Versions()["root"]; v != 3 {
		t.Errorf("root version %d", v)
	}
}

// Attack T6: a thief of online keys runs the versions up. One jump is refused;
// what he reaches in steps, a root that takes the keys away undoes.
func TestAttackT6FastForward(t *testing.T) {
	const far = int64(1)<<53 - 1
	for _, role := range nonRoot {
		t.Run("jump of "+role, func(t *testing.T) {
			w := withDeploy(t)
			d := w.device()
			d.mustRefresh(day0, order)
			before, honest := d.all(), w.save()
			w.bump()
			w.setVersion(role, far)
			w.publish()
			d.mustRefuse(reason.Malformed, day0, order)
			if role == "timestamp" || role == "snapshot" {
				d.unmoved(before, honest)
			}
		})
	}
	for _, rotated := range []string{"timestamp", "snapshot"} {
		t.Run("recovery by rotating "+rotated, func(t *testing.T) {
			w := withDeploy(t)
			d := w.device()
			d.mustRefresh(day0, order)
			w.timestamp.Signed.Version, w.snapshot.Signed.Version = 1<<24, 1<<24
			w.roles["targets"].Signed.Version, w.roles["deploy"].Signed.Version = 1<<24, 1<<24
			w.signedAt(day0.Add(20 * day))
			w.publish()
			d.mustRefresh(day0, order)
			// The drill: a new root without the stolen key, versions from 2 on.
			w.nextRoot(func() { w.rotate(rotated) })
			w.timestamp.Signed.Version, w.snapshot.Signed.Version = 2, 2
			w.roles["targets"].Signed.Version, w.roles["deploy"].Signed.Version = 2, 2
			w.signedAt(day0.Add(day))
			w.publish()
			if v := d.mustRefresh(day0, order).Versions(); v["timestamp"] != 2 || v["deploy"] != 2 {
				t.Errorf("versions %v", v)
			}
			if _, err := d.Stored(day0); err != nil {
				t.Errorf("stored: %v", err)
			}
		})
	}
	t.Run("a key that is only added makes nothing forgotten", func(t *testing.T) {
		w := newWorld(t)
		old := w.save()
		w.bump()
		d := w.trusting()
		w.nextRoot(func() { w.addKey("timestamp", newKey()) })
		root2 := w.files["2.root.json"]
		w.files = old
		w.files["2.root.json"] = root2
		d.mustRefuse(reason.Rollback, day0)
	})
	t.Run("a version that is used again after recovery is no equivocation", func(t *testing.T) {
		w := withDeploy(t)
		d := w.device()
		d.mustRefresh(day0, order)
		w.nextRoot(func() { w.rotate("snapshot") })
		w.setTarget("targets", "policy", "another policy")
		w.setTarget("deploy", order, "another order")
		w.publish() // versions 1 again
		d.mustRefresh(day0, order)
	})
}

func TestSignedTimesFollowVersions(t *testing.T) {
	w := newWorld(t)
	d := w.trusting()
	w.bump()
	w.signedAt(day0.Add(-time.Second))
	w.publish()
	d.mustRefuse(reason.Malformed, day0)
	for name, v := range map[string]any{"missing": nil, "not a time": "yesterday", "a number": 5, "after expiry": day0.Add(31 * day).Format(time.RFC3339)} {
		if w.timestamp.Signed.UnrecognizedFields[tufclient.SignedAtField] = v; v == nil {
			delete(w.timestamp.Signed.UnrecognizedFields, tufclient.SignedAtField)
		}
		w.publishTimestamp()
		if err := d.mustRefuse(reason.Malformed, day0); !strings.Contains(err.Error(), tufclient.SignedAtField) {
			t.Errorf("%s: %v", name, err)
		}
	}
	w.signedAt(day0)
	w.publishTimestamp()
	d.mustRefresh(day0)
}

// Attack T22: the next root is withheld. At each length of the chain the
// device stays where it is, and its root's expiry ends the patience.
func TestAttackT22WithheldRoots(t *testing.T) {
	w := newWorld(t)
	d := w.trusting()
	for range 5 {
		w.nextRoot(func() { w.rotate("root") })
	}
	all := w.save()
	for cut := int64(2); cut <= 6; cut++ {
		w.files = maps.Clone(all)
		delete(w.files, tufclient.FileName("root", cut))
		if v := d.mustRefresh(day0).Versions()["root"]; v != cut-1 {
			t.Errorf("without root %d: version %d", cut, v)
		}
		d.mustRefuse(reason.Freeze, day0.Add(30*day))
	}
	w.files = all
	m := d.mustRefresh(day0)
	if m.Versions()["root"] != 6 {
		t.Errorf("versions %v", m.Versions())
	}
	for v := int64(1); v <= 6; v++ {
		name := tufclient.FileName("root", v)
		if !bytes.Equal(m.Files()[name], all[name]) {
			t.Errorf("%s is not kept", name)
		}
	}
	w.files[tufclient.FileName("root", 7)] = all["1.root.json"]
	d.mustRefuse(reason.UntrustedSigner, day0) // root 1 was signed by keys long gone
}

// Attack T22: a device comes back after 300 rotations, and after too many.
func TestAttackT22ManyRotations(t *testing.T) {
	w := newWorld(t)
	d := w.trusting()
	for range 300 {
		w.nextRoot(func() { w.rotate("root") })
	}
	if v := d.mustRefresh(day0).Versions()["root"]; v != 301 {
		t.Errorf("root version %d", v)
	}
	if _, err := d.Stored(day0); err != nil {
		t.Errorf("stored: %v", err)
	}
	for range tufclient.MaxRootRotations {
		w.nextRoot(func() {})
	}
	if _, err := tufclient.Verify(w.files["300.root.json"], w.files, day0); !reason.Is(err, reason.TooLarge) {
		t.Errorf("%v", err)
	}
}

// Attack T28: two channels of one operator share every key, and the registry
// serves one as the other, with lower, equal and higher versions.
func TestAttackT28AnotherChannelWithTheSameKeys(t *testing.T) {
	others := map[string]tufclient.Identity{
		"other id":    {Kind: channelA.Kind, ID: strings.Repeat("b", 32)},
		"other kind":  {Kind: tufclient.KindReleases, ID: channelA.ID},
		"no identity": {},
	}
	for name, id := range others {
		for _, bumps := range []int{0, 1, 2} {
			t.Run(fmt.Sprintf("%s, version %d", name, bumps+1), func(t *testing.T) {
				w := withDeploy(t)
				w.bump()
				d := w.device()
				d.mustRefresh(day0, order)
				before, honest := d.all(), w.save()
				w.brand(id)
				w.timestamp.Signed.Version, w.snapshot.Signed.Version = int64(bumps+1), int64(bumps+1)
				w.publish()
				d.mustRefuse(reason.WrongChannel, day0, order)
				d.unmoved(before, honest)
			})
		}
		for _, role := range []string{"root", "targets", "deploy"} {
			t.Run(name+", only "+role, func(t *testing.T) {
				w := withDeploy(t)
				d := w.device()
				d.mustRefresh(day0, order)
				fields := w.root.Signed.UnrecognizedFields
				if role != "root" {
					fields = w.roles[role].Signed.UnrecognizedFields
				}
				if delete(fields, tufclient.ChannelField); id != (tufclient.Identity{}) {
					fields[tufclient.ChannelField] = id.Field()
				}
				if role == "root" {
					w.nextRoot(func() {})
				}
				w.bump()
				d.mustRefuse(reason.WrongChannel, day0, order)
			})
		}
	}
	t.Run("a channel served to a plain client", func(t *testing.T) {
		w := newWorldOf(t, tufclient.Identity{})
		d := w.device()
		w.brand(channelA)
		w.publish()
		d.mustRefuse(reason.WrongChannel, day0)
	})
}

// Attack T7 at this level: what is longer than signed, or than the bound.
func TestAttackT7LongFiles(t *testing.T) {
	for name, limit := range map[string]int64{
		"2.root.json": tufclient.MaxRoot, "timestamp.json": tufclient.MaxTimestamp,
		"2.snapshot.json": 0, "2.targets.json": 0,
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t)
			d := w.trusting()
			w.nextRoot(func() {})
			w.bump()
			if limit == 0 {
				limit = int64(len(w.files[name]))
			}
			w.files[name] = append(bytes.Clone(w.files[name]), bytes.Repeat([]byte(" "), int(limit))...)
			d.mustRefuse(reason.TooLarge, day0)
		})
	}
	t.Run("a signed length over the bound", func(t *testing.T) {
		w := newWorld(t)
		d := w.device()
		w.snapshot.Signed.Meta["targets.json"] = &metadata.MetaFiles{Version: 1, Length: tufclient.MaxTargets + 1}
		w.publishSnapshot()
		d.mustRefuse(reason.TooLarge, day0)
	})
}
