package composefile

import (
	"fmt"
	"maps"
	"path"
	"slices"
	"strings"

	"github.com/compose-spec/compose-go/v2/types"

	"github.com/consign-dev/consign/internal/lazyregexp"
	"github.com/consign-dev/consign/internal/reason"
)

// secretsDir is where Compose puts secrets into a container.
const secretsDir = "/run/secrets"

var secretTarget = lazyregexp.New(`^/run/secrets/[A-Za-z0-9_-][A-Za-z0-9._-]{0,254}$`)

// referToSecrets puts the name of the device's secret in the place of the
// variable that each secret of the project is taken from. A resolved project so
// says which secrets it wants and holds nothing of what is in them.
func referToSecrets(p *types.Project, vars Vars) error {
	if err := onlyAsSecrets(p, vars); err != nil {
		return err
	}
	for _, key := range slices.Sorted(maps.Keys(p.Secrets)) {
		s, err := vars.refer(p.Secrets[key])
		if err != nil {
			return fmt.Errorf("secrets.%s: %w", key, err)
		}
		p.Secrets[key] = s
	}
	for _, name := range slices.Sorted(maps.Keys(p.Services)) {
		s := p.Services[name]
		if err := placeSecrets(&s); err != nil {
			return fmt.Errorf("services.%s: %w", name, err)
		}
		p.Services[name] = s
	}
	return nil
}

// refer leaves the one form that is delivered: a name and a reference.
func (v Vars) refer(s types.SecretConfig) (types.SecretConfig, error) {
	if bool(s.External) || s.File != "" {
		return s, reason.New(reason.Grant, "it would be read from a place that the package chooses: use 'environment' with the variable of a secret parameter")
	}
	if s.Driver != "" || s.TemplateDriver != "" || len(s.DriverOpts)+len(s.Labels) > 0 || s.Environment == "" {
		return s, reason.New(reason.Render, "a secret is delivered in one form only: 'environment', naming the variable of a parameter that margo.yaml lists in secretParameters")
	}
	name, ok := v.Secrets[s.Environment]
	if !ok {
		return s, reason.New(reason.Render, "environment: %q is not the variable of a secret parameter: list the parameter in secretParameters of the profile in margo.yaml", s.Environment)
	}
	return types.SecretConfig{Name: s.Name, Environment: name}, nil
}

// onlyAsSecrets explains the two uses of a secret variable, besides ${NAME},
// that would put its value into the open.
func onlyAsSecrets(p *types.Project, vars Vars) error {
	for _, name := range slices.Sorted(maps.Keys(p.Services)) {
		env := p.Services[name].Environment
		for _, k := range slices.Sorted(maps.Keys(env)) {
			if _, secret := vars.Secrets[k]; secret && env[k] == nil {
				return fmt.Errorf("services.%s.environment: %w", name, inTheOpen(k))
			}
		}
	}
	for _, name := range slices.Sorted(maps.Keys(p.Configs)) {
		if _, secret := vars.Secrets[p.Configs[name].Environment]; secret {
			return fmt.Errorf("configs.%s.environment: %w", name, inTheOpen(p.Configs[name].Environment))
		}
	}
	return nil
}

func inTheOpen(variable string) error {
	return reason.New(reason.Render, "%s is secret: it can only be the 'environment' of a secret, and reaches a service as a file below %s", variable, secretsDir)
}

// placeSecrets gives each use of a secret its full path, and refuses where a
// file that is copied into the container would not be seen, or not be gone with
// the container.
func placeSecrets(s *types.ServiceConfig) error {
	if s.ReadOnly && len(s.Secrets) > 0 {
		return reason.New(reason.Render, "read_only: secrets are copied into the container, which read_only forbids; drop one of the two")
	}
	taken := map[string]bool{}
	for i := range s.Secrets {
		use := &s.Secrets[i]
		if !strings.HasPrefix(use.Target, "/") {
			use.Target = path.Join(secretsDir, use.Target)
		}
		if !secretTarget.MatchString(use.Target) || taken[use.Target] {
			return reason.New(reason.Render, "secrets[%d]: target %q is not a file of its own directly below %s", i, use.Target, secretsDir)
		}
		taken[use.Target] = true
		if mount := covering(s, use.Target); mount != "" {
			return reason.New(reason.Render, "secrets[%d]: the mount at %s would hide %s, or keep it; mount elsewhere", i, mount, use.Target)
		}
	}
	return nil
}

// covering returns the mount of a service that a path lies in, "" for none.
func covering(s *types.ServiceConfig, file string) string {
	var mounts []string
	for _, v := range s.Volumes {
		mounts = append(mounts, v.Target)
	}
	for _, t := range s.Tmpfs {
		target, _, _ := strings.Cut(t, ":")
		mounts = append(mounts, target)
	}
	for _, m := range mounts {
		at := path.Join("/", m)
		if at == "/" || at == file || strings.HasPrefix(file, at+"/") {
			return at
		}
	}
	return ""
}
