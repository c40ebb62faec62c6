package tufclient

import (
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"sync"

	"github.com/theupdateframework/go-tuf/v2/metadata"

	"github.com/consign-dev/consign/internal/reason"
)

// loadRoot checks a root's form and that it is signed by itself. A root of the same
// bytes is the same root: a cycle reads the stored one of a channel several times.
func loadRoot(role string, data []byte) (*rootDoc, error) {
	digest := sha256.Sum256(data)
	if r := good.get(digest); r != nil {
		return r, nil
	}
	r, err := parse[metadata.RootType](role, bytes.Clone(data)) // what the caller does with its bytes is its own business
	if err != nil {
		return nil, err
	}
	if err := verifySigned(r.meta, metadata.ROOT, r); err != nil {
		return r, err
	}
	good.put(digest, r)
	return r, nil
}

// maxGood bounds how many roots are remembered: those of a device's channels.
const maxGood = 64

// good are roots that were found signed by themselves, by their bytes. Nobody changes
// one.
var good goodRoots

type goodRoots struct {
	sync.Mutex
	roots map[[sha256.Size]byte]*rootDoc
}

func (g *goodRoots) get(digest [sha256.Size]byte) *rootDoc {
	g.Lock()
	defer g.Unlock()
	return g.roots[digest]
}

func (g *goodRoots) put(digest [sha256.Size]byte, r *rootDoc) {
	g.Lock()
	defer g.Unlock()
	if g.roots == nil || len(g.roots) >= maxGood {
		g.roots = map[[sha256.Size]byte]*rootDoc{}
	}
	g.roots[digest] = r
}

// checkChannelRoot checks what a root must say to be one of channel want.
func checkChannelRoot(r *rootDoc, want Identity) error {
	if err := checkIdentity(r.head, want); err != nil {
		return err
	}
	if want != (Identity{}) && !r.meta.Signed.ConsistentSnapshot {
		return reason.New(reason.Malformed, "%s: consistent_snapshot: a channel keeps its versions apart: want true", r.head.name)
	}
	return nil
}

// updateRoot follows the chain of roots (TUF 1.0.34 section 5.3) until the
// repository has no next one. Expiry counts for the last root only.
func (s *session) updateRoot(ctx context.Context) error {
	for n := 0; ; n++ {
		next := s.root.head.version + 1
		data, err := s.fetch(ctx, metadata.ROOT, next, MaxRoot)
		if errors.Is(err, ErrNotFound) {
			return s.checkExpiry(s.root.head, s.rootFresh)
		}
		if err != nil {
			return err
		}
		if n == MaxRootRotations {
			return reason.New(reason.TooLarge, "root: more than %d new versions at once; those read are kept, refresh again to continue", MaxRootRotations)
		}
		if err := s.acceptRoot(data, next); err != nil {
			return err
		}
	}
}

func (s *session) acceptRoot(data []byte, version int64) error {
	r, err := parse[metadata.RootType](metadata.ROOT, data)
	if err != nil {
		return err
	}
	if err := verifySigned(s.root.meta, metadata.ROOT, r); err != nil {
		return fmt.Errorf("by the keys of %s: %w", s.root.head.name, err)
	}
	if err := verifySigned(r.meta, metadata.ROOT, r); err != nil {
		return fmt.Errorf("by its own keys: %w", err)
	}
	if err := checkVersion(r.head, version); err != nil {
		return err
	}
	if err := checkChannelRoot(r, s.id); err != nil {
		return err
	}
	if _, err := s.trusted.UpdateRoot(data); err != nil {
		return refuse(r.head.name, err)
	}
	return s.keepRoot(r)
}

// keepRoot makes r the stored root. What a rotation makes us forget goes
// first: a crash in between is mended by meeting the same root again, whereas
// a root stored without it would leave fast-forwarded versions for ever.
func (s *session) keepRoot(r *rootDoc) error {
	if err := s.state.write(rootFile(r.head.version), r.raw); err != nil {
		return err
	}
	if keyRemoved(s.root, r, metadata.TIMESTAMP) || keyRemoved(s.root, r, metadata.SNAPSHOT) {
		for _, role := range []string{metadata.TIMESTAMP, metadata.SNAPSHOT} {
			if err := s.state.remove(currentFile(role)); err != nil {
				return err
			}
		}
	}
	if err := s.state.write(currentFile(metadata.ROOT), r.raw); err != nil {
		return err
	}
	s.root, s.rootFresh = r, true
	return nil
}

// keyRemoved reports whether a key that could sign for role before cannot any
// more. Keys are compared, not their ids.
func keyRemoved(before, after *rootDoc, role string) bool {
	held := map[string]bool{}
	for _, id := range after.meta.Signed.Roles[role].KeyIDs {
		fp, _ := fingerprint(after.meta.Signed.Keys[id]) // checked by parse
		held[fp] = true
	}
	for _, id := range before.meta.Signed.Roles[role].KeyIDs {
		if fp, _ := fingerprint(before.meta.Signed.Keys[id]); !held[fp] {
			return true
		}
	}
	return false
}

// readChain returns the stored roots up to version, by [FileName].
func readChain(st state, version int64) (map[string][]byte, error) {
	chain := map[string][]byte{}
	for v := version; v > 0; v-- {
		data, err := st.read(rootFile(v), MaxRoot)
		if err != nil {
			return nil, err
		}
		if data == nil {
			break
		}
		chain[FileName(metadata.ROOT, v)] = data
	}
	return chain, nil
}
