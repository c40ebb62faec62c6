package composefile

import (
	"fmt"
	"maps"
	"path"
	"path/filepath"
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/compose-spec/compose-go/v2/types"

	"github.com/consign-dev/consign/internal/reason"
)

// inliner takes what a project needs from the archive, and bounds how much that
// becomes: a file can be named a thousand times.
type inliner struct {
	files Files
	vars  map[string]string
	left  int // bytes that may still be put into the project
}

// inline makes the project need no file beside it.
func inline(p *types.Project, files Files, vars map[string]string) error {
	in := inliner{files: files, vars: vars, left: MaxContents}
	for _, name := range slices.Sorted(maps.Keys(p.Services)) {
		s := p.Services[name]
		if err := in.service(&s); err != nil {
			return fmt.Errorf("services.%s: %w", name, err)
		}
		p.Services[name] = s
	}
	for _, name := range slices.Sorted(maps.Keys(p.Configs)) {
		c, err := in.config(p.Configs[name])
		if err != nil {
			return fmt.Errorf("configs.%s: %w", name, err)
		}
		p.Configs[name] = c
	}
	return nil
}

func (in *inliner) service(s *types.ServiceConfig) error {
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
	env, err := in.environment(s)
	if err != nil {
		return err
	}
	s.Environment, s.EnvFiles, s.Extends = env, nil, nil
	return nil
}

// environment merges the env files, in order, with the environment section,
// which wins.
func (in *inliner) environment(s *types.ServiceConfig) (types.MappingWithEquals, error) {
	out := types.MappingWithEquals{}
	for _, f := range s.EnvFiles {
		values, err := in.envFile(f)
		if err != nil {
			return nil, fmt.Errorf("env_file: %w", err)
		}
		for k, v := range values {
			out[k] = &v
		}
	}
	for k, v := range s.Environment {
		if v == nil {
			if given, ok := in.vars[k]; ok {
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

// config leaves a config with a content and no other source.
func (in *inliner) config(c types.ConfigObjConfig) (types.ConfigObjConfig, error) {
	switch {
	case bool(c.External):
		return c, reason.New(reason.Render, "external configs do not exist on a device; put the file into the package")
	case c.File != "":
		data, err := in.find(c.File)
		if err != nil {
			return c, fmt.Errorf("file: %w", err)
		}
		c.Content, c.File = string(data), ""
	case c.Environment != "":
		value, ok := in.vars[c.Environment]
		if !ok {
			return c, fmt.Errorf("environment: variable %q %s", c.Environment, noValue)
		}
		c.Content, c.Environment = value, ""
	}
	if c.Content == "" {
		return c, reason.New(reason.Render, "is empty; Compose creates no empty files")
	}
	if in.left -= len(c.Content); in.left < 0 {
		return c, reason.New(reason.TooLarge, "the project grows to more than %d bytes", MaxContents)
	}
	if !utf8.ValidString(c.Content) {
		return c, reason.New(reason.Render, "is not UTF-8 text; put binary files into an image")
	}
	return c, nil
}

// find returns a file of the archive by the path that compose.yaml gives.
func (in *inliner) find(name string) ([]byte, error) {
	clean := path.Clean(name)
	if !filepath.IsLocal(clean) || strings.Contains(name, "\\") {
		return nil, reason.New(reason.Path, "%q is not a path inside the package", name)
	}
	data, ok := in.files[clean]
	if !ok {
		return nil, reason.New(reason.Render, "no file %q in the package", name)
	}
	return data, nil
}
