package main

import "testing"

// A snapshot is not asked for again when the timestamp lists the one at hand.
func TestUpdateTimestamp(t *testing.T) {
	repo, c := begin(t)
	c.mustRefresh(0)
	repo.publish("timestamp")
	c.mustRefresh(0)
	if repo.last() != "timestamp.json" {
		t.Errorf("%s was asked for last", repo.last())
	}
	c.trusts("root 1, snapshot 1, targets 1, timestamp 2")
}

func TestNewTimestampVersionRollback(t *testing.T) {
	repo, c := begin(t)
	repo.publish("timestamp")
	c.mustRefresh(0)
	*repo.version("timestamp") = 0
	repo.publish("timestamp") // version 1
	c.mustRefresh(1)
	if repo.last() != "timestamp.json" {
		t.Errorf("%s was asked for last", repo.last())
	}
	c.trusts("root 1, snapshot 1, targets 1, timestamp 2")
}

// withAndWithoutHashes runs a test for repositories of both kinds.
func withAndWithoutHashes(t *testing.T, test func(t *testing.T, repo *simulator, c *client)) {
	for name, hashes := range map[string]bool{"basic": false, "with hashes": true} {
		t.Run(name, func(t *testing.T) {
			repo, c := begin(t)
			repo.hashes = hashes
			test(t, repo, c)
		})
	}
}

func TestSnapshotRollback(t *testing.T) {
	withAndWithoutHashes(t, func(t *testing.T, repo *simulator, c *client) {
		repo.publish("snapshot", "timestamp")
		c.mustRefresh(0)
		*repo.version("snapshot") = 0
		repo.publish("snapshot", "timestamp") // snapshot 1, timestamp 3
		c.mustRefresh(1)
		if repo.last() != "timestamp.json" {
			t.Errorf("%s was asked for last", repo.last())
		}
		c.trusts("root 1, snapshot 2, targets 1, timestamp 2")
	})
}

// A targets role that leaves the snapshot could come back with any version.
func TestTargetsRoleRemoval(t *testing.T) {
	repo, c := begin(t)
	repo.delegate(delegation{from: "targets", to: "A"})
	repo.publish("A", "targets", "snapshot", "timestamp")
	c.mustDownload(1, "missing")
	for _, file := range []string{"A.json", "targets.json"} {
		kept := repo.snapshot.Signed.Meta[file]
		delete(repo.snapshot.Signed.Meta, file)
		repo.publish("snapshot", "timestamp")
		c.mustRefresh(1)
		repo.snapshot.Signed.Meta[file] = kept
	}
	c.trusts("root 1, snapshot 2, targets 2, timestamp 4 +1")
	repo.publish("snapshot", "timestamp")
	c.mustRefresh(0)
}

func TestTargetsFastForwardRecovery(t *testing.T) {
	repo, c := begin(t)
	*repo.version("targets") = 99
	repo.published["targets"] = make([][]byte, 99)
	repo.publish("targets", "snapshot", "timestamp")
	c.mustRefresh(0)
	c.trusts("root 1, snapshot 2, targets 100, timestamp 2")
	repo.rotate("snapshot")
	*repo.version("targets") = 0
	repo.published["targets"] = nil
	repo.targets["targets"].Signed.Version = 1
	repo.publish("root", "targets", "snapshot", "timestamp")
	c.mustRefresh(0)
	c.trusts("root 2, snapshot 3, targets 1, timestamp 3")
}

func TestNewSnapshotFastForwardRecovery(t *testing.T) {
	repo, c := begin(t)
	*repo.version("snapshot") = 99998
	repo.published["snapshot"] = make([][]byte, 99998)
	repo.publish("snapshot", "timestamp")
	c.mustRefresh(0)
	c.trusts("root 1, snapshot 99999, targets 1, timestamp 2")
	repo.rotate("snapshot")
	repo.rotate("timestamp")
	*repo.version("snapshot") = 1
	repo.published["snapshot"] = nil
	repo.publish("root", "snapshot", "timestamp")
	c.mustRefresh(0)
	c.trusts("root 2, snapshot 1, targets 1, timestamp 3")
}

func TestNewTimestampFastForwardRecovery(t *testing.T) {
	repo, c := begin(t)
	*repo.version("timestamp") = 99
	repo.publish("timestamp")
	c.mustRefresh(0)
	c.trusts("root 1, snapshot 1, targets 1, timestamp 100")
	repo.rotate("timestamp")
	*repo.version("timestamp") = 0
	repo.publish("root", "timestamp")
	c.mustRefresh(0)
	c.trusts("root 2, snapshot 1, targets 1, timestamp 1")
}

func TestTargetsRollback(t *testing.T) {
	withAndWithoutHashes(t, func(t *testing.T, repo *simulator, c *client) {
		repo.publish("targets", "snapshot", "timestamp")
		c.mustRefresh(0)
		repo.published["targets"] = nil
		*repo.version("targets") = 1
		repo.publish("targets", "snapshot", "timestamp") // targets 1
		c.mustRefresh(1)
		c.trusts("root 1, snapshot 2, targets 2, timestamp 3")
	})
}
