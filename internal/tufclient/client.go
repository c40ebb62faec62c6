package tufclient

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"time"

	"github.com/consign-dev/consign/internal/durable"
	"github.com/consign-dev/consign/internal/reason"
)

// Fetcher reads the files of a repository as they are now. Nothing it returns
// is trusted. Channels have one in internal/channel, over an OCI repository;
// that of the conformance tests, over HTTP, is in test/conformance/tuf-client.
type Fetcher interface {
	// Fetch returns the file that [FileName] names, of at most max bytes. A
	// longer one has reason too-large. When the repository has no such file the
	// error is [ErrNotFound]; any other error ends the refresh, and one that
	// carries no reason is taken as unreachable.
	Fetch(ctx context.Context, name string, max int64) ([]byte, error)
}

// ErrNotFound is what a [Fetcher] answers when the repository does not have a
// file. For the next root it means that there is none.
var ErrNotFound = errors.New("the repository has no such file")

// Client is the trusted metadata of one repository in one directory. It is not
// safe for concurrent use.
type Client struct {
	disk     disk
	identity Identity
}

// Init pins root, whose signatures it checks by root itself, as the anchor of
// the new client directory dir. The root must declare the identity want; the
// zero want is for a plain TUF repository. An initialised directory is
// fs.ErrExist. The root may have expired: the next refresh looks for a newer.
func Init(dir string, root []byte, want Identity) error {
	if err := want.Validate(); err != nil {
		return err
	}
	r, err := loadRoot("root", root)
	if err != nil {
		return err
	}
	if err := checkChannelRoot(r, want); err != nil {
		return err
	}
	d := disk{dir}
	for _, name := range []string{"", rootsDir, completeDir, evidenceDir} {
		if err := durable.MkdirAll(d.path(name), 0o700); err != nil {
			return fmt.Errorf("initialise trusted metadata: %w", err)
		}
	}
	old, err := d.read(currentFile("root"), MaxRoot)
	if err == nil && old != nil {
		err = fs.ErrExist
	}
	if err != nil {
		return fmt.Errorf("initialise trusted metadata: %s: %w", d.path(currentFile("root")), err)
	}
	if err := d.write(rootFile(r.head.version), root); err != nil {
		return err
	}
	return d.write(currentFile("root"), root)
}

// Open returns the client of a directory that [Init] made. A directory without
// a root is fs.ErrNotExist.
func Open(dir string) (*Client, error) {
	c := &Client{disk: disk{dir}}
	r, err := c.root()
	if err != nil {
		return nil, err
	}
	c.identity, err = identityOf(r.head.name, r.head.fields)
	return c, err
}

// Identity is the channel that the client is pinned to.
func (c *Client) Identity() Identity { return c.identity }

// root reads and checks the stored root.
func (c *Client) root() (*rootDoc, error) {
	name := currentFile("root")
	data, err := c.disk.read(name, MaxRoot)
	if err != nil {
		return nil, err
	}
	if data == nil {
		return nil, fmt.Errorf("trusted metadata: %s: %w", c.disk.path(name), fs.ErrNotExist)
	}
	r, err := loadRoot("root", data)
	if err != nil {
		return nil, damaged(c.disk.path(name), err)
	}
	return r, nil
}

// damaged is the error for a stored file that this package cannot have
// written. It needs a person: to go on without the file would be to forget
// which versions were seen.
func damaged(path string, err error) error {
	return reason.New(reason.Internal, "stored file %s is damaged: %s; restore it from a backup, or initialise the directory anew", path, err)
}

// Refresh runs the client workflow (TUF 1.0.34 section 5.3 to 5.6) at the time
// now against the repository behind f: newer roots, timestamp, snapshot,
// top-level targets, and then those delegated roles that the search for each
// of the named targets visits. It is no error when a target is not found; ask
// the result.
//
// Every accepted document is durable when Refresh returns, also when it
// returns an error. now must not be earlier than signed times seen before; the
// caller sees to that.
//
// Reasons: malformed, too-large, digest-mismatch, untrusted-signer, threshold,
// rollback, equivocation, wrong-channel; expired for a document that is served
// anew and has expired, freeze for a stored one that the repository still
// presents as current after its expiry; unreachable, and those of f; internal
// when a stored file is damaged.
func (c *Client) Refresh(ctx context.Context, f Fetcher, now time.Time, targets ...string) (*Metadata, error) {
	return c.refresh(ctx, f, now, func(s *session) error {
		for _, name := range targets {
			if _, _, err := walk(name, s.lender(ctx)); err != nil && !errors.Is(err, ErrNoTarget) {
				return err
			}
		}
		return nil
	})
}

// RefreshAll is [Client.Refresh] for a reader that needs every delegated role,
// of which there may be [MaxRoles].
func (c *Client) RefreshAll(ctx context.Context, f Fetcher, now time.Time) (*Metadata, error) {
	return c.refresh(ctx, f, now, func(s *session) error { return s.loadAll(ctx) })
}

func (c *Client) refresh(ctx context.Context, f Fetcher, now time.Time, load func(*session) error) (*Metadata, error) {
	r, err := c.root()
	if err != nil {
		return nil, err
	}
	if err := c.disk.sweep(); err != nil {
		return nil, err
	}
	s := newSession(c.disk, f, r, c.identity, now)
	if err := s.updateTopLevel(ctx); err != nil {
		return nil, err
	}
	if err := load(s); err != nil {
		return nil, err
	}
	m, err := s.metadata()
	if err != nil {
		return nil, err
	}
	if err := c.disk.keepComplete(s); err != nil {
		return nil, err
	}
	return m, nil
}

// Stored returns the last metadata that was whole, verified again from disk at
// the time now: for a restart without a network, and for a poll that found
// nothing new. Metadata past its expiry has reason freeze. When no refresh has
// succeeded yet the error is fs.ErrNotExist, with reason unreachable.
func (c *Client) Stored(now time.Time) (*Metadata, error) {
	r, err := c.root()
	if err != nil {
		return nil, err
	}
	files, err := c.disk.complete()
	if err != nil {
		return nil, err
	}
	m, err := verify(r, files, c.identity, now, reason.Freeze)
	if err != nil {
		return nil, fmt.Errorf("stored metadata in %s: %w", c.disk.path(completeDir), err)
	}
	chain, err := readChain(c.disk, r.head.version)
	if err != nil {
		return nil, err
	}
	for name, data := range chain {
		m.files[name] = data
	}
	return m, nil
}

// Verify judges a set of files, named as by [FileName], against a root that
// the caller trusts, without a directory: newer roots among the files are
// followed, and delegated roles whose files are absent are left out. Auditors
// and publishers use it; it compares with nothing seen before.
func Verify(root []byte, files map[string][]byte, now time.Time) (*Metadata, error) {
	r, err := loadRoot("root", root)
	if err != nil {
		return nil, err
	}
	id, err := identityOf(r.head.name, r.head.fields)
	if err != nil {
		return nil, err
	}
	return verify(r, files, id, now, reason.Expired)
}

func verify(r *rootDoc, files map[string][]byte, id Identity, now time.Time, late reason.Code) (*Metadata, error) {
	ctx := context.Background() // the files are in memory
	s := newSession(memory{rootFile(r.head.version): r.raw}, fileSet(files), r, id, now)
	s.late, s.partial = late, true
	if err := s.updateTopLevel(ctx); err != nil {
		return nil, err
	}
	if err := s.loadAll(ctx); err != nil {
		return nil, err
	}
	return s.metadata()
}

// fileSet is a [Fetcher] over files in memory.
type fileSet map[string][]byte

func (f fileSet) Fetch(_ context.Context, name string, max int64) ([]byte, error) {
	data, ok := f[name]
	if !ok {
		return nil, ErrNotFound
	}
	if int64(len(data)) > max {
		return nil, reason.New(reason.TooLarge, "%s: %d bytes, at most %d are read", name, len(data), max)
	}
	return data, nil
}
