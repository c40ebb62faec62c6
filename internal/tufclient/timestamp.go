package tufclient

import (
	"bytes"
	"context"
	"errors"
	"time"

	"github.com/theupdateframework/go-tuf/v2/metadata"

	"github.com/consign-dev/consign/internal/reason"
)

// updateTimestamp is TUF 1.0.34 section 5.4.
func (s *session) updateTimestamp(ctx context.Context) error {
	seen, err := s.seenTimestamp()
	if err != nil {
		return err
	}
	data, err := s.fetch(ctx, metadata.TIMESTAMP, 0, MaxTimestamp)
	switch {
	case err != nil:
		return err
	case seen == nil:
		return s.firstTimestamp(data)
	case bytes.Equal(data, seen.raw): // which was verified just now, by the same root
		return s.checkExpiry(seen.head, false)
	default:
		return s.nextTimestamp(seen, data)
	}
}

// seenTimestamp returns the newest timestamp that was accepted, nil for none. One
// that has expired stands, too, for the comparison with what comes after it.
func (s *session) seenTimestamp() (*timestampDoc, error) {
	seen, refusal, err := stored(s, metadata.TIMESTAMP, s.trusted.UpdateTimestamp)
	if err != nil || seen == nil {
		return nil, err
	}
	if err := checkIdentity(seen.head, s.id); err != nil {
		return nil, damaged(s.state.path(currentFile(metadata.TIMESTAMP)), err)
	}
	if refusal != nil && !errors.Is(refusal, &metadata.ErrExpiredMetadata{}) {
		return nil, damaged(s.state.path(currentFile(metadata.TIMESTAMP)), refusal)
	}
	s.timestamp = seen
	return seen, nil
}

// firstTimestamp judges a timestamp that nothing is compared with.
func (s *session) firstTimestamp(data []byte) error {
	d, refusal, err := admit(metadata.TIMESTAMP, data, s.trusted.UpdateTimestamp)
	if err != nil {
		return err
	}
	if err := s.checkTimestamp(d, refusal == nil); err != nil {
		return err
	}
	return s.keepTimestamp(d, refusal)
}

// nextTimestamp judges one that is not the one seen before.
func (s *session) nextTimestamp(seen *timestampDoc, data []byte) error {
	d, err := parse[metadata.TimestampType](metadata.TIMESTAMP, data)
	if err != nil {
		return err
	}
	if err := s.checkTimestamp(d, false); err != nil {
		return err
	}
	same, err := s.compareTimestamp(seen, d)
	if err != nil {
		return err
	}
	if same {
		return s.checkExpiry(seen.head, false)
	}
	// go-tuf reads it once more, since it is asked after our comparison only.
	_, refusal := s.trusted.UpdateTimestamp(data)
	return s.keepTimestamp(d, refusal)
}

// checkTimestamp checks who signed a timestamp, unless go-tuf just did, and what it
// says of itself.
func (s *session) checkTimestamp(d *timestampDoc, verified bool) error {
	if !verified {
		if err := verifySigned(s.root.meta, metadata.TIMESTAMP, d); err != nil {
			return err
		}
	}
	if err := checkIdentity(d.head, s.id); err != nil {
		return err
	}
	_, err := signedAt(d.head, s.id)
	return err
}

func (s *session) keepTimestamp(d *timestampDoc, refusal error) error {
	if err := s.checkExpiry(d.head, true); err != nil {
		return err
	}
	if refusal != nil {
		return refuse(d.head.name, refusal)
	}
	s.timestamp = d
	return s.state.write(currentFile(metadata.TIMESTAMP), d.raw)
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
