package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os/exec"
	"strconv"
	"strings"
	"time"

	"github.com/theupdateframework/go-tuf/v2/metadata"

	"github.com/consign-dev/consign/internal/cli"
	"github.com/consign-dev/consign/internal/durable"
	"github.com/consign-dev/consign/internal/tufclient"
)

func (o options) do(ctx context.Context, stderr io.Writer) error {
	if o.command == "init" {
		return o.init()
	}
	s, err := o.open(ctx, stderr)
	if err != nil {
		return err
	}
	if o.command == "refresh" {
		_, err = s.refresh(ctx)
		return err
	}
	return o.download(ctx, s)
}

// init pins a root. What the root says it is of is what gets pinned: a plain
// TUF repository, or a channel of Consign in its exported form.
func (o options) init() error {
	root, err := durable.ReadFile(o.args[0], tufclient.MaxRoot)
	if err != nil {
		return fmt.Errorf("read root: %w", err)
	}
	id, err := tufclient.RootIdentity(root)
	if err != nil {
		return err
	}
	return tufclient.Init(o.metadataDir, root, id)
}

// session is the work of one process: one client, one state of the repository,
// one time.
type session struct {
	client *tufclient.Client
	repo   *repository
	now    time.Time
	stderr io.Writer
}

func (o options) open(ctx context.Context, stderr io.Writer) (*session, error) {
	c, err := tufclient.Open(o.metadataDir)
	if err != nil {
		return nil, err
	}
	now, err := clock(ctx)
	if err != nil {
		return nil, err
	}
	repo, err := newRepository(o.metadataURL)
	return &session{client: c, repo: repo, now: now, stderr: stderr}, err
}

// clock asks the command date, which faketime reaches.
func clock(ctx context.Context) (time.Time, error) {
	out, err := exec.CommandContext(ctx, "date", "-u", "+%s").Output()
	if err != nil {
		return time.Time{}, fmt.Errorf("ask date for the time: %w", err)
	}
	seconds, err := strconv.ParseInt(strings.TrimSpace(string(out)), 10, 64)
	if err != nil {
		return time.Time{}, fmt.Errorf("ask date for the time: %w", err)
	}
	return time.Unix(seconds, 0).UTC(), nil
}

// refresh runs the workflow for the named targets. The package comment says
// why an equivocation of the timestamp is an alarm and no failure here.
func (s *session) refresh(ctx context.Context, targets ...string) (*tufclient.Metadata, error) {
	m, err := s.client.Refresh(ctx, s.repo, s.now, targets...)
	var twice *tufclient.Equivocation
	if !errors.As(err, &twice) || twice.Role != metadata.TIMESTAMP {
		return m, err
	}
	kept, fault := s.current()
	if kept == nil {
		return nil, errors.Join(err, fault)
	}
	fmt.Fprintln(s.stderr, "tuf-client: alarm:", cli.Safe(err.Error()))
	return kept, nil
}

// current is the metadata kept, verified anew, if it is the whole set of the
// newest timestamp; nil if that one never came through.
func (s *session) current() (*tufclient.Metadata, error) {
	kept, err := s.client.Stored(s.now)
	if err != nil {
		return nil, err
	}
	seen, err := s.client.Seen()
	if err != nil || kept.Versions()[metadata.TIMESTAMP] != seen[metadata.TIMESTAMP] {
		return nil, err
	}
	return kept, nil
}
