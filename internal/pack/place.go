package pack

import (
	"github.com/consign-dev/consign/internal/channel"
	"github.com/consign-dev/consign/internal/margo"
)

// warnPlaces says where margo.yaml and the place of publication differ: a
// plain Margo client would look where margo.yaml says and find nothing, or
// something else.
func (p *packer) warnPlaces() error {
	if p.Channel == "" {
		return nil
	}
	app, err := channel.AppRepository(p.Channel, p.desc.ID)
	if err != nil {
		return err
	}
	for _, c := range p.bundle.Components {
		place, err := channel.ComponentRepository(app, c.Name)
		if err != nil {
			return err
		}
		if said := p.repositoryOf(c.Name); said != repositoryScheme+place {
			p.warn("component %s: %s says %s, but it will be published as %s%s; devices of Consign do not mind, plain Margo and Helm clients look at the former",
				c.Name, margo.DescriptionFile, said, repositoryScheme, place)
		}
	}
	return nil
}

func (p *packer) repositoryOf(component string) string {
	for _, profile := range p.desc.DeploymentProfiles {
		for _, c := range profile.Components {
			if c.Name == component {
				return c.Properties.Repository
			}
		}
	}
	return ""
}
