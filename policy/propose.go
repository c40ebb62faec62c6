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
	out := &Proposal{Grants: g.clone()}
	for _, project := range projects {
		w, err := g.walkProject(project)
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
		s := p.Grants.Compose[a.need.service]
		grantKinds[a.need.grant].add(&s, a.need.value)
		p.Grants.Compose[a.need.service] = s
	}
}

// clone shares no list with g, since a proposal changes its own.
func (g Grants) clone() Grants {
	out := g
	out.Compose = map[string]ServiceGrants{}
	for name, s := range g.Compose {
		for _, kind := range grantKinds {
			if kind.list != nil {
				list := kind.list(&s)
				*list = append([]string(nil), *list...)
			}
		}
		out.Compose[name] = s
	}
	return out
}

// YAML is the grants as the member "grants" of an application in a
// TrustPolicy, with a newline at the end; "" when there are none.
func (g Grants) YAML() (string, error) {
	if len(g.Compose)+len(g.Secrets) == 0 && g.Limits == (Limits{}) {
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
