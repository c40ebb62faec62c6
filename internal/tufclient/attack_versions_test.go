package tufclient_test

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/consign-dev/consign/internal/reason"
	"github.com/consign-dev/consign/internal/tufclient"
)

// Attack T2: an older version of each role, alone, with everything above it
// honestly signed by a thief of the keys above; and the whole channel older.
func TestAttackT2Rollback(t *testing.T) {
	for _, role := range nonRoot {
		t.Run(role, func(t *testing.T) {
			w := withDeploy(t)
			w.bump()
			d := w.device()
			d.mustRefresh(day0, order)
			w.bump()
			w.setVersion(role, 1)
			w.publish()
			d.mustRefuse(reason.Rollback, day0, order)
			if got := versionOf(t, d.stored(role)); got != 2 {
				t.Errorf("%s version %d is stored", role, got)
			}
		})
	}
	t.Run("the old tag put back", func(t *testing.T) {
		w := withDeploy(t)
		old := w.save()
		w.bump()
		d := w.device()
		d.mustRefresh(day0, order)
		before, honest := d.all(), w.save()
		w.files = old
		d.mustRefuse(reason.Rollback, day0, order)
		d.unmoved(before, honest)
	})
	t.Run("a role leaves the snapshot", func(t *testing.T) {
		w := withDeploy(t)
		d := w.device()
		d.mustRefresh(day0, order)
		w.bump()
		delete(w.snapshot.Signed.Meta, "deploy.json")
		w.publishSnapshot()
		d.mustRefuse(reason.Rollback, day0)
	})
	t.Run("an older root in the place of the next", func(t *testing.T) {
		w := newWorld(t)
		d := w.trusting()
		w.files["2.root.json"] = w.files["1.root.json"]
		d.mustRefuse(reason.Rollback, day0)
	})
}

// Attack T2, every combination: a thief of all online keys signs lower versions
// of one, two, three or all of the roles, and lists them where they belong.
func TestAttackT2EveryCombinationWithTheKeys(t *testing.T) {
	for mask := 1; mask < 1<<len(nonRoot); mask++ {
		t.Run(fmt.Sprintf("mask %04b", mask), func(t *testing.T) {
			t.Parallel()
			w := withDeploy(t)
			w.bump()
			d := w.device()
			d.mustRefresh(day0, order)
			w.timestamp.Signed.Version, w.snapshot.Signed.Version = 3, 3
			for n, role := range nonRoot {
				if mask&(1<<n) != 0 {
					w.setVersion(role, 1)
				}
			}
			w.publish()
			d.mustRefuse(reason.Rollback, day0, order)
			for _, role := range nonRoot {
				if got := versionOf(t, d.stored(role)); got < 2 {
					t.Errorf("%s version %d is stored", role, got)
				}
			}
			w.timestamp.Signed.Version, w.snapshot.Signed.Version = 4, 4
			w.setVersion("targets", 4)
			w.setVersion("deploy", 4)
			w.publish()
			if v := d.mustRefresh(day0, order).Versions(); v["deploy"] != 4 {
				t.Errorf("recovery: %v", v)
			}
		})
	}
}

// Attack T2, every combination: files of version 1 served in the place of
// those of version 2, without a key.
func TestAttackT2OldBytesUnderNewNames(t *testing.T) {
	names := []string{"timestamp.json", "%d.snapshot.json", "%d.targets.json", "%d.deploy.json"}
	for mask := 1; mask < 1<<len(names); mask++ {
		w := withDeploy(t)
		d := w.device()
		d.mustRefresh(day0, order)
		old := w.save()
		w.bump()
		honest := w.save()
		for n, pattern := range names {
			if mask&(1<<n) != 0 {
				w.files[numbered(pattern, 2)] = old[numbered(pattern, 1)]
			}
		}
		m, err := d.Refresh(context.Background(), w, day0, order)
		if mask&1 != 0 {
			// The old timestamp is the one this device has; it hides the rest.
			if err != nil || m.Versions()["timestamp"] != 1 {
				t.Errorf("mask %04b: %v", mask, err)
			}
		} else if !reason.Is(err, reason.DigestMismatch) && !reason.Is(err, reason.TooLarge) {
			t.Errorf("mask %04b: %v", mask, err)
		}
		w.files = honest
		if v := d.mustRefresh(day0, order).Versions(); v["deploy"] != 2 {
			t.Errorf("mask %04b: recovery: %v", mask, v)
		}
	}
}

func numbered(pattern string, n int) string {
	if strings.Contains(pattern, "%d") {
		return fmt.Sprintf(pattern, n)
	}
	return pattern
}

// Attack T2: the version seen before, signed again with other content.
func TestAttackT2EqualVersionOtherContent(t *testing.T) {
	for _, role := range nonRoot {
		t.Run(role, func(t *testing.T) {
			w := withDeploy(t)
			d := w.device()
			d.mustRefresh(day0, order)
			before, honest := d.all(), w.save()
			w.raiseAbove(role)
			w.say(role, "something else")
			w.publish()
			err := d.mustRefuse(reason.Equivocation, day0, order)
			name := map[string]string{"timestamp": "timestamp.json"}[role]
			if name == "" {
				name = "1." + role + ".json"
			}
			for _, data := range [][]byte{honest[name], w.files[name]} {
				sum := sha256.Sum256(data)
				path := filepath.Join(d.dir, "evidence", hex.EncodeToString(sum[:])+".json")
				if kept, readErr := os.ReadFile(path); readErr != nil || !bytes.Equal(kept, data) {
					t.Errorf("evidence: %v", readErr)
				}
				if !strings.Contains(err.Error(), path) {
					t.Errorf("the error does not name %s: %v", path, err)
				}
			}
			if role == "timestamp" {
				d.unmoved(before, honest)
			}
		})
	}
}

// Attack T23: the same version of a role with nothing new but its expiry. It
// has no effect, not on the files and not on the day on which the device says
// freeze, and it is an alarm that holds the proof.
func TestAttackT23SameVersionNewExpiry(t *testing.T) {
	for _, role := range nonRoot {
		t.Run(role, func(t *testing.T) {
			w := withDeploy(t)
			d := w.device()
			d.mustRefresh(day0, order)
			mine, honest := d.stored(role), w.save()
			w.raiseAbove(role)
			w.setExpiry(role, day0.Add(300*day))
			w.publish()
			err := d.mustRefuse(reason.Equivocation, day0, order)
			var alarm *tufclient.Equivocation
			if !errors.As(err, &alarm) || alarm.Role != role {
				t.Fatalf("want an alarm about %s: %v", role, err)
			}
			if proof, err := os.ReadFile(alarm.Files[0]); err != nil || !bytes.Equal(proof, mine) {
				t.Errorf("the proof does not hold what was seen before: %v", err)
			}
			if !bytes.Equal(d.stored(role), mine) {
				t.Error("the document was replaced")
			}
			if _, err := d.Stored(day0.Add(30 * day)); !reason.Is(err, reason.Freeze) {
				t.Errorf("after its first expiry: %v, want %s", err, reason.Freeze)
			}
			w.files = honest
			w.setVersion("timestamp", 3)
			w.setVersion("snapshot", 3)
			w.setVersion("targets", 3)
			w.setVersion("deploy", 3)
			w.publish()
			d.mustRefresh(day0, order)
		})
	}
}
