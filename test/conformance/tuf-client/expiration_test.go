package main

import "testing"

func TestFaketime(t *testing.T) {
	repo, c := begin(t)
	repo.root.Signed.Expires = repo.began.Add(7 * day)
	repo.publish("root")
	c.mustRefresh(0)
	c.clock = repo.began.Add(8 * day)
	c.mustRefresh(1)
}

// The new root is kept, nothing after it is read (TUF 1.0.34 section 5.3.10).
func TestRootExpired(t *testing.T) {
	repo, c := begin(t)
	c.mustRefresh(0)
	repo.publish("root")
	c.mustRefresh(0)
	repo.root.Signed.Expires = repo.began.Add(-day)
	repo.publish("root", "targets", "snapshot", "timestamp")
	c.mustRefresh(1)
	c.trusts("root 3, snapshot 1, targets 1, timestamp 1")
}

func TestTimestampExpired(t *testing.T) {
	repo, c := begin(t)
	c.mustRefresh(0)
	repo.timestamp.Signed.Expires = repo.began.Add(-5 * day)
	repo.publish("timestamp")
	c.mustRefresh(1)
	c.trusts("root 1, snapshot 1, targets 1, timestamp 1")
}

func TestSnapshotExpired(t *testing.T) {
	repo, c := begin(t)
	c.mustRefresh(0)
	repo.snapshot.Signed.Expires = repo.began.Add(-5 * day)
	repo.publish("snapshot", "timestamp")
	c.mustRefresh(1)
	c.trusts("root 1, snapshot 1, targets 1, timestamp 2")
}

func TestTargetsExpired(t *testing.T) {
	repo, c := begin(t)
	c.mustRefresh(0)
	repo.targets["targets"].Signed.Expires = repo.began.Add(-5 * day)
	repo.publish("targets", "snapshot", "timestamp")
	c.mustRefresh(1)
	c.trusts("root 1, snapshot 2, targets 1, timestamp 2")
}

func TestExpiredLocalRoot(t *testing.T) {
	repo, c := begin(t)
	repo.root.Signed.Expires = repo.began.Add(7 * day)
	repo.publish("root")
	c.mustRefresh(0)
	repo.root.Signed.Expires = repo.began.Add(21 * day)
	repo.publish("root")
	c.clock = repo.began.Add(18 * day)
	c.mustRefresh(0)
	c.trusts("root 3, snapshot 1, targets 1, timestamp 1")
}

func TestExpiredLocalTimestamp(t *testing.T) {
	repo, c := begin(t)
	repo.timestamp.Signed.Expires = repo.began.Add(7 * day)
	repo.publish("timestamp")
	c.mustRefresh(0)
	repo.timestamp.Signed.Expires = repo.began.Add(21 * day)
	repo.publish("targets", "snapshot", "timestamp")
	c.clock = repo.began.Add(18 * day)
	c.mustRefresh(0)
	c.trusts("root 1, snapshot 2, targets 2, timestamp 3")
}
