package publish

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"time"

	"github.com/consign-dev/consign/internal/reason"
	"github.com/consign-dev/consign/internal/tufrepo"
)

// maxTries is how often a change is made from a new state because another
// writer was faster. Each round of a race has a winner, so this is also how
// many commands may race and all succeed.
const maxTries = 64

// maxRefused is how often a command that has been overtaken waits for those
// whose commits took each other's place to put that right.
const maxRefused = 8

// The wait between two tries is drawn below a bound that doubles from
// firstWait to maxWait: many writers that try all the time only slow the
// winner down.
const (
	firstWait = 100 * time.Millisecond
	maxWait   = 2 * time.Second
)

// errOvertaken marks an error of a commit that another writer overtook: a new
// state is there to be changed.
var errOvertaken = errors.New("another writer was faster")

// change opens a channel, lets do stage and commit a change, and does both
// again from the new state when another writer was faster. do has no other
// effect that may not be repeated.
func (p *Publisher) change(ctx context.Context, repository, kind string, do func(*session) error) error {
	s, err := p.open(repository, kind)
	if err != nil {
		return err
	}
	defer s.close()
	for try, refused := 1, 0; ; try++ {
		err := s.try(ctx, repository, do)
		if try > 1 && refused < maxRefused && (reason.Is(err, reason.Rollback) || reason.Is(err, reason.Equivocation)) {
			refused++
		} else if !errors.Is(err, errOvertaken) || try == maxTries {
			return err
		}
		if err := pause(ctx, rand.N(min(maxWait, firstWait<<min(try-1, 8)))); err != nil {
			return err
		}
	}
}

func (s *session) try(ctx context.Context, repository string, do func(*session) error) error {
	if err := s.begin(ctx); err != nil {
		return fmt.Errorf("channel %s: %w", repository, err)
	}
	if s.inEffect(s.pending) {
		return nil
	}
	err := do(s)
	s.pending = nil
	if errors.Is(err, errOvertaken) {
		s.pending = s.moved
	}
	return err
}

// inEffect reports whether the change that an overtaken commit made is in the
// channel after all, because the other writer built upon it or because begin
// committed it again.
func (s *session) inEffect(changes []tufrepo.Change) bool {
	for _, ch := range changes {
		if !tufrepo.SameTarget(s.tuf.Target(ch.Role, ch.Name), ch.After) {
			return false
		}
	}
	return len(changes) > 0
}

func pause(ctx context.Context, d time.Duration) error {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-timer.C:
		return nil
	}
}
