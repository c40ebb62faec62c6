package tufclient

import (
	"bytes"
	"encoding/json"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/opencontainers/go-digest"
	"github.com/theupdateframework/go-tuf/v2/metadata"

	"github.com/consign-dev/consign/internal/reason"
)

// Metadata is what a repository says, verified as of one time. It never
// changes and may be shared; expiry was checked when it was made, not since.
type Metadata struct {
	identity Identity
	signedAt time.Time
	expires  time.Time
	roles    map[string]*targetsDoc
	// edges holds, for each delegation between loaded roles, whether the
	// document verifies against it.
	edges    map[visit]error
	files    map[string][]byte
	versions map[string]int64
}

// Target is one entry of a targets role.
type Target struct {
	// Name is the TUF target path, such as "line-monitor/1.4.0".
	Name string
	// Role is the role that listed it: "targets" or a delegated one.
	Role string
	// Digest is the sha256 of the target; in a plain TUF repository that has
	// none, its sha512. In a channel it is that of an OCI manifest.
	Digest digest.Digest
	// Length is the signed size in bytes.
	Length int64
	// Custom is the signed custom object; nil when there is none.
	Custom json.RawMessage

	file *metadata.TargetFiles
}

// CheckBytes checks data against the signed length and every signed hash, of
// which there may be several in a plain TUF repository.
func (t Target) CheckBytes(data []byte) error {
	if err := t.file.VerifyLengthHashes(data); err != nil {
		return reason.New(reason.DigestMismatch, "target %q: %w", t.Name, err)
	}
	return nil
}

// metadata takes the result out of a session that has loaded what it shall.
func (s *session) metadata() (*Metadata, error) {
	at, err := signedAt(s.timestamp.head, s.id)
	if err != nil {
		return nil, err
	}
	m := &Metadata{
		identity: s.id, signedAt: at, roles: s.roles, edges: map[visit]error{},
		expires: s.root.head.expires, versions: map[string]int64{},
	}
	if m.files, err = readChain(s.state, s.root.head.version); err != nil {
		return nil, err
	}
	m.add(metadata.ROOT, s.root.head, s.root.raw)
	m.add(metadata.TIMESTAMP, s.timestamp.head, s.timestamp.raw)
	m.add(metadata.SNAPSHOT, s.snapshot.head, s.snapshot.raw)
	for role, d := range s.roles {
		m.add(role, d.head, d.raw)
		for _, child := range delegatedRoles(d, s.snapshot) {
			if s.roles[child] != nil {
				m.edges[visit{child, role}] = s.vouches(role, child)
			}
		}
	}
	return m, nil
}

func (m *Metadata) add(role string, h header, raw []byte) {
	m.files[FileName(role, h.version)] = raw
	m.versions[role] = h.version
	if h.expires.Before(m.expires) {
		m.expires = h.expires
	}
}

// Identity says which channel this is.
func (m *Metadata) Identity() Identity { return m.identity }

// Kind is the kind of channel, "" for a plain TUF repository.
func (m *Metadata) Kind() string { return m.identity.Kind }

// ID is the id of the channel, "" for a plain TUF repository.
func (m *Metadata) ID() string { return m.identity.ID }

// SignedAt is when the timestamp was signed, by the channel's own clock; zero
// for a plain TUF repository.
func (m *Metadata) SignedAt() time.Time { return m.signedAt }

// Expires is the earliest expiry of all loaded documents.
func (m *Metadata) Expires() time.Time { return m.expires }

// Versions returns the version of every loaded document by role.
func (m *Metadata) Versions() map[string]int64 { return maps.Clone(m.versions) }

// Files returns the exact bytes of every loaded document and of every root
// from the pinned one on, by [FileName].
func (m *Metadata) Files() map[string][]byte {
	out := make(map[string][]byte, len(m.files))
	for name, data := range m.files {
		out[name] = bytes.Clone(data)
	}
	return out
}

// Pinned returns the oldest root of the chain, exact bytes: the one that a client
// was begun with, by which [Verify] reaches the same metadata.
func (m *Metadata) Pinned() []byte {
	version := m.versions[metadata.ROOT]
	for m.files[FileName(metadata.ROOT, version-1)] != nil {
		version--
	}
	return bytes.Clone(m.files[FileName(metadata.ROOT, version)])
}

// Target returns what the repository says about a target, by the search of
// TUF 1.0.34 section 5.6.7. When no role lists it the error is [ErrNoTarget].
// A role that the search needs and that was not loaded is an error, so ask for
// a target when refreshing.
func (m *Metadata) Target(name string) (Target, error) {
	role, file, err := walk(name, m.lend)
	if err != nil {
		return Target{}, err
	}
	return m.target(role, name, file)
}

func (m *Metadata) lend(role, from string) (*targetsDoc, error) {
	d := m.roles[role]
	if d == nil {
		return nil, reason.New(reason.Internal, "role %s was not loaded; name the target when refreshing", quoteRole(role))
	}
	return d, m.edges[visit{role, from}] // that from the root was verified on load
}

// All returns every target of the loaded roles that [Metadata.Target] would
// return, sorted by name. A target that no delegation leads to is not one. A
// name whose search fails, for want of a role, is left out.
func (m *Metadata) All() []Target {
	names := map[string]bool{}
	for _, d := range m.roles {
		for name := range d.meta.Signed.Targets {
			names[name] = true
		}
	}
	var out []Target
	for _, name := range slices.Sorted(maps.Keys(names)) {
		if t, err := m.Target(name); err == nil {
			out = append(out, t)
		}
	}
	return out
}

func (m *Metadata) target(role, name string, file *metadata.TargetFiles) (Target, error) {
	t := Target{Name: name, Role: role, Length: file.Length, file: file}
	if file.Custom != nil {
		t.Custom = bytes.Clone(*file.Custom)
	}
	if file.Length < 0 {
		return Target{}, reason.New(reason.Malformed, "target %q: length %d is negative", name, file.Length)
	}
	for _, alg := range []digest.Algorithm{digest.SHA256, digest.SHA512} {
		if h, ok := file.Hashes[alg.String()]; ok && t.Digest == "" {
			t.Digest = digest.NewDigestFromBytes(alg, h)
		}
	}
	channel := m.identity != (Identity{})
	if t.Digest.Validate() != nil || channel && (len(file.Hashes) != 1 || !strings.HasPrefix(string(t.Digest), "sha256:")) {
		return Target{}, reason.New(reason.Malformed, "target %q: hashes: want exactly one, a sha256", name)
	}
	return t, nil
}
