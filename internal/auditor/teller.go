package auditor

import (
	"fmt"

	"github.com/opencontainers/go-digest"

	"github.com/consign-dev/consign/internal/audit"
)

// teller gathers the decisions of a log.
type teller struct {
	root    digest.Digest
	without int
	list    []*Decision
	by      map[digest.Digest]*Decision
}

func (t *teller) visit(e audit.Entry) error {
	switch {
	case e.Kind == audit.Initialised:
		t.root = e.Root
	case e.Inputs != "":
		t.add(e)
	case e.Kind == audit.Accepted, e.Kind == audit.Refused, e.Kind == audit.Intent && e.Action != audit.Remove:
		t.without++
	}
	return nil
}

// add joins events that tell one decision.
func (t *teller) add(e audit.Entry) {
	d := t.by[e.Inputs]
	if d == nil {
		d = &Decision{Deployment: e.Deployment, Application: e.Application, Release: e.Release, Inputs: e.Inputs}
		if t.by == nil {
			t.by = map[digest.Digest]*Decision{}
		}
		t.list, t.by[e.Inputs] = append(t.list, d), d
	}
	d.Events, d.told = append(d.Events, e.Seq), append(d.told, e)
}

func (t *teller) only(seq uint64) ([]*Decision, error) {
	for _, d := range t.list {
		for _, n := range d.Events {
			if n == seq {
				return []*Decision{d}, nil
			}
		}
	}
	return nil, fmt.Errorf("event %d tells no decision whose inputs were archived", seq)
}
