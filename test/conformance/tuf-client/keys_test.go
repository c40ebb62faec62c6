package main

import (
	"encoding/hex"
	"testing"
)

func TestSnapshotDoesNotMeetThreshold(t *testing.T) {
	repo, c := begin(t)
	repo.root.Signed.Roles["snapshot"].Threshold = 3
	repo.addKey("snapshot", newSigner(t))
	repo.addKey("snapshot", newSigner(t))
	repo.publish("root", "targets", "snapshot", "timestamp")
	c.mustRefresh(0)
	repo.signers["snapshot"] = repo.signers["snapshot"][:2]
	repo.publish("targets", "snapshot", "timestamp")
	c.mustRefresh(1)
	c.trusts("root 2, snapshot 2, targets 2, timestamp 3")
}

func TestSnapshotHasTooFewKeys(t *testing.T) {
	repo, c := begin(t)
	for range 4 {
		repo.addKey("snapshot", newSigner(t))
	}
	repo.root.Signed.Roles["snapshot"].Threshold = 6 // of five
	repo.publish("root", "snapshot", "timestamp")
	c.mustRefresh(1)
	c.trusts("root 2, timestamp 2")
}

// The product refuses such a root outright; the suite allows that.
func TestDuplicateKeys(t *testing.T) {
	repo, c := begin(t)
	s := newSigner(t)
	repo.addKey("snapshot", s)
	for range 8 {
		repo.trustKey("snapshot", s)
	}
	repo.root.Signed.Roles["snapshot"].Threshold = 6
	repo.publish("root", "snapshot", "timestamp")
	repo.replace("snapshot", edit(t, repo.latest("snapshot"), func(doc map[string]any) {
		for range 8 {
			doc["signatures"] = append(signatures(doc), signatures(doc)[1])
		}
	}))
	c.mustRefresh(1)
	if c.file("snapshot") != nil {
		t.Error("the snapshot was accepted")
	}
}

func TestDuplicateSigKeyids(t *testing.T) {
	repo, c := begin(t)
	repo.replace("snapshot", edit(t, repo.latest("snapshot"), func(doc map[string]any) {
		doc["signatures"] = append(signatures(doc), signatures(doc)[0])
	}))
	c.mustRefresh(1)
	c.trusts("root 1, timestamp 1")
}

// The second root needs a key of the scheme; the third has in its place a
// signature that it made for another document.
func TestKeytypeAndScheme(t *testing.T) {
	for _, scheme := range []string{"rsassa-pss-sha256", "ecdsa-sha2-nistp256", "ed25519"} {
		t.Run(scheme, func(t *testing.T) {
			repo, c := begin(t)
			s := newSignerOf(t, scheme)
			repo.addKey("root", s)
			repo.root.Signed.Roles["root"].Threshold++
			repo.publish("root")
			c.mustRefresh(0)
			c.trusts("root 2, snapshot 1, targets 1, timestamp 1")
			repo.publish("root")
			repo.replace("root", edit(t, repo.latest("root"), func(doc map[string]any) {
				setSignature(doc, s.id(t), hex.EncodeToString(s.sign(t, []byte("another document"))))
			}))
			c.mustRefresh(1)
			c.trusts("root 2, snapshot 1, targets 1, timestamp 1")
		})
	}
}

func setSignature(doc map[string]any, id, sig string) {
	for _, s := range signatures(doc) {
		if s := s.(map[string]any); s["keyid"] == id {
			s["sig"] = sig
		}
	}
}

// A signature that does not verify, or is empty, does no harm beside one that
// is enough.
func TestInvalidSigInValidMetadata(t *testing.T) {
	repo, c := begin(t)
	old := repo.signers["timestamp"][0]
	repo.addKey("timestamp", newSigner(t))
	repo.publish("root", "timestamp")
	for _, sig := range []string{hex.EncodeToString(old.sign(t, []byte("another document"))), ""} {
		repo.replace("timestamp", edit(t, repo.latest("timestamp"), func(doc map[string]any) {
			setSignature(doc, old.id(t), sig)
		}))
		c.mustRefresh(0)
		repo.publish("timestamp")
	}
	c.trusts("root 2, snapshot 1, targets 1, timestamp 3")
}
