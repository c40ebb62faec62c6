package publish

import (
	"context"
	"fmt"
	"os"
	"path/filepath"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/consign-dev/consign/internal/channel"
	"github.com/consign-dev/consign/internal/gather"
	"github.com/consign-dev/consign/internal/oci"
	"github.com/consign-dev/consign/internal/reason"
	"github.com/consign-dev/consign/internal/tufclient"
	"github.com/consign-dev/consign/internal/tufrepo"
)

// Place is one side of a copy: a channel's repository and how it is reached.
type Place struct {
	Client     *oci.Client
	Repository string
	// Local says that it lies on a disk of this machine: then every byte that was
	// written is read back, and not only asked for.
	Local bool
}

// CopyInput says what to copy where.
type CopyInput struct {
	From, To Place
	// Root is a root of the channel that the caller trusts. Without one the
	// channel is that of the publisher's keys, and judged by what they have seen.
	Root []byte
	// Releases are targets of a release channel and Devices are ids in a
	// deployment channel, whose policy always comes along. None means all.
	Releases []string
	Devices  []string
}

// Copied says what a copy holds.
type Copied struct {
	Kind string `json:"kind"`
	ID   string `json:"id"`
	From string `json:"from"`
	To   string `json:"to"`
	// Manifest is what the destination's tag names now.
	Manifest digest.Digest `json:"manifest"`
	// Targets were found whole in the destination; Left are listed by the
	// channel and were not asked for.
	Targets []TargetInfo `json:"targets"`
	Left    []string     `json:"left"`
	// Sent is the number of bytes of content that the destination did not have.
	Sent int64 `json:"sent"`
	// Unchanged says that the destination had everything already.
	Unchanged bool `json:"unchanged,omitempty"`
}

// Copy brings a channel, and what it lists, to another place. The source is
// verified from the root before anything is believed. The destination's tag
// moves last, after every part was found there, and never backwards: a state
// that is older than the destination's is a rollback, and another channel in
// its place is refused as wrong-channel. Run again, it sends what is missing.
func (p *Publisher) Copy(ctx context.Context, in CopyInput) (*Copied, error) {
	temp, err := os.MkdirTemp("", "consign-copy-")
	if err != nil {
		return nil, err
	}
	defer os.RemoveAll(temp)
	c := &copier{p: p, in: in, temp: temp, root: in.Root}
	if c.from, err = in.From.Client.Repository(in.From.Repository); err != nil {
		return nil, err
	}
	if c.to, err = in.To.Client.Repository(in.To.Repository); err != nil {
		return nil, err
	}
	if c.root == nil {
		if c.root, err = p.ownRoot(ctx, in.From); err != nil {
			return nil, err
		}
	}
	if err := c.read(ctx); err != nil {
		return nil, err
	}
	return c.copy(ctx)
}

type copier struct {
	p        *Publisher
	in       CopyInput
	temp     string // for trusted metadata; it need not survive
	from, to *oci.Repository
	root     []byte

	meta *tufclient.Metadata // the source's
	// files are all metadata of the source's state, previous the channel
	// manifest that the destination had, "" for none.
	files    map[string][]byte
	previous digest.Digest
	sent     int64
}

func (c *copier) copy(ctx context.Context) (*Copied, error) {
	chosen, left, err := c.choose()
	if err != nil {
		return nil, err
	}
	out := &Copied{
		Kind: c.meta.Kind(), ID: c.meta.ID(), From: c.from.Name(), To: c.to.Name(),
		Targets: []TargetInfo{}, Left: left,
	}
	for _, t := range chosen {
		if err := c.target(ctx, t); err != nil {
			return nil, fmt.Errorf("copy %s: %w", t.Name, err)
		}
		out.Targets = append(out.Targets, TargetInfo{Name: t.Name, Role: t.Role, Digest: t.Digest})
	}
	if out.Manifest, err = c.commit(ctx); err != nil {
		return nil, err
	}
	out.Sent, out.Unchanged = c.sent, c.sent == 0 && out.Manifest == c.previous
	return out, nil
}

func (c *copier) target(ctx context.Context, t tufclient.Target) error {
	if c.meta.Kind() == channel.KindReleases {
		return c.release(ctx, t)
	}
	desc := ocispec.Descriptor{MediaType: ocispec.MediaTypeImageManifest, Digest: t.Digest, Size: t.Length}
	if err := c.send(ctx, c.from, c.to, desc); err != nil {
		return err
	}
	keep, err := c.endorsements(ctx, t)
	if err != nil {
		return err
	}
	return channel.Retain(ctx, c.to, append(keep, t.Digest)...)
}

// endorsements copies the evidence that the orders of a device list.
func (c *copier) endorsements(ctx context.Context, t tufclient.Target) ([]digest.Digest, error) {
	if t.Name == channel.PolicyTarget {
		return nil, nil
	}
	deployments, err := readDeployments(ctx, t, gather.Remote{Repository: c.from})
	if err != nil {
		return nil, err
	}
	listed, err := endorsements(deployments)
	if err != nil {
		return nil, err
	}
	var keep []digest.Digest
	for _, e := range listed {
		if err := c.send(ctx, c.from, c.to, e); err != nil {
			return nil, fmt.Errorf("endorsement: %w", err)
		}
		keep = append(keep, e.Digest)
	}
	return keep, nil
}

// send copies a graph and finds it whole at the far end.
func (c *copier) send(ctx context.Context, from, to *oci.Repository, desc ocispec.Descriptor) error {
	sent, err := oci.CopyWhole(ctx, from, to, desc, c.p.Progress)
	c.sent += sent
	if err != nil {
		return err
	}
	return oci.Confirm(ctx, to, desc, c.in.To.Local)
}

// commit moves the destination's tag and reads the channel from there as any
// reader does, with no memory but the root.
func (c *copier) commit(ctx context.Context) (digest.Digest, error) {
	head, err := channel.Commit(ctx, c.to, channel.CommitInput{
		Files: c.files, Previous: c.previous, Version: c.meta.Versions()[tufrepo.Timestamp],
	})
	if err != nil {
		return "", err
	}
	reader, err := c.pin("far", c.root)
	if err != nil {
		return "", err
	}
	_, at, err := channel.RefreshAll(ctx, c.to, reader, c.p.Now)
	if err != nil {
		return "", fmt.Errorf("read the copy back from %s: %w", c.to.Name(), err)
	}
	if at != head {
		return "", reason.New(reason.Conflict, "%s was changed by another writer while it was read back", c.to.Name())
	}
	return head, nil
}

// pin begins with a root and nothing else.
func (c *copier) pin(name string, root []byte) (*tufclient.Client, error) {
	id, err := tufclient.RootIdentity(root)
	if err != nil {
		return nil, fmt.Errorf("root: %w", err)
	}
	if id.Kind != channel.KindReleases && id.Kind != channel.KindDeployments {
		return nil, reason.New(reason.WrongChannel, "the root is that of a %s, want that of a channel", id)
	}
	dir := filepath.Join(c.temp, name)
	if err := tufclient.Init(dir, root, id); err != nil {
		return nil, err
	}
	return tufclient.Open(dir)
}
