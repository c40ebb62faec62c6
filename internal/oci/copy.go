package oci

import (
	"context"
	"fmt"
	"io"
	"sync"
	"sync/atomic"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
	"golang.org/x/sync/errgroup"

	"github.com/consign-dev/consign/internal/reason"
)

// Source is where content comes from: a [Layout], a [Repository] or any
// fetcher of oras-go. CopyGraph verifies what it gets.
type Source interface {
	Fetch(ctx context.Context, desc ocispec.Descriptor) (io.ReadCloser, error)
}

// CopyGraph copies root and all that it needs from a source to a repository,
// children before parents, blobs in parallel up to the client's limit. A
// manifest that the repository has is taken to be complete there and nothing
// below it is looked at; a blob that it has is not sent.
//
// progress, if not nil, is told the bytes done of the bytes found missing; its
// calls never overlap.
func CopyGraph(ctx context.Context, from Source, to *Repository, root ocispec.Descriptor, progress func(done, total int64)) error {
	p := &plan{from: from, to: to, seen: map[digest.Digest]bool{}}
	_, err := p.run(ctx, root, progress)
	return err
}

// CopyWhole is [CopyGraph] for a destination that may hold a part of a graph
// under its root, as an interrupted copy by another tool leaves it: the whole
// graph is read from the source, and each object is looked for. It returns how
// many bytes were sent.
func CopyWhole(ctx context.Context, from Source, to *Repository, root ocispec.Descriptor, progress func(done, total int64)) (int64, error) {
	p := &plan{from: from, to: to, seen: map[digest.Digest]bool{}, whole: true}
	return p.run(ctx, root, progress)
}

func (p *plan) run(ctx context.Context, root ocispec.Descriptor, progress func(done, total int64)) (int64, error) {
	err := p.visit(ctx, root, 0)
	if err == nil {
		m := &meter{report: progress, total: p.total}
		m.add(0)
		if err = p.sendBlobs(ctx, m); err == nil {
			err = p.sendManifests(ctx, m)
		}
	}
	if err != nil {
		err = fmt.Errorf("copy %s: %w", root.Digest, err)
	}
	return p.sent.Load(), err
}

func (p *plan) sendManifests(ctx context.Context, m *meter) error {
	for _, manifest := range p.manifests {
		sent, err := p.to.pushManifest(ctx, manifest.desc, manifest.data)
		if err != nil {
			return err
		}
		if sent {
			p.sent.Add(manifest.desc.Size)
		}
		m.add(manifest.desc.Size)
	}
	return nil
}

// plan is what has to be sent, found by walking down from the root.
type plan struct {
	from Source
	to   *Repository
	seen map[digest.Digest]bool
	// whole: what the destination has is no sign that all below it is there.
	whole bool

	blobs     []ocispec.Descriptor
	manifests []loaded // each after its children
	total     int64
	held      int64 // bytes of manifests in memory
	sent      atomic.Int64
}

type loaded struct {
	desc ocispec.Descriptor
	data []byte
}

const (
	// maxGraphDepth is far above any graph of images: an index of indexes of
	// images is three.
	maxGraphDepth = 16
	// maxGraphBytes bounds the manifests held in memory; a thousand images
	// need about ten megabytes.
	maxGraphBytes = 64 << 20
)

func (p *plan) visit(ctx context.Context, desc ocispec.Descriptor, depth int) error {
	if p.seen[desc.Digest] {
		return nil
	}
	p.seen[desc.Digest] = true
	if !IsManifest(desc.MediaType) {
		p.blobs, p.total = append(p.blobs, desc), p.total+desc.Size
		return nil
	}
	if depth > maxGraphDepth {
		return reason.New(reason.TooLarge, "manifests nested deeper than %d", maxGraphDepth)
	}
	if !p.whole {
		if has, err := p.to.HasManifest(ctx, desc); err != nil || has {
			return err
		}
	}
	data, err := fetchAll(ctx, p.from, desc)
	if err != nil {
		return err
	}
	children, err := Children(desc.MediaType, data)
	if err != nil {
		return fmt.Errorf("%s: %w", desc.Digest, err)
	}
	for _, child := range children {
		if err := p.visit(ctx, child, depth+1); err != nil {
			return err
		}
	}
	p.manifests, p.total = append(p.manifests, loaded{desc, data}), p.total+desc.Size
	if p.held += desc.Size; p.held > maxGraphBytes {
		return reason.New(reason.TooLarge, "more than %d bytes of manifests", maxGraphBytes)
	}
	return nil
}

func fetchAll(ctx context.Context, from Source, desc ocispec.Descriptor) ([]byte, error) {
	rc, err := from.Fetch(ctx, desc)
	if err != nil {
		return nil, err
	}
	defer rc.Close()
	return ReadAll(rc, desc, MaxManifestBytes)
}

func (p *plan) sendBlobs(ctx context.Context, m *meter) error {
	group, ctx := errgroup.WithContext(ctx)
	group.SetLimit(p.to.client.Parallel())
	for _, desc := range p.blobs {
		group.Go(func() error {
			var sent atomic.Int64 // a transport reads in a goroutine of its own
			err := p.to.PushBlob(ctx, desc, func() (io.ReadCloser, error) {
				m.add(-sent.Swap(0)) // a second attempt begins again
				rc, err := p.from.Fetch(ctx, desc)
				if err != nil {
					return nil, err
				}
				return readCloser{counter{rc, func(n int) { sent.Add(int64(n)); m.add(int64(n)) }}, rc}, nil
			})
			if err == nil {
				p.sent.Add(sent.Load())
				m.add(desc.Size - sent.Load()) // all of it, if it was there
			}
			return err
		})
	}
	return group.Wait()
}

type counter struct {
	r     io.Reader
	count func(n int)
}

func (c counter) Read(p []byte) (int, error) {
	n, err := c.r.Read(p)
	c.count(n)
	return n, err
}

// meter adds up progress from several goroutines.
type meter struct {
	report func(done, total int64)
	mu     sync.Mutex
	done   int64 // guarded by mu
	total  int64
}

func (m *meter) add(n int64) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.done += n
	if m.report != nil {
		m.report(m.done, m.total)
	}
}
