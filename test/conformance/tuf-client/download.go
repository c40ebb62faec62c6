package main

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"net/url"
	"path/filepath"
	"strings"

	"github.com/theupdateframework/go-tuf/v2/metadata"

	"github.com/consign-dev/consign/internal/durable"
	"github.com/consign-dev/consign/internal/reason"
	"github.com/consign-dev/consign/internal/tufclient"
)

// maxTarget bounds a target, which this program holds in memory. Bundles take
// another way in the product: they are streamed by internal/store.
const maxTarget = 64 << 20

// download takes the targets one after the other, so that those before the
// first failure are there.
func (o options) download(ctx context.Context, s *session) error {
	base, err := directory(o.targetURL)
	if err != nil {
		return err
	}
	for _, name := range o.targets {
		m, err := s.refresh(ctx, name)
		if err != nil {
			return err
		}
		t, err := m.Target(name)
		if err != nil {
			return fmt.Errorf("target %q: %w", name, err)
		}
		from, err := targetURL(base, m, t)
		if err != nil {
			return err
		}
		if err := obtain(ctx, from, targetFile(o.targetDir, name), t); err != nil {
			return err
		}
	}
	return nil
}

// obtain makes the file at path the target t. One that is it already is not
// asked for again.
func obtain(ctx context.Context, from, path string, t tufclient.Target) error {
	if t.Length > maxTarget {
		return reason.New(reason.TooLarge, "target %q: %d bytes, at most %d are read", t.Name, t.Length, maxTarget)
	}
	if data, err := durable.ReadFile(path, t.Length); err == nil && t.CheckBytes(data) == nil {
		return nil
	}
	data, err := get(ctx, from, t.Length)
	if err != nil {
		return fmt.Errorf("target %q: %w", t.Name, err)
	}
	if err := t.CheckBytes(data); err != nil {
		return err
	}
	return durable.WriteFile(path, data, 0o600)
}

func targetFile(dir, name string) string {
	sum := sha256.Sum256([]byte(name))
	return filepath.Join(dir, hex.EncodeToString(sum[:]))
}

// targetURL follows TUF 1.0.34 section 5.7.3: with consistent snapshots the
// last segment of the name has a hash before it.
func targetURL(base string, m *tufclient.Metadata, t tufclient.Target) (string, error) {
	segments := strings.Split(t.Name, "/")
	for i, s := range segments {
		if s == "" || s == "." || s == ".." {
			return "", reason.New(reason.Malformed, "target %q: the name is no path below a URL", t.Name)
		}
		segments[i] = url.PathEscape(s)
	}
	consistent, err := consistentSnapshot(m)
	if err != nil {
		return "", err
	}
	if last := len(segments) - 1; consistent {
		segments[last] = t.Digest.Encoded() + "." + segments[last]
	}
	return base + strings.Join(segments, "/"), nil
}

// consistentSnapshot reads what the root, verified by now, says about the
// names of files.
func consistentSnapshot(m *tufclient.Metadata) (bool, error) {
	raw := m.Files()[tufclient.FileName(metadata.ROOT, m.Versions()[metadata.ROOT])]
	root, err := metadata.Root().FromBytes(raw)
	if err != nil {
		return false, fmt.Errorf("root: %w", err)
	}
	return root.Signed.ConsistentSnapshot, nil
}
