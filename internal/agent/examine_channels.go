package agent

import (
	"context"
	"crypto/tls"
	"errors"
	"io/fs"
	"sync"
	"time"

	"github.com/consign-dev/consign/internal/agent/doctor"
	"github.com/consign-dev/consign/internal/channel"
	"github.com/consign-dev/consign/internal/gather"
	"github.com/consign-dev/consign/internal/oci"
	"github.com/consign-dev/consign/internal/tufclient"
	"github.com/consign-dev/consign/internal/verify"
)

// place is a channel as it is known here, and where its registry is.
type place struct {
	fact doctor.Channel
	// repo is nil when there is nothing to ask.
	repo *oci.Repository
}

// places lists the deployment channel and those release channels of the policy
// that this device has read, which are the ones that its orders name.
func (x *examiner) places(ctx context.Context) []place {
	if x.a.identity.Device == "" {
		return nil
	}
	client, err := tufclient.Open(x.a.dirs.operator())
	first, meta := x.place(deployments, x.a.identity.Channel, client, err)
	out := []place{first}
	if meta == nil {
		return out
	}
	pol, err := verify.ReadPolicy(ctx, meta, gather.Cached{Store: x.a.store})
	if errors.Is(err, fs.ErrNotExist) {
		return out // not read yet
	}
	if err != nil {
		return append(out, place{fact: doctor.Channel{Subject: "policy", Err: err}})
	}
	for _, name := range sortedKeys(pol.Trust().Channels) {
		client, err := channel.LookSupplier(x.a.dirs.suppliers(), name, pol.Root(name))
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		next, _ := x.place(releases(name), pol.Trust().Channels[name].Repository, client, err)
		out = append(out, next)
	}
	return out
}

// place reads the stored metadata as of a time at which nothing has expired: how
// long it lasts is the judge's to say.
func (x *examiner) place(subject, repository string, client *tufclient.Client, err error) (place, *tufclient.Metadata) {
	p := place{fact: doctor.Channel{Subject: subject, Err: err}}
	if x.a.client != nil {
		repo, repoErr := x.a.client.Repository(repository)
		if p.repo = repo; repoErr != nil {
			p.fact.Err = errors.Join(err, repoErr)
		}
	}
	if p.fact.Err != nil {
		return p, nil
	}
	meta, err := client.Stored(time.Unix(0, 0))
	switch {
	case errors.Is(err, fs.ErrNotExist):
		p.fact.Never = true
	case err != nil:
		p.fact.Err = err
	default:
		p.fact.SignedAt, p.fact.Expires = meta.SignedAt(), meta.Expires()
	}
	return p, meta
}

// askAll asks the registries all at once, so that the answer to a person takes
// no longer than the slowest of them.
func (x *examiner) askAll(ctx context.Context, places []place) []doctor.Registry {
	var wait sync.WaitGroup
	answers := make([]*doctor.Registry, len(places))
	for n, p := range places {
		if p.repo != nil {
			wait.Go(func() { answers[n] = x.ask(ctx, p) })
		}
	}
	wait.Wait()
	var out []doctor.Registry
	for _, a := range answers {
		if a != nil {
			out = append(out, *a)
		}
	}
	return out
}

func (x *examiner) ask(ctx context.Context, p place) *doctor.Registry {
	limited, cancel := context.WithTimeout(ctx, askTimeout)
	defer cancel()
	r := &doctor.Registry{Subject: p.fact.Subject, Repository: p.repo.Name(), TLS: p.repo.TLS()}
	if x.a.state != nil {
		r.Known = x.a.state.Heads[r.Repository]
	}
	start := x.now()
	r.Head, r.Err = channel.Head(limited, p.repo)
	r.Took = x.now().Sub(start)
	var untrusted *tls.CertificateVerificationError
	r.Denied, r.Missing = errors.Is(r.Err, oci.ErrDenied), errors.Is(r.Err, oci.ErrNotFound)
	r.Certificate = errors.As(r.Err, &untrusted)
	if errors.Is(r.Err, context.DeadlineExceeded) && ctx.Err() == nil {
		r.Late, r.Took = true, askTimeout
	}
	return r
}
