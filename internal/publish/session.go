package publish

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"time"

	"github.com/opencontainers/go-digest"

	"github.com/consign-dev/consign/internal/channel"
	"github.com/consign-dev/consign/internal/durable"
	"github.com/consign-dev/consign/internal/oci"
	"github.com/consign-dev/consign/internal/reason"
	"github.com/consign-dev/consign/internal/tufclient"
	"github.com/consign-dev/consign/internal/tufrepo"
)

// session is one channel, opened for a change. It holds the lock beside the keys.
type session struct {
	// readOnly is a session that signs nothing and asks for no key.
	readOnly bool
	journal  *journal
	// moved holds the changes of the last commit that moved the tag and was
	// overtaken after that; pending, those of the command's own change.
	moved, pending []tufrepo.Change
	p              *Publisher
	repo           *oci.Repository
	client         *tufclient.Client
	lock           *durable.Lock
	tuf            *tufrepo.Repo
	meta           *tufclient.Metadata
	// head is the channel manifest that the tag named when the session began.
	head digest.Digest
}

// open locks the keys and opens the client of the channel, which begins from
// the root beside them.
func (p *Publisher) open(repository, kind string) (*session, error) {
	repo, err := p.Client.Repository(repository)
	if err != nil {
		return nil, err
	}
	client, err := p.ownClient(kind)
	if err != nil {
		return nil, err
	}
	lock, err := durable.TryLock(p.Keys.lockFile())
	if err != nil {
		if errors.Is(err, durable.ErrLocked) {
			err = reason.New(reason.Conflict, "another command is changing the channel of the keys in %s: %w", p.Keys.Path, err)
		}
		return nil, err
	}
	s := &session{p: p, repo: repo, client: client, lock: lock}
	if err := durable.Sweep(p.Keys.Path); err != nil {
		s.close()
		return nil, err
	}
	if s.journal, err = p.Keys.loadJournal(client.Identity().ID); err != nil {
		s.close()
		return nil, err
	}
	return s, nil
}

// look opens a channel for a command that changes nothing.
func (p *Publisher) look(ctx context.Context, repository, kind string) (*session, error) {
	s, err := p.open(repository, kind)
	if err != nil {
		return nil, err
	}
	s.readOnly = true
	if err := s.begin(ctx); err != nil {
		s.close()
		return nil, fmt.Errorf("channel %s: %w", repository, err)
	}
	return s, nil
}

func (s *session) close() { _ = s.lock.Unlock() }

// ownClient opens the publisher's own view of its channel. On a new machine it
// begins from the root that lies beside the keys.
func (p *Publisher) ownClient(kind string) (*tufclient.Client, error) {
	client, err := tufclient.Open(p.Keys.stateDir())
	if errors.Is(err, fs.ErrNotExist) {
		client, err = p.pin()
	}
	if err != nil {
		return nil, err
	}
	if got := client.Identity().Kind; got != kind {
		return nil, reason.New(reason.WrongChannel, "the keys in %s are of a %s channel, this needs a %s channel", p.Keys.Path, got, kind)
	}
	return client, nil
}

// CheckKeys finds out, without the registry, whether the key directory is that
// of a channel of this kind: before a long transfer rather than after it.
func (p *Publisher) CheckKeys(kind string) error {
	_, err := p.ownClient(kind)
	return err
}

func noChannel(path string) error {
	return fmt.Errorf("%s: no channel's keys are here: make the channel with 'publisher channel init', or name its keys with --keys", path)
}

func (p *Publisher) pin() (*tufclient.Client, error) {
	root, err := durable.ReadFile(p.Keys.rootFile(), tufclient.MaxRoot)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, noChannel(p.Keys.Path)
	}
	if err != nil {
		return nil, err
	}
	id, err := tufclient.RootIdentity(root)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", p.Keys.rootFile(), err)
	}
	if err := tufclient.Init(p.Keys.stateDir(), root, id); err != nil {
		return nil, err
	}
	return tufclient.Open(p.Keys.stateDir())
}

// ownTime is the time by which a publisher judges its own channel: none of its
// documents has expired then. Whoever can sign anew must be able to take up a
// channel whose timestamp ran out over a holiday; versions, which cannot run
// out, still protect against an old state.
func ownTime() time.Time { return time.Unix(0, 0).UTC() }

func (s *session) refresh(ctx context.Context) error {
	var err error
	if s.meta, s.head, err = channel.RefreshAll(ctx, s.repo, s.client, ownTime()); err != nil {
		return err
	}
	s.tuf, err = tufrepo.FromMetadata(s.meta)
	return err
}
