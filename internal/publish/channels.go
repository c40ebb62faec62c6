package publish

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	"github.com/opencontainers/go-digest"

	"github.com/consign-dev/consign/internal/channel"
	"github.com/consign-dev/consign/internal/durable"
	"github.com/consign-dev/consign/internal/oci"
	"github.com/consign-dev/consign/internal/reason"
	"github.com/consign-dev/consign/internal/strictjson"
	"github.com/consign-dev/consign/internal/tufclient"
	"github.com/consign-dev/consign/internal/tufrepo"
)

// InitChannelInput describes a new channel.
type InitChannelInput struct {
	// Repository is where it will be kept.
	Repository string
	// Kind is channel.KindReleases or channel.KindDeployments.
	Kind string
	// OfflineKeys is how many keys the root and the targets role get, and
	// Threshold how many of them must sign.
	OfflineKeys int
	Threshold   int
}

// ChannelInfo is what a person wants to know about a channel.
type ChannelInfo struct {
	Repository string `json:"repository"`
	Kind       string `json:"kind"`
	ID         string `json:"id"`
	// Manifest is the digest that the tag names.
	Manifest digest.Digest    `json:"manifest"`
	Versions map[string]int64 `json:"versions"`
	SignedAt time.Time        `json:"signedAt"`
	// Expires is the earliest expiry; past it no device takes changes.
	Expires time.Time `json:"expires"`
	// Aging names roles whose keys will be needed before long.
	Aging   []string     `json:"aging,omitempty"`
	Targets []TargetInfo `json:"targets"`
	// RootFile is the root that readers pin, and RootSHA256 its digest in hex.
	RootFile   string `json:"rootFile,omitempty"`
	RootSHA256 string `json:"rootSha256,omitempty"`
}

// TargetInfo is one entry of a channel.
type TargetInfo struct {
	Name   string        `json:"name"`
	Role   string        `json:"role"`
	Digest digest.Digest `json:"digest"`
}

// Check looks at what can be known without the registry and the keys.
func (in InitChannelInput) Check() error {
	if in.Kind != channel.KindReleases && in.Kind != channel.KindDeployments {
		return fmt.Errorf("kind %q: want %s or %s", in.Kind, channel.KindReleases, channel.KindDeployments)
	}
	if in.OfflineKeys < 1 || in.OfflineKeys > 16 || in.Threshold < 1 || in.Threshold > in.OfflineKeys {
		return fmt.Errorf("%d of %d keys: want a threshold between 1 and the number of keys, which is at most 16", in.Threshold, in.OfflineKeys)
	}
	return nil
}

// InitChannel makes the keys of a channel and its first state. A repository
// that holds a channel already is refused. When an earlier InitChannel was
// interrupted, its keys are taken up again.
func (p *Publisher) InitChannel(ctx context.Context, in InitChannelInput) (*ChannelInfo, error) {
	if err := in.Check(); err != nil {
		return nil, err
	}
	repo, err := p.Client.Repository(in.Repository)
	if err != nil {
		return nil, err
	}
	if err := durable.MkdirAll(p.Keys.Path, 0o700); err != nil {
		return nil, fmt.Errorf("create key directory: %w", err)
	}
	lock, err := durable.TryLock(p.Keys.lockFile())
	if err != nil {
		return nil, err
	}
	defer func() { _ = lock.Unlock() }()
	if _, err := os.Lstat(p.Keys.rootFile()); !errors.Is(err, fs.ErrNotExist) {
		return nil, reason.New(reason.Exists, "%s holds the keys of a channel already: look at it with 'publisher channel show', or make another one with --keys and another directory", p.Keys.Path)
	}
	files, err := p.firstFiles(ctx, repo, in)
	if err != nil {
		return nil, err
	}
	first := channel.CommitInput{Files: files, Version: 1}
	if _, err := channel.Commit(ctx, repo, first); err != nil {
		return nil, err
	}
	// The root file is written last: it is what marks the directory as complete.
	if err := durable.WriteFile(p.Keys.rootFile(), files[tufclient.FileName(tufrepo.Root, 1)], 0o600); err != nil {
		return nil, err
	}
	if _, err := p.pin(); err != nil {
		return nil, err
	}
	if err := durable.Remove(filepath.Join(p.Keys.Path, "first-state.json")); err != nil {
		return nil, err
	}
	if err := lock.Unlock(); err != nil {
		return nil, err
	}
	return p.ShowChannel(ctx, in.Repository, in.Kind)
}

// firstFiles signs the first state of a channel and keeps it beside the keys
// until it is known to be in the registry: an InitChannel that is run again
// commits the same channel and not a second one.
// Where there is no such state yet, the repository must hold no channel: keys
// are not made for one that cannot come to be.
func (p *Publisher) firstFiles(ctx context.Context, repo *oci.Repository, in InitChannelInput) (map[string][]byte, error) {
	path := filepath.Join(p.Keys.Path, "first-state.json")
	data, err := durable.ReadFile(path, tufclient.MaxTargets)
	if err == nil {
		var files map[string][]byte
		if err := strictjson.Unmarshal(data, &files, strictjson.Default); err != nil {
			return nil, fmt.Errorf("%s: %w", path, err)
		}
		return files, nil
	}
	if !errors.Is(err, fs.ErrNotExist) {
		return nil, err
	}
	if err := checkVacant(ctx, repo); err != nil {
		return nil, err
	}
	files, err := p.createChannel(in)
	if err != nil {
		return nil, err
	}
	if data, err = json.Marshal(files); err != nil {
		return nil, err
	}
	return files, durable.WriteFile(path, data, 0o600)
}

func checkVacant(ctx context.Context, repo *oci.Repository) error {
	_, err := channel.Head(ctx, repo)
	switch {
	case errors.Is(err, oci.ErrNotFound):
		return nil
	case err != nil:
		return err
	}
	return reason.New(reason.Exists, "%s holds a channel already: name the directory of its keys with --keys, or make the new channel in another repository", repo.Name())
}

func (p *Publisher) createChannel(in InitChannelInput) (map[string][]byte, error) {
	keys := tufrepo.Keys{}
	thresholds := map[string]int{tufrepo.Root: in.Threshold, tufrepo.Targets: in.Threshold}
	for _, role := range tufrepo.Roles(in.Kind) {
		count := 1
		if thresholds[role] > 0 {
			count = in.OfflineKeys
		}
		signers, err := p.Keys.ensure(role, count)
		if err != nil {
			return nil, err
		}
		keys[role] = signers
	}
	if in.Kind == channel.KindReleases {
		if _, err := p.Keys.ensure("signing", 1); err != nil {
			return nil, err
		}
	}
	tuf, err := tufrepo.Create(in.Kind, keys, thresholds, p.Now)
	if err != nil {
		return nil, err
	}
	return tuf.Sign(keys, p.Now)
}

// ShowChannel refreshes a channel with the keys' root and says what it holds.
// It needs no private key.
func (p *Publisher) ShowChannel(ctx context.Context, repository, kind string) (*ChannelInfo, error) {
	s, err := p.look(ctx, repository, kind)
	if err != nil {
		return nil, err
	}
	defer s.close()
	return s.info()
}

// KindOf returns the kind of channel whose keys the publisher has.
func (p *Publisher) KindOf() (string, error) {
	client, err := tufclient.Open(p.Keys.stateDir())
	if errors.Is(err, fs.ErrNotExist) {
		client, err = p.pin()
	}
	if err != nil {
		return "", err
	}
	return client.Identity().Kind, nil
}

func (s *session) info() (*ChannelInfo, error) {
	root, err := durable.ReadFile(s.p.Keys.rootFile(), tufclient.MaxRoot)
	if err != nil {
		return nil, err
	}
	info := &ChannelInfo{
		Repository: s.repo.Name(), Kind: s.meta.Kind(), ID: s.meta.ID(), Manifest: s.head,
		Versions: s.meta.Versions(), SignedAt: s.meta.SignedAt(), Expires: s.meta.Expires(),
		Aging: s.tuf.Aging(s.p.Now), Targets: []TargetInfo{},
		RootFile: s.p.Keys.rootFile(), RootSHA256: digest.SHA256.FromBytes(root).Encoded(),
	}
	for _, t := range s.meta.All() {
		info.Targets = append(info.Targets, TargetInfo{Name: t.Name, Role: t.Role, Digest: t.Digest})
	}
	return info, nil
}

// RefreshChannel signs a new timestamp, and a new snapshot when the old one has
// aged: what a timer does every day. It needs the online keys only.
func (p *Publisher) RefreshChannel(ctx context.Context, repository, kind string) (*ChannelInfo, error) {
	var info *ChannelInfo
	err := p.change(ctx, repository, kind, func(s *session) error {
		err := s.commit(ctx, nil)
		if err == nil {
			info, err = s.info()
		}
		return err
	})
	return info, err
}

// ExportTUF lays the channel's metadata out as files for any TUF client.
func (p *Publisher) ExportTUF(ctx context.Context, repository, kind, dir string) (*ChannelInfo, error) {
	s, err := p.look(ctx, repository, kind)
	if err != nil {
		return nil, err
	}
	defer s.close()
	if err := channel.Export(s.meta.Files(), dir); err != nil {
		return nil, err
	}
	return s.info()
}
