package main

import (
	"bytes"
	"encoding/json"
	"strings"
	"testing"

	"github.com/theupdateframework/go-tuf/v2/metadata"

	"github.com/consign-dev/consign/internal/tufclient"
)

const firstRequests = "2.root.json timestamp.json 1.snapshot.json 1.targets.json"

func TestBasicRefreshRequests(t *testing.T) {
	repo, c := begin(t)
	if asked := repo.asked(); asked != "" {
		t.Errorf("init asked for %s", asked)
	}
	c.mustRefresh(0)
	if asked := repo.asked(); asked != firstRequests {
		t.Errorf("asked for %s", asked)
	}
}

func TestBasicRefreshTrustedData(t *testing.T) {
	repo, c := begin(t)
	c.mustRefresh(0)
	c.trusts("root 1, snapshot 1, targets 1, timestamp 1")
	for _, role := range topLevel {
		if !bytes.Equal(c.file(role), repo.latest(role)) {
			t.Errorf("%s is not what the repository published", role)
		}
	}
}

func TestImplicitRefresh(t *testing.T) {
	repo, c := begin(t)
	c.mustDownload(1, "nonexistent artifact")
	if asked := repo.asked(); asked != firstRequests {
		t.Errorf("asked for %s", asked)
	}
	c.trusts("root 1, snapshot 1, targets 1, timestamp 1")
}

// badRoot runs a client whose first root has been changed.
func badRoot(t *testing.T, change func(root map[string]any)) {
	t.Parallel()
	repo := newSimulator(t)
	c := newClient(t, repo)
	c.init(edit(t, repo.latest("root"), change)) // may fail already
	c.mustRefresh(1)
	if asked := repo.asked(); asked != "" {
		t.Errorf("asked for %s", asked)
	}
}

// edit changes a document as JSON and leaves its signatures alone.
func edit(t testing.TB, data []byte, change func(doc map[string]any)) []byte {
	t.Helper()
	var doc map[string]any
	dec := json.NewDecoder(bytes.NewReader(data))
	dec.UseNumber()
	if err := dec.Decode(&doc); err != nil {
		t.Fatal(err)
	}
	change(doc)
	out, err := json.Marshal(doc)
	if err != nil {
		t.Fatal(err)
	}
	return out
}

func signatures(doc map[string]any) []any { return doc["signatures"].([]any) }

func TestInvalidInitialRoot(t *testing.T) {
	badRoot(t, func(root map[string]any) { delete(root["signed"].(map[string]any), "version") })
}

func TestUnsignedInitialRoot(t *testing.T) {
	other := newSimulator(t).latest("root")
	badRoot(t, func(root map[string]any) {
		edit(t, other, func(o map[string]any) {
			signatures(root)[0].(map[string]any)["sig"] = signatures(o)[0].(map[string]any)["sig"]
		})
	})
}

func TestUnsignedMetadata(t *testing.T) {
	for role, trusted := range map[string]string{
		"root":      "root 1",
		"timestamp": "root 2",
		"snapshot":  "root 2, timestamp 2",
		"targets":   "root 2, snapshot 2, timestamp 2",
	} {
		t.Run(role, func(t *testing.T) {
			repo, c := begin(t)
			repo.signers[role] = nil
			repo.publish("root", "targets", "snapshot", "timestamp")
			c.mustRefresh(1)
			c.trusts(trusted)
		})
	}
}

func TestURLAndMetadataVersionMismatch(t *testing.T) {
	for role, trusted := range map[string]string{
		"root":     "root 1",
		"snapshot": "root 2, timestamp 2",
		"targets":  "root 2, snapshot 2, timestamp 2",
	} {
		t.Run(role, func(t *testing.T) {
			repo, c := begin(t)
			*repo.version(role)++ // says 3, is served as 2
			repo.publish("root", "targets", "snapshot", "timestamp")
			switch role {
			case "targets":
				repo.snapshot.Signed.Meta["targets.json"].Version = 2
				repo.replace("snapshot", repo.sign("snapshot"))
			case "snapshot":
				repo.timestamp.Signed.Meta["snapshot.json"].Version = 2
				repo.replace("timestamp", repo.sign("timestamp"))
			}
			c.mustRefresh(1)
			c.trusts(trusted)
		})
	}
}

// The product is louder than the specification here, see the package comment:
// the alarm is raised, the evidence kept, and the exit code is the suite's.
func TestTimestampContentChanges(t *testing.T) {
	repo, c := begin(t)
	c.mustRefresh(0)
	before := c.file("timestamp")
	repo.timestamp.Signed.Meta["snapshot.json"].Version = 100
	repo.replace("timestamp", repo.sign("timestamp"))
	c.mustRefresh(0)
	if repo.last() != "timestamp.json" {
		t.Errorf("after the timestamp, %s was asked for", repo.last())
	}
	if !bytes.Equal(c.file("timestamp"), before) {
		t.Error("the timestamp was replaced")
	}
	if !strings.Contains(c.stderr, "alarm: ") || !strings.Contains(c.stderr, "evidence") {
		t.Errorf("no alarm: %s", c.stderr)
	}
	// What was accepted before is not accepted for ever on that account.
	c.clock = repo.began.Add(31 * day)
	c.mustRefresh(1)
}

// Not of the suite: what never came through is not made good by an alarm.
func TestTimestampContentChangesAfterAFailure(t *testing.T) {
	repo, c := begin(t)
	c.mustRefresh(0)
	repo.timestamp.Signed.Meta["snapshot.json"].Version++
	repo.publish("timestamp")
	c.mustRefresh(1)
	repo.timestamp.Signed.Meta["snapshot.json"].Version--
	repo.replace("timestamp", repo.sign("timestamp"))
	c.mustRefresh(1)
	c.trusts("root 1, snapshot 1, targets 1, timestamp 2")
	repo.publish("snapshot", "timestamp")
	c.mustRefresh(0)
}

func TestBasicMetadataHashSupport(t *testing.T) {
	repo, c := begin(t)
	repo.hashes = true
	repo.publish("targets", "snapshot", "timestamp")
	c.mustRefresh(0)
	c.trusts("root 1, snapshot 2, targets 2, timestamp 2")
}

func TestTargetsHashMismatch(t *testing.T) {
	repo, c := begin(t)
	repo.hashes = true
	repo.publish("targets", "snapshot", "timestamp")
	c.mustRefresh(0)
	repo.publish("targets")
	repo.snapshot.Signed.Meta["targets.json"].Hashes["sha256"][0] ^= 1
	repo.publish("snapshot", "timestamp")
	c.mustRefresh(1)
	c.trusts("root 1, snapshot 3, targets 2, timestamp 3")
}

func TestSnapshotHashMismatch(t *testing.T) {
	repo, c := begin(t)
	repo.hashes = true
	repo.publish("targets", "snapshot", "timestamp")
	c.mustRefresh(0)
	repo.publish("targets", "snapshot")
	repo.timestamp.Signed.Meta["snapshot.json"].Hashes["sha256"][0] ^= 1
	repo.publish("timestamp")
	c.mustRefresh(1)
	c.trusts("root 1, snapshot 2, targets 2, timestamp 3")
}

func TestMetadataBytesMatch(t *testing.T) {
	repo, c := begin(t)
	repo.replace("timestamp", append(repo.latest("timestamp"), ' '))
	c.mustRefresh(0)
	if !bytes.Equal(c.file("timestamp"), repo.latest("timestamp")) {
		t.Error("the timestamp was not kept byte for byte")
	}
}

func TestCustomFields(t *testing.T) {
	repo, c := begin(t)
	c.mustRefresh(0)
	s := newSigner(t)
	s.public.UnrecognizedFields = map[string]any{"extra-field": map[string]any{"a": 1, "b": 2}}
	repo.addKey("root", s)
	repo.root.Signed.UnrecognizedFields = map[string]any{"custom-field": "value"}
	repo.root.Signed.Roles["root"].UnrecognizedFields = map[string]any{"another-field": "value"}
	repo.publish("root")
	c.mustRefresh(0)
	c.trusts("root 2, snapshot 1, targets 1, timestamp 1")
}

func TestDeprecatedKeyidHashAlgorithms(t *testing.T) {
	repo, c := begin(t)
	s := newSigner(t)
	s.public.UnrecognizedFields = map[string]any{"keyid_hash_algorithms": "md5"}
	repo.dismiss("snapshot")
	repo.addKey("snapshot", s)
	repo.publish("root", "snapshot", "timestamp")
	c.mustRefresh(0)
	c.trusts("root 2, snapshot 2, targets 1, timestamp 2")
}

func TestSnapshot404(t *testing.T) {
	repo, c := begin(t)
	c.mustRefresh(0)
	repo.timestamp.Signed.Meta["snapshot.json"].Version++
	repo.publish("timestamp")
	c.mustRefresh(1)
	if repo.last() != "2.snapshot.json" {
		t.Errorf("%s was asked for last", repo.last())
	}
	c.trusts("root 1, snapshot 1, targets 1, timestamp 2")
}

func TestTargets404(t *testing.T) {
	repo, c := begin(t)
	c.mustRefresh(0)
	repo.snapshot.Signed.Meta["targets.json"].Version++
	repo.publish("snapshot", "timestamp")
	c.mustRefresh(1)
	if repo.last() != "2.targets.json" {
		t.Errorf("%s was asked for last", repo.last())
	}
	c.trusts("root 1, snapshot 2, targets 1, timestamp 2")
}

func TestTimestamp404(t *testing.T) {
	repo, c := begin(t)
	c.mustRefresh(0)
	delete(repo.published, "timestamp")
	c.mustRefresh(1)
	if repo.last() != "timestamp.json" {
		t.Errorf("%s was asked for last", repo.last())
	}
	c.trusts("root 1, snapshot 1, targets 1, timestamp 1")
}

// A snapshot that would pass for a timestamp: signed with its key, listing a
// snapshot.
func TestIncorrectMetadataType(t *testing.T) {
	repo, c := begin(t)
	repo.addKey("snapshot", repo.signers["timestamp"][0])
	repo.snapshot.Signed.Meta = map[string]*metadata.MetaFiles{"snapshot.json": metadata.MetaFile(1)}
	repo.publish("root", "snapshot")
	repo.published["timestamp"] = append(repo.published["timestamp"], repo.latest("snapshot"))
	c.mustRefresh(1)
	c.trusts("root 2")
}

// Not of the suite: a channel in its exported form is read by what its root
// says it is of, and then is held to that.
func TestExportedChannel(t *testing.T) {
	t.Parallel()
	repo := newSimulator(t)
	repo.brand(tufclient.Identity{Kind: tufclient.KindReleases, ID: strings.Repeat("a", 32)})
	for _, role := range topLevel {
		repo.replace(role, repo.sign(role))
	}
	c := newClient(t, repo)
	c.mustInit()
	c.mustRefresh(0)
	repo.brand(tufclient.Identity{Kind: tufclient.KindReleases, ID: strings.Repeat("b", 32)})
	repo.publish("targets", "snapshot", "timestamp")
	c.mustRefresh(1)
	c.trusts("root 1, snapshot 1, targets 1, timestamp 1")
}
