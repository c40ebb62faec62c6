package agent

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"time"

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
	l, err := new(net.ListenConfig).Listen(ctx, "tcp", a.cfg.RegistryAddress)
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

// Run repeats Sync until ctx ends, serving the loopback registry meanwhile.
// now reads the system clock; wait returns how long to wait before the next
// cycle. What goes wrong in a cycle is logged and does not end Run.
func (a *Agent) Run(ctx context.Context, now func() time.Time, report func(*Result, error)) error {
	interval, err := time.ParseDuration(a.cfg.PollInterval)
	if err != nil {
		return fmt.Errorf("pollInterval: %w", err)
	}
	stop, err := a.serve(ctx)
	if err != nil {
		return err
	}
	defer stop()
	for {
		res, err := a.Sync(ctx, now())
		report(res, err)
		select {
		case <-ctx.Done():
			return nil
		case <-time.After(jitter(interval)):
		}
	}
}
