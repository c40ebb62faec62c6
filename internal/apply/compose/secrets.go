package compose

import (
	"fmt"
	"maps"
	"slices"

	"github.com/compose-spec/compose-go/v2/types"
	"github.com/docker/compose/v5/pkg/api"
	"github.com/docker/compose/v5/pkg/compose"
	"github.com/moby/moby/api/types/container"
	"github.com/opencontainers/go-digest"

	"github.com/consign-dev/consign/internal/apply/task"
	"github.com/consign-dev/consign/internal/reason"
)

// secretsLabel carries the versions of a service's secrets. It is no part of the
// render, which outlives them: it is put on when the render is applied, so that
// Compose replaces the container when a secret has changed.
const secretsLabel = "dev.consign.secrets"

// deliver puts the contents of secrets where Compose takes them from when it
// copies them into the containers that it creates. The project holds them from
// now on and must not leave this process.
func deliver(p *types.Project, secrets map[string]task.Secret) error {
	versions := map[string]string{}
	for name, s := range secrets {
		if len(s.Content) == 0 || len(s.Content) > task.MaxSecret || s.Version == "" {
			return reason.New(reason.Malformed, "apply: secret %q: 1 to %d bytes and a version are required", name, task.MaxSecret)
		}
		versions[name] = s.Version
	}
	if err := checkGiven(p, versions); err != nil {
		return err
	}
	labelSecrets(p, versions)
	for key, s := range p.Secrets {
		s.Content = string(secrets[s.Environment].Content)
		p.Secrets[key] = s
	}
	return nil
}

// checkGiven insists on a version for each secret that the project names, and
// for no other.
func checkGiven(p *types.Project, versions map[string]string) error {
	named := map[string]bool{}
	for key, s := range p.Secrets {
		if versions[s.Environment] == "" {
			return reason.New(reason.Malformed, "render: secrets.%s is the device's secret %q, which was not given", key, s.Environment)
		}
		named[s.Environment] = true
	}
	for name := range versions {
		if !named[name] {
			return reason.New(reason.Malformed, "render: names no secret %q", name)
		}
	}
	return nil
}

// labelSecrets marks services with the versions of their secrets, but for those
// with a secret whose version is not known.
func labelSecrets(p *types.Project, versions map[string]string) {
	for name, s := range p.Services {
		if version := secretsVersion(p, s, versions); version != "" {
			s.Labels = withLabels(s.Labels, map[string]string{secretsLabel: version})
			p.Services[name] = s
		}
	}
}

// secretsVersion is "" for a service without secrets, too.
func secretsVersion(p *types.Project, s types.ServiceConfig, versions map[string]string) string {
	if len(s.Secrets) == 0 {
		return ""
	}
	used := map[string]bool{}
	for _, use := range s.Secrets {
		used[p.Secrets[use.Source].Environment] = true
	}
	digester := digest.SHA256.Digester()
	for _, name := range slices.Sorted(maps.Keys(used)) {
		if versions[name] == "" {
			return ""
		}
		fmt.Fprintf(digester.Hash(), "%s\x00%s\x00", name, versions[name])
	}
	return digester.Digest().String()
}

// rotated reports whether a container has other secrets than its service is to
// have now, as far as that is known.
func rotated(s types.ServiceConfig, c container.InspectResponse) bool {
	want, known := s.Labels[secretsLabel]
	return len(s.Secrets) > 0 && known && c.Config.Labels[secretsLabel] != want
}

// sameDefinition reports whether a container was made from a service, whatever
// the versions of its secrets were.
func sameDefinition(s types.ServiceConfig, c container.InspectResponse) (bool, error) {
	if version, ok := c.Config.Labels[secretsLabel]; ok && len(s.Secrets) > 0 {
		s.Labels = withLabels(s.Labels, map[string]string{secretsLabel: version})
	}
	hash, err := compose.ServiceHash(s)
	if err != nil {
		return false, fmt.Errorf("service %s: %w", s.Name, err)
	}
	return c.Config.Labels[api.ConfigHashLabel] == hash, nil
}
