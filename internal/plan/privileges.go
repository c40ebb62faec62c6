package plan

import (
	"fmt"

	"github.com/consign-dev/consign/internal/apply/task"
	"github.com/consign-dev/consign/internal/bundle"
	"github.com/consign-dev/consign/internal/verify"
	"github.com/consign-dev/consign/policy"
)

// Privileges is what an application asks of the machine beyond what it has.
type Privileges struct {
	// Grants is the YAML to paste into the application's entry of a policy:
	// what it has and what it lacks. "" when it lacks nothing that can be granted.
	Grants string `json:"grants,omitempty"`
	// Never lists what no policy can grant: the application has to change.
	Never []string `json:"never"`
	// More is how many further ones are not listed.
	More int `json:"more,omitempty"`
}

func privileges(have policy.Grants, renders []verify.Render) (Privileges, error) {
	out := Privileges{Never: []string{}}
	var projects, charts [][]byte
	for _, r := range renders {
		if r.Type == bundle.Helm {
			charts = append(charts, r.Project)
		} else {
			projects = append(projects, r.Project)
		}
	}
	proposal, err := have.Propose(projects...)
	if err != nil {
		return out, fmt.Errorf("privileges: %w", err)
	}
	more, err := proposal.Grants.ProposeKubernetes(charts...)
	if err != nil {
		return out, fmt.Errorf("privileges: %w", err)
	}
	out.Never, out.More = append(append(out.Never, proposal.Never...), more.Never...), proposal.More+more.More
	before, err := have.YAML()
	if err != nil {
		return out, err
	}
	after, err := more.Grants.YAML()
	if after != before {
		out.Grants = after
	}
	return out, err
}

// Limits is what containers get that name no limits themselves. Those of a chart
// get processors and memory; for the rest the node decides, and it is 0.
type Limits struct {
	task.Limits
	// Defaulted are the places that are filled from it, such as
	// line-monitor-stack: services.web.mem_limit.
	Defaulted []string `json:"defaulted"`
}

func limits(r verify.Renderable, renders []verify.Render) Limits {
	out := Limits{Limits: r.Limits(), Defaulted: []string{}}
	for _, render := range renders {
		if render.Type == bundle.Helm {
			out.Limits = task.Limits{CPUs: out.CPUs, Memory: out.Memory}
		}
		for _, at := range render.Defaulted {
			out.Defaulted = append(out.Defaulted, render.Component+": "+at)
		}
	}
	return out
}
