package publish

import (
	"bytes"
	"context"
	"errors"
	"fmt"

	"github.com/opencontainers/go-digest"

	"github.com/consign-dev/consign/internal/channel"
	"github.com/consign-dev/consign/internal/durable"
	"github.com/consign-dev/consign/internal/oci"
	"github.com/consign-dev/consign/internal/reason"
	"github.com/consign-dev/consign/internal/tufclient"
	"github.com/consign-dev/consign/internal/tufrepo"
)

// ownRoot is the root beside the publisher's keys, after the source was found
// to be no older than what those keys have seen.
func (p *Publisher) ownRoot(ctx context.Context, from Place) ([]byte, error) {
	kind, err := p.KindOf()
	if err != nil {
		return nil, fmt.Errorf("no root was named with --root: %w", err)
	}
	there := *p
	there.Client = from.Client
	s, err := there.open(from.Repository, kind)
	if err != nil {
		return nil, err
	}
	defer s.close()
	// What the journal misses is of the channel's own place, not of this one.
	if err := s.refresh(ctx); err != nil {
		return nil, fmt.Errorf("channel %s: %w", from.Repository, err)
	}
	return durable.ReadFile(p.Keys.rootFile(), tufclient.MaxRoot)
}

// read verifies the source's state from the root, then the destination's, if
// there is one, and the source's again with the same client: what the
// destination has is then a floor, and going below it is the rollback that any
// reader would refuse.
func (c *copier) read(ctx context.Context) error {
	source, err := c.pin("source", c.root)
	if err != nil {
		return err
	}
	meta, head, err := channel.RefreshAll(ctx, c.from, source, c.p.Now)
	if err != nil {
		return fmt.Errorf("channel %s: %w", c.from.Name(), err)
	}
	c.meta = meta
	oldest, err := c.readFiles(ctx, head)
	if err != nil {
		return err
	}
	// From the oldest root on, since the destination may be from before the
	// caller's.
	both, err := c.pin("both", c.files[oldest])
	if err != nil {
		return err
	}
	if err := c.readDestination(ctx, both); err != nil {
		return err
	}
	_, err = both.RefreshAll(ctx, memory(c.files), c.p.Now)
	if c.previous != "" && reason.Is(err, reason.Rollback) {
		return reason.New(reason.Rollback, "%s holds a newer state of this channel than %s: %w", c.to.Name(), c.from.Name(), err)
	}
	return err
}

func (c *copier) readDestination(ctx context.Context, client *tufclient.Client) error {
	_, err := channel.Head(ctx, c.to)
	if errors.Is(err, oci.ErrNotFound) {
		return nil // nothing is there yet
	}
	if err == nil {
		_, c.previous, err = channel.RefreshAll(ctx, c.to, client, ownTime())
	}
	if err != nil {
		return c.occupied(err)
	}
	return nil
}

// memory is a tufclient.Fetcher over files that were read.
type memory map[string][]byte

func (m memory) Fetch(_ context.Context, name string, _ int64) ([]byte, error) {
	if data, ok := m[name]; ok {
		return data, nil
	}
	return nil, tufclient.ErrNotFound
}

// occupied explains why the destination's state cannot be built upon.
func (c *copier) occupied(err error) error {
	switch reason.Of(err) {
	case reason.UntrustedSigner, reason.Threshold, reason.WrongChannel:
		return reason.New(reason.WrongChannel, "%s holds another channel than the root's; copy to another repository: %w", c.to.Name(), err)
	default:
		return fmt.Errorf("the state of the destination %s: %w", c.to.Name(), err)
	}
}

// readFiles keeps the metadata that was verified and the roots before the one
// that the caller trusts: a device may be pinned to an older one. Those count
// only if they lead to it. It returns the name of the oldest root.
func (c *copier) readFiles(ctx context.Context, head digest.Digest) (oldest string, err error) {
	c.files = c.meta.Files()
	_, manifest, err := c.from.Manifest(ctx, head, channel.MaxManifest)
	if err != nil {
		return "", err
	}
	source, err := channel.NewFetcher(c.from, manifest)
	if err != nil {
		return "", err
	}
	version := c.meta.Versions()[tufrepo.Root]
	for ; version > 1; version-- {
		name := tufclient.FileName(tufrepo.Root, version-1)
		if c.files[name] != nil {
			continue
		}
		data, err := source.Fetch(ctx, name, tufclient.MaxRoot)
		if errors.Is(err, tufclient.ErrNotFound) {
			break
		}
		if err != nil {
			return "", err
		}
		c.files[name] = data
	}
	oldest = tufclient.FileName(tufrepo.Root, version)
	return oldest, c.checkChain(c.files, oldest)
}

func (c *copier) checkChain(files map[string][]byte, oldest string) error {
	whole, err := tufclient.Verify(files[oldest], files, c.p.Now)
	if err != nil {
		return fmt.Errorf("channel %s: from %s on: %w", c.from.Name(), oldest, err)
	}
	led := whole.Files()
	for name, data := range c.meta.Files() {
		if !bytes.Equal(led[name], data) {
			return reason.New(reason.UntrustedSigner, "channel %s: %s does not lead to the given root", c.from.Name(), oldest)
		}
	}
	return nil
}

// choose returns the targets that were asked for, and the names of those that
// were not.
func (c *copier) choose() (chosen []tufclient.Target, left []string, err error) {
	names, missing := c.in.Releases, reason.NotReleased
	switch {
	case c.meta.Kind() == channel.KindReleases && len(c.in.Devices) > 0:
		return nil, nil, fmt.Errorf("%s is a release channel, which knows no devices: choose releases", c.from.Name())
	case c.meta.Kind() == channel.KindDeployments && len(names) > 0:
		return nil, nil, fmt.Errorf("%s is a deployment channel, which lists no releases: choose devices, and copy the release channel too", c.from.Name())
	case len(c.in.Devices) > 0:
		names, missing = []string{channel.PolicyTarget}, reason.NoOrder
		for _, id := range c.in.Devices {
			names = append(names, channel.DeviceTarget(id))
		}
	}
	wanted := map[string]bool{}
	for _, name := range names {
		if _, err := c.meta.Target(name); err != nil {
			return nil, nil, reason.New(missing, "channel %s: %w", c.from.Name(), err)
		}
		wanted[name] = true
	}
	left = []string{}
	for _, t := range c.meta.All() {
		if len(names) == 0 || wanted[t.Name] {
			chosen = append(chosen, t)
		} else {
			left = append(left, t.Name)
		}
	}
	return chosen, left, nil
}
