package main

import (
	"fmt"
	"slices"
	"strings"
	"testing"
)

func TestClientDownloadsExpectedFile(t *testing.T) {
	repo, c := begin(t)
	repo.addArtifact("targets", "target_file.txt", "contents")
	repo.publish("targets", "snapshot", "timestamp")
	c.mustRefresh(0)
	c.has()
	c.mustDownload(0, "target_file.txt")
	c.has("contents")
}

func TestClientDownloadsExpectedFileInSubDir(t *testing.T) {
	repo, c := begin(t)
	repo.addArtifact("targets", "path/to/a/target_file.txt", "contents")
	repo.publish("targets", "snapshot", "timestamp")
	c.mustDownload(0, "path/to/a/target_file.txt")
	c.has("contents")
}

// lie makes the server send other bytes for a target that stays as it is listed.
func (r *simulator) lie(path, content string) {
	a := r.artifacts[path]
	a.content = []byte(content)
	r.artifacts[path] = a
}

func TestRepositorySubstitutesTargetFile(t *testing.T) {
	repo, c := begin(t)
	repo.addArtifact("targets", "one", "contents of one")
	repo.addArtifact("targets", "two", "contents of two")
	repo.publish("targets", "snapshot", "timestamp")
	c.mustDownload(0, "one")
	repo.lie("one", "something else")
	repo.lie("two", "contents of 2!!") // of the length that is signed
	c.download("one")                  // either may be: it is cached, or refused
	c.has("contents of one")
	c.mustDownload(1, "two")
	c.has("contents of one")
}

func TestMultipleChangesToTarget(t *testing.T) {
	repo, c := begin(t)
	repo.addArtifact("targets", "changing", "first")
	repo.publish("targets", "snapshot", "timestamp")
	c.mustDownload(0, "changing")
	var others []string
	for i := range 11 {
		content := fmt.Sprintf("changed %d", i)
		repo.addArtifact("targets", "changing", content)
		repo.addArtifact("targets", fmt.Sprintf("new-%d", i), fmt.Sprintf("new contents %d", i))
		repo.publish("targets", "snapshot", "timestamp")
		if i%5 != 0 {
			continue // the client sees every fifth state only
		}
		c.mustDownload(0, "changing")
		c.has(append(slices.Clone(others), content)...)
		c.mustDownload(0, fmt.Sprintf("new-%d", i))
		others = append(others, fmt.Sprintf("new contents %d", i))
		repo.lie("changing", "malicious")
		repo.publish("targets", "snapshot", "timestamp")
		c.download("changing")
		c.has(append(slices.Clone(others), content)...)
	}
}

func TestDownloadWithHashAlgorithms(t *testing.T) {
	for _, hashes := range []string{"sha256", "sha512", "sha256 sha512"} {
		t.Run(hashes, func(t *testing.T) {
			repo, c := begin(t)
			repo.addArtifact("targets", "target_file.txt", "contents", strings.Fields(hashes)...)
			repo.publish("targets", "snapshot", "timestamp")
			c.mustDownload(0, "target_file.txt")
			c.has("contents")
			if got := repo.fetched(); len(got) != 1 {
				t.Errorf("asked for %q", got)
			}
		})
	}
}

func TestDownloadWithUnknownHashAlgorithm(t *testing.T) {
	repo, c := begin(t)
	repo.addArtifact("targets", "target_file.txt", "contents", "sha512")
	hashes := repo.artifacts["target_file.txt"].file.Hashes
	hashes["unknown-hash"] = hashes["sha512"]
	delete(hashes, "sha512")
	repo.publish("targets", "snapshot", "timestamp")
	c.mustDownload(1, "target_file.txt")
	c.has()
}

func TestArtifactCache(t *testing.T) {
	repo, c := begin(t)
	repo.addArtifact("targets", "one", "contents")
	repo.publish("targets", "snapshot", "timestamp")
	c.mustDownload(0, "one")
	c.mustDownload(0, "one")
	c.mustDownload(0, "one", "one")
	if got := repo.fetched(); len(got) != 1 {
		t.Errorf("asked for %q", got)
	}
	repo.addArtifact("targets", "one", "other contents")
	repo.publish("targets", "snapshot", "timestamp")
	c.mustDownload(0, "one")
	c.has("other contents")
	if got := repo.fetched(); len(got) != 2 {
		t.Errorf("asked for %q", got)
	}
}

// Not a test of the suite by name, but of its protocol: targets are taken in
// order, in one process with one look at the repository, up to the first that fails.
func TestTargetsAreTakenInOrder(t *testing.T) {
	repo, c := begin(t)
	repo.delegate(delegation{from: "targets", to: "A", paths: []string{"a*"}})
	repo.delegate(delegation{from: "targets", to: "B", paths: []string{"b*"}})
	repo.addArtifact("A", "apple", "an apple")
	repo.addArtifact("B", "banana", "a banana")
	repo.publish("A", "B", "targets", "snapshot", "timestamp")
	c.mustDownload(1, "apple", "berry", "banana")
	c.has("an apple")
	if asked := repo.asked(); asked != "2.root.json timestamp.json 2.snapshot.json 2.targets.json 1.A.json 1.B.json" {
		t.Errorf("asked for %s", asked)
	}
	c.mustDownload(0, "apple", "banana")
	c.has("an apple", "a banana")
}

// The naming of files without consistent snapshots: no version, no hash.
func TestConsistentSnapshotDisabled(t *testing.T) {
	t.Parallel()
	repo := newSimulator(t)
	repo.root.Signed.ConsistentSnapshot = false
	repo.replace("root", repo.sign("root"))
	c := newClient(t, repo)
	c.mustInit()
	repo.delegate(delegation{from: "targets", to: "A", paths: []string{"dir/*"}})
	repo.addArtifact("A", "dir/apple", "an apple")
	repo.publish("A", "targets", "snapshot", "timestamp")
	c.mustDownload(0, "dir/apple")
	c.has("an apple")
	if asked := repo.asked(); asked != "2.root.json timestamp.json snapshot.json targets.json A.json" {
		t.Errorf("asked for %s", asked)
	}
	if got := repo.fetched(); !slices.Equal(got, []string{"dir/apple"}) {
		t.Errorf("asked for %q", got)
	}
}
