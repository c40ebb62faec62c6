package attacks

import (
	"crypto"
	"crypto/sha256"
	"fmt"
	"maps"
	"strings"
	"testing"
	"time"

	"github.com/theupdateframework/go-tuf/v2/metadata"

	"github.com/consign-dev/consign/internal/channel"
	"github.com/consign-dev/consign/internal/keys"
	"github.com/consign-dev/consign/internal/reason"
	"github.com/consign-dev/consign/internal/tufclient"
	"github.com/consign-dev/consign/internal/tufrepo"
	"github.com/consign-dev/consign/internal/world"
)

type (
	timestampDoc = metadata.Metadata[metadata.TimestampType]
	snapshotDoc  = metadata.Metadata[metadata.SnapshotType]
	targetsDoc   = metadata.Metadata[metadata.TargetsType]
)

// fileOf is the name of a role's newest file and its version.
func fileOf(w *world.World, files map[string][]byte, role string) (name string, version int64) {
	w.T.Helper()
	for file := range files {
		var n int64
		if _, err := fmt.Sscanf(file, "%d."+role+".json", &n); err == nil && n > version {
			name, version = file, n
		}
	}
	if name == "" {
		w.T.Fatalf("no %s among the files", role)
	}
	return name, version
}

// thief signs timestamp and snapshot of plant's channel anew, one version
// higher, after edit has changed what the snapshot names.
func (s *site) thief(files map[string][]byte, edit func(meta map[string]*metadata.MetaFiles)) map[string][]byte {
	s.T.Helper()
	name, version := fileOf(s.World, files, "snapshot")
	snapshot := world.Forge(s.World, "plant", "snapshot", files[name], func(d *snapshotDoc) {
		d.Signed.Version++
		edit(d.Signed.Meta)
	})
	out := maps.Clone(files)
	delete(out, name)
	out[fmt.Sprintf("%d.snapshot.json", version+1)] = snapshot
	return s.stamp(out, version+1, snapshot)
}

// stamp signs a timestamp that names a snapshot.
func (s *site) stamp(files map[string][]byte, version int64, snapshot []byte) map[string][]byte {
	return with(files, map[string][]byte{"timestamp.json": world.Forge(s.World, "plant", "timestamp", files["timestamp.json"], func(d *timestampDoc) {
		d.Signed.Version++
		d.Signed.Meta["snapshot.json"] = describe(version, snapshot)
	})})
}

func describe(version int64, data []byte) *metadata.MetaFiles {
	sum := sha256.Sum256(data)
	return &metadata.MetaFiles{Version: version, Length: int64(len(data)), Hashes: metadata.Hashes{"sha256": sum[:]}}
}

// TestAttackT1UnknownKeysEndToEnd: channels that are whole and signed by keys
// that nobody vouches for, and a bundle that is listed and signed by such a key.
func TestAttackT1UnknownKeysEndToEnd(t *testing.T) {
	t.Run("deployment channel", func(t *testing.T) {
		s := fresh(t)
		honest := s.Files(s.Deployments)
		s.Refuses(t, reason.UntrustedSigner, func() { s.Serve(s.Deployments, s.stranger(channel.KindDeployments)) },
			func() { s.Serve(s.Deployments, honest) })
	})
	t.Run("release channel", func(t *testing.T) {
		s := fresh(t)
		honest := s.Files(s.Releases)
		s.Refuses(t, reason.UntrustedSigner, func() {
			s.Deploy(device, "1.1.0", nil)
			s.Serve(s.Releases, s.stranger(channel.KindReleases))
		}, func() { s.Serve(s.Releases, honest) })
	})
	t.Run("bundle", func(t *testing.T) {
		s := fresh(t)
		s.Refuses(t, reason.UntrustedSigner, func() {
			s.order("1.2.0", s.Supply("1.1.0", "1.2.0", func(p *world.Parts) { p.Signer = s.key() }))
		}, nothing)
	})
}

// stranger is a whole channel, signed by keys that nobody knows.
func (s *site) stranger(kind string) map[string][]byte {
	signers := tufrepo.Keys{}
	for _, role := range tufrepo.Roles(kind) {
		signers[role] = []crypto.Signer{s.key()}
	}
	repo, err := tufrepo.Create(kind, signers, nil, s.Now)
	s.Must(err)
	files, err := repo.Sign(signers, s.Now)
	s.Must(err)
	return files
}

func (s *site) key() crypto.Signer {
	key, err := keys.Generate()
	s.Must(err)
	return key
}

// TestAttackT2RolesPutBack: an older document of each role, all that lies above
// it signed by a thief of the keys above; and the whole channel put back.
func TestAttackT2RolesPutBack(t *testing.T) {
	back := map[string]func(s *site, old, files map[string][]byte) map[string][]byte{
		"timestamp": func(_ *site, old, files map[string][]byte) map[string][]byte {
			return with(files, map[string][]byte{"timestamp.json": old["timestamp.json"]})
		},
		"snapshot": func(s *site, old, files map[string][]byte) map[string][]byte {
			name, version := fileOf(s.World, old, "snapshot")
			return s.stamp(with(files, map[string][]byte{name: old[name]}), version, old[name])
		},
	}
	for _, role := range []string{"targets", "deploy"} {
		back[role] = func(s *site, old, files map[string][]byte) map[string][]byte {
			name, version := fileOf(s.World, old, role)
			return s.thief(with(files, map[string][]byte{name: old[name]}), func(meta map[string]*metadata.MetaFiles) {
				meta[role+".json"] = describe(version, old[name])
			})
		}
	}
	back["every file"] = func(_ *site, old, _ map[string][]byte) map[string][]byte { return old }
	for name, attack := range back {
		t.Run(name, func(t *testing.T) {
			s := fresh(t)
			old := s.Files(s.Deployments)
			s.SetPolicy("    mayRemove: false\n")
			s.Recovers(t)
			now := s.Files(s.Deployments)
			s.Refuses(t, reason.Rollback, func() { s.Serve(s.Deployments, attack(s, old, now)) }, func() { s.higher(now) })
		})
	}
	t.Run("release channel", func(t *testing.T) {
		s := fresh(t)
		desc, head := s.Head(s.Releases)
		s.Publish("acme", "1.2.0", nil)
		s.Recovers(t)
		now, manifest := s.Head(s.Releases)
		s.Refuses(t, reason.Rollback, func() {
			s.Deploy(device, "1.2.0", nil)
			s.PutBack(s.Releases, desc, head)
		}, func() { s.PutBack(s.Releases, now, manifest) })
	})
}

// higher serves files with a snapshot and a timestamp above all that a thief
// signed, as the operator does who has changed the keys' places.
func (s *site) higher(files map[string][]byte) {
	s.T.Helper()
	_, version := fileOf(s.World, files, "snapshot")
	for range 3 {
		files = s.thief(files, func(map[string]*metadata.MetaFiles) {})
	}
	if _, now := fileOf(s.World, files, "snapshot"); now != version+3 {
		s.T.Fatalf("the snapshot has version %d", now)
	}
	s.Serve(s.Deployments, files)
}

// TestAttackT2OldRoot: an old root under the number of the next one.
func TestAttackT2OldRoot(t *testing.T) {
	s := fresh(t)
	s.RenewRoot("plant", s.Deployments)
	s.Recovers(t)
	files := s.Files(s.Deployments)
	s.Refuses(t, reason.Rollback, func() {
		s.Serve(s.Deployments, with(files, map[string][]byte{"3.root.json": files["1.root.json"]}))
	}, func() { s.Serve(s.Deployments, files) })
}

// TestAttackT2EqualVersionEndToEnd: a version that the device has, signed again
// with other content.
func TestAttackT2EqualVersionEndToEnd(t *testing.T) {
	for _, role := range []string{"snapshot", "targets", "deploy"} {
		t.Run(role, func(t *testing.T) {
			s := fresh(t)
			honest := s.Files(s.Deployments)
			name, version := fileOf(s.World, honest, role)
			s.Refuses(t, reason.Equivocation, func() {
				if role == "snapshot" {
					other := world.Forge(s.World, "plant", role, honest[name], func(d *snapshotDoc) { d.Signed.Expires = d.Signed.Expires.Add(time.Hour) })
					s.Serve(s.Deployments, s.stamp(with(honest, map[string][]byte{name: other}), version, other))
					return
				}
				other := world.Forge(s.World, "plant", role, honest[name], func(d *targetsDoc) { d.Signed.Expires = d.Signed.Expires.Add(time.Hour) })
				s.Serve(s.Deployments, s.thief(with(honest, map[string][]byte{name: other}), func(meta map[string]*metadata.MetaFiles) {
					meta[role+".json"] = describe(version, other)
				}))
			}, func() { s.higher(honest) })
		})
	}
}

// TestAttackT23SameVersionLaterExpiry: a timestamp with nothing new but its
// expiry has no effect, and is an alarm.
func TestAttackT23SameVersionLaterExpiry(t *testing.T) {
	for name, party := range map[string]string{"deployment channel": "plant", "release channel": "acme"} {
		t.Run(name, func(t *testing.T) {
			s := fresh(t)
			repository := map[string]string{"plant": s.Deployments, "acme": s.Releases}[party]
			if party == "acme" { // what it has seen of it must be the newest
				s.Recovers(t)
			}
			honest := s.Files(repository)
			s.Refuses(t, reason.Equivocation, func() {
				if party == "acme" {
					s.Deploy(device, "1.0.0", nil)
				}
				s.Serve(repository, with(honest, map[string][]byte{
					"timestamp.json": world.Forge(s.World, party, "timestamp", honest["timestamp.json"], func(d *timestampDoc) {
						d.Signed.Expires = d.Signed.Expires.Add(time.Hour)
					}),
				}))
			}, func() { s.Serve(repository, honest) })
			kinds := strings.Join(s.D.Events(), " ")
			if !strings.Contains(kinds, "equivocation refused:equivocation") {
				t.Errorf("the log does not hold the proof: %s", kinds)
			}
		})
	}
}

// TestAttackT28AnotherChannelEndToEnd: the operator's keys sign another channel,
// such as the one for staging, and it is served in this one's place.
func TestAttackT28AnotherChannelEndToEnd(t *testing.T) {
	s := fresh(t)
	honest := s.Files(s.Deployments)
	other := tufclient.Identity{Kind: tufclient.KindDeployments, ID: strings.Repeat("5", 32)}
	s.Refuses(t, reason.WrongChannel, func() {
		s.Serve(s.Deployments, with(honest, map[string][]byte{
			"timestamp.json": world.Forge(s.World, "plant", "timestamp", honest["timestamp.json"], func(d *timestampDoc) {
				d.Signed.Version += 10
				d.Signed.UnrecognizedFields[tufclient.ChannelField] = other.Field()
			}),
		}))
	}, func() { s.Serve(s.Deployments, honest) })
}

// TestAttackT4HeldBack: the registry goes on serving what was valid once. The
// last moment is the one before the expiry.
func TestAttackT4HeldBack(t *testing.T) {
	s := fresh(t)
	doc, err := new(timestampDoc).FromBytes(s.Files(s.Deployments)["timestamp.json"])
	s.Must(err)
	s.Now = doc.Signed.Expires.Add(-time.Second)
	if _, err := s.D.Sync(); reason.Is(err, reason.Freeze) && !strings.Contains(err.Error(), "release channel") {
		t.Fatalf("a second before the expiry: %v", err)
	}
	s.Refuses(t, reason.Freeze, func() { s.Now = doc.Signed.Expires }, func() {
		_, err := s.Party("plant").RefreshChannel(s.Context(), s.Deployments, channel.KindDeployments)
		s.Must(err)
		_, err = s.Party("acme").RefreshChannel(s.Context(), s.Releases, channel.KindReleases)
		s.Must(err)
	})
}

// TestAttackT5MetadataMixed: the files of two states of the channel, both
// honestly signed, in every mixture. The device has seen the older state only.
func TestAttackT5MetadataMixed(t *testing.T) {
	roles := []string{"snapshot", "targets", "deploy"}
	for mask := 1; mask < 1<<len(roles); mask++ {
		t.Run(fmt.Sprintf("older %03b", mask), func(t *testing.T) {
			s := fresh(t)
			older := s.Files(s.Deployments)
			s.SetPolicy("    mayRemove: false\n")
			s.Deploy(device, "1.1.0", nil)
			newer := s.Files(s.Deployments)
			mixed, code := maps.Clone(newer), reason.Code("")
			for n, role := range roles {
				if mask&(1<<n) == 0 {
					continue
				}
				from, _ := fileOf(s.World, older, role)
				to, _ := fileOf(s.World, newer, role)
				mixed[to] = older[from]
				switch longer := len(older[from]) > len(newer[to]); {
				case code != "": // the first one that is fetched decides
				case longer:
					code = reason.TooLarge
				default:
					code = reason.DigestMismatch
				}
			}
			s.Refuses(t, code, func() { s.Serve(s.Deployments, mixed) }, func() { s.Serve(s.Deployments, newer) })
		})
	}
}
