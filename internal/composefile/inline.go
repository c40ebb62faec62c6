package composefile

import (
	"bytes"
	"fmt"
	"maps"
	"path"
	"path/filepath"
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/compose-spec/compose-go/v2/dotenv"
	"github.com/compose-spec/compose-go/v2/template"
	"github.com/compose-spec/compose-go/v2/types"

	"github.com/consign-dev/consign/internal/reason"
)

// inline makes the project need no file beside it.
func inline(p *types.Project, files Files, vars map[string]string) error {
	for _, name := range slices.Sorted(maps.Keys(p.Services)) {
		s := p.Services[name]
		if err := inlineService(&s, files, vars); err != nil {
			return fmt.Errorf("services.%s: %w", name, err)
		}
		p.Services[name] = s
	}
	for _, name := range slices.Sorted(maps.Keys(p.Configs)) {
		c, err := inlineConfig(p.Configs[name], files, vars)
		if err != nil {
			return fmt.Errorf("configs.%s: %w", name, err)
		}
		p.Configs[name] = c
	}
	return nil
}

func inlineService(s *types.ServiceConfig, files Files, vars map[string]string) error {
	if s.Image == "" {
		return reason.New(reason.Render, "names no image")
	}
	if s.ReadOnly && len(s.Configs) > 0 {
		return reason.New(reason.Render, "read_only: configs are copied into the container, which read_only forbids; drop one of the two")
	}
	for i, v := range s.Volumes {
		if v.Type == types.VolumeTypeBind && !path.IsAbs(v.Source) {
			return reason.New(reason.Grant, "volumes[%d]: a bind mount of a relative path is not granted, since there is no project directory on a device; use a named volume, configs for files of the package, or an absolute path that the operator grants", i)
		}
	}
	env, err := environment(s, files, vars)
	if err != nil {
		return err
	}
	s.Environment, s.EnvFiles, s.Extends = env, nil, nil
	return nil
}

// environment merges the env files, in order, with the environment section,
// which wins.
func environment(s *types.ServiceConfig, files Files, vars map[string]string) (types.MappingWithEquals, error) {
	out := types.MappingWithEquals{}
	for _, f := range s.EnvFiles {
		values, err := envFile(f, files, vars)
		if err != nil {
			return nil, fmt.Errorf("env_file: %w", err)
		}
		for k, v := range values {
			out[k] = &v
		}
	}
	for k, v := range s.Environment {
		if v == nil {
			if given, ok := vars[k]; ok {
				v = &given
			}
		}
		switch {
		case v != nil:
			out[k] = v
		case out[k] == nil:
			return nil, fmt.Errorf("environment.%s: variable %q %s", k, k, noValue)
		}
	}
	if len(out) == 0 {
		return nil, nil
	}
	return out, nil
}

func envFile(f types.EnvFile, files Files, vars map[string]string) (map[string]string, error) {
	if f.Format != "" {
		return nil, reason.New(reason.Render, "%s: format %q is not supported", f.Path, f.Format)
	}
	data, err := find(files, f.Path)
	if err != nil {
		if !bool(f.Required) && reason.Is(err, reason.Render) {
			return nil, nil
		}
		return nil, err
	}
	missed := map[string]bool{}
	values, err := dotenv.ParseWithLookup(bytes.NewReader(data), func(name string) (string, bool) {
		v, ok := vars[name]
		missed[name] = missed[name] || !ok
		return v, ok
	})
	if err != nil {
		return nil, reason.New(reason.Render, "%s: %w", f.Path, err)
	}
	return values, unresolved(f.Path, data, values, missed)
}

// unresolved reports a variable that an env file refers to and that neither a
// value, nor the file itself, nor a default resolves.
func unresolved(name string, data []byte, values map[string]string, missed map[string]bool) error {
	used := template.ExtractVariables(map[string]any{"file": string(data)}, nil)
	for _, variable := range slices.Sorted(maps.Keys(missed)) {
		u := used[variable]
		_, own := values[variable]
		if missed[variable] && !own && u.DefaultValue == "" && u.PresenceValue == "" {
			return reason.New(reason.Render, "%s: variable %q %s", name, variable, noValue)
		}
	}
	return nil
}

// inlineConfig leaves a config with a content and no other source.
func inlineConfig(c types.ConfigObjConfig, files Files, vars map[string]string) (types.ConfigObjConfig, error) {
	switch {
	case bool(c.External):
		return c, reason.New(reason.Render, "external configs do not exist on a device; put the file into the package")
	case c.File != "":
		data, err := find(files, c.File)
		if err != nil {
			return c, fmt.Errorf("file: %w", err)
		}
		c.Content, c.File = string(data), ""
	case c.Environment != "":
		value, ok := vars[c.Environment]
		if !ok {
			return c, fmt.Errorf("environment: variable %q %s", c.Environment, noValue)
		}
		c.Content, c.Environment = value, ""
	}
	if c.Content == "" {
		return c, reason.New(reason.Render, "is empty; Compose creates no empty files")
	}
	if !utf8.ValidString(c.Content) {
		return c, reason.New(reason.Render, "is not UTF-8 text; put binary files into an image")
	}
	return c, nil
}

// find returns a file of the archive by the path that compose.yaml gives.
func find(files Files, name string) ([]byte, error) {
	clean := path.Clean(name)
	if !filepath.IsLocal(clean) || strings.Contains(name, "\\") {
		return nil, reason.New(reason.Path, "%q is not a path inside the package", name)
	}
	data, ok := files[clean]
	if !ok {
		return nil, reason.New(reason.Render, "no file %q in the package", name)
	}
	return data, nil
}
