package oci

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"sync"
	"time"

	"github.com/olareg/olareg"
	"github.com/olareg/olareg/config"

	"github.com/consign-dev/consign/internal/durable"
)

// RegistryOptions configures a [Registry].
type RegistryOptions struct {
	// Dir holds one OCI image layout per repository. It is created when
	// missing and belongs to one Registry at a time.
	Dir string
	// Log receives one line per request and the faults of the store; nil
	// discards them.
	Log *slog.Logger
	// Delete allows clients to delete manifests and tags. Off by default:
	// nobody authenticates here, and a channel never deletes.
	Delete bool
	// Grace is the age at which content that no manifest refers to may be
	// collected, and after which an upload that nobody continues is given up;
	// [DefaultGrace] if 0. It must exceed the longest push.
	Grace time.Duration
	// CollectEvery is the interval of garbage collection, see
	// [Registry.collect]; [DefaultCollectEvery] if 0, negative turns it off.
	CollectEvery time.Duration
	// MaxBlob bounds the body of one upload request in bytes,
	// [DefaultMaxBlob] if 0.
	MaxBlob int64
}

const (
	// DefaultGrace gives a publisher a day to finish what it began.
	DefaultGrace = 24 * time.Hour
	// DefaultCollectEvery is rare because no manifest can be pushed to a
	// repository while it is collected.
	DefaultCollectEvery = time.Hour
	// DefaultMaxBlob is above any image layer in practice.
	DefaultMaxBlob = 32 << 30
)

// Registry is an OCI Distribution Spec 1.1 registry over a directory. It has
// no users and no passwords: who may write is decided by who can connect.
// What it stores is trusted by nobody, readers verify.
//
// Around olareg's handler it adds that manifest writes of one repository
// happen one after another (olareg loses concurrent referrers), that a PUT may
// carry If-Match or If-None-Match with the digest that a tag names (RFC 9110
// section 13.1), that a write is answered only when it is on the disk, and a
// garbage collection that removes nothing while it is not sure (olareg's takes
// a manifest that it cannot read for one that needs nothing).
type Registry struct {
	opts  RegistryOptions
	log   *slog.Logger
	lock  *durable.Lock
	inner *olareg.Server
	locks sync.Map // repository name -> *sync.Mutex, held while its manifests change

	// sweeping is held by the collector while it removes blobs, and read-held
	// by whoever tells a client that a blob is there.
	sweeping sync.RWMutex
	uploads  uploads
	stop     chan struct{} // closed to end the collector
	stopped  sync.WaitGroup

	mu     sync.RWMutex // read-held by every request, written by Close
	closed bool         // guarded by mu
}

// NewRegistry opens dir and removes what a killed registry left half done.
func NewRegistry(o RegistryOptions) (*Registry, error) {
	o = o.withDefaults()
	if err := durable.MkdirAll(o.Dir, layoutDirMode); err != nil {
		return nil, fmt.Errorf("open registry: %w", err)
	}
	lock, err := durable.TryLock(lockPath(o.Dir))
	if errors.Is(err, durable.ErrLocked) {
		return nil, fmt.Errorf("open registry: another process serves %s: %w", o.Dir, err)
	}
	if err != nil {
		return nil, fmt.Errorf("open registry: %w", err)
	}
	if err := sweepRegistry(o.Dir); err != nil {
		_ = lock.Unlock()
		return nil, fmt.Errorf("open registry: %w", err)
	}
	r := &Registry{opts: o, log: o.Log, lock: lock, inner: olareg.New(o.config()), stop: make(chan struct{})}
	if o.CollectEvery > 0 {
		r.stopped.Go(r.collectAlways)
	}
	return r, nil
}

func (o RegistryOptions) withDefaults() RegistryOptions {
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	if o.Grace <= 0 {
		o.Grace = DefaultGrace
	}
	if o.CollectEvery == 0 {
		o.CollectEvery = DefaultCollectEvery
	}
	if o.MaxBlob <= 0 {
		o.MaxBlob = DefaultMaxBlob
	}
	return o
}

func (o RegistryOptions) config() config.Config {
	return config.Config{
		Storage: config.ConfigStorage{
			StoreType: config.StoreDir,
			RootDir:   o.Dir,
			// Neither by interval nor by age nor by number of uploads, which are
			// ours to watch; a Close of olareg collects all
			// the same and is never called.
			GC: config.ConfigGC{Frequency: -1, GracePeriod: -1, RepoUploadMax: -1},
		},
		API: config.ConfigAPI{
			DeleteEnabled: &o.Delete,
			Manifest:      config.ConfigAPIManifest{Limit: MaxManifestBytes},
			Referrer:      config.ConfigAPIReferrer{Limit: MaxManifestBytes},
		},
		Log: o.Log,
	}
}

// ServeHTTP handles one request and logs it, without its query.
func (r *Registry) ServeHTTP(w http.ResponseWriter, req *http.Request) {
	r.mu.RLock()
	defer r.mu.RUnlock()
	if r.closed {
		w.WriteHeader(http.StatusServiceUnavailable)
		return
	}
	answer := &statusWriter{ResponseWriter: w}
	begin := time.Now() // a stopwatch, not the date
	r.serve(answer, req)
	r.log.Info("request", "method", req.Method, "path", req.URL.Path, "status", answer.Status(),
		"bytes", answer.bytes, "took", time.Since(begin), "remote", req.RemoteAddr)
}

// Close waits for the requests in progress, or until ctx ends, and releases
// the directory. Requests after it are answered 503.
func (r *Registry) Close(ctx context.Context) error {
	done := make(chan error, 1)
	go func() { done <- r.close() }()
	select {
	case err := <-done:
		return err
	case <-ctx.Done():
		return fmt.Errorf("close registry: %w", context.Cause(ctx))
	}
}

func (r *Registry) close() error {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.closed {
		return nil
	}
	r.closed = true
	close(r.stop)
	r.stopped.Wait()
	r.cancelUploads(r.uploads.all())
	return r.lock.Unlock()
}
