package agent

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"time"

	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/consign-dev/consign/internal/gather"
	"github.com/consign-dev/consign/internal/oci"
	"github.com/consign-dev/consign/internal/reason"
)

// withRegistry runs do while the loopback registry is served. "agent run"
// serves it all the time, and then nothing is started here.
func (a *Agent) withRegistry(ctx context.Context, do func() error) error {
	if a.serving {
		return do()
	}
	stop, err := a.serve(ctx)
	if err != nil {
		return err
	}
	defer stop()
	return do()
}

// serve begins to serve verified content to the engine on this machine.
// Integrity does not rest on holding the port: the engine pulls by digest,
// whoever answers.
func (a *Agent) serve(ctx context.Context) (stop func(), err error) {
	l, err := inherited(a.cfg.RegistryAddress)
	if err != nil {
		return nil, err
	}
	if l == nil {
		l, err = new(net.ListenConfig).Listen(ctx, "tcp", a.cfg.RegistryAddress)
	}
	if err != nil {
		return nil, reason.New(reason.Conflict, "serve content to the engine on %s: %w; free the port or set registryAddress in the configuration", a.cfg.RegistryAddress, err)
	}
	srv := &http.Server{
		Handler:           a.store.Handler(a.cfg.registryPort()),
		ReadHeaderTimeout: 10 * time.Second,
		MaxHeaderBytes:    16 << 10,
	}
	done := make(chan struct{})
	go func() {
		defer close(done)
		if err := srv.Serve(l); !errors.Is(err, http.ErrServerClosed) {
			a.opts.Log.Error("loopback registry stopped", "error", err.Error())
		}
	}()
	a.serving = true
	return func() {
		a.serving = false
		_ = srv.Close()
		<-done
	}, nil
}

// Run follows the orders and looks at what runs, each at its own interval, until
// ctx ends, serving the loopback registry meanwhile. now reads the system clock.
// What goes wrong in a cycle is reported and does not end Run.
func (a *Agent) Run(ctx context.Context, now func() time.Time, report func(*Result, error)) error {
	poll, err := time.ParseDuration(a.cfg.PollInterval)
	if err != nil {
		return fmt.Errorf("pollInterval: %w", err)
	}
	observe, err := time.ParseDuration(a.cfg.ObserveInterval)
	if err != nil {
		return fmt.Errorf("observeInterval: %w", err)
	}
	stop, err := a.serve(ctx)
	if err != nil {
		return err
	}
	defer stop()
	a.looks = &looks{every: observe, next: time.After(jitter(observe)), look: func() { report(a.Watch(ctx, now())) }}
	defer func() { a.looks = nil }()
	report(a.Sync(ctx, now(), Everything))
	nextPoll := time.After(jitter(poll))
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-nextPoll:
			report(a.Sync(ctx, now(), OrdersOnly))
			nextPoll = time.After(jitter(poll))
		case <-a.looks.next:
			a.looks.take()
		}
	}
}

// looks are those of Run at what runs.
type looks struct {
	every time.Duration
	next  <-chan time.Time
	look  func()
}

func (l *looks) take() {
	l.look()
	l.next = time.After(jitter(l.every))
}

// fetch completes content in the store. Meanwhile Run goes on looking at what
// runs: a registry that is slow on purpose could otherwise keep somebody else's
// change to an application from being seen for hours. Only the store is shared
// with the fetch; looks work on what was stored before.
func (a *Agent) fetch(ctx context.Context, repo *oci.Repository, blobs []ocispec.Descriptor) error {
	if a.looks == nil {
		return gather.Blobs(ctx, a.store, repo, blobs, a.opts.Progress)
	}
	fetched := make(chan error, 1)
	go func() { fetched <- gather.Blobs(ctx, a.store, repo, blobs, a.opts.Progress) }()
	for {
		select {
		case err := <-fetched:
			return err
		case <-a.looks.next:
			a.looks.take()
		}
	}
}
