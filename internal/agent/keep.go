package agent

import (
	"context"
	"errors"

	"github.com/opencontainers/go-digest"
	"golang.org/x/sync/errgroup"

	"github.com/consign-dev/consign/internal/audit"
	"github.com/consign-dev/consign/internal/bundle"
	"github.com/consign-dev/consign/internal/inputs"
	"github.com/consign-dev/consign/internal/reason"
	"github.com/consign-dev/consign/internal/verify"
)

// parallelPuts is how many documents are synced at a time: a file system writes
// its journal once for those that wait together.
const parallelPuts = 8

var accepted = inputs.Decision{Outcome: inputs.Accepted}

// keep archives what a decision was made from and returns the digest of its inputs
// document, for the event that tells it. When it returns, everything that the
// document names is on disk, and the document after it: an event never names
// inputs that a crash took away.
func (a *Agent) keep(ctx context.Context, q *asked, end inputs.Decision) (digest.Digest, error) {
	doc, loose := q.document(a.device, a.log.Size(), end)
	data, err := doc.Encode()
	if err != nil {
		return "", err
	}
	if err := a.putAll(ctx, loose); err != nil {
		return "", err
	}
	for _, ref := range doc.Refs() {
		if !a.store.Has(ref.Digest) {
			return "", reason.New(reason.Internal, "archive the inputs of a decision: %s is not in the content store any more; the next cycle fetches it", ref.Digest)
		}
	}
	a.kept = true
	desc := bundle.Describe("application/json", data)
	return desc.Digest, a.inputs.Put(ctx, desc, data)
}

func (a *Agent) putAll(ctx context.Context, list [][]byte) error {
	group, ctx := errgroup.WithContext(ctx)
	group.SetLimit(parallelPuts)
	for _, data := range list {
		group.Go(func() error { return a.store.Put(ctx, bundle.Describe("application/json", data), data) })
	}
	return group.Wait()
}

// keepRefusal archives what a refusal was made from, as far as the verifier was
// asked. A refusal that cannot be archived is logged all the same: nothing is done
// because of it, and that it happened matters more.
func (a *Agent) keepRefusal(ctx context.Context, q *asked, event audit.Event, err error) digest.Digest {
	end := inputs.Decision{Outcome: inputs.Withheld, Reason: event.Reason, Step: event.Step}
	var refusal *verify.Refusal
	switch {
	case q == nil:
		return ""
	case errors.As(err, &refusal):
		end.Outcome = inputs.Refused
	case !q.judged:
		return ""
	}
	err = a.store.CheckSpace(0) // what is left is for the log
	var kept digest.Digest
	if err == nil {
		kept, err = a.keep(ctx, q, end)
	}
	if err != nil {
		a.warn("the inputs of a refusal could not be archived: it cannot be replayed", "error", err.Error())
		return ""
	}
	return kept
}
