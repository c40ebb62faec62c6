package publish

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/opencontainers/go-digest"

	"github.com/consign-dev/consign/internal/channel"
	"github.com/consign-dev/consign/internal/reason"
	"github.com/consign-dev/consign/internal/tufrepo"
)

// maxSkew is by how much another writer's signed time may be ahead of the time
// at which this command began: commands overlap, and clocks differ a little.
const maxSkew = 5 * time.Minute

// signingTime is the publisher's time, or that of the last timestamp when this
// is a little later: signed times never fall.
func (s *session) signingTime() time.Time {
	if last := s.tuf.SignedAt(); last.After(s.p.Now) && last.Sub(s.p.Now) <= maxSkew {
		return last
	}
	return s.p.Now
}

// commit signs what was staged, snapshot and timestamp, and makes it the
// channel's state. Then it reads the channel again as any reader does, so that
// success means "readable". An error that is [errOvertaken] says that another
// writer was faster.
func (s *session) commit(ctx context.Context, retain []digest.Digest) error {
	return s.commitAfter(ctx, s.journal.Commits, retain)
}

// commitAfter is commit where before is what the journal shall still hold.
func (s *session) commitAfter(ctx context.Context, before []commitRecord, retain []digest.Digest) error {
	keys, err := s.signers()
	if err != nil {
		return err
	}
	rec := commitRecord{Changes: s.tuf.Changes(), Documents: map[string]tufrepo.Document{}}
	files, err := s.tuf.Sign(keys, s.signingTime())
	if err != nil {
		return err
	}
	for role := range keys {
		rec.Documents[role] = s.tuf.Document(role)
	}
	_, desc, err := channel.BuildManifest(files)
	if err != nil {
		return err
	}
	rec.Manifest = desc.Digest
	refused := s.journal.with(rec, s.tuf.Versions())
	refused.Commits = s.journal.Commits
	s.journal = (&journal{Format: journalFormat, Channel: s.journal.Channel, Taken: s.journal.Taken, Commits: before}).with(rec, s.tuf.Versions())
	if err := s.p.Keys.save(s.journal); err != nil {
		return err
	}
	s.moved = nil
	if err := s.move(ctx, files, retain); err != nil {
		if errors.Is(err, channel.ErrOvertaken) {
			s.moved = rec.Changes
		}
		if errors.Is(err, errOvertaken) && !errors.Is(err, channel.ErrOvertaken) {
			// The tag was never moved, so there is nothing to look for later.
			s.journal = refused
			err = errors.Join(err, s.p.Keys.save(s.journal))
		}
		return err
	}
	return s.confirm(ctx, rec)
}

// signers are those of every role that Sign will sign.
func (s *session) signers() (tufrepo.Keys, error) {
	keys := tufrepo.Keys{}
	for _, role := range append(s.tuf.Changed(), tufrepo.Snapshot, tufrepo.Timestamp) {
		signers, err := s.p.Keys.Signers(role)
		if err != nil {
			return nil, err
		}
		keys[role] = signers
	}
	return keys, nil
}

func (s *session) move(ctx context.Context, files map[string][]byte, retain []digest.Digest) error {
	_, err := channel.Commit(ctx, s.repo, channel.CommitInput{
		Files: files, Previous: s.head, Version: s.tuf.Versions()[tufrepo.Timestamp], Retain: retain,
	})
	if reason.Is(err, reason.Conflict) {
		return fmt.Errorf("%w: %w", errOvertaken, err)
	}
	return err
}

// confirm reads the channel with the commit in it, and says so in the journal.
func (s *session) confirm(ctx context.Context, rec commitRecord) error {
	s.moved = rec.Changes
	err := s.refresh(ctx)
	switch {
	case reason.Is(err, reason.Rollback), reason.Is(err, reason.Equivocation):
		return reason.New(reason.Conflict, "%w: read the channel back: %w", errOvertaken, err)
	case err != nil:
		return fmt.Errorf("read the channel back: %w", err)
	case rec.without(s.tuf):
		return reason.New(reason.Conflict, "%w: the channel has changed without the commit %s", errOvertaken, rec.Manifest)
	}
	s.tuf.Above(s.journal.Taken)
	s.journal.Commits[len(s.journal.Commits)-1].Done = true
	return s.p.Keys.save(s.journal)
}
