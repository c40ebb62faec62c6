package pack

import (
	"context"
	"fmt"
	"maps"
	"slices"

	"github.com/compose-spec/compose-go/v2/template"

	"github.com/consign-dev/consign/internal/bundle"
	"github.com/consign-dev/consign/internal/composefile"
	"github.com/consign-dev/consign/internal/margo"
	"github.com/consign-dev/consign/internal/reason"
	"github.com/consign-dev/consign/internal/strictyaml"
)

// projectName is any valid name: the project is loaded to learn its images
// and then forgotten.
const projectName = "pack"

// placeholder stands for a parameter without a default while a project is
// loaded. It is a text, a number, a port and a size all at once.
const placeholder = "1"

// collectImages adds the images of a component to those that are wanted.
func (p *packer) collectImages(ctx context.Context, component string, files composefile.Files) error {
	vars := defaults(p.desc, component)
	if err := checkImageVariables(files, vars); err != nil {
		return err
	}
	project, err := composefile.Load(ctx, files, composefile.Vars{Values: vars, Secrets: secrets(p.desc, component)}, projectName)
	if err != nil {
		return err
	}
	if err := p.want(component, composefile.Images(project)); err != nil {
		return fmt.Errorf("%s: %w", composefile.ComposeFile, err)
	}
	return nil
}

// want notes that a component runs images.
func (p *packer) want(component string, references []string) error {
	for _, ref := range references {
		normal, err := bundle.NormalizeReference(ref)
		if err != nil {
			return err
		}
		if _, ok := p.wanted[normal]; !ok {
			p.wanted[normal] = component
		}
	}
	return nil
}

// defaults are the variables that the package's parameters set for a
// component, with their default values.
func defaults(d *margo.ApplicationDescription, component string) map[string]string {
	params := maps.Clone(d.Parameters)
	for name, param := range params {
		if d.Secret(name) {
			delete(params, name)
			continue
		}
		if param.Value == nil {
			param.Value = placeholder
			params[name] = param
		}
	}
	deployment := margo.ApplicationDeployment{Spec: margo.DeploymentSpec{Parameters: params}}
	return deployment.ComponentValues(component)
}

// secrets are the variables that secret parameters set for a component, each
// with a name as it could stand in a deployment.
func secrets(d *margo.ApplicationDescription, component string) map[string]string {
	names := map[string]string{}
	for parameter := range d.Parameters {
		if d.Secret(parameter) {
			names[parameter] = placeholder
		}
	}
	return d.ComponentSecrets(names, component)
}

// checkImageVariables refuses an image reference that a parameter could
// change. Variables that are no parameter always have the value that
// compose.yaml gives them, on every device.
func checkImageVariables(files composefile.Files, vars map[string]string) error {
	var file struct {
		Services map[string]struct {
			Image   any `yaml:"image"`
			Volumes any `yaml:"volumes"`
		} `yaml:"services"`
	}
	node, err := strictyaml.Node(files[composefile.ComposeFile], composefile.YAMLLimits)
	if err != nil {
		return reason.Wrap(reason.Malformed, fmt.Errorf("%s: %w", composefile.ComposeFile, err))
	}
	if err := node.Decode(&file); err != nil {
		return reason.New(reason.Malformed, "%s: %w", composefile.ComposeFile, err)
	}
	for _, name := range slices.Sorted(maps.Keys(file.Services)) {
		s := file.Services[name]
		used := template.ExtractVariables(map[string]any{"image": s.Image, "volumes": imageVolumes(s.Volumes)}, nil)
		for _, variable := range slices.Sorted(maps.Keys(used)) {
			if _, ok := vars[variable]; ok {
				return reason.New(reason.ImageUnpinned,
					"%s: services.%s: the image reference depends on parameter variable %q; a bundle fixes its images, so write the reference out and publish another version for another image",
					composefile.ComposeFile, name, variable)
			}
		}
	}
	return nil
}

// imageVolumes picks the sources of volumes that are images.
func imageVolumes(volumes any) []any {
	list, _ := volumes.([]any)
	var sources []any
	for _, v := range list {
		if m, ok := v.(map[string]any); ok && m["type"] != "volume" {
			sources = append(sources, m["source"])
		}
	}
	return sources
}
