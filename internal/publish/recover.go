package publish

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strings"

	"github.com/opencontainers/go-digest"

	"github.com/consign-dev/consign/internal/channel"
	"github.com/consign-dev/consign/internal/reason"
	"github.com/consign-dev/consign/internal/tufclient"
	"github.com/consign-dev/consign/internal/tufrepo"
)

// begin takes up the channel's present state for a change. Where an earlier
// commit from this key directory is missing from it, that is committed again
// first; see docs/adr/0011.
//
// Reason conflict: such a commit does not fit what another writer did, or it
// cannot be told whether that writer undid it on purpose. This is said once.
func (s *session) begin(ctx context.Context) error {
	joined, err := s.takeUp(ctx)
	if err != nil {
		return err
	}
	s.tuf.Above(s.journal.Taken)
	f := judge(s.journal.Commits, s.tuf)
	if !joined && len(f.again) == 0 && len(f.raise) == 0 {
		if err := s.settle(f); err != nil {
			return err
		}
		s.noteResumed(f)
		return f.conflict()
	}
	if s.readOnly {
		return reason.New(reason.Conflict, "the channel lacks what was signed with the keys in %s (%s), or contradicts it: run 'publisher channel refresh', which puts that right", s.p.Keys.Path, names(f.again))
	}
	if err := s.recommit(ctx, f); err != nil {
		return err
	}
	return f.conflict()
}

// takeUp refreshes. A state that contradicts what this client has seen, or is
// behind it, is joined with that where both were signed by rightful writers.
func (s *session) takeUp(ctx context.Context) (joined bool, err error) {
	refusal := s.refresh(ctx)
	if !reason.Is(refusal, reason.Rollback) && !reason.Is(refusal, reason.Equivocation) {
		return false, refusal
	}
	if err := s.join(ctx); err != nil {
		return false, fmt.Errorf("%w (nor can it be mended from here: %v)", refusal, err)
	}
	return true, nil
}

func (s *session) join(ctx context.Context) error {
	stored, err := s.client.Stored(ownTime())
	if err != nil {
		return err
	}
	served, head, err := channel.Look(ctx, s.repo, s.client, ownTime())
	if err != nil {
		return err
	}
	seen, err := s.client.Seen()
	if err != nil {
		return err
	}
	if seen[tufrepo.Timestamp] > max(stored.Versions()[tufrepo.Timestamp], served.Versions()[tufrepo.Timestamp]) {
		return reason.New(reason.Rollback, "timestamp version %d was seen, whose other documents never came", seen[tufrepo.Timestamp])
	}
	tuf, err := s.joinStates(served, stored)
	if err != nil {
		return err
	}
	tuf.Above(seen)
	s.tuf, s.head = tuf, head
	return nil
}

func (s *session) joinStates(served, stored *tufclient.Metadata) (*tufrepo.Repo, error) {
	tuf, err := tufrepo.FromMetadata(served)
	if err != nil {
		return nil, err
	}
	ours, err := tufrepo.FromMetadata(stored)
	if err != nil {
		return nil, err
	}
	if !s.missing(tuf) {
		return nil, reason.New(reason.Rollback, "nothing that was signed with the keys in %s is missing from it", s.p.Keys.Path)
	}
	return tuf, tuf.Join(ours, func(role string) bool {
		for _, c := range s.journal.Commits {
			if d, ok := c.Documents[role]; ok && apart(role, d, tuf) {
				return true
			}
		}
		return false
	})
}

// missing reports whether a state was made without a commit of the journal. A
// key directory that has lost nothing leaves it to the others to put it right.
func (s *session) missing(tuf *tufrepo.Repo) bool {
	return slices.ContainsFunc(s.journal.Commits, func(c commitRecord) bool { return c.without(tuf) })
}

// recommit signs what was taken away above everything that anybody may have seen.
func (s *session) recommit(ctx context.Context, f findings) error {
	var retain []digest.Digest
	for _, ch := range f.again {
		if err := s.stage(ch); err != nil {
			return err
		}
		if ch.After != nil && s.tuf.Identity().Kind == channel.KindDeployments {
			retain = append(retain, ch.After.Digest)
		}
	}
	for _, role := range f.raise {
		if err := s.tuf.Renew(role); err != nil {
			return err
		}
	}
	delete(f.apart, tufrepo.Timestamp) // has no history to be merged into
	for role, docs := range f.apart {
		for _, d := range docs {
			s.tuf.Merged(role, d)
		}
	}
	if err := s.commitAfter(ctx, f.kept, retain); err != nil {
		return fmt.Errorf("commit again what another writer took away (%s): %w", names(f.again), err)
	}
	s.noteAgain(f)
	return nil
}

func (s *session) stage(ch tufrepo.Change) error {
	if ch.After == nil {
		return s.tuf.RemoveTarget(ch.Role, ch.Name)
	}
	return s.tuf.SetTarget(ch.Role, ch.Name, *ch.After)
}

// settle writes the journal down without what needs no more watching.
func (s *session) settle(f findings) error {
	next := *s.journal
	next.Commits = f.kept
	before, err := json.Marshal(s.journal)
	if err != nil {
		return err
	}
	after, err := json.Marshal(&next)
	if err != nil || string(before) == string(after) {
		return err
	}
	s.journal = &next
	return s.p.Keys.save(s.journal)
}

func (s *session) noteResumed(f findings) {
	if len(f.resumed) > 0 && s.pending == nil {
		s.note("a command that was interrupted had committed its change: " + names(f.resumed))
	}
}

func (s *session) noteAgain(f findings) {
	if len(f.again) > 0 {
		s.note("an earlier change was not in the channel, because its command was interrupted or another writer took its place; it is committed again: " + names(f.again))
		return
	}
	s.note("another writer's state contradicted an earlier one; it is signed again above both")
}

func (s *session) note(text string) {
	if s.p.Note != nil {
		s.p.Note(text)
	}
}

// conflict says what cannot be committed again.
func (f findings) conflict() error {
	if len(f.lost) == 0 {
		return nil
	}
	return reason.New(reason.Conflict, "an earlier change of %s is not in the channel: another writer changed the same, or undid it; look with 'publisher channel show', and if the change is still wanted run %s again (this is said once)",
		names(f.lost), commandOf(f.lost[0].Name))
}

func names(changes []tufrepo.Change) string {
	var out []string
	for _, ch := range changes {
		what := "removed"
		if ch.After != nil {
			what = ch.After.Digest.String()
		}
		out = append(out, ch.Name+" ("+what+")")
	}
	if len(out) > 8 {
		out = append(out[:8], fmt.Sprintf("and %d more", len(out)-8))
	}
	return strings.Join(out, ", ")
}

// commandOf names the commands that change a target.
func commandOf(name string) string {
	if name == channel.PolicyTarget {
		return "'publisher policy set'"
	}
	if _, ok := channel.DeviceOf(name); ok {
		return "'publisher deploy', 'undeploy' or 'device add'"
	}
	return "'publisher publish' or 'attest'"
}
