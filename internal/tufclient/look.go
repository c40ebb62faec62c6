package tufclient

import (
	"context"
	"time"

	"github.com/theupdateframework/go-tuf/v2/metadata"
)

// Look reads what is served as a reader does who has seen nothing but the
// client's roots, and remembers nothing of it: for a writer whose refresh was
// refused and who has to know what it is up against.
func (c *Client) Look(ctx context.Context, f Fetcher, now time.Time) (*Metadata, error) {
	r, err := c.root()
	if err != nil {
		return nil, err
	}
	roots, err := c.disk.roots(r.head.version)
	if err != nil {
		return nil, err
	}
	s := newSession(roots, f, r, c.identity, now)
	if err := s.updateTopLevel(ctx); err != nil {
		return nil, err
	}
	if err := s.loadAll(ctx); err != nil {
		return nil, err
	}
	return s.metadata()
}

// roots copies the stored chain of roots up to version.
func (d disk) roots(version int64) (memory, error) {
	out := memory{}
	for v := version; v > 0; v-- {
		data, err := d.read(rootFile(v), MaxRoot)
		if err != nil {
			return nil, err
		}
		if data == nil {
			break
		}
		out[rootFile(v)] = data
	}
	return out, nil
}

// Seen returns the versions by which rollback is judged: of the newest
// timestamp and snapshot that were accepted, and of every role that this
// snapshot lists. They may be above those of [Client.Stored].
func (c *Client) Seen() (map[string]int64, error) {
	seen := map[string]int64{}
	ts, err := newest[metadata.TimestampType](c.disk, metadata.TIMESTAMP)
	if err != nil {
		return nil, err
	}
	if ts != nil {
		seen[metadata.TIMESTAMP] = ts.head.version
	}
	snap, err := newest[metadata.SnapshotType](c.disk, metadata.SNAPSHOT)
	if err != nil || snap == nil {
		return seen, err
	}
	seen[metadata.SNAPSHOT] = snap.head.version
	for file, m := range snap.meta.Signed.Meta {
		if role, ok := roleOfFile(file); ok {
			seen[role] = m.Version
		}
	}
	return seen, nil
}

// newest reads the newest accepted document of a top-level role, nil if none.
func newest[T metadata.Roles](d disk, role string) (*document[T], error) {
	name := currentFile(role)
	_, max := kindOf[T]()
	data, err := d.read(name, int64(max))
	if err != nil || data == nil {
		return nil, err
	}
	doc, err := parse[T](role, data)
	if err != nil {
		return nil, damaged(d.path(name), err)
	}
	return doc, nil
}
