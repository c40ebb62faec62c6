package agent

import (
	"context"
	"path/filepath"

	"github.com/consign-dev/consign/internal/apply"
)

// appliers are those that the configuration names an engine or a cluster for.
func (a *Agent) appliers() (apply.Each, error) {
	var out apply.Each
	if a.cfg.Engine != "" {
		program, err := a.program("applier-compose")
		if err != nil {
			return out, err
		}
		out.Compose = &apply.Compose{
			Program: program, Engine: a.cfg.Engine, Registry: a.cfg.RegistryAddress, Device: a.identity.Device, Secrets: a.secrets,
		}
	}
	if a.cfg.Kubeconfig != "" {
		program, err := a.program("applier-helm")
		if err != nil {
			return out, err
		}
		out.Chart = &apply.Chart{
			Program: program, Kubeconfig: a.cfg.Kubeconfig, Registry: a.cfg.RegistryAddress, Device: a.identity.Device, Installed: a.installedRender,
			Secrets: a.secrets,
		}
	}
	return out, nil
}

func (a *Agent) program(name string) (*apply.Program, error) {
	return apply.NewProgram(filepath.Join(a.opts.ApplierDir, name))
}

// installedRender is the render of a component that became good last, nil for none.
func (a *Agent) installedRender(ctx context.Context, deployment string, part apply.Part) ([]byte, error) {
	for _, c := range a.state.Installed[deployment].Components {
		if c.Same(part) {
			return a.appliedRender(ctx, c)
		}
	}
	return nil, nil
}
