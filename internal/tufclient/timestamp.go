package tufclient

import (
	"context"
	"errors"
	"time"

	"github.com/theupdateframework/go-tuf/v2/metadata"

	"github.com/consign-dev/consign/internal/reason"
)

// updateTimestamp is TUF 1.0.34 section 5.4.
func (s *session) updateTimestamp(ctx context.Context) error {
	seen, err := stored[metadata.TimestampType](s, metadata.TIMESTAMP)
	if err != nil {
		return err
	}
	if seen != nil {
		if err := checkIdentity(seen.head, s.id); err != nil {
			return damaged(s.state.path(currentFile(metadata.TIMESTAMP)), err)
		}
		if err := s.admitTimestamp(seen); err != nil && !errors.Is(err, &metadata.ErrExpiredMetadata{}) {
			return damaged(s.state.path(currentFile(metadata.TIMESTAMP)), err)
		}
	}
	d, err := s.fetchTimestamp(ctx)
	if err != nil {
		return err
	}
	if seen != nil {
		same, err := s.compareTimestamp(seen, d)
		if err != nil {
			return err
		}
		if same {
			return s.checkExpiry(seen.head, false)
		}
	}
	if err := s.checkExpiry(d.head, true); err != nil {
		return err
	}
	if err := s.admitTimestamp(d); err != nil {
		return refuse(d.head.name, err)
	}
	return s.state.write(currentFile(metadata.TIMESTAMP), d.raw)
}

// admitTimestamp hands d to go-tuf. One that has expired stands, too, for the
// comparison with what comes after it.
func (s *session) admitTimestamp(d *timestampDoc) error {
	_, err := s.trusted.UpdateTimestamp(d.raw)
	if err == nil || errors.Is(err, &metadata.ErrExpiredMetadata{}) {
		s.timestamp = d
	}
	return err
}

func (s *session) fetchTimestamp(ctx context.Context) (*timestampDoc, error) {
	data, err := s.fetch(ctx, metadata.TIMESTAMP, 0, MaxTimestamp)
	if err != nil {
		return nil, err
	}
	d, err := parse[metadata.TimestampType](metadata.TIMESTAMP, data)
	if err != nil {
		return nil, err
	}
	if err := verifySigned(s.root.meta, metadata.TIMESTAMP, d); err != nil {
		return nil, err
	}
	if err := checkIdentity(d.head, s.id); err != nil {
		return nil, err
	}
	_, err = signedAt(d.head, s.id)
	return d, err
}

// compareTimestamp judges a served timestamp by the one seen before and
// reports whether it is the same one.
func (s *session) compareTimestamp(seen, d *timestampDoc) (same bool, err error) {
	if err := checkAdvance(metadata.TIMESTAMP, seen.head.version, d.head.version); err != nil {
		return false, err
	}
	if d.head.version == seen.head.version {
		if !sameSigned(seen, d) {
			return false, s.equivocation(metadata.TIMESTAMP, d.head.name, seen.raw, d.raw)
		}
		return true, nil
	}
	before, err := signedAt(seen.head, s.id)
	if err != nil {
		return false, damaged(s.state.path(currentFile(metadata.TIMESTAMP)), err)
	}
	after, err := signedAt(d.head, s.id)
	if err != nil {
		return false, err
	}
	if after.Before(before) {
		return false, reason.New(reason.Malformed, "%s: %s: %s is before %s, when version %d was signed",
			d.head.name, SignedAtField, after.Format(time.RFC3339), before.Format(time.RFC3339), seen.head.version)
	}
	return false, checkAdvance(d.head.name+": snapshot.json", listed(seen.meta.Signed.Meta, metadata.SNAPSHOT).Version, listed(d.meta.Signed.Meta, metadata.SNAPSHOT).Version)
}

// listed returns what a timestamp or snapshot says about the file of a role,
// nil if nothing.
func listed(meta map[string]*metadata.MetaFiles, role string) *metadata.MetaFiles {
	return meta[role+".json"]
}
