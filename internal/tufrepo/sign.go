package tufrepo

import (
	"crypto"
	"crypto/sha256"
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/theupdateframework/go-tuf/v2/metadata"

	"github.com/consign-dev/consign/internal/reason"
	"github.com/consign-dev/consign/internal/tufclient"
)

// Sign signs every role that changed, the snapshot when one did or when it has
// used up half its lifetime, and the timestamp, at the time now. It returns the
// complete set of files, by [tufclient.FileName], every root included.
//
// keys must hold enough signers for each of those roles; more than the
// threshold all sign. A role that did not change needs none. When Sign returns
// an error the Repo must be dropped.
//
// Reasons: threshold when keys are missing; clock when now is before the last
// signed time.
func (r *Repo) Sign(keys Keys, now time.Time) (map[string][]byte, error) {
	now = now.UTC().Truncate(time.Second)
	if err := r.checkClock(now); err != nil {
		return nil, err
	}
	if err := r.signRoot(keys, now); err != nil {
		return nil, err
	}
	if err := r.signTargets(keys, now); err != nil {
		return nil, err
	}
	if err := r.signSnapshot(keys, now); err != nil {
		return nil, err
	}
	if err := r.signTimestamp(keys, now); err != nil {
		return nil, err
	}
	r.changed, r.changes = map[string]bool{}, nil
	return r.readBack(now)
}

// checkClock keeps signed times in the order of versions: readers refuse a
// newer version with an earlier time.
func (r *Repo) checkClock(now time.Time) error {
	text, _ := r.timestamp.Signed.UnrecognizedFields[tufclient.SignedAtField].(string)
	if text == "" {
		return nil
	}
	last, err := time.Parse(time.RFC3339, text)
	if err != nil {
		return fmt.Errorf("sign channel: timestamp version %d: %w", r.timestamp.Signed.Version, err)
	}
	if now.Before(last) {
		return reason.New(reason.Clock, "sign channel: it is %s, but timestamp version %d was signed at %s: set the clock of the machine that is wrong",
			now.Format(time.RFC3339), r.timestamp.Signed.Version, text)
	}
	return nil
}

// next is the version that follows current and every version that is taken.
// The first one of a new document is 1.
func (r *Repo) next(role string, current int64) int64 {
	if r.files[tufclient.FileName(role, current)] == nil {
		current = 0
	}
	return max(current, r.floor[role]) + 1
}

func (r *Repo) signRoot(keys Keys, now time.Time) error {
	if !r.changed[Root] {
		return nil
	}
	// Readers ask for the next number, so a root version is never left out.
	if r.files[tufclient.FileName(Root, r.root.Signed.Version)] != nil {
		r.root.Signed.Version++
	}
	r.root.Signed.Expires = expiry(Root, now)
	return sign(r, Root, r.root.Signed.Version, r.root, keys)
}

func (r *Repo) signTargets(keys Keys, now time.Time) error {
	for _, role := range slices.Sorted(maps.Keys(r.roles)) {
		if !r.changed[role] {
			continue
		}
		doc := r.roles[role]
		r.descend(role)
		r.raise(role, &doc.Signed.Version)
		doc.Signed.Expires = expiry(role, now)
		if err := sign(r, role, doc.Signed.Version, doc, keys); err != nil {
			return err
		}
	}
	return nil
}

// raise gives a document its next version and drops the file of the old one.
func (r *Repo) raise(role string, version *int64) {
	old := *version
	*version = r.next(role, old)
	delete(r.files, tufclient.FileName(role, old))
}

func (r *Repo) signSnapshot(keys Keys, now time.Time) error {
	s := &r.snapshot.Signed
	fresh := s.Expires.Sub(now) >= SnapshotLifetime/2
	if len(r.changed) == 0 && fresh {
		return nil
	}
	r.raise(Snapshot, &s.Version)
	s.Expires = expiry(Snapshot, now)
	for role, doc := range r.roles {
		s.Meta[role+".json"] = describe(doc.Signed.Version, r.files[tufclient.FileName(role, doc.Signed.Version)])
	}
	return sign(r, Snapshot, s.Version, r.snapshot, keys)
}

func (r *Repo) signTimestamp(keys Keys, now time.Time) error {
	t := &r.timestamp.Signed
	r.raise(Timestamp, &t.Version)
	t.Expires = expiry(Timestamp, now)
	version := r.snapshot.Signed.Version
	t.Meta = map[string]*metadata.MetaFiles{
		Snapshot + ".json": describe(version, r.files[tufclient.FileName(Snapshot, version)]),
	}
	t.UnrecognizedFields = map[string]any{
		tufclient.ChannelField:  r.identity.Field(),
		tufclient.SignedAtField: now.Format(time.RFC3339),
	}
	return sign(r, Timestamp, t.Version, r.timestamp, keys)
}

func describe(version int64, data []byte) *metadata.MetaFiles {
	sum := sha256.Sum256(data)
	return &metadata.MetaFiles{Version: version, Length: int64(len(data)), Hashes: metadata.Hashes{"sha256": sum[:]}}
}

// sign replaces the signatures of doc and stores its bytes.
func sign[T metadata.Roles](r *Repo, role string, version int64, doc *metadata.Metadata[T], keys Keys) error {
	doc.ClearSignatures()
	signers, err := r.signers(role, keys)
	if err != nil {
		return err
	}
	for _, s := range signers {
		sig, err := signature(s, doc.Signed)
		if err != nil {
			return fmt.Errorf("sign %s: %w", role, err)
		}
		doc.Signatures = append(doc.Signatures, sig)
	}
	data, err := doc.ToBytes(false)
	if err != nil {
		return fmt.Errorf("sign %s: %w", role, err)
	}
	r.files[tufclient.FileName(role, version)] = data
	return nil
}

// signers picks those keys at hand that the role has, at least its threshold.
func (r *Repo) signers(role string, keys Keys) ([]crypto.Signer, error) {
	ids, threshold := r.quorum(role)
	var out []crypto.Signer
	used := map[string]bool{}
	for _, s := range keys[role] {
		id, err := keyID(s.Public())
		if err != nil {
			return nil, fmt.Errorf("sign %s: %w", role, err)
		}
		if slices.Contains(ids, id) && !used[id] {
			used[id] = true
			out = append(out, s)
		}
	}
	if len(out) < threshold {
		return nil, reason.New(reason.Threshold, "sign %s: %d of its %d keys must sign, %d are at hand", role, threshold, len(ids), len(out))
	}
	return out, nil
}

// quorum returns the key ids and threshold of a role.
func (r *Repo) quorum(role string) ([]string, int) {
	if q := r.root.Signed.Roles[role]; q != nil {
		return q.KeyIDs, q.Threshold
	}
	if d := r.roles[Targets].Signed.Delegations; d != nil {
		for _, q := range d.Roles {
			if q.Name == role {
				return q.KeyIDs, q.Threshold
			}
		}
	}
	return nil, 1
}

// readBack judges the result as a device would, so that nothing is published
// that devices refuse.
func (r *Repo) readBack(now time.Time) (map[string][]byte, error) {
	m, err := tufclient.Verify(r.files[tufclient.FileName(Root, r.root.Signed.Version)], r.files, now)
	if err != nil {
		return nil, fmt.Errorf("sign channel: the result does not verify: %w", err)
	}
	if !maps.Equal(m.Versions(), r.Versions()) {
		return nil, fmt.Errorf("sign channel: the result has versions %v, want %v", m.Versions(), r.Versions())
	}
	return r.Files(), nil
}
