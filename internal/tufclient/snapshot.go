package tufclient

import (
	"context"
	"errors"

	"github.com/theupdateframework/go-tuf/v2/metadata"

	"github.com/consign-dev/consign/internal/reason"
)

// updateSnapshot is TUF 1.0.34 section 5.5.
func (s *session) updateSnapshot(ctx context.Context) error {
	seen, refusal, err := stored(s, metadata.SNAPSHOT, s.judgeSnapshot(true))
	if err != nil {
		return err
	}
	want := listed(s.timestamp.meta.Signed.Meta, metadata.SNAPSHOT)
	if seen != nil {
		s.previous = seen
		if refusal != nil && !intermediate(refusal) {
			return damaged(s.state.path(currentFile(metadata.SNAPSHOT)), refusal)
		}
		if fits(want, seen) {
			s.snapshot = seen
			return s.checkExpiry(seen.head, false)
		}
	}
	data, err := s.fetchListed(ctx, metadata.SNAPSHOT, want, MaxSnapshot)
	if err != nil {
		return err
	}
	return s.acceptSnapshot(data, want.Version)
}

// intermediate errors are those with which go-tuf keeps a snapshot for the
// comparison with the next one.
func intermediate(err error) bool {
	return errors.Is(err, &metadata.ErrExpiredMetadata{}) || errors.Is(err, &metadata.ErrBadVersionNumber{})
}

// fits reports whether a stored document is the very one that is listed.
func fits[T metadata.Roles](want *metadata.MetaFiles, d *document[T]) bool {
	return d.head.version == want.Version && want.VerifyLengthHashes(d.raw) == nil
}

// judgeSnapshot is go-tuf's step, for a snapshot that is stored or not.
func (s *session) judgeSnapshot(stored bool) func([]byte) (*metadata.Metadata[metadata.SnapshotType], error) {
	return func(data []byte) (*metadata.Metadata[metadata.SnapshotType], error) {
		return s.trusted.UpdateSnapshot(data, stored)
	}
}

func (s *session) acceptSnapshot(data []byte, version int64) error {
	d, refusal, err := admit(metadata.SNAPSHOT, data, s.judgeSnapshot(false))
	if err != nil {
		return err
	}
	if refusal != nil {
		if err := verifySigned(s.root.meta, metadata.SNAPSHOT, d); err != nil {
			return err
		}
	}
	if err := checkVersion(d.head, version); err != nil {
		return err
	}
	if s.previous != nil {
		if err := s.compareSnapshot(s.previous, d); err != nil {
			return err
		}
	}
	if err := s.checkExpiry(d.head, true); err != nil {
		return err
	}
	if refusal != nil {
		return refuse(d.head.name, refusal)
	}
	s.snapshot = d
	return s.state.write(currentFile(metadata.SNAPSHOT), data)
}

// compareSnapshot protects every targets role from rollback, also those that
// this client has never read.
func (s *session) compareSnapshot(seen, d *snapshotDoc) error {
	if err := checkAdvance(metadata.SNAPSHOT, seen.head.version, d.head.version); err != nil {
		return err
	}
	if d.head.version == seen.head.version && !sameSigned(seen, d) {
		return s.equivocation(metadata.SNAPSHOT, d.head.name, seen.raw, d.raw)
	}
	for name, before := range seen.meta.Signed.Meta {
		after := d.meta.Signed.Meta[name]
		if after == nil {
			return reason.New(reason.Rollback, "%s does not list %q, which was seen before", d.head.name, name)
		}
		if err := checkAdvance(d.head.name+": "+quoteFile(name), before.Version, after.Version); err != nil {
			return err
		}
	}
	return nil
}
