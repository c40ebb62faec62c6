package agent

import (
	"slices"
	"strings"
	"time"

	"github.com/opencontainers/go-digest"

	"github.com/consign-dev/consign/internal/inputs"
	"github.com/consign-dev/consign/internal/tufclient"
	"github.com/consign-dev/consign/internal/verify"
)

// asOf is a channel's metadata and the time by which its expiry was judged.
type asOf struct {
	meta *tufclient.Metadata
	at   time.Time
}

// asked is what the verifier was asked and given for one decision. It fills while
// the decision is made, and costs nothing until that is kept.
type asked struct {
	question           inputs.Question
	operator, supplier asOf
	recorders          []*inputs.Recorder
	deployment         string
	order              inputs.Ref
	history            inputs.History
	renders            []verify.Render
	// judged: there was a verdict.
	judged bool
}

// askOrders begins the question what the device is to run.
func askOrders(operator asOf) *asked { return &asked{question: inputs.Orders, operator: operator} }

// ask begins the question whether an order may be carried out.
func (v *view) ask(o *verify.Order) *asked {
	return &asked{
		question: inputs.Order, operator: v.asked.operator, supplier: v.suppliers[v.channelOf(o)].asOf,
		recorders:  slices.Clone(v.asked.recorders),
		deployment: o.Deployment().ID, order: inputs.Ref{Digest: o.Digest(), Size: o.Size()},
	}
}

// askAgain begins the question whether what ran before may run again.
func askAgain(in Installation) *asked {
	return &asked{
		question: inputs.Recall, deployment: in.Deployment, order: inputs.Ref{Digest: in.Order, Size: in.OrderSize},
		history: inputs.History{Highest: in.Highest},
	}
}

// record notes what is read through the result.
func (q *asked) record(docs verify.Documents) verify.Documents {
	r := inputs.Record(docs)
	q.recorders = append(q.recorders, r)
	return r
}

// remembered names what history was given for a deployment.
func (a *Agent) remembered(id string, h verify.History) inputs.History {
	out := inputs.History{Highest: h.Highest}
	if h.Previous != nil {
		in := a.state.Installed[id]
		out.Previous = &inputs.Ref{Digest: in.Order, Size: in.OrderSize}
	}
	return out
}

// document is the inputs document of a decision. loose are bytes that it names and
// that only memory, or a file that the next refresh replaces, holds.
func (q *asked) document(d verify.Device, event uint64, end inputs.Decision) (doc *inputs.Document, loose [][]byte) {
	put := func(data []byte) inputs.Ref {
		loose = append(loose, data)
		return inputs.Ref{Digest: digest.SHA256.FromBytes(data), Size: int64(len(data))}
	}
	doc = &inputs.Document{
		Version: inputs.Version, Event: event, Question: q.question, Deployment: q.deployment,
		Device:   inputs.Device{ID: d.ID, Platform: d.Platform, Reserved: d.Reserved},
		Operator: q.operator.channel(put), Documents: []inputs.Ref{}, Decision: end,
	}
	if d.Capabilities != nil {
		ref := put(d.Capabilities.Raw)
		doc.Device.Capabilities = &ref
	}
	if q.question != inputs.Orders {
		supplier := q.supplier.channel(put)
		doc.Supplier, doc.Order, doc.History = &supplier, &q.order, &q.history
	}
	if end.Outcome != inputs.Withheld {
		for _, r := range q.renders {
			ref := put(r.Project)
			doc.Renders = append(doc.Renders, inputs.Render{Component: r.Component, Digest: ref.Digest, Size: ref.Size})
		}
	}
	for _, r := range q.recorders {
		r.AddTo(doc)
	}
	return doc, loose
}

func (c asOf) channel(put func([]byte) inputs.Ref) inputs.Channel {
	out := inputs.Channel{Root: digest.SHA256.FromBytes(c.meta.Pinned()), Time: c.at.UTC()}
	for name, data := range c.meta.Files() {
		ref := put(data)
		out.Metadata = append(out.Metadata, inputs.File{Name: name, Digest: ref.Digest, Size: ref.Size})
	}
	slices.SortFunc(out.Metadata, func(a, b inputs.File) int { return strings.Compare(a.Name, b.Name) })
	return out
}
