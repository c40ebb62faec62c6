package composefile

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/compose-spec/compose-go/v2/loader"
	"github.com/compose-spec/compose-go/v2/types"

	"github.com/consign-dev/consign/internal/reason"
	"github.com/consign-dev/consign/internal/strictyaml"
)

// workingDir stands where compose-go wants a directory. Paths are not resolved
// against it, nothing is read from it, and it appears in no project.
const workingDir = "/"

// Load resolves the compose.yaml of an archive to a project of the given name
// (a Compose project name). vars are all the variables there are: their values
// are what ${NAME} means, what a service's "environment" entry without a value
// takes, and what an env_file may refer to. A ${NAME} that has neither a value
// nor a default is an error that names it.
//
// env_file and configs are read from the archive into the project, so that the
// project needs no file beside it. Secrets become references, see [Vars].
// Services under a profile are left out: no profile is ever active. Refusals
// carry malformed or too-large (YAML), render (what cannot be resolved from the
// archive alone), path (a file outside it) or grant (what would reach for the
// machine: relative bind mounts, secrets from files, and so on; what can be
// granted passes here and is for the policy).
func Load(ctx context.Context, files Files, vars Vars, name string) (p *types.Project, err error) {
	defer func() {
		// compose-go asserts types of values that it has not validated yet.
		if r := recover(); r != nil {
			p, err = nil, reason.New(reason.Malformed, "%s: not a Compose file: %v", ComposeFile, r)
		}
	}()
	tree, err := parseTree(files[ComposeFile])
	if err != nil {
		return nil, err
	}
	if err := refuseForeign(tree); err != nil {
		return nil, err
	}
	if err := checkVars(vars); err != nil {
		return nil, err
	}
	if err := checkGrowth(tree, vars); err != nil {
		return nil, err
	}
	p, err = resolve(ctx, tree, vars, name)
	if err != nil {
		return nil, withHint(reason.Wrap(reason.Render, fmt.Errorf("%s: %w", ComposeFile, short(err))), files)
	}
	if err := referToSecrets(p, vars); err != nil {
		return nil, reason.Wrap(reason.Render, fmt.Errorf("%s: %w", ComposeFile, err))
	}
	if err := inline(p, files, vars.Values); err != nil {
		return nil, reason.Wrap(reason.Render, fmt.Errorf("%s: %w", ComposeFile, err))
	}
	return p, nil
}

// YAMLLimits allow what hand-written Compose files do: templates under "x-" keys
// that services merge in. The bound on values holds after expansion.
var YAMLLimits = strictyaml.Limits{Aliases: 200, Merge: true}

// parseTree decodes with our own bounds and rules and hands compose-go the
// values, not the bytes: a second YAML parser with other opinions about
// duplicates, tags and aliases never sees the document.
func parseTree(data []byte) (map[string]any, error) {
	node, err := strictyaml.Node(data, YAMLLimits)
	if err != nil {
		return nil, reason.Wrap(reason.Malformed, fmt.Errorf("%s: %w", ComposeFile, err))
	}
	if err := strictyaml.Numbers(node); err != nil {
		return nil, fmt.Errorf("%s: %w", ComposeFile, err)
	}
	var tree map[string]any
	if err := node.Decode(&tree); err != nil {
		return nil, reason.New(reason.Malformed, "%s: %w", ComposeFile, err)
	}
	if len(tree) == 0 {
		return nil, reason.New(reason.Malformed, "%s: empty", ComposeFile)
	}
	if err := checkWhole(tree); err != nil {
		return nil, fmt.Errorf("%s: %w", ComposeFile, err)
	}
	return tree, nil
}

func resolve(ctx context.Context, tree map[string]any, vars Vars, name string) (*types.Project, error) {
	details := types.ConfigDetails{
		WorkingDir:  workingDir,
		ConfigFiles: []types.ConfigFile{{Filename: ComposeFile, Config: tree}},
		Environment: types.Mapping{}.Merge(vars.Values),
	}
	p, err := loader.LoadWithContext(ctx, details, sealed, func(o *loader.Options) {
		o.SetProjectName(name, true)
		o.Interpolate.LookupValue = lookup(vars)
		o.Interpolate.Substitute = substitute
	})
	if err != nil {
		return nil, err
	}
	p.Extensions = nil // "x-" keys carry YAML anchors and notes, nothing that runs
	return p, nil
}

// sealed turns off whatever makes compose-go read a file. Extends stays on
// for services of the same file; refuseForeign has refused the others.
func sealed(o *loader.Options) {
	o.SkipInclude = true
	o.SkipResolveEnvironment = true
	o.SkipResolveLabels = true
	o.ResolvePaths = false
	o.ResourceLoaders = nil
}

// maxMessage bounds an error of compose-go, which repeats the text that it is
// about, however long that is.
const maxMessage = 1000

func short(err error) error {
	text := err.Error()
	if len(text) <= maxMessage {
		return err
	}
	cut := errors.New(strings.ToValidUTF8(text[:maxMessage], "") + "...")
	var coded *reason.Error
	if errors.As(err, &coded) {
		return reason.Wrap(coded.Code, cut)
	}
	return cut
}

// withHint explains the most likely cause of an unset variable.
func withHint(err error, files Files) error {
	if _, ok := files[".env"]; ok && strings.Contains(err.Error(), noValue) {
		return fmt.Errorf("%w (a .env file is not read: declare the variable as a parameter in margo.yaml, or give it a default)", err)
	}
	return err
}
