package replay

import (
	"context"
	"fmt"

	"github.com/opencontainers/go-digest"

	"github.com/consign-dev/consign/internal/inputs"
	"github.com/consign-dev/consign/internal/margo"
	"github.com/consign-dev/consign/internal/verify"
)

// ask puts the document's question to the verifier. The error is a refusal, or
// says why the question could not be put.
func (r *run) ask(ctx context.Context) error {
	switch r.doc.Question {
	case inputs.Recall:
		return r.recall(ctx)
	case inputs.Orders:
		orders, err := r.orders(ctx)
		if err == nil {
			r.answer.Outcome = inputs.Accepted
			r.answer.State = orders.State()
		}
		return err
	default:
		return r.order(ctx)
	}
}

func (r *run) orders(ctx context.Context) (*verify.Orders, error) {
	orders, err := verify.ReadOrders(ctx, r.operator, r.device.ID, lent{r})
	if err != nil {
		return nil, err
	}
	r.answer.Policy, r.answer.State = orders.Policy().Digest(), orders.State()
	return orders, nil
}

// order follows the way of an order, as far as the device came.
func (r *run) order(ctx context.Context) error {
	orders, err := r.orders(ctx)
	if err != nil {
		return err
	}
	o, err := r.find(orders)
	if err != nil {
		return err
	}
	terms := o.Terms()
	if _, err := orders.Policy().Channel(terms.Bundle.Channel); err != nil {
		return err
	}
	supplier, err := r.metadata(*r.doc.Supplier, orders.Policy().Root(terms.Bundle.Channel))
	if err != nil {
		return err
	}
	rel, err := verify.CheckRelease(ctx, verify.ReleaseInput{
		Policy: orders.Policy(), Channel: supplier, ChannelName: terms.Bundle.Channel,
		Application: o.Deployment().Spec.ApplicationID, Version: terms.Bundle.Version, Bundle: digest.Digest(terms.Bundle.Digest),
	}, lent{r})
	if err != nil {
		return err
	}
	r.answer.Bundle = rel.Digest()
	history, err := r.history()
	if err != nil {
		return err
	}
	v, err := verify.Decide(ctx, verify.DecideInput{
		Order: o, Release: rel, Device: r.device, History: history, Endorsements: lent{r},
	}, lent{r})
	if err != nil {
		return err
	}
	return r.permit(v)
}

// find returns the judged order out of the signed desired state.
func (r *run) find(orders *verify.Orders) (*verify.Order, error) {
	for _, o := range orders.List() {
		if o.Digest() == r.doc.Order.Digest && o.Deployment().ID == r.doc.Deployment {
			return o, nil
		}
	}
	return nil, fmt.Errorf("the desired state %s does not hold deployment %q as %s", orders.State(), r.doc.Deployment, r.doc.Order.Digest)
}

func (r *run) history() (verify.History, error) {
	h := verify.History{Highest: r.doc.History.Highest}
	if r.doc.History.Previous == nil {
		return h, nil
	}
	raw, err := r.read(*r.doc.History.Previous)
	if err != nil {
		return h, err
	}
	h.Previous, err = margo.ParseDeployment(raw)
	return h, err
}

// permit checks the archived renders. A decision that ended before there were any
// is as far as the verifier went.
func (r *run) permit(v *verify.Verdict) error {
	r.answer.Steps = v.Steps()
	if len(r.doc.Renders) == 0 {
		r.answer.Outcome = inputs.Withheld
		return nil
	}
	renders, err := r.renders()
	if err != nil {
		return err
	}
	p, err := v.Permit(renders)
	if err != nil {
		return err
	}
	r.accept(p)
	return nil
}

func (r *run) accept(p *verify.Permit) {
	rel := p.Verdict().Release()
	r.answer.Outcome, r.answer.Steps = inputs.Accepted, p.Steps()
	r.answer.Policy, r.answer.Bundle = rel.Policy().Digest(), rel.Digest()
	r.answer.Render = digest.SHA256.FromBytes(p.Manifest())
}

func (r *run) renders() ([]verify.Render, error) {
	var out []verify.Render
	for _, part := range r.doc.Renders {
		data, err := r.read(inputs.Ref{Digest: part.Digest, Size: part.Size})
		if err != nil {
			return nil, err
		}
		out = append(out, verify.Render{Component: part.Component, Project: data})
	}
	return out, nil
}

// recall judges again what ran before.
func (r *run) recall(ctx context.Context) error {
	pol, err := verify.ReadPolicy(ctx, r.operator, lent{r})
	if err != nil {
		return err
	}
	order, err := r.read(*r.doc.Order)
	if err != nil {
		return err
	}
	d, err := margo.ParseDeployment(order)
	if err != nil {
		return err
	}
	terms, err := d.Order()
	if err != nil {
		return err
	}
	if d.ID != r.doc.Deployment {
		return fmt.Errorf("the order %s is of deployment %q, not of %q", r.doc.Order.Digest, d.ID, r.doc.Deployment)
	}
	if _, err := pol.Channel(terms.Bundle.Channel); err != nil {
		return err
	}
	supplier, err := r.metadata(*r.doc.Supplier, pol.Root(terms.Bundle.Channel))
	if err != nil {
		return err
	}
	p, err := verify.Recall(ctx, verify.RecallInput{
		Policy: pol, Channel: supplier, Order: order, Renders: r.renders, Device: r.device, Highest: r.doc.History.Highest,
		Endorsements: lent{r},
	}, lent{r})
	if err != nil {
		return err
	}
	r.accept(p)
	return nil
}
