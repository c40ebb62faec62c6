package agent

import (
	"context"
	"errors"
	"io/fs"

	"github.com/consign-dev/consign/internal/agent/doctor"
	"github.com/consign-dev/consign/internal/oci"
)

// credentials looks at the Docker configuration for the hosts of the channels.
func (x *examiner) credentials(ctx context.Context, places []place) doctor.Credentials {
	seen, err := oci.LookDockerConfig(x.a.cfg.DockerConfig)
	c := doctor.Credentials{Path: seen.Path, Mode: seen.Mode, Secrets: seen.Secrets}
	if errors.Is(err, fs.ErrNotExist) && x.a.cfg.DockerConfig == "" {
		c.Absent = true
		return c
	}
	if c.Err = err; err != nil || x.a.client == nil {
		return c
	}
	known := map[string]bool{}
	for _, p := range places {
		if p.repo != nil && !known[p.repo.Host()] {
			known[p.repo.Host()] = true
			c.Hosts = append(c.Hosts, x.credential(ctx, p.repo.Host()))
		}
	}
	return c
}

func (x *examiner) credential(ctx context.Context, host string) doctor.Host {
	ctx, cancel := context.WithTimeout(ctx, askTimeout)
	defer cancel()
	entry, err := x.a.client.HasCredentials(ctx, host)
	return doctor.Host{Name: host, Entry: entry, Err: err}
}
