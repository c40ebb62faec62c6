package agent

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/opencontainers/go-digest"

	"github.com/consign-dev/consign/internal/audit"
	"github.com/consign-dev/consign/internal/channel"
	"github.com/consign-dev/consign/internal/gather"
	"github.com/consign-dev/consign/internal/oci"
	"github.com/consign-dev/consign/internal/reason"
	"github.com/consign-dev/consign/internal/tufclient"
	"github.com/consign-dev/consign/internal/verify"
)

// view is what the channels said in this cycle.
type view struct {
	orders *verify.Orders
	// suppliers are the release channels that the orders name.
	suppliers map[string]supplier
	// offline: nothing may be fetched.
	offline bool
	// asked is how the orders were read, also when they were refused; nil when it
	// did not come to that.
	asked *asked
}

// channelOf is the policy's name of the channel that an order names, and
// repositoryOf where it is; "" when the policy does not have it.
func (v *view) channelOf(o *verify.Order) string { return o.Terms().Bundle.Channel }

func (v *view) repositoryOf(o *verify.Order) string {
	return v.orders.Policy().Trust().Channels[v.channelOf(o)].Repository
}

// refresh brings the deployment channel up to date, reads the orders, and then
// refreshes the release channels that they name. With an error, of the view only
// asked counts.
func (a *Agent) refresh(ctx context.Context, system time.Time) (*view, error) {
	v := &view{}
	orders, err := a.readOrders(ctx, system, v)
	if err != nil {
		return v, err
	}
	v.orders = orders
	v.suppliers, err = a.refreshSuppliers(ctx, system, orders)
	return v, err
}

// stored reads the orders from what the channels said last, judged at the time
// of now, so that nothing is applied of what has expired meanwhile. With an
// error, of the view only asked counts.
func (a *Agent) stored(ctx context.Context, system time.Time) (*view, error) {
	now := a.now(system)
	v := &view{suppliers: map[string]supplier{}, offline: true}
	meta, err := a.operator.Stored(now)
	if err != nil {
		return v, fmt.Errorf("deployment channel %s: %w", a.identity.Channel, err)
	}
	v.asked = askOrders(asOf{meta, now})
	orders, err := verify.ReadOrders(ctx, meta, a.identity.Device, v.asked.record(gather.Cached{Store: a.store}))
	if err != nil {
		return v, err
	}
	v.orders = orders
	for _, o := range orders.List() {
		name := v.channelOf(o)
		v.suppliers[name] = a.storedSupplier(orders.Policy(), name, now)
	}
	return v, nil
}

func (a *Agent) readOrders(ctx context.Context, system time.Time, v *view) (*verify.Orders, error) {
	repo, err := a.client.Repository(a.identity.Channel)
	if err != nil {
		return nil, err
	}
	now := a.now(system)
	if now.Sub(system) > time.Minute {
		a.warn("the system clock is behind times that were signed; the latest signed time is used instead", "clock", system, "used", now)
	}
	meta, err := a.refreshChannel(ctx, system, now, repo, a.operator, channel.PolicyTarget, channel.DeviceTarget(a.identity.Device))
	if err != nil {
		return nil, fmt.Errorf("deployment channel %s: %w", a.identity.Channel, err)
	}
	v.asked = askOrders(asOf{meta, now})
	return verify.ReadOrders(ctx, meta, a.identity.Device, v.asked.record(gather.Cached{Store: a.store, Repository: repo}))
}

func (a *Agent) warn(msg string, args ...any) {
	if a.opts.Log != nil {
		a.opts.Log.Warn(msg, args...)
	}
}

// refreshChannel refreshes one channel as of now, logs that it moved, and lifts the floor
// under the clock by its signed time. A channel whose tag still names what was
// read last costs one request; the expiry of what is stored is checked all the same.
func (a *Agent) refreshChannel(ctx context.Context, system, now time.Time, repo *oci.Repository, client *tufclient.Client, targets ...string) (*tufclient.Metadata, error) {
	head, err := channel.Head(ctx, repo)
	if err != nil {
		return nil, err
	}
	if head == a.state.Heads[repo.Name()] {
		// A policy that names another root for the same channel begins with nothing
		// stored, a new order may be listed by a role that was not needed before, and
		// what is stored may have been damaged: then it is read again.
		meta, err := client.Stored(now)
		if err == nil && lists(meta, targets) || reason.Is(err, reason.Freeze) {
			return meta, err
		}
	}
	meta, manifest, err := channel.Refresh(ctx, repo, client, now, targets...)
	if err != nil {
		return nil, err
	}
	if a.floor, err = a.dirs.raiseFloor(a.floor, meta.SignedAt()); err != nil {
		return nil, err
	}
	if err := a.noteRefresh(system, repo.Name(), manifest, meta); err != nil {
		return nil, err
	}
	// After the event: a head that is known here is not read, and not noted, again.
	a.state.Heads[repo.Name()], a.moved = manifest, true
	return meta, nil
}

// lists reports whether metadata can answer for every target.
func lists(meta *tufclient.Metadata, targets []string) bool {
	for _, name := range targets {
		if _, err := meta.Target(name); err != nil && !errors.Is(err, tufclient.ErrNoTarget) {
			return false
		}
	}
	return true
}

// noteRefresh logs which state of a channel the device acts by from now on. A
// timestamp that was logged already is not logged again under another manifest,
// which costs a registry nothing to make.
func (a *Agent) noteRefresh(system time.Time, repository string, manifest digest.Digest, meta *tufclient.Metadata) error {
	signed := digest.FromBytes(meta.Files()[tufclient.FileName("timestamp", 0)])
	if a.state.Noted[repository] == signed {
		return nil
	}
	_, err := a.log.Append(system, audit.Event{
		Kind: audit.Refreshed, Channel: repository, Metadata: meta.Versions()["timestamp"], State: manifest, Program: a.opts.Program,
	})
	if err != nil {
		return err
	}
	a.state.Noted[repository] = signed
	return nil
}

// keepOrder stores the signed deployment: later orders are compared with it.
func (a *Agent) keepOrder(ctx context.Context, o *verify.Order) error {
	raw := o.Deployment().Raw
	return a.store.Put(ctx, o.Descriptor(), raw)
}
