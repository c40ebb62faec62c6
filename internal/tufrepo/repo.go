package tufrepo

import (
	"crypto"
	"crypto/rand"
	"encoding/hex"
	"fmt"
	"maps"
	"strings"
	"time"

	"github.com/theupdateframework/go-tuf/v2/metadata"

	"github.com/consign-dev/consign/internal/reason"
	"github.com/consign-dev/consign/internal/tufclient"
)

// Names of the roles of a channel.
const (
	Root      = metadata.ROOT
	Targets   = metadata.TARGETS
	Snapshot  = metadata.SNAPSHOT
	Timestamp = metadata.TIMESTAMP
	// Deploy is the delegated role of a deployment channel.
	Deploy = "deploy"
)

// DeployPaths is the pattern of the targets that [Deploy] may speak for. TUF
// patterns match within one path segment, so it covers one segment below
// devices/.
const DeployPaths = "devices/*"

// Lifetimes of signed documents; see the package comment for the reasons.
const (
	RootLifetime      = 2 * 365 * 24 * time.Hour
	TargetsLifetime   = 365 * 24 * time.Hour
	DeployLifetime    = 365 * 24 * time.Hour
	SnapshotLifetime  = 30 * 24 * time.Hour
	TimestampLifetime = 7 * 24 * time.Hour
)

func lifetime(role string) time.Duration {
	switch role {
	case Root:
		return RootLifetime
	case Targets:
		return TargetsLifetime
	case Snapshot:
		return SnapshotLifetime
	case Timestamp:
		return TimestampLifetime
	default:
		return DeployLifetime
	}
}

// Keys holds the signers at hand, by role.
type Keys map[string][]crypto.Signer

// Roles returns the roles that a channel of a kind has.
func Roles(kind string) []string {
	if kind == tufclient.KindDeployments {
		return []string{Root, Targets, Snapshot, Timestamp, Deploy}
	}
	return []string{Root, Targets, Snapshot, Timestamp}
}

// Repo is a channel in memory. It is not safe for concurrent use.
type Repo struct {
	identity tufclient.Identity
	// files are the signed documents, by file name; what is changed and not yet
	// signed is in the decoded ones only.
	files     map[string][]byte
	root      *metadata.Metadata[metadata.RootType]
	timestamp *metadata.Metadata[metadata.TimestampType]
	snapshot  *metadata.Metadata[metadata.SnapshotType]
	roles     map[string]*metadata.Metadata[metadata.TargetsType]
	// changed names the roles that Sign must sign anew.
	changed map[string]bool
	// changes are those that the next Sign signs.
	changes []Change
	// lineage names the ancestors of each targets role's document.
	lineage map[string]lineage
	// floor holds versions that are taken, by role.
	floor map[string]int64
}

// Create makes a new channel of a kind ([tufclient.KindReleases] or
// [tufclient.KindDeployments]) with a random id. keys gives every role its
// keys; thresholds says how many of them must sign, 1 where it is silent.
// Nothing is signed yet: that takes [Repo.Sign].
func Create(kind string, keys Keys, thresholds map[string]int, now time.Time) (*Repo, error) {
	var id [16]byte
	_, _ = rand.Read(id[:]) // never fails: crypto/rand ends the process instead
	r := &Repo{
		identity:  tufclient.Identity{Kind: kind, ID: hex.EncodeToString(id[:])},
		files:     map[string][]byte{},
		root:      metadata.Root(expiry(Root, now)),
		timestamp: metadata.Timestamp(now),
		snapshot:  metadata.Snapshot(now),
		roles:     map[string]*metadata.Metadata[metadata.TargetsType]{Targets: metadata.Targets(now)},
		changed:   map[string]bool{Root: true, Targets: true},
		lineage:   map[string]lineage{},
	}
	if err := r.identity.Validate(); err != nil || kind == "" {
		return nil, fmt.Errorf("create channel: kind %q is neither %q nor %q", kind, tufclient.KindReleases, tufclient.KindDeployments)
	}
	if kind == tufclient.KindDeployments {
		r.delegate(now)
	}
	for _, role := range Roles(kind) {
		if err := r.appoint(role, keys[role], thresholds[role]); err != nil {
			return nil, fmt.Errorf("create channel: role %s: %w", role, err)
		}
	}
	r.brand()
	return r, nil
}

// delegate adds the empty role deploy.
func (r *Repo) delegate(now time.Time) {
	r.roles[Targets].Signed.Delegations = &metadata.Delegations{
		Keys: map[string]*metadata.Key{},
		// Terminating: what deploy does not list, nobody else may add.
		Roles: []metadata.DelegatedRole{{Name: Deploy, KeyIDs: []string{}, Threshold: 1, Terminating: true, Paths: []string{DeployPaths}}},
	}
	r.roles[Deploy] = metadata.Targets(now)
	r.changed[Deploy] = true
}

// appoint gives a role its keys and threshold.
func (r *Repo) appoint(role string, signers []crypto.Signer, threshold int) error {
	if threshold == 0 {
		threshold = 1
	}
	if threshold < 1 || threshold > len(signers) {
		return reason.New(reason.Threshold, "threshold %d with %d keys: want 1 to the number of keys", threshold, len(signers))
	}
	seen := map[string]bool{}
	for _, s := range signers {
		key, err := tufKey(s.Public())
		if err != nil {
			return err
		}
		id, err := key.ID()
		if err != nil {
			return err
		}
		if seen[id] {
			return fmt.Errorf("key %s is given twice", id)
		}
		seen[id] = true
		if err := r.addKey(key, role); err != nil {
			return err
		}
	}
	if role == Deploy {
		r.roles[Targets].Signed.Delegations.Roles[0].Threshold = threshold
		return nil
	}
	r.root.Signed.Roles[role].Threshold = threshold
	return nil
}

func (r *Repo) addKey(key *metadata.Key, role string) error {
	if role == Deploy {
		return r.roles[Targets].Signed.AddKey(key, role)
	}
	return r.root.Signed.AddKey(key, role)
}

// brand writes the identity into every document that carries it.
func (r *Repo) brand() {
	r.root.Signed.UnrecognizedFields = map[string]any{tufclient.ChannelField: r.identity.Field()}
	for _, t := range r.roles {
		t.Signed.UnrecognizedFields = map[string]any{tufclient.ChannelField: r.identity.Field()}
	}
}

// FromMetadata takes up a channel that was verified. All its roles must have
// been loaded ([tufclient.Client.RefreshAll]).
func FromMetadata(m *tufclient.Metadata) (*Repo, error) {
	r := &Repo{
		identity: m.Identity(), files: m.Files(), changed: map[string]bool{},
		roles: map[string]*metadata.Metadata[metadata.TargetsType]{}, floor: m.Versions(), lineage: map[string]lineage{},
	}
	if r.identity == (tufclient.Identity{}) {
		return nil, fmt.Errorf("open channel: this is a plain TUF repository")
	}
	var err error
	if r.root, err = decode[metadata.RootType](r, Root, m); err != nil {
		return nil, err
	}
	if r.timestamp, err = decode[metadata.TimestampType](r, Timestamp, m); err != nil {
		return nil, err
	}
	if r.snapshot, err = decode[metadata.SnapshotType](r, Snapshot, m); err != nil {
		return nil, err
	}
	for file := range r.snapshot.Signed.Meta {
		role, _ := strings.CutSuffix(file, ".json")
		if r.roles[role], err = decode[metadata.TargetsType](r, role, m); err != nil {
			return nil, err
		}
		if r.lineage[role], err = lineageOf(role, r.roles[role].Signed.UnrecognizedFields); err != nil {
			return nil, fmt.Errorf("open channel: %w", err)
		}
	}
	return r, nil
}

func decode[T metadata.Roles](r *Repo, role string, m *tufclient.Metadata) (*metadata.Metadata[T], error) {
	data, ok := r.files[tufclient.FileName(role, m.Versions()[role])]
	if !ok {
		return nil, fmt.Errorf("open channel: role %q was not loaded", role)
	}
	doc, err := new(metadata.Metadata[T]).FromBytes(data)
	if err != nil {
		return nil, fmt.Errorf("open channel: role %q: %w", role, err)
	}
	return doc, nil
}

// Identity is the channel's kind and id.
func (r *Repo) Identity() tufclient.Identity { return r.identity }

// Above tells that versions are taken: of documents that this publisher signed
// before, whether or not they were ever served. Sign goes above them, so that
// no version is ever signed with two contents.
func (r *Repo) Above(versions map[string]int64) {
	if r.floor == nil {
		r.floor = map[string]int64{}
	}
	for role, v := range versions {
		r.floor[role] = max(r.floor[role], v)
	}
}

// Versions returns the version of each role, as last signed.
func (r *Repo) Versions() map[string]int64 {
	v := map[string]int64{Root: r.root.Signed.Version, Timestamp: r.timestamp.Signed.Version, Snapshot: r.snapshot.Signed.Version}
	for role, t := range r.roles {
		v[role] = t.Signed.Version
	}
	return v
}

// SignedAt is when the last timestamp was signed, or the later of two that were
// joined; zero before the first Sign.
func (r *Repo) SignedAt() time.Time {
	text, _ := r.timestamp.Signed.UnrecognizedFields[tufclient.SignedAtField].(string)
	t, err := time.Parse(time.RFC3339, text)
	if err != nil {
		return time.Time{}
	}
	return t
}

// Files returns the signed files, by [tufclient.FileName]; there are none
// before the first Sign of a new channel.
func (r *Repo) Files() map[string][]byte { return maps.Clone(r.files) }

func expiry(role string, now time.Time) time.Time {
	return now.UTC().Truncate(time.Second).Add(lifetime(role))
}
