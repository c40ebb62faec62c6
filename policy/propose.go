package policy

import (
	"fmt"
	"strings"

	"github.com/consign-dev/consign/internal/strictyaml"
)

// Proposal is what would have to be granted for projects to be accepted.
type Proposal struct {
	// Grants is what the application has, and what it lacks.
	Grants Grants
	// Never lists what no grant can cover: the application has to change. Each
	// is a place and what would be accepted there.
	Never []string
	// More is how many further ones are not listed.
	More int
}

// Propose says what the rendered Compose projects of one application would
// need beyond what is granted. If nothing of it can never be granted,
// CheckCompose of the proposal accepts each project, and without any one entry
// that g does not have, refuses one. The operator decides; a proposal is what
// the application asks for, not what it should get.
func (g Grants) Propose(projects ...[]byte) (*Proposal, error) {
	return g.propose(g.walkProject, projects)
}

// ProposeKubernetes is [Grants.Propose] for the renders of an application's Helm
// charts.
func (g Grants) ProposeKubernetes(renders ...[]byte) (*Proposal, error) {
	return g.propose(g.walkChart, renders)
}

func (g Grants) propose(walked func([]byte) (*walk, error), documents [][]byte) (*Proposal, error) {
	out := &Proposal{Grants: g.clone()}
	for _, document := range documents {
		w, err := walked(document)
		if err != nil {
			return nil, err
		}
		out.More += w.more
		for _, a := range w.asks {
			out.add(a)
		}
	}
	if err := out.Grants.validate(); err != nil {
		return nil, fmt.Errorf("what the application asks for makes no grants: %w", err)
	}
	return out, nil
}

func (p *Proposal) add(a ask) {
	switch {
	case a.need == need{}:
		p.Never = append(p.Never, a.full())
	case strings.HasPrefix(a.need.grant, "limits."):
		p.Grants.Limits.raise(a.need.grant, a.need.value)
	default:
		h, store := p.Grants.holder(a.need.owner)
		h.add(a.need.grant, a.need.value)
		store()
	}
}

// clone shares no list with g, since a proposal changes its own.
func (g Grants) clone() Grants {
	g.Compose = grantKinds.cloneAll(g.Compose)
	g.Kubernetes = g.Kubernetes.clone()
	return g
}

// YAML is the grants as the member "grants" of an application in a
// TrustPolicy, with a newline at the end; "" when there are none.
func (g Grants) YAML() (string, error) {
	if len(g.Compose)+len(g.Secrets) == 0 && g.Kubernetes.empty() && g.Limits == (Limits{}) {
		return "", nil
	}
	data, err := strictyaml.Marshal(struct {
		Grants Grants `yaml:"grants"`
	}{g})
	if err != nil {
		return "", fmt.Errorf("grants: %w", err)
	}
	return string(data), nil
}
