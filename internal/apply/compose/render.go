package compose

import (
	"context"
	"fmt"
	"maps"
	"slices"

	"github.com/compose-spec/compose-go/v2/types"
	"github.com/opencontainers/go-digest"

	"github.com/consign-dev/consign/internal/apply/task"
	"github.com/consign-dev/consign/internal/composefile"
	"github.com/consign-dev/consign/internal/lazyregexp"
	"github.com/consign-dev/consign/internal/reason"
)

// configsLabel carries a digest of the configs of a service, because Compose
// does not notice a config whose content changed and would keep the container.
const configsLabel = "dev.consign.configs"

// projectName is what Compose accepts, bounded so that the names of containers
// and networks fit the engine's 255 and a host name's 63 bytes.
var projectName = lazyregexp.New(`^[a-z0-9][a-z0-9_-]{0,62}$`)

// pinnedImage is a reference by digest in the agent's loopback registry or in
// any other; a tag beside the digest would only be decoration, and is refused.
var pinnedImage = lazyregexp.New(`^[a-z0-9.-]+(:[0-9]+)?(/[a-z0-9._/-]+)+@sha256:[0-9a-f]{64}$`)

// Render makes the exact project of a component: resolved, with every image by
// digest, our labels on everything and a limit on every container, as JSON. The same input gives the same
// bytes.
func Render(ctx context.Context, in task.RenderInput) (task.RenderResult, error) {
	if err := checkRender(in); err != nil {
		return task.RenderResult{}, err
	}
	files, err := composefile.Unpack(in.Archive)
	if err != nil {
		return task.RenderResult{}, err
	}
	p, err := composefile.Load(ctx, files, composefile.Vars{Values: in.Values, Secrets: in.Secrets}, in.Project)
	if err != nil {
		return task.RenderResult{}, err
	}
	if err := composefile.ReplaceImages(p, in.Images); err != nil {
		return task.RenderResult{}, err
	}
	label(p, in.Labels)
	defaulted := composefile.SetLimits(p, in.Limits)
	data, err := composefile.Encode(ctx, p)
	if err != nil {
		return task.RenderResult{}, err
	}
	if len(data) > task.MaxRender {
		return task.RenderResult{}, reason.New(reason.TooLarge, "render: %d bytes, at most %d are allowed", len(data), task.MaxRender)
	}
	return task.RenderResult{Project: data, Digest: digest.FromBytes(data), Images: composefile.Images(p), Defaulted: defaulted}, nil
}

func checkRender(in task.RenderInput) error {
	if !projectName.MatchString(in.Project) {
		return reason.New(reason.Malformed, "project %q: not a Compose project name of at most 63 bytes", in.Project)
	}
	if in.Labels[task.LabelDeployment] == "" {
		return reason.New(reason.Malformed, "labels: %s is missing", task.LabelDeployment)
	}
	if err := in.Limits.Check(); err != nil {
		return err
	}
	for ref, pinned := range in.Images {
		if !pinnedImage.MatchString(pinned) {
			return reason.New(reason.ImageUnpinned, "images: %q for %q is not a reference by digest", pinned, ref)
		}
	}
	return nil
}

// label marks every object that the project makes.
func label(p *types.Project, ours map[string]string) {
	for name, s := range p.Services {
		s.Labels = withLabels(s.Labels, ours)
		if d := configsDigest(p, s); d != "" {
			s.Labels[configsLabel] = d
		}
		p.Services[name] = s
	}
	for name, n := range p.Networks {
		n.Labels = withLabels(n.Labels, ours)
		p.Networks[name] = n
	}
	for name, v := range p.Volumes {
		v.Labels = withLabels(v.Labels, ours)
		p.Volumes[name] = v
	}
}

func withLabels(theirs types.Labels, ours map[string]string) types.Labels {
	out := types.Labels{}
	maps.Copy(out, theirs)
	maps.Copy(out, ours)
	return out
}

func configsDigest(p *types.Project, s types.ServiceConfig) string {
	if len(s.Configs) == 0 {
		return ""
	}
	used := map[string]bool{}
	for _, c := range s.Configs {
		used[c.Source] = true
	}
	digester := digest.SHA256.Digester()
	for _, name := range slices.Sorted(maps.Keys(used)) {
		fmt.Fprintf(digester.Hash(), "%s\x00%d\x00%s", name, len(p.Configs[name].Content), p.Configs[name].Content)
	}
	return digester.Digest().String()
}
