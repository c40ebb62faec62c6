package agent

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"time"

	"github.com/opencontainers/go-digest"

	"github.com/consign-dev/consign/internal/audit"
	"github.com/consign-dev/consign/internal/channel"
	"github.com/consign-dev/consign/internal/durable"
	"github.com/consign-dev/consign/internal/gather"
	"github.com/consign-dev/consign/internal/oci"
	"github.com/consign-dev/consign/internal/tufclient"
	"github.com/consign-dev/consign/internal/verify"
)

// view is what the operator's channel said in this cycle.
type view struct {
	orders *verify.Orders
	// suppliers are the release channels that were refreshed in this cycle.
	suppliers map[string]*tufclient.Metadata
}

func (v *view) channelOf(o *verify.Order) string { return o.Terms().Bundle.Channel }

// refresh brings the deployment channel up to date and reads the orders.
func (a *Agent) refresh(ctx context.Context, system time.Time) (*view, error) {
	repo, err := a.client.Repository(a.identity.Channel)
	if err != nil {
		return nil, err
	}
	now := a.now(system)
	if now.Sub(system) > time.Minute {
		a.warn("the system clock is behind times that were signed; the latest signed time is used instead", "clock", system, "used", now)
	}
	meta, err := a.refreshChannel(ctx, system, repo, a.operator, channel.PolicyTarget, channel.DeviceTarget(a.identity.Device))
	if err != nil {
		return nil, fmt.Errorf("deployment channel %s: %w", a.identity.Channel, err)
	}
	orders, err := verify.ReadOrders(ctx, meta, a.identity.Device, gather.Cached{Store: a.store, Repository: repo})
	if err != nil {
		return nil, err
	}
	return &view{orders: orders, suppliers: map[string]*tufclient.Metadata{}}, nil
}

func (a *Agent) warn(msg string, args ...any) {
	if a.opts.Log != nil {
		a.opts.Log.Warn(msg, args...)
	}
}

// refreshChannel refreshes one channel, logs that it moved, and lifts the floor
// under the clock by its signed time. A channel whose tag still names what was
// read last costs one request; the expiry of what is stored is checked all the same.
func (a *Agent) refreshChannel(ctx context.Context, system time.Time, repo *oci.Repository, client *tufclient.Client, targets ...string) (*tufclient.Metadata, error) {
	now := a.now(system)
	head, err := channel.Head(ctx, repo)
	if err != nil {
		return nil, err
	}
	if head == a.state.Heads[repo.Name()] {
		// A policy that names another root for the same channel begins with nothing stored.
		if meta, err := client.Stored(now); !errors.Is(err, fs.ErrNotExist) {
			return meta, err
		}
	}
	before, _ := client.Stored(time.Unix(0, 0))
	meta, manifest, err := channel.Refresh(ctx, repo, client, now, targets...)
	if err != nil {
		return nil, err
	}
	a.state.Heads[repo.Name()], a.moved = manifest, true
	if a.floor, err = a.dirs.raiseFloor(a.floor, meta.SignedAt()); err != nil {
		return nil, err
	}
	return meta, a.noteRefresh(system, repo.Name(), manifest, before, meta)
}

func (a *Agent) noteRefresh(system time.Time, repository string, manifest digest.Digest, before, after *tufclient.Metadata) error {
	version := after.Versions()["timestamp"]
	if before != nil && before.Versions()["timestamp"] == version {
		return nil
	}
	_, err := a.log.Append(system, audit.Event{
		Kind: audit.Refreshed, Channel: repository, Metadata: version, State: manifest, Program: a.opts.Program,
	})
	return err
}

// judge verifies one order against its supplier's channel. It returns the
// repository that holds the bundle.
func (a *Agent) judge(ctx context.Context, system time.Time, v *view, o *verify.Order) (*verify.Verdict, *oci.Repository, error) {
	terms, application := o.Terms(), o.Deployment().Spec.ApplicationID
	supplier, repo, err := a.supplier(ctx, system, v, terms.Bundle.Channel, application, terms.Bundle.Version)
	if err != nil {
		return nil, nil, err
	}
	docs := gather.Cached{Store: a.store, Repository: repo}
	rel, err := verify.CheckRelease(ctx, verify.ReleaseInput{
		Policy: v.orders.Policy(), Channel: supplier, ChannelName: terms.Bundle.Channel,
		Application: application, Version: terms.Bundle.Version, Bundle: digest.Digest(terms.Bundle.Digest),
	}, docs)
	if err != nil {
		return nil, nil, err
	}
	history, err := a.history(o.Deployment().ID)
	if err != nil {
		return nil, nil, err
	}
	verdict, err := verify.Decide(ctx, verify.DecideInput{Order: o, Release: rel, Device: a.device, History: history}, docs)
	if err != nil {
		return nil, nil, err
	}
	return verdict, repo, a.keepOrder(ctx, o)
}

// supplier refreshes the release channel that an order names, for the release
// that it names.
func (a *Agent) supplier(ctx context.Context, system time.Time, v *view, name, application, version string) (*tufclient.Metadata, *oci.Repository, error) {
	pol := v.orders.Policy()
	where, err := pol.Channel(name)
	if err != nil {
		return nil, nil, err
	}
	place, err := channel.AppRepository(where.Repository, application)
	if err != nil {
		return nil, nil, err
	}
	app, err := a.client.Repository(place)
	if err != nil {
		return nil, nil, err
	}
	if meta := v.suppliers[name]; meta != nil {
		return meta, app, nil
	}
	repo, err := a.client.Repository(where.Repository)
	if err != nil {
		return nil, nil, err
	}
	if err := durable.MkdirAll(a.dirs.suppliers(), 0o700); err != nil {
		return nil, nil, err
	}
	client, err := channel.OpenSupplier(a.dirs.suppliers(), name, pol.Root(name))
	if err != nil {
		return nil, nil, err
	}
	meta, err := a.refreshChannel(ctx, system, repo, client, channel.ReleaseTarget(application, version))
	if err != nil {
		return nil, nil, fmt.Errorf("release channel %s: %w", name, err)
	}
	v.suppliers[name] = meta
	return meta, app, nil
}

// keepOrder stores the signed deployment: later orders are compared with it.
func (a *Agent) keepOrder(ctx context.Context, o *verify.Order) error {
	raw := o.Deployment().Raw
	return a.store.Put(ctx, o.Descriptor(), raw)
}
