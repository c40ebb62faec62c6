package agent

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/opencontainers/go-digest"

	"github.com/consign-dev/consign/internal/channel"
	"github.com/consign-dev/consign/internal/durable"
	"github.com/consign-dev/consign/internal/gather"
	"github.com/consign-dev/consign/internal/oci"
	"github.com/consign-dev/consign/internal/reason"
	"github.com/consign-dev/consign/internal/tufclient"
	"github.com/consign-dev/consign/internal/verify"
)

// supplier is a release channel as this cycle found it: metadata, or why there
// is none to judge new orders by.
type supplier struct {
	asOf
	err error
}

// refreshSuppliers refreshes each release channel that an order names, once,
// for all releases that the orders name. A channel that fails is no error here:
// it holds up what depends on it and nothing else. The error is for a log or
// state that cannot be written.
func (a *Agent) refreshSuppliers(ctx context.Context, system time.Time, orders *verify.Orders) (map[string]supplier, error) {
	targets := map[string][]string{}
	for _, o := range orders.List() {
		name := o.Terms().Bundle.Channel
		targets[name] = append(targets[name], channel.ReleaseTarget(o.Deployment().Spec.ApplicationID, o.Terms().Bundle.Version))
	}
	out := map[string]supplier{}
	for _, name := range sortedKeys(targets) {
		now := a.now(system)
		meta, err := a.refreshSupplier(ctx, system, now, orders.Policy(), name, targets[name])
		if unwritable(err) || ctx.Err() != nil {
			return nil, errors.Join(err, ctx.Err())
		}
		out[name] = supplier{asOf{meta, now}, err}
	}
	return out, nil
}

func unwritable(err error) bool { return reason.Is(err, reason.LogUnwritable) }

func (a *Agent) refreshSupplier(ctx context.Context, system, now time.Time, pol *verify.Policy, name string, targets []string) (*tufclient.Metadata, error) {
	where, err := pol.Channel(name)
	if err != nil {
		return nil, err
	}
	repo, err := a.client.Repository(where.Repository)
	if err != nil {
		return nil, err
	}
	client, err := a.supplierClient(pol, name)
	if err != nil {
		return nil, err
	}
	meta, err := a.refreshChannel(ctx, system, now, repo, client, targets...)
	if err != nil {
		return nil, fmt.Errorf("release channel %s: %w", name, err)
	}
	return meta, nil
}

func (a *Agent) storedSupplier(pol *verify.Policy, name string, now time.Time) supplier {
	if _, err := pol.Channel(name); err != nil {
		return supplier{err: err}
	}
	client, err := a.supplierClient(pol, name)
	if err != nil {
		return supplier{err: err}
	}
	meta, err := client.Stored(now)
	return supplier{asOf{meta, now}, err}
}

func (a *Agent) supplierClient(pol *verify.Policy, name string) (*tufclient.Client, error) {
	if err := durable.MkdirAll(a.dirs.suppliers(), 0o700); err != nil {
		return nil, err
	}
	return channel.OpenSupplier(a.dirs.suppliers(), name, pol.Root(name))
}

// noteSuppliers logs how the release channels were found, also where nothing
// depends on it today: what runs goes on running, but its operator learns that a
// channel has run out, is held back or is not what it was.
func (a *Agent) noteSuppliers(ctx context.Context, system time.Time, v *view) error {
	for _, name := range sortedKeys(v.suppliers) {
		key, found := ChannelKey(name), v.suppliers[name].err
		if found == nil {
			if _, refused := a.state.Attempts[key]; refused {
				delete(a.state.Attempts, key)
				a.moved = true
			}
			continue
		}
		event := refusalOf(found, v.orders.Policy().Trust().Channels[name].Repository)
		attempt := Attempt{Policy: v.orders.Policy().Digest(), Reason: reason.Of(found), Text: found.Error()}
		if err := a.noteRefusal(ctx, system, key, attempt, event, nil, found); unwritable(err) {
			return err
		}
	}
	return nil
}

// ChannelKey is a release channel's key among the attempts. A deployment's id
// has no colon.
func ChannelKey(name string) string { return "channel:" + name }

// judge verifies one order against its supplier's channel and notes in q what it
// asked. It returns the repository that holds the bundle.
func (a *Agent) judge(ctx context.Context, v *view, o *verify.Order, q *asked) (*verify.Verdict, *oci.Repository, error) {
	terms, application := o.Terms(), o.Deployment().Spec.ApplicationID
	from := v.suppliers[terms.Bundle.Channel]
	if from.err != nil {
		return nil, nil, from.err
	}
	var repo *oci.Repository
	if !v.offline {
		var err error
		if repo, err = a.appRepository(v.orders.Policy(), terms.Bundle.Channel, application); err != nil {
			return nil, nil, err
		}
	}
	docs := q.record(gather.Cached{Store: a.store, Repository: repo})
	rel, err := verify.CheckRelease(ctx, verify.ReleaseInput{
		Policy: v.orders.Policy(), Channel: from.meta, ChannelName: terms.Bundle.Channel,
		Application: application, Version: terms.Bundle.Version, Bundle: digest.Digest(terms.Bundle.Digest),
	}, docs)
	if err != nil {
		return nil, nil, err
	}
	history, err := a.history(ctx, v, o)
	if err != nil {
		return nil, nil, err
	}
	q.history = a.remembered(o.Deployment().ID, history)
	orders, err := a.ordersRepository(v)
	if err != nil {
		return nil, nil, err
	}
	verdict, err := verify.Decide(ctx, verify.DecideInput{
		Order: o, Release: rel, Device: a.device, History: history,
		Endorsements: q.record(gather.Cached{Store: a.store, Repository: orders}),
	}, docs)
	if err != nil {
		return nil, nil, err
	}
	q.judged = true
	return verdict, repo, a.keepOrder(ctx, o)
}

func (a *Agent) appRepository(pol *verify.Policy, name, application string) (*oci.Repository, error) {
	where, err := pol.Channel(name)
	if err != nil {
		return nil, err
	}
	place, err := channel.AppRepository(where.Repository, application)
	if err != nil {
		return nil, err
	}
	return a.client.Repository(place)
}
