package main

import (
	"cmp"
	"strings"

	"github.com/compose-spec/compose-go/v2/types"
	"github.com/opencontainers/go-digest"

	"github.com/consign-dev/consign/internal/apply/task"
)

// services are the containers that a project asks for, one for each service.
func services(p *types.Project) []task.Service {
	var out []task.Service
	for _, name := range p.ServiceNames() {
		s := p.Services[name]
		container := p.Name + "-" + name + "-1"
		out = append(out, task.Service{
			Name: name, Container: digest.FromString(container + s.Image).Encoded(), ContainerName: container,
			State: "running", Health: "healthy", Image: s.Image, ImageID: s.Image[strings.Index(s.Image, "@")+1:], Facts: facts(p, s),
		})
	}
	return out
}

// facts are what an engine would say of a container that is within the limits
// of every render. What needs a grant has its tests on a real engine.
func facts(p *types.Project, s types.ServiceConfig) task.Facts {
	f := task.Facts{
		CapDrop: s.CapDrop, SecurityOpt: s.SecurityOpt, Network: p.Name + "_default", Networks: []string{p.Name + "_default"},
		Memory: int64(s.MemLimit), MemorySwap: int64(cmp.Or(s.MemSwapLimit, s.MemLimit)), NanoCPUs: int64(s.CPUS * 1e9), PIDs: s.PidsLimit,
		Restart: cmp.Or(s.Restart, "no"), Image: s.Image, ReadOnly: s.ReadOnly,
	}
	if s.Logging != nil {
		f.LogDriver, f.LogOptions = s.Logging.Driver, s.Logging.Options
	}
	for _, port := range s.Ports {
		f.Ports = append(f.Ports, task.PortFact{Target: int(port.Target), Protocol: port.Protocol, HostIP: port.HostIP, Published: port.Published})
	}
	return f
}
