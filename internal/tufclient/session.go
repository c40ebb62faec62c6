package tufclient

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/opencontainers/go-digest"
	"github.com/theupdateframework/go-tuf/v2/metadata"
	"github.com/theupdateframework/go-tuf/v2/metadata/trustedmetadata"

	"github.com/consign-dev/consign/internal/fault"
	"github.com/consign-dev/consign/internal/reason"
)

// session is one run of the workflow. It moves from root to targets; each step
// leaves what it accepted in the state before the next begins. go-tuf judges every
// document, our own checks more of it: the form before go-tuf sees the bytes, the
// rest after. What go-tuf refuses, our checks refuse first, for their exact
// reasons; if they do not, its refusal stands.
type session struct {
	state   state
	fetcher Fetcher
	id      Identity
	now     time.Time
	trusted *trustedmetadata.TrustedMetadata
	// late is the reason for a fetched document that has expired; a stored one
	// is always a freeze.
	late reason.Code
	// partial: the files are a kept set. A delegated role without a file is left
	// out, not missed, and every name has its version.
	partial bool

	root      *rootDoc
	rootFresh bool
	timestamp *timestampDoc
	snapshot  *snapshotDoc
	// previous is the snapshot seen before this run, if its memory still counts.
	previous *snapshotDoc
	roles    map[string]*targetsDoc
	// edges are what is known of delegations between loaded roles: nil for a role
	// that is signed as the other wants it.
	edges map[visit]error
}

func newSession(st state, f Fetcher, r *rootDoc, id Identity, now time.Time) *session {
	return &session{
		state: st, fetcher: f, id: id, now: now.UTC(), trusted: trustedBy(r, now), late: reason.Expired,
		root: r, roles: map[string]*targetsDoc{}, edges: map[visit]error{},
	}
}

// trustedBy is trustedmetadata.New of the bytes of a root that [loadRoot] read, and
// verified by itself, with the functions of go-tuf that New calls.
func trustedBy(r *rootDoc, now time.Time) *trustedmetadata.TrustedMetadata {
	return &trustedmetadata.TrustedMetadata{
		Root: r.meta, Targets: map[string]*metadata.Metadata[metadata.TargetsType]{},
		// go-tuf takes the expiry instant itself as not yet expired; the
		// specification wants the expiry to be higher than the time.
		RefTime: now.UTC().Add(time.Nanosecond),
	}
}

func (s *session) updateTopLevel(ctx context.Context) error {
	for _, step := range []func(context.Context) error{s.updateRoot, s.updateTimestamp, s.updateSnapshot} {
		if err := step(ctx); err != nil {
			return err
		}
	}
	_, err := s.role(ctx, metadata.TARGETS, metadata.ROOT)
	return err
}

// fetch reads one file. A file that is not there is ErrNotFound, with reason
// unreachable for the steps that cannot do without it.
func (s *session) fetch(ctx context.Context, role string, version, max int64) ([]byte, error) {
	if role != metadata.ROOT && !s.root.meta.Signed.ConsistentSnapshot && !s.partial {
		version = 0
	}
	name := FileName(role, version)
	if err := fault.Point("tufclient.fetch"); err != nil {
		return nil, err
	}
	data, err := s.fetcher.Fetch(ctx, name, max)
	if err != nil {
		return nil, reason.Wrap(reason.Unreachable, fmt.Errorf("fetch %s: %w", name, err))
	}
	if int64(len(data)) > max {
		return nil, reason.New(reason.TooLarge, "fetch %s: %d bytes, at most %d are read", name, len(data), max)
	}
	return bytes.Clone(data), nil
}

// fetchListed reads a file whose length and hashes another document states.
func (s *session) fetchListed(ctx context.Context, role string, m *metadata.MetaFiles, max int64) ([]byte, error) {
	if m.Length > max {
		return nil, reason.New(reason.TooLarge, "%s: %d bytes, at most %d are read", versioned(role, m.Version), m.Length, max)
	}
	if m.Length > 0 {
		max = m.Length
	}
	data, err := s.fetch(ctx, role, m.Version, max)
	if err != nil {
		return nil, err
	}
	if err := m.VerifyLengthHashes(data); err != nil {
		return nil, refuse(versioned(role, m.Version), err)
	}
	return data, nil
}

// checkExpiry refuses a document that has expired: with reason freeze when it
// is one that was stored before, and served still.
func (s *session) checkExpiry(h header, fetched bool) error {
	if !h.expired(s.now) {
		return nil
	}
	code := reason.Freeze
	if fetched {
		code = s.late
	}
	return reason.New(code, "%s expired at %s, it is %s", h.name, h.expires.Format(time.RFC3339), s.now.Format(time.RFC3339))
}

// Equivocation is the error, with reason equivocation, for one version of a
// document that was signed with two contents. Both were kept: they prove to
// anybody who has the channel's root that its keys signed two histories.
type Equivocation struct {
	// Role is the role whose document it is.
	Role string
	// Name is the document, such as "timestamp version 7".
	Name string
	// Documents are the digests of what was seen before and what is served now.
	Documents [2]digest.Digest
	// Files are where they were kept.
	Files [2]string
}

func (e *Equivocation) Error() string {
	return fmt.Sprintf("%s was signed with two contents: the one seen before is kept in %s, the one served now in %s", e.Name, e.Files[0], e.Files[1])
}

// equivocation keeps both documents and refuses the second.
func (s *session) equivocation(role, name string, seen, served []byte) error {
	first, err := s.state.evidence(seen)
	second, err2 := s.state.evidence(served)
	if err := errors.Join(err, err2); err != nil {
		return reason.New(reason.Equivocation, "%s was signed with two contents, and the proof could not be kept: %w", name, err)
	}
	return reason.Wrap(reason.Equivocation, &Equivocation{
		Role: role, Name: name, Files: [2]string{first, second},
		Documents: [2]digest.Digest{digest.FromBytes(seen), digest.FromBytes(served)},
	})
}

// stored returns the newest document of a top-level role that was seen before,
// nil when there is none or when a new root has put it out of office. A file
// that no root of the chain vouches for was not written by us.
//
// step is go-tuf's; when it refuses a document of the present root, that comes
// beside it.
func stored[T metadata.Roles](s *session, role string, step func([]byte) (*metadata.Metadata[T], error)) (d *document[T], refused, err error) {
	name := currentFile(role)
	_, max := kindOf[T]()
	data, err := s.state.read(name, int64(max))
	if err != nil || data == nil {
		return nil, nil, err
	}
	d, refused, err = admit(role, data, step)
	if err != nil {
		return nil, nil, damaged(s.state.path(name), err)
	}
	if refused == nil {
		return d, nil, nil
	}
	refusal := verifySigned(s.root.meta, role, d)
	if refusal == nil {
		return d, refused, nil
	}
	for v := s.root.head.version - 1; v > 0; v-- {
		raw, err := s.state.read(rootFile(v), MaxRoot)
		if err != nil {
			return nil, nil, err
		}
		if raw == nil {
			break
		}
		if old, err := loadRoot(metadata.ROOT, raw); err == nil && verifySigned(old.meta, role, d) == nil {
			return nil, nil, nil
		}
	}
	return nil, nil, damaged(s.state.path(name), refusal)
}
