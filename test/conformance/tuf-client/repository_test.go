package main

import (
	"crypto/sha256"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/theupdateframework/go-tuf/v2/metadata"

	"github.com/consign-dev/consign/internal/tufclient"
)

const day = 24 * time.Hour

var topLevel = []string{"root", "timestamp", "snapshot", "targets"}

// simulator is a TUF repository behind HTTP that does what a test tells it,
// honest or not. Documents are changed in place; publish raises a version,
// signs, and serves. The n-th document published of a role is the one served
// as its version n, whatever it says of itself.
type simulator struct {
	t       testing.TB
	began   time.Time
	signers map[string][]*signer

	root      *metadata.Metadata[metadata.RootType]
	timestamp *metadata.Metadata[metadata.TimestampType]
	snapshot  *metadata.Metadata[metadata.SnapshotType]
	targets   map[string]*metadata.Metadata[metadata.TargetsType]

	// hashes: snapshot and timestamp state length and hash of what they list.
	hashes    bool
	published map[string][][]byte
	artifacts map[string]artifact

	url string
	// mu guards what follows, which the server writes.
	mu         sync.Mutex
	requests   []string // names of metadata files, as in the URL
	downloaded []string // paths of targets, as in the URL
}

type artifact struct {
	content []byte
	file    *metadata.TargetFiles
}

// newSimulator publishes version 1 of the top-level roles, one key each, good
// for thirty days from the real time on: the client asks the real clock.
func newSimulator(t testing.TB) *simulator {
	t.Helper()
	now := time.Now().UTC().Truncate(time.Second)
	expires := now.Add(30 * day)
	r := &simulator{
		t: t, began: now, signers: map[string][]*signer{}, published: map[string][][]byte{}, artifacts: map[string]artifact{},
		root: metadata.Root(expires), timestamp: metadata.Timestamp(expires), snapshot: metadata.Snapshot(expires),
		targets: map[string]*metadata.Metadata[metadata.TargetsType]{"targets": metadata.Targets(expires)},
	}
	for _, role := range topLevel {
		r.addKey(role, newSigner(t))
	}
	r.publish("targets", "snapshot", "timestamp", "root")
	r.serve()
	return r
}

// addKey puts a key in office and lets it sign from the next publish on.
func (r *simulator) addKey(role string, s *signer) {
	r.t.Helper()
	r.trustKey(role, s)
	r.signers[role] = append(r.signers[role], s)
}

// trustKey puts a key in office that signs nothing. It may be there already.
func (r *simulator) trustKey(role string, s *signer) {
	r.t.Helper()
	id := s.id(r.t)
	r.root.Signed.Keys[id] = s.public
	of := r.root.Signed.Roles[role]
	of.KeyIDs = append(of.KeyIDs, id)
}

// dismiss takes all keys of a role out of office.
func (r *simulator) dismiss(role string) {
	r.root.Signed.Roles[role].KeyIDs = []string{}
	r.signers[role] = nil
}

// rotate gives a role as many new keys as its threshold asks for.
func (r *simulator) rotate(role string) {
	r.t.Helper()
	r.dismiss(role)
	for range r.root.Signed.Roles[role].Threshold {
		r.addKey(role, newSigner(r.t))
	}
}

// setKeys gives a role those keys in office and those that sign.
func (r *simulator) setKeys(role string, threshold int, trusted, signing []*signer) {
	r.t.Helper()
	r.dismiss(role)
	r.root.Signed.Roles[role].Threshold = threshold
	for _, s := range trusted {
		r.trustKey(role, s)
	}
	r.signers[role] = slices.Clone(signing)
}

// version is where the document of a role has its version.
func (r *simulator) version(role string) *int64 {
	switch role {
	case "root":
		return &r.root.Signed.Version
	case "timestamp":
		return &r.timestamp.Signed.Version
	case "snapshot":
		return &r.snapshot.Signed.Version
	}
	return &r.targets[role].Signed.Version
}

// publish signs the documents of the roles, in this order, with versions
// raised by one except for the first of a role, and lists them where they
// belong: targets roles in the snapshot, the snapshot in the timestamp.
func (r *simulator) publish(roles ...string) {
	r.t.Helper()
	for _, role := range roles {
		if len(r.published[role]) > 0 {
			*r.version(role)++
		}
		data := r.sign(role)
		r.published[role] = append(r.published[role], data)
		switch role {
		case "root", "timestamp":
		case "snapshot":
			r.timestamp.Signed.Meta["snapshot.json"] = r.describe(*r.version(role), data)
		default:
			r.snapshot.Signed.Meta[role+".json"] = r.describe(*r.version(role), data)
		}
	}
}

func (r *simulator) sign(role string) []byte {
	r.t.Helper()
	switch role {
	case "root":
		return signed(r.t, r.root, r.signers[role])
	case "timestamp":
		return signed(r.t, r.timestamp, r.signers[role])
	case "snapshot":
		return signed(r.t, r.snapshot, r.signers[role])
	}
	return signed(r.t, r.targets[role], r.signers[role])
}

func (r *simulator) describe(version int64, data []byte) *metadata.MetaFiles {
	m := metadata.MetaFile(version)
	if r.hashes {
		sum := sha256.Sum256(data)
		m.Length, m.Hashes = int64(len(data)), metadata.Hashes{"sha256": sum[:]}
	}
	return m
}

// latest is the newest document published of a role.
func (r *simulator) latest(role string) []byte {
	all := r.published[role]
	return all[len(all)-1]
}

// replace puts data in the place of the newest document of a role.
func (r *simulator) replace(role string, data []byte) {
	all := r.published[role]
	all[len(all)-1] = data
}

// addArtifact lists content under path in a targets role and serves it.
func (r *simulator) addArtifact(role, path, content string, hashes ...string) {
	r.t.Helper()
	if len(hashes) == 0 {
		hashes = []string{"sha256"}
	}
	file, err := metadata.TargetFile().FromBytes(path, []byte(content), hashes...)
	if err != nil {
		r.t.Fatal(err)
	}
	r.targets[role].Signed.Targets[path] = file
	r.artifacts[path] = artifact{[]byte(content), file}
}

// delegation is one edge of a graph of roles.
type delegation struct {
	from, to    string
	terminating bool
	paths       []string
}

// delegate adds the edge, with a new key that signs the role from now on. A
// role may have several delegators; then all their keys sign it.
func (r *simulator) delegate(d delegation) *signer {
	r.t.Helper()
	s := newSigner(r.t)
	signed := &r.targets[d.from].Signed
	if signed.Delegations == nil {
		signed.Delegations = &metadata.Delegations{Keys: map[string]*metadata.Key{}}
	}
	if len(d.paths) == 0 {
		d.paths = []string{"*"}
	}
	id := s.id(r.t)
	signed.Delegations.Keys[id] = s.public
	signed.Delegations.Roles = append(signed.Delegations.Roles, metadata.DelegatedRole{
		Name: d.to, KeyIDs: []string{id}, Threshold: 1, Terminating: d.terminating, Paths: d.paths,
	})
	r.signers[d.to] = append(r.signers[d.to], s)
	if r.targets[d.to] == nil {
		r.targets[d.to] = metadata.Targets(r.began.Add(30 * day))
	}
	return s
}

// brand makes the repository a channel of Consign: the documents that must say
// so do, from their next signature on.
func (r *simulator) brand(id tufclient.Identity) {
	field := map[string]any{tufclient.ChannelField: id.Field()}
	r.root.Signed.UnrecognizedFields = field
	r.targets["targets"].Signed.UnrecognizedFields = field
	r.timestamp.Signed.UnrecognizedFields = map[string]any{
		tufclient.ChannelField: id.Field(), tufclient.SignedAtField: r.began.Format(time.RFC3339),
	}
}
